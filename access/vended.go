package access

import (
	"cmp"
	"time"

	"sparekey/audit"
)

// Stood reports whether a grant of a way that leaves nothing in AWS is there, as far as it can be: AWS let us have a session
// when it began, and nobody has ended it.
func (g Grant) Stood() bool {
	return g.Create != nil && g.Create.Outcome == Succeeded && g.End == nil
}

// MayVend says what is to be vended to by under the grant, or why nothing is.
func (g Grant) MayVend(by Named, lasts time.Duration, narrower string, now time.Time) (Vending, error) {
	switch {
	case g.Person.ID != by.ID:
		return Vending{}, problem(ErrUnknown, "there is no grant %s for you", g.ID)
	case g.Way != Session:
		return Vending{}, problem(ErrInvalid, "%s is given by %s; nothing is vended for it", g.ID, g.Way).hint("sign in through the access portal, or with `aws sso login`")
	case g.State != Active || !now.Before(g.EndsAt):
		return Vending{}, problem(ErrOver, "%s is %s, not active", g.ID, g.State)
	case lasts != 0 && (lasts < SessionLeast || lasts > SessionMost):
		return Vending{}, problem(ErrInvalid, "credentials last from %d to %d minutes", int(SessionLeast.Minutes()), int(SessionMost.Minutes())).hint("leave it out to have them for as long as can be")
	}
	if g.Policy != "" && narrower != "" {
		return Vending{}, problem(ErrInvalid, "%s was approved with a session policy of its own, and a session carries only one", g.ID).hint("leave the policy out")
	}
	if lasts == 0 { // as long as the grant, as far as AWS lets them
		lasts = min(max(g.EndsAt.Sub(now).Truncate(time.Second), SessionLeast), SessionMost)
	}
	v := Vending{Target: g.Target.Target, Person: g.Person, Grant: g.ID, Request: g.Request, Lasts: lasts, End: g.EndsAt, Narrower: cmp.Or(g.Policy, narrower)}
	if _, err := v.Policy(); err != nil {
		return Vending{}, err
	}
	return v, nil
}

// Vended records that credentials were made. They are handed out only after that.
func (g Grant) Vended(by audit.Actor, c Credentials, narrowed bool, now time.Time) (Change, error) {
	if g.State != Active || !now.Before(g.EndsAt) {
		return Change{}, problem(ErrOver, "%s is %s, not active", g.ID, g.State)
	}
	d := detail{"accessKeyId": c.AccessKeyID, "until": c.Expires.UTC().Format(time.RFC3339)}
	if narrowed {
		d["narrowed"] = "true"
	}
	return g.turn(vendGrant, by, now, d, func(n *Grant) { n.VendedUntil = latest(n.VendedUntil, moment(c.Expires)) })
}
