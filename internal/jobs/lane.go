package jobs

import (
	"context"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"sparekey/access"
	"sparekey/internal/broker"
	"sparekey/internal/store"
	"sparekey/org"
)

// Clock is how the lane knows the time and waits for it.
type Clock interface {
	Now() time.Time
	After(d time.Duration) <-chan time.Time
}

// Limits is what the lane may take of AWS. The zero value takes AWS's own quotas.
type Limits struct {
	Outstanding    int     // operations under way at once; AWS lets 10 be
	CallsPerSecond float64 // AWS gives 20 a second to everybody together; the default leaves some to others
}

const (
	laneLease    = 15 * time.Second
	laneRenewal  = 5 * time.Second
	parallel     = 16               // grants that are carried at once
	lookEvery    = time.Second      // for what other replicas changed
	countEvery   = 30 * time.Second // what AWS has under way that is not ours
	easeEvery    = 5 * time.Second  // after a throttle a call a second more is dared
	leastPace    = 1                // calls a second, however much AWS throttles
	atOnce       = 500              // due grants of each urgency that are looked at in one turn, where that is enough
	atMost       = 16_000           // where it is not
	callsOfATask = 3                // at most, of those that count against the quota
)

// lane starts and ends access.
type lane struct {
	broker *broker.Broker
	store  *store.Store
	clock  Clock
	log    *slog.Logger
	limits Limits
	pace   *rate.Limiter
	atOnce int // due grants of each urgency that are looked at in one turn, where that is enough
	window int // that are looked at in the next turn
	holder string
	wake   chan struct{}

	begin     func(work func()) // runs what is carried; nil: beside the lane
	until     time.Time         // of our lease; zero: somebody else has the lane
	epoch     int64             // of our lease: another one follows on somebody else's
	foreign   int               // operations that AWS has under way and that no grant accounts for
	counted   time.Time         // when they were counted
	throttles int64             // of which we have slowed down
	slowed    time.Time         // when we did, or eased since

	done     chan carried
	carrying map[string]access.Grant // by id: what is being carried, as it was
	notUntil map[string]time.Time    // AWS's own work goes on; looking before is of no use

	use atomic.Pointer[LaneUse] // as of the last turn
}

// carried is the outcome of one Carry.
type carried struct {
	id   string
	wait time.Duration
	err  error
}

func newLane(b *broker.Broker, s *store.Store, c Clock, log *slog.Logger, l Limits, holder string) *lane {
	if l.Outstanding == 0 {
		l.Outstanding = 10
	}
	if l.CallsPerSecond == 0 {
		l.CallsPerSecond = 15
	}
	return &lane{
		broker: b, store: s, clock: c, log: log, limits: l, holder: holder, atOnce: atOnce, window: atOnce, pace: rate.NewLimiter(rate.Limit(l.CallsPerSecond), int(l.CallsPerSecond)+callsOfATask),
		wake: make(chan struct{}, 1), done: make(chan carried, parallel), carrying: map[string]access.Grant{}, notUntil: map[string]time.Time{},
	}
}

// Wake makes the lane look at once.
func (l *lane) Wake() {
	select {
	case l.wake <- struct{}{}:
	default: // it will look anyway
	}
}

// run drives the lane until the context ends, and then waits for what is being carried.
func (l *lane) run(ctx context.Context) {
	for ctx.Err() == nil {
		wait := lookEvery
		if l.renew(ctx) {
			l.adapt()
			wait = l.turn(ctx)
		}
		l.rest(ctx, wait)
	}
	for len(l.carrying) > 0 {
		l.finish(<-l.done)
	}
	l.hold(time.Time{})
	if err := l.store.DropLease(context.WithoutCancel(ctx), "lane", l.holder); err != nil {
		l.log.Error("the lane's lease could not be given back", "error", err)
	}
}

// renew takes the lane's lease, or keeps it, and reports whether the lane is ours.
func (l *lane) renew(ctx context.Context) bool {
	if now := l.clock.Now(); !now.Before(l.until.Add(-laneLease + laneRenewal)) {
		epoch, held, err := l.store.TakeLease(ctx, "lane", l.holder, now, now.Add(laneLease))
		if err != nil && ctx.Err() == nil {
			l.log.Error("the lane's lease could not be taken", "error", err)
		}
		if l.until = now.Add(laneLease); err != nil || !held {
			l.until = time.Time{}
		} else if epoch != l.epoch {
			l.epoch, l.counted = epoch, time.Time{} // whoever had it may have died with operations under way
		}
	}
	l.hold(l.until)
	return !l.until.IsZero()
}

// holds reports whether the lane is still ours. It may be called by any goroutine: a process that was stopped for a while, as
// a machine that is moved stops its processes, goes on in the middle of what it carried, when another has the lane.
func (l *lane) holds() bool {
	u := l.use.Load()
	return u != nil && l.clock.Now().Before(u.Until)
}

// rest waits until something is done, changed or due.
func (l *lane) rest(ctx context.Context, wait time.Duration) {
	select {
	case <-ctx.Done():
	case c := <-l.done:
		l.finish(c)
	case <-l.wake:
	case <-l.clock.After(wait):
	}
}

// adapt halves the pace when AWS has throttled, and raises it again a call a second at a time.
func (l *lane) adapt() {
	now, pace := l.clock.Now(), l.pace.Limit()
	switch n := l.broker.Throttles(); {
	case n > l.throttles:
		l.throttles, l.slowed = n, now
		l.pace.SetLimit(max(pace/2, leastPace))
	case pace < rate.Limit(l.limits.CallsPerSecond) && now.Sub(l.slowed) >= easeEvery:
		l.slowed = now
		l.pace.SetLimit(min(pace+1, rate.Limit(l.limits.CallsPerSecond)))
	}
}

// count asks AWS what it has under way that is not ours: at once when the lane was somebody else's before, and then from time
// to time. Where AWS does not say, what was known holds.
func (l *lane) count(ctx context.Context) {
	now := l.clock.Now()
	if !l.counted.IsZero() && now.Sub(l.counted) < countEvery {
		return
	}
	l.counted = now
	n, err := l.broker.Foreign(ctx)
	switch {
	case err != nil && ctx.Err() == nil:
		l.log.Warn("it is not known what AWS has under way beside ours", "error", err)
	case err == nil:
		l.foreign = n
	}
}

func (l *lane) finish(c carried) {
	delete(l.carrying, c.id)
	delete(l.notUntil, c.id)
	if c.err != nil {
		l.log.Error("a grant could not be carried on; it is tried again", "grant", c.id, "error", c.err)
		c.wait = max(c.wait, time.Second)
	}
	if c.wait > 0 {
		l.notUntil[c.id] = l.clock.Now().Add(c.wait)
	}
}

// turn gives everything that is due and admitted to the broker, and says how long nothing else will be due.
func (l *lane) turn(ctx context.Context) time.Duration {
	now := l.clock.Now()
	var due, busy []access.Grant
	var next time.Time
	err := l.store.View(ctx, func(tx *store.Tx) (err error) {
		if due, err = tx.DueGrants(now, l.window); err != nil {
			return err
		}
		if busy, err = tx.BusyGrants(); err != nil {
			return err
		}
		next, err = tx.NextDue(now)
		return err
	})
	if err != nil {
		if ctx.Err() == nil {
			l.log.Error("what is due could not be read", "error", err)
		}
		return lookEvery
	}
	if len(due)+len(busy) > 0 {
		l.count(ctx)
	}
	due = underWayFirst(busy, due, now)
	slots := l.slots(due, busy, now)
	wait := lookEvery
	if !next.IsZero() {
		wait = min(wait, next.Sub(now))
	}
	for _, g := range due {
		if until := l.notUntil[g.ID]; until.After(now) {
			wait = min(wait, until.Sub(now))
			continue
		}
		if _, already := l.carrying[g.ID]; already || len(l.carrying) >= parallel || !slots.admit(g, now) {
			continue
		}
		l.carry(ctx, g)
	}
	l.widen(len(due), slots)
	l.took(slots)
	return max(wait, 10*time.Millisecond)
}

// widen has the next turn look at more, when as many are due as this one looked at and there was room for others, in AWS and here:
// those may all be of accounts that are busy, and hide the ends of others.
func (l *lane) widen(due int, s *slots) {
	switch {
	case due < l.window:
		l.window = l.atOnce
	case s.room(s.starting) && len(l.carrying) < parallel:
		l.window = min(2*l.window, atMost)
	}
}

// underWayFirst puts what AWS has under way before all else that is due: only when that is over is there room for the next, and
// of very many ends at once the first that are due would hide it.
func underWayFirst(busy, due []access.Grant, now time.Time) []access.Grant {
	first := slices.DeleteFunc(slices.Clone(busy), func(g access.Grant) bool { return g.Due().After(now) })
	seen := map[string]bool{}
	for _, g := range first {
		seen[g.ID] = true
	}
	return append(first, slices.DeleteFunc(due, func(g access.Grant) bool { return seen[g.ID] })...)
}

func (l *lane) carry(ctx context.Context, g access.Grant) {
	l.carrying[g.ID] = g
	work := func() {
		c := carried{id: g.ID}
		if c.err = l.pace.WaitN(ctx, callsOf(g.Task(l.clock.Now()))); c.err == nil {
			c.wait, c.err = l.broker.Carry(ctx, g.ID)
		}
		if ctx.Err() != nil {
			c.err = nil // the end of the program is no trouble of the grant
		}
		l.done <- c
	}
	if l.begin != nil {
		l.begin(work)
		return
	}
	go work()
}

// callsOf is how many calls a task makes at most that count against Identity Center's quota.
func callsOf(t access.Task) int {
	switch t {
	case access.Begin, access.Recover, access.Remove, access.Check:
		return 2
	case access.PollCreate, access.PollDelete, access.Confirm, access.ConfirmGone:
		return 1
	case access.Rest, access.EndNow, access.Stick:
	}
	return 0
}

// slots are the operations that AWS would still take.
type slots struct {
	limit    int
	used     int                      // by us
	foreign  int                      // by others
	accounts map[org.AccountID]string // account → the grant whose operation is under way there
	starting bool                     // some start is due, and one slot is kept for it
}

// slots counts what is under way. One slot is never used here: it is kept for emergencies.
func (l *lane) slots(due, busy []access.Grant, now time.Time) *slots {
	s := &slots{limit: l.limits.Outstanding - 1, foreign: l.foreign, accounts: map[org.AccountID]string{}}
	for _, g := range busy {
		_, carried := l.carrying[g.ID]
		if operates(g) && g.Outstanding() && !carried {
			s.take(g)
		}
	}
	for _, g := range l.carrying {
		if operates(g) && (mayCall(g.Task(now)) || g.Outstanding()) {
			s.take(g)
		}
	}
	for _, g := range due {
		if t := g.Task(now); operates(g) && g.Urgency() == 1 && mayCall(t) {
			s.starting = true
		}
	}
	return s
}

// operates reports whether a grant takes one of Identity Center's few operations: memberships and sessions are synchronous,
// and have no such limit.
func operates(g access.Grant) bool { return g.Way == access.Assignment }

// mayCall reports whether a task may make AWS begin an operation.
func mayCall(t access.Task) bool {
	return t == access.Begin || t == access.Recover || t == access.Remove
}

func (s *slots) take(g access.Grant) {
	s.used++
	s.accounts[g.Target.Account] = g.ID
}

// admit takes a slot for a grant whose task may begin an operation, if there is one: ends leave one to starts, and only one
// operation at a time works in an account.
func (s *slots) admit(g access.Grant, now time.Time) bool {
	if !operates(g) || !mayCall(g.Task(now)) {
		return true
	}
	if other, taken := s.accounts[g.Target.Account]; taken && other != g.ID {
		return false
	} else if taken {
		return true // its own
	}
	if !s.room(g.Urgency() == 0 && s.starting) {
		return false
	}
	s.take(g)
	return true
}

// room reports whether AWS would take one operation more, or two where one is kept. One is always tried: what others have under way
// may be over by now, and AWS says so if it is not.
func (s *slots) room(kept bool) bool {
	limit := s.limit
	if kept {
		limit--
	}
	return s.used == 0 || s.used+s.foreign < limit
}
