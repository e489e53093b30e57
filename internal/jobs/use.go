package jobs

import "time"

// LaneUse is what the lane of this process takes of AWS.
type LaneUse struct {
	Until          time.Time // this process holds the lane until then, unless it renews its lease; zero: it does not
	Slots          int       // operations of Identity Center that it lets be under way at once, without the one that is kept for emergencies
	InUse          int       // those that are
	Carried        int       // grants that are being worked on at this moment
	CallsPerSecond float64   // that it makes of Identity Center at most
}

// Lane says how the lane was used when it last looked. It may be called by any goroutine.
func (k *Keeper) Lane() LaneUse {
	u := LaneUse{Slots: k.lane.limits.Outstanding - 1, CallsPerSecond: float64(k.lane.pace.Limit())}
	if last := k.lane.use.Load(); last != nil {
		u.Until, u.InUse, u.Carried = last.Until, last.InUse, last.Carried
	}
	return u
}

// hold notes until when the lane is held. Without the lane nothing is in use here.
func (l *lane) hold(until time.Time) {
	next := LaneUse{}
	if last := l.use.Load(); last != nil && !until.IsZero() {
		next = *last
	}
	next.Until = until
	l.use.Store(&next)
}

// took notes what a turn found in use and took.
func (l *lane) took(s *slots) {
	next := LaneUse{InUse: s.used, Carried: len(l.carrying)}
	if last := l.use.Load(); last != nil {
		next.Until = last.Until
	}
	l.use.Store(&next)
}
