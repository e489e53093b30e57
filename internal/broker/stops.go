package broker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"sparekey/access"
	"sparekey/audit"
	"sparekey/internal/store"
	"sparekey/org"
	"sparekey/rules"
)

// Scope is what a stop is to be about, by names: see [access.Reach].
type Scope struct {
	Person        string // user name or id
	Account       string // name or id
	PermissionSet string // name, or role/PATH/NAME
	Rule          string
	Everything    bool
}

// reach turns names into ids. What the organization or the rules do not know any more is found where a live grant names it.
func (b *Broker) reach(ctx context.Context, s Scope) (access.Reach, error) {
	set, err := b.ready()
	if err != nil {
		return access.Reach{}, err
	}
	r := access.Reach{Rule: s.Rule, Everything: s.Everything}
	live := b.finder(ctx)
	m := set.Organization()
	if s.Person != "" {
		r.Person, err = reachedPerson(m, live, s.Person)
	}
	if err == nil && s.Account != "" {
		err = reachedAccount(m, live, s.Account, &r.Target)
	}
	if err == nil && s.PermissionSet != "" {
		err = reachedSet(m, live, s.PermissionSet, &r.Target)
	}
	if err == nil && s.Rule != "" {
		err = reachedRule(set, live, s.Rule)
	}
	return r, err
}

// finder finds the newest live grant that is like something.
type finder func(like func(access.Grant) bool) (g access.Grant, found bool, err error)

func (b *Broker) finder(ctx context.Context) finder {
	return func(like func(access.Grant) bool) (g access.Grant, found bool, err error) {
		err = b.Store.View(ctx, func(tx *store.Tx) error {
			live, failed := alive(tx)
			for o := range live {
				if like(o) {
					g, found = o, true
					break
				}
			}
			return *failed
		})
		return g, found, err
	}
}

func reachedPerson(m *org.Mirror, live finder, text string) (access.Named, error) {
	if p, ok := m.PersonNamed(text); ok {
		return access.Named{ID: p.ID, User: p.User}, nil
	}
	g, found, err := live(func(g access.Grant) bool {
		return string(g.Person.ID) == text || strings.EqualFold(g.Person.User, text)
	})
	if found || err != nil {
		return g.Person, err
	}
	return access.Named{}, nameless("person", text, m.Names().Users)
}

func reachedAccount(m *org.Mirror, live finder, text string, into *access.Place) error {
	accounts := m.AccountsNamed(text)
	switch len(accounts) {
	case 1:
		into.Account, into.AccountName = accounts[0].ID, accounts[0].Name
		return nil
	case 0:
	default:
		return &access.Problem{Kind: access.ErrInvalid, Message: fmt.Sprintf("%d accounts are called %q", len(accounts), text), Hint: "name it by its id: " + accountIDs(accounts)}
	}
	g, found, err := live(func(g access.Grant) bool { return string(g.Target.Account) == text })
	if found || err != nil {
		into.Account, into.AccountName = g.Target.Account, g.Target.AccountName
		return err
	}
	return nameless("account", text, m.Names().Accounts)
}

func reachedSet(m *org.Mirror, live finder, text string, into *access.Place) error {
	if set, ok := m.PermissionSet(text); ok {
		into.PermissionSet, into.PermissionSetName = set.ARN, set.Name
		return nil
	}
	if strings.HasPrefix(text, org.RolePrefix) {
		into.PermissionSet, into.PermissionSetName = text, text
		return nil
	}
	g, found, err := live(func(g access.Grant) bool {
		return g.Target.PermissionSet == text || g.Target.PermissionSetName == text
	})
	if found || err != nil {
		into.PermissionSet, into.PermissionSetName = g.Target.PermissionSet, g.Target.PermissionSetName
		return err
	}
	return nameless("permission set", text, m.Names().PermissionSets)
}

func reachedRule(set rules.Set, live finder, name string) error {
	var known []string
	for _, r := range set.Book().Rules {
		known = append(known, r.Name)
	}
	if slices.Contains(known, name) {
		return nil
	}
	_, found, err := live(func(g access.Grant) bool {
		if !slices.Contains(known, g.Rule.Name) {
			known = append(known, g.Rule.Name)
		}
		return g.Rule.Name == name
	})
	if found || err != nil {
		return err
	}
	return nameless("rule", name, known)
}

// EstimateStop says what a stop would end, and how long AWS needs for it.
func (b *Broker) EstimateStop(ctx context.Context, s Scope) (access.Reach, access.Estimate, error) {
	_, r, err := b.stopping(ctx, s)
	var e access.Estimate
	if err == nil {
		e, err = b.estimate(ctx, r)
	}
	if err != nil {
		return r, e, b.refuse(ctx, "estimate a stop", audit.Subject{Kind: "stop"}, err)
	}
	return r, e, nil
}

func (b *Broker) estimate(ctx context.Context, r access.Reach) (e access.Estimate, err error) {
	err = b.Store.View(ctx, func(tx *store.Tx) error {
		some, failed := alive(tx)
		live := slices.Collect(some)
		b.lengthen(live)
		e = access.EstimateEnd(r, live, b.Quota, b.Now())
		return *failed
	})
	return e, err
}

// stopping returns the caller if they may stop things, and what they mean.
func (b *Broker) stopping(ctx context.Context, s Scope) (org.Person, access.Reach, error) {
	by, err := b.person(ctx)
	if err == nil && !b.stops(by) {
		err = &access.Problem{Kind: access.ErrRefused, Message: by.User + " may not stop what others hold", Hint: "roles.administrators and roles.security in the configuration say who may; `sparekey end` ends a grant of yours"}
	}
	if err != nil {
		return by, access.Reach{}, err
	}
	r, err := b.reach(ctx, s)
	return by, r, err
}

// Button is how a stop is made.
type Button struct {
	Scope
	Why   string
	Holds time.Duration // for so long nothing that it reaches starts
	Kill  bool          // also have the sessions killed, of a person who is all that the scope names
}

// Stopped is a stop that was made, with what was to be expected of it, and what became of the wish to kill sessions.
type Stopped struct {
	Stop     access.Stop
	Estimate access.Estimate
	Killed   Killed
}

// Stop ends every grant that a scope reaches, and for some time keeps others from starting. When it returns, all that it
// reached was told to end, or, of very many, the first; the others follow within seconds. That no kill can be sent is no
// reason not to stop: then the answer says why.
func (b *Broker) Stop(ctx context.Context, w Button) (Stopped, error) {
	by, r, err := b.stopping(ctx, w.Scope)
	if alone := (access.Reach{Person: r.Person}); err == nil && w.Kill && (r.Person.ID == "" || r != alone) {
		err = &access.Problem{Kind: access.ErrInvalid, Message: "a stop kills the sessions of one person, wherever they are, and of nothing else", Hint: "name the person and nothing else; `sparekey end GRANT --kill` kills those of a grant"}
	}
	var done Stopped
	if err == nil {
		done.Estimate, err = b.estimate(ctx, r)
	}
	if err == nil {
		done.Stop, done.Killed, err = b.stop(ctx, by, r, w)
	}
	if err != nil {
		return done, b.refuse(ctx, "stop", audit.Subject{Kind: "stop"}, err)
	}
	return done, nil
}

const sweptAtOnce = 2000 // grants, before the caller is answered

func (b *Broker) stop(ctx context.Context, by org.Person, r access.Reach, w Button) (access.Stop, Killed, error) {
	ctx = context.WithoutCancel(ctx) // a browser that goes away must not leave half of it
	var killed Killed
	c, err := b.update(ctx, func(tx *store.Tx) (access.Change, error) {
		c, err := access.NewStop(b.newID("stop"), r, actorOf(ctx, by), w.Why, w.Holds, b.Now())
		if err != nil || !w.Kill {
			return c, err
		}
		var kill access.Change
		kill, killed, err = b.killPerson(tx, r.Person, actorOf(ctx, by), w.Why)
		return c.And(kill), err
	})
	if err != nil {
		return access.Stop{}, killed, err
	}
	stop := c.Stops[0]
	b.Log.Warn("everything within reach is stopped", "stop", stop.ID, "reach", r.String(), "by", by.User, "why", w.Why)
	swept, err := b.sweep(ctx, stop, sweptAtOnce)
	if err != nil { // it is made, and gone on with in the background
		b.Log.Error("not everything within reach of a stop was told to end yet; it is tried again", "stop", stop.ID, "error", err)
		return stop, killed, nil
	}
	return swept, killed, nil
}

// sweep tells grants that a stop reaches to end, at most so many.
func (b *Broker) sweep(ctx context.Context, stop access.Stop, most int) (access.Stop, error) {
	const atOnce = 200 // in one transaction: others write in between
	from := Page{}
	for told := 0; told < most && stop.State == access.StopEnding; told += atOnce {
		c, err := b.update(ctx, func(tx *store.Tx) (access.Change, error) {
			now := b.Now()
			s, err := tx.Stop(stop.ID)
			if err != nil || s.State != access.StopEnding {
				stop = s
				return access.Change{}, err
			}
			reached, at, err := reachedBy(tx, s, from, atOnce, now)
			if err != nil {
				return access.Change{}, err
			}
			from = at
			return s.Sweep(reached, at == Page{}, now)
		})
		if err != nil {
			return stop, err
		}
		if len(c.Stops) > 0 {
			stop = c.Stops[0]
		}
	}
	return stop, nil
}

// reachedBy reads live grants from a place on until it has so many that a stop reaches, and says where it came to: nowhere,
// when there are no others.
func reachedBy(tx *store.Tx, s access.Stop, from Page, most int, now time.Time) (reached []access.Grant, at Page, err error) {
	for {
		live, err := tx.LiveGrantsBefore(from, grantsAtOnce)
		if err != nil {
			return nil, from, err
		}
		for _, g := range live {
			if from = (Page{At: g.ApprovedAt, ID: g.ID}); s.Reaches(g, now) {
				reached = append(reached, g)
			}
			if len(reached) == most {
				return reached, from, nil
			}
		}
		if len(live) < grantsAtOnce {
			return reached, Page{}, nil
		}
	}
}

// sweepAll goes on with the stops whose process died in the middle, and those that reach very many.
func (b *Broker) sweepAll(ctx context.Context) error {
	var open []access.Stop
	if err := b.Store.View(ctx, func(tx *store.Tx) (err error) { open, err = tx.EndingStops(); return err }); err != nil {
		return err
	}
	var failed []error
	for _, s := range open {
		_, err := b.sweep(ctx, s, 1<<30)
		failed = append(failed, err)
	}
	return errors.Join(failed...)
}

// Stops lists stops, the newest first.
func (b *Broker) Stops(ctx context.Context, from Page, most int) (stops []access.Stop, next Page, err error) {
	by, err := b.person(ctx)
	if err == nil && !b.sees(by) {
		err = &access.Problem{Kind: access.ErrRefused, Message: by.User + " may not read what was stopped", Hint: "administrators, security and auditors may; `sparekey why` says what holds your access"}
	}
	if err == nil {
		err = b.Store.View(ctx, func(tx *store.Tx) (err error) { stops, err = tx.StopsBefore(from, most); return err })
	}
	if err != nil {
		return nil, next, b.refuse(ctx, "stops", audit.Subject{Kind: "api"}, err)
	}
	if len(stops) == most {
		last := stops[len(stops)-1]
		next = Page{At: last.At, ID: last.ID}
	}
	return stops, next, nil
}

// LiftStop lets starts go on before a stop's time is over. Administrators may, as AWS knows them now.
func (b *Broker) LiftStop(ctx context.Context, id, why string) (access.Stop, error) {
	by, err := b.administrator(ctx)
	var c access.Change
	if err == nil {
		c, err = b.update(ctx, func(tx *store.Tx) (access.Change, error) {
			s, err := tx.Stop(id)
			if err != nil {
				return access.Change{}, err
			}
			return s.Lift(access.Named{ID: by.ID, User: by.User}, why, b.Now())
		})
	}
	if err != nil {
		return access.Stop{}, b.refuse(ctx, "lift a stop", audit.Subject{Kind: "stop", ID: id}, found(err, "stop", id))
	}
	return c.Stops[0], nil
}

// held says why nothing starts that one of the stops reaches. It tells what and until when, and not why it was stopped: that
// is nobody's business who asks.
func held(stops []access.Stop) func(p org.PersonID, t org.Target, rule string) string {
	if len(stops) == 0 {
		return nil
	}
	return func(p org.PersonID, t org.Target, rule string) string {
		for _, s := range stops {
			if s.Reach.Covers(p, t, rule) {
				return fmt.Sprintf("%s holds it until %s", s.ID, s.Until.Format(time.RFC3339))
			}
		}
		return ""
	}
}
