package broker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"sparekey/access"
	"sparekey/audit"
	"sparekey/internal/store"
	"sparekey/org"
	"sparekey/rules"
)

// Carry does the next thing for a grant: it looks at AWS or acts there as [access.Grant.Task] says, and records what it saw.
// wait is how long AWS's own work needs before looking again makes sense; zero when the grant itself says when it is due.
//
// Only one Carry at a time may change one access: a lease on the key sees to that, over all replicas, and is renewed right
// before each call that changes something. A call has a deadline that is shorter than the lease.
func (b *Broker) Carry(ctx context.Context, id string) (wait time.Duration, err error) {
	ctx = audit.By(ctx, "lane")
	var g access.Grant
	if err := b.Store.View(ctx, func(tx *store.Tx) (err error) { g, err = tx.Grant(id); return err }); err != nil {
		return 0, err
	}
	task := g.Task(b.Now())
	switch task {
	case access.Rest:
		return 0, nil
	case access.EndNow:
		return 0, b.onGrant(ctx, id, func(g access.Grant) (access.Change, error) { return g.Expire(b.Now()) })
	case access.Stick:
		return 0, b.onGrant(ctx, id, func(now access.Grant) (access.Change, error) {
			if now.Task(b.Now()) != access.Stick {
				return access.Change{}, nil
			}
			return now.Stick(b.Now())
		})
	case access.Begin, access.Recover, access.PollCreate, access.Confirm, access.Remove, access.PollDelete, access.ConfirmGone, access.Check:
	}
	way, ok := b.Ways[g.Way]
	if !ok {
		return time.Minute, fmt.Errorf("grant %s is given by %q, which this program does not know", g.ID, g.Way)
	}
	c := carrier{b, way, g}
	if task != access.Begin && task != access.Recover && task != access.Remove {
		return c.do(ctx, task) // it only looks
	}
	if task == access.Begin {
		if wait, held, err := c.heldBack(ctx); err != nil || held {
			return wait, err
		}
	}
	if held, err := b.lease(ctx, g.Key()); err != nil || !held {
		return time.Second, err
	}
	wait, err = c.do(ctx, task)
	return wait, errors.Join(err, b.Store.DropLease(context.WithoutCancel(ctx), leaseName(g.Key()), b.holder))
}

func leaseName(k access.Key) string {
	return "grant " + string(k.Way) + " " + string(k.Person) + " " + string(k.Account) + " " + k.PermissionSet
}

func (b *Broker) lease(ctx context.Context, k access.Key) (bool, error) {
	now := b.Now()
	_, ok, err := b.Store.TakeLease(ctx, leaseName(k), b.holder, now, now.Add(leaseTime))
	return ok, err
}

// may reports whether AWS may be called now to change the access: the lane is still ours, and so is the access. A process that
// was stopped in the middle of a task finds that another has gone on, and leaves the grant to it.
func (c carrier) may(ctx context.Context) (bool, error) {
	if !c.promises.Holds() {
		return false, nil
	}
	return c.lease(ctx, c.g.Key())
}

// carrier does one task of one grant, as it was when it was read.
type carrier struct {
	*Broker
	way Way
	g   access.Grant
}

func (c carrier) do(ctx context.Context, task access.Task) (time.Duration, error) {
	switch task {
	case access.Begin:
		return 0, c.begin(ctx)
	case access.Recover:
		return 0, c.recover(ctx)
	case access.Confirm:
		return 0, c.looked(ctx, func(g access.Grant, assigned bool) (access.Change, error) { return g.Confirm(assigned, c.Now()) })
	case access.Remove:
		return 0, c.remove(ctx)
	case access.PollCreate:
		return c.poll(ctx, c.g.Create, c.way.Creation, access.Grant.CreateSeen, access.Grant.CreateForgotten)
	case access.PollDelete:
		return c.poll(ctx, c.g.Delete, c.way.Deletion, access.Grant.DeleteSeen, access.Grant.DeleteForgotten)
	case access.ConfirmGone:
		return 0, c.looked(ctx, func(g access.Grant, assigned bool) (access.Change, error) { return g.ConfirmGone(assigned, c.Now()) })
	case access.Check:
		return 0, c.check(ctx)
	case access.Rest, access.EndNow, access.Stick:
	}
	return 0, nil
}

// turn runs a transition on the grant, unless it has changed since it was looked at: then what was seen is about another
// moment, and the next Carry looks again.
func (c carrier) turn(ctx context.Context, do func(tx *store.Tx, g access.Grant) (access.Change, error)) error {
	_, err := c.update(context.WithoutCancel(ctx), func(tx *store.Tx) (access.Change, error) {
		g, err := tx.Grant(c.g.ID)
		if err != nil || g.Version != c.g.Version {
			return access.Change{}, err
		}
		return do(tx, g)
	})
	return err
}

// hinder records that AWS could not be asked.
func (c carrier) hinder(ctx context.Context, trouble error) error {
	return c.turn(ctx, func(_ *store.Tx, g access.Grant) (access.Change, error) { return g.Hinder(trouble, c.Now()) })
}

// call makes one call of AWS within the time that a call may take.
func call[T any](ctx context.Context, c carrier, do func(context.Context) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, c.CallTimeout)
	defer cancel()
	answer, err := do(ctx)
	if errors.Is(err, access.ErrThrottled) {
		c.throttles.Add(1)
	}
	return answer, err
}

func (c carrier) assigned(ctx context.Context) (bool, error) {
	if !c.g.Way.Leaves() {
		return c.g.Stood(), nil
	}
	return call(ctx, c, func(ctx context.Context) (bool, error) { return c.way.Assigned(ctx, c.g.Key()) })
}

// creates lists recent creates of the access: those that are under way, and those since the oldest create of these grants.
// It takes longer than other calls, since AWS describes them one by one.
func (c carrier) creates(ctx context.Context, of ...access.Grant) ([]access.Seen, error) {
	since := c.Now()
	for _, g := range of {
		if g.Create != nil && g.Create.SentAt.Before(since) {
			since = g.Create.SentAt
		}
	}
	ctx, cancel := context.WithTimeout(ctx, leaseTime-c.CallTimeout/2)
	defer cancel()
	return c.way.Creations(ctx, c.g.Key(), since.Add(-time.Minute))
}

// others lists the other grants of the same access that are not over.
func (c carrier) others(tx *store.Tx) ([]access.Grant, error) {
	all, err := tx.GrantsOfKey(c.g.Key())
	return slices.DeleteFunc(all, func(o access.Grant) bool { return o.ID == c.g.ID }), err
}

// looked looks whether AWS lists the access, and turns the grant with what it saw.
func (c carrier) looked(ctx context.Context, turn func(g access.Grant, assigned bool) (access.Change, error)) error {
	assigned, err := c.assigned(ctx)
	if err != nil {
		return c.hinder(ctx, err)
	}
	return c.turn(ctx, func(_ *store.Tx, g access.Grant) (access.Change, error) { return turn(g, assigned) })
}

func (c carrier) begin(ctx context.Context) error {
	person, gone, err := c.owner(ctx)
	if err != nil || gone {
		return err
	}
	known, stop, err := c.starting(ctx, person)
	if err != nil || stop {
		return err
	}
	assigned, err := c.assigned(ctx)
	if err != nil {
		return c.hinder(ctx, err)
	}
	creates, err := c.createsIfLeftover(ctx, assigned)
	if err != nil {
		return c.hinder(ctx, err)
	}
	must, err := c.decide(ctx, access.Facts{Person: person, Assigned: assigned, Creates: creates}, known, access.Grant.Begin)
	if err != nil || !must {
		return err
	}
	return c.attempt(ctx, known)
}

// attempt comes after the intent: it looks at the person once more, right before AWS is called (design rule 3).
func (c carrier) attempt(ctx context.Context, known rules.Facts) error {
	if err := c.Store.View(ctx, func(tx *store.Tx) (err error) { c.g, err = tx.Grant(c.g.ID); return err }); err != nil {
		return err
	}
	if ok, err := c.secured(ctx); err != nil || !ok {
		return err
	}
	person, gone, err := c.owner(ctx)
	if err != nil || gone {
		return err
	}
	return c.createIf(ctx, access.Facts{Person: person}, known, access.Grant.Attempt)
}

// decide runs a transition that says whether AWS is to be called, and reports what it says.
func (c carrier) decide(ctx context.Context, f access.Facts, known rules.Facts, turn func(access.Grant, access.Facts, time.Time) (access.Change, bool, error)) (must bool, err error) {
	err = c.turn(ctx, func(tx *store.Tx, g access.Grant) (change access.Change, err error) {
		if f.Others, err = c.others(tx); err != nil {
			return change, err
		}
		set, err := c.at(tx, known)
		if err != nil {
			return change, err
		}
		f.Rules, f.NewID = set, c.newID
		change, must, err = turn(g, f, c.Now())
		change, must, err = c.unlessHalted(tx, g, change, must, err)
		return change, err
	})
	return must && err == nil, err
}

// createIf calls AWS to create if a transition says so.
func (c carrier) createIf(ctx context.Context, f access.Facts, known rules.Facts, turn func(access.Grant, access.Facts, time.Time) (access.Change, bool, error)) error {
	must, err := c.decide(ctx, f, known, turn)
	if err != nil || !must {
		return err
	}
	return c.create(ctx)
}

// starting is what is known when a grant is to start: what its permission set permits, what its ticket's system says, and
// those who approved it as the directory describes them, all asked now. stop is true when something does not answer, and the
// grant is hindered.
func (c carrier) starting(ctx context.Context, p org.Person) (f rules.Facts, stop bool, err error) {
	if c.g.Way != access.Session {
		if err := c.content(ctx, c.g.Target.PermissionSet); err != nil && !errors.Is(err, access.ErrMissing) {
			return f, true, c.hinder(ctx, fmt.Errorf("reading what %s permits: %w", c.g.Target.PermissionSetName, err))
		}
	}
	f = c.heard(ctx)
	if c.g.Ticket != "" {
		c.ticketed(ctx, &f, c.named(p), c.g.Ask())
	}
	f.Live, stop, err = c.approvers(ctx)
	return f, stop, err
}

// owner is the grant's person as the directory describes them at this moment. Somebody who has gone is let go of, which
// ends the grant; when the directory does not answer, the grant is hindered: gone is true in both cases.
func (c carrier) owner(ctx context.Context) (p org.Person, gone bool, err error) {
	p, err = c.lookUp(ctx, c.g.Person)
	switch {
	case err != nil:
		return p, true, c.hinder(ctx, err)
	case p.Status.Gone():
		return p, true, c.left(ctx, p)
	}
	return p, false, nil
}

// approvers are those who approved the grant, and whose say it was, as the directory describes them at this moment. stop is
// true when it does not answer or does not say whether one is enabled, and the grant is hindered.
func (c carrier) approvers(ctx context.Context) (all map[org.PersonID]org.Person, stop bool, err error) {
	all = map[org.PersonID]org.Person{}
	for _, a := range c.g.Approvals {
		for _, who := range []access.Named{a.By, a.For} {
			if _, has := all[who.ID]; has || who.ID == "" {
				continue
			}
			p, err := c.lookUp(ctx, who)
			if err == nil && p.Status == org.StatusUnknown {
				err = fmt.Errorf("AWS does not say whether %s, who approved it, is enabled", p.User)
			}
			if err != nil {
				return nil, true, c.hinder(ctx, err)
			}
			if p.Status.Gone() {
				err = c.left(ctx, p)
			}
			if err != nil {
				return nil, true, err
			}
			all[p.ID] = p
		}
	}
	return all, false, nil
}

// createsIfLeftover lists recent creates when only they can tell whose an assignment is.
func (c carrier) createsIfLeftover(ctx context.Context, assigned bool) ([]access.Seen, error) {
	if !assigned {
		return nil, nil
	}
	var others []access.Grant
	if err := c.Store.View(ctx, func(tx *store.Tx) (err error) { others, err = c.others(tx); return err }); err != nil {
		return nil, err
	}
	if !access.Leftover(others) {
		return nil, nil
	}
	return c.creates(ctx, others...)
}

// create calls AWS for a grant whose intent is recorded, and records the answer, whatever became of the grant meanwhile.
func (c carrier) create(ctx context.Context) error {
	if may, err := c.may(ctx); err != nil || !may {
		return err
	}
	op, answer := call(ctx, c, func(ctx context.Context) (access.Seen, error) { return c.way.Create(ctx, c.g.Key()) })
	return c.onGrant(context.WithoutCancel(ctx), c.g.ID, func(g access.Grant) (access.Change, error) { return g.CreateAnswered(op, answer, c.Now()) })
}

func (c carrier) recover(ctx context.Context) error {
	assigned, err := c.assigned(ctx)
	if err != nil {
		return c.hinder(ctx, err)
	}
	var others []access.Grant
	if err := c.Store.View(ctx, func(tx *store.Tx) (err error) { others, err = c.others(tx); return err }); err != nil {
		return err
	}
	creates, err := c.creates(ctx, others...)
	if err != nil {
		return c.hinder(ctx, err)
	}
	f, known := access.Facts{Assigned: assigned, Creates: creates}, rules.Facts{Now: c.Now()}
	if c.g.End == nil { // an end asks nobody
		if ok, err := c.secured(ctx); err != nil || !ok {
			return err
		}
		var stop bool
		if f.Person, stop, err = c.owner(ctx); err != nil || stop {
			return err
		}
		if known, stop, err = c.starting(ctx, f.Person); err != nil || stop {
			return err
		}
		if f.Person, stop, err = c.owner(ctx); err != nil || stop { // last of all
			return err
		}
	}
	return c.createIf(ctx, f, known, access.Grant.Recover)
}

// poll asks how an operation goes on.
func (c carrier) poll(
	ctx context.Context, op *access.Operation, ask func(context.Context, string) (access.Seen, error),
	seen func(access.Grant, access.Seen, time.Time) (access.Change, error), forgotten func(access.Grant, time.Time) (access.Change, error),
) (time.Duration, error) {
	state, err := call(ctx, c, func(ctx context.Context) (access.Seen, error) { return ask(ctx, op.ID) })
	switch {
	case errors.Is(err, access.ErrMissing):
		return 0, c.turn(ctx, func(_ *store.Tx, g access.Grant) (access.Change, error) { return forgotten(g, c.Now()) })
	case err != nil:
		return 0, c.hinder(ctx, err)
	case state.Outcome == "":
		return access.PollAfter(c.Now().Sub(op.SentAt)), nil
	}
	return 0, c.turn(ctx, func(_ *store.Tx, g access.Grant) (access.Change, error) { return seen(g, state, c.Now()) })
}

func (c carrier) remove(ctx context.Context) error {
	assigned, err := c.assigned(ctx)
	if err != nil {
		return c.hinder(ctx, err)
	}
	var must bool
	err = c.turn(ctx, func(tx *store.Tx, g access.Grant) (change access.Change, err error) {
		others, err := c.others(tx)
		if err != nil {
			return change, err
		}
		change, must, err = g.Remove(assigned, others, c.Now())
		return change, err
	})
	if err != nil || !must {
		return err
	}
	if may, err := c.may(ctx); err != nil || !may {
		return err
	}
	op, answer := call(ctx, c, func(ctx context.Context) (access.Seen, error) { return c.way.Delete(ctx, c.g.Key()) })
	return c.onGrant(context.WithoutCancel(ctx), c.g.ID, func(g access.Grant) (access.Change, error) { return g.DeleteAnswered(op, answer, c.Now()) })
}

func (c carrier) check(ctx context.Context) error {
	assigned, err := c.assigned(ctx)
	if err != nil {
		return c.hinder(ctx, err)
	}
	var creates []access.Seen
	if assigned {
		if creates, err = c.creates(ctx, c.g); err != nil {
			return c.hinder(ctx, err)
		}
	}
	return c.turn(ctx, func(tx *store.Tx, g access.Grant) (access.Change, error) {
		others, err := c.others(tx)
		if err != nil {
			return access.Change{}, err
		}
		return g.Check(assigned, creates, others, c.Now())
	})
}
