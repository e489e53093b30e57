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

// Wish is what a person asks for, in names or ids.
type Wish struct {
	Targets  []Names
	Duration time.Duration
	Reason   string
	Ticket   string
	Policy   string    // a session policy that allows less than the roles that are asked for
	Start    time.Time // zero: as soon as it is approved
	Extends  string    // the id of the grant that is to last longer; then there are no targets
	Key      string    // idempotency key: the same key and the same wish make one request, however often they come
}

// Names is a target as people write it: an account by its id or its name, a permission set by its name or its ARN.
type Names struct {
	Account       string
	PermissionSet string
}

// Ask makes a request for the caller.
func (b *Broker) Ask(ctx context.Context, w Wish) (access.Request, error) {
	if err := b.tiresome(ctx); err != nil {
		return access.Request{}, err
	}
	r, err := b.ask(ctx, w)
	if err != nil {
		var p *access.Problem
		refused := errors.As(err, &p) && !errors.Is(err, access.ErrUnavailable) // not for what is not theirs
		if by, unknown := b.person(ctx); unknown == nil && refused {
			b.vain.count(by.ID, 1, b.Now(), time.Hour)
		}
		if h := (*haltError)(nil); errors.As(err, &h) {
			return r, err // recorded as a sum
		}
		return r, b.refuse(ctx, "ask", audit.Subject{Kind: "request"}, err)
	}
	return r, nil
}

func (b *Broker) ask(ctx context.Context, w Wish) (access.Request, error) {
	by, err := b.person(ctx)
	if err != nil {
		return access.Request{}, err
	}
	set, err := b.ready()
	if err != nil {
		return access.Request{}, err
	}
	if w.Key == "" || len(w.Key) > 100 {
		return access.Request{}, &access.Problem{Kind: access.ErrInvalid, Message: "the idempotency key is missing or has more than 100 characters", Hint: "send a new random key with each request, and the same one when you repeat it"}
	}
	wish := access.Wish{Duration: w.Duration, Reason: w.Reason, Ticket: w.Ticket, Policy: w.Policy, Start: w.Start}
	for _, n := range w.Targets {
		t, err := target(set.Organization(), n)
		if err != nil {
			return access.Request{}, err
		}
		wish.Targets = append(wish.Targets, t)
	}
	if w.Extends != "" {
		if err := b.extending(ctx, by, w, &wish); err != nil {
			return access.Request{}, err
		}
	}
	digest, err := audit.Digest(map[string]any{
		"targets": wish.Targets, "minutes": int(w.Duration.Minutes()), "reason": w.Reason, "ticket": w.Ticket, "start": w.Start.UnixMilli(), "extends": w.Extends, "policy": w.Policy,
	})
	if err != nil {
		return access.Request{}, err
	}
	if r, err := b.answered(ctx, by, w.Key, digest); err == nil || !errors.Is(err, store.ErrNotFound) {
		return r, err
	}
	if err := b.unhalted(ctx); err != nil {
		return access.Request{}, err
	}
	b.readContents(ctx, wish)
	f := b.heard(ctx)
	if err := b.question(by.ID, wish.Ticket); err != nil {
		return access.Request{}, err
	}
	b.ticketed(ctx, &f, by, asksOf(wish)...)
	return b.askOnce(ctx, by, wish, w.Key, digest, f)
}

// readContents reads what the permission sets of a wish permit, where that was never read.
func (b *Broker) readContents(ctx context.Context, w access.Wish) {
	read := map[string]bool{}
	for _, t := range w.Targets {
		s, ok := b.rules().Organization().PermissionSet(t.PermissionSet)
		if !ok || s.Content != "" || read[s.ARN] {
			continue
		}
		read[s.ARN] = true
		if err := b.content(ctx, s.ARN); err != nil {
			b.Log.Warn("what a permission set permits could not be read; it is not known what is approved with it", "permissionSet", s.Name, "error", err)
		}
	}
}

// asksOf is what the rules will be asked about a wish.
func asksOf(w access.Wish) []rules.Ask {
	var asks []rules.Ask
	for _, t := range w.Targets {
		asks = append(asks, rules.Ask{Target: t, For: w.Duration, Reason: w.Reason, Ticket: w.Ticket, Start: w.Start})
	}
	return asks
}

// extending turns a wish into one that extends a grant of the caller.
func (b *Broker) extending(ctx context.Context, by org.Person, w Wish, wish *access.Wish) error {
	if len(w.Targets) > 0 || !w.Start.IsZero() {
		return &access.Problem{Kind: access.ErrInvalid, Message: "an extension has neither targets nor a start of its own", Hint: "leave them out, or ask without extending"}
	}
	var g access.Grant
	if err := b.Store.View(ctx, func(tx *store.Tx) (err error) { g, err = tx.Grant(w.Extends); return err }); err != nil {
		return found(err, "grant", w.Extends)
	}
	if g.Person.ID != by.ID {
		return unknown("grant", w.Extends)
	}
	wish.Extends, wish.Targets = &g, []org.Target{g.Target.Target}
	if wish.Reason == "" {
		wish.Reason = g.Reason
	}
	if wish.Ticket == "" {
		wish.Ticket = g.Ticket
	}
	wish.Policy = g.Policy
	return nil
}

// answered finds the request that the same key made before.
func (b *Broker) answered(ctx context.Context, by org.Person, key, digest string) (r access.Request, err error) {
	err = b.Store.View(ctx, func(tx *store.Tx) error { r, err = replied(tx, by, key, digest); return err })
	return r, err
}

func replied(tx *store.Tx, by org.Person, key, digest string) (access.Request, error) {
	reply, err := tx.Reply(string(by.ID), key)
	if err != nil {
		return access.Request{}, err
	}
	if reply.Digest != digest {
		return access.Request{}, &access.Problem{Kind: access.ErrOver, Message: "this idempotency key was used for another request", Hint: "send a new random key"}
	}
	return tx.Request(reply.Subject)
}

// askOnce makes the request, or finds the one that the same key made before.
func (b *Broker) askOnce(ctx context.Context, by org.Person, wish access.Wish, key, digest string, f rules.Facts) (access.Request, error) {
	var r access.Request
	_, err := b.update(ctx, func(tx *store.Tx) (access.Change, error) {
		var err error
		if r, err = replied(tx, by, key, digest); err == nil || !errors.Is(err, store.ErrNotFound) {
			return access.Change{}, err
		}
		asked, err := tx.AskedSince(by.ID, f.Now.Add(-time.Hour))
		if err != nil {
			return access.Change{}, err
		}
		if asked >= int64(b.PerHour) {
			return access.Change{}, &access.Problem{Kind: access.ErrTooMany, Message: fmt.Sprintf("you have asked %d times within an hour", asked), Hint: "several targets go into one request; ask again later"}
		}
		set, err := b.at(tx, f)
		if err != nil {
			return access.Change{}, err
		}
		if wish.Extends != nil {
			if wish.Already, err = extendedBy(tx, *wish.Extends); err != nil {
				return access.Change{}, err
			}
		}
		c, err := access.Ask(by, wish, set, f.Now, b.newID)
		if err != nil {
			return c, err
		}
		r = *c.Request
		return c, tx.PutReply(string(by.ID), key, store.Reply{Digest: digest, Subject: r.ID}, f.Now)
	})
	return r, err
}

// extendedBy finds the open request or the live grant that extends a grant.
func extendedBy(tx *store.Tx, g access.Grant) (string, error) {
	open, err := tx.OpenRequests()
	if err != nil {
		return "", err
	}
	for _, r := range open {
		if r.Extends != nil && r.Extends.Grant == g.ID {
			return r.ID, nil
		}
	}
	live, err := tx.GrantsOf(g.Person.ID, mostHeld)
	if err != nil {
		return "", err
	}
	for _, o := range live {
		if o.Extends == g.ID && o.Live() {
			return o.ID, nil
		}
	}
	return "", nil
}

// Forget deletes what is kept only so that repeated requests are recognized, after a day.
func (b *Broker) Forget(ctx context.Context) error {
	before := b.Now().Add(-24 * time.Hour)
	if err := b.Store.Update(ctx, func(tx *store.Tx) error {
		return errors.Join(tx.ForgetReplies(before), tx.ForgetDelegations(before))
	}); err != nil {
		return err
	}
	return b.Store.ForgetLeases(ctx, before)
}

// Approve is the caller's yes to every line of the request that the caller may decide, for what was asked or for fewer minutes
// (0: what was asked).
func (b *Broker) Approve(ctx context.Context, id, comment string, minutes int) (access.Request, error) {
	return b.decide(ctx, "approve", id, func(r access.Request, by org.Person, set rules.Set, now time.Time) (access.Change, error) {
		return r.Approve(by, comment, minutes, set, now)
	})
}

// Reject is the caller's no to every line of the request that the caller may decide.
func (b *Broker) Reject(ctx context.Context, id, comment string) (access.Request, error) {
	return b.decide(ctx, "reject", id, func(r access.Request, by org.Person, set rules.Set, now time.Time) (access.Change, error) {
		return r.Reject(by, comment, set, now)
	})
}

func (b *Broker) decide(ctx context.Context, command, id string, turn func(access.Request, org.Person, rules.Set, time.Time) (access.Change, error)) (access.Request, error) {
	r, err := func() (access.Request, error) {
		known, err := b.person(ctx)
		if err != nil {
			return access.Request{}, err
		}
		by, err := b.live(ctx)
		if err != nil {
			return access.Request{}, err
		}
		if err := b.mayRead(ctx, known, id); err != nil && b.mayRead(ctx, by, id) != nil {
			return access.Request{}, err
		}
		f, err := b.deciding(ctx, by, id)
		if err != nil {
			return access.Request{}, err
		}
		c, err := b.update(ctx, func(tx *store.Tx) (access.Change, error) {
			r, err := tx.Request(id)
			if err != nil {
				return access.Change{}, err
			}
			set, err := b.at(tx, f)
			if err != nil {
				return access.Change{}, err
			}
			return turn(r, by, set, f.Now)
		})
		if err != nil {
			return access.Request{}, found(err, "request", id)
		}
		return *c.Request, nil
	}()
	if err != nil {
		return r, b.refuse(ctx, command, audit.Subject{Kind: "request", ID: id}, err)
	}
	return r, nil
}

// deciding is what is known at a decision: who is on call, what the ticket system says, and those who approved before as AWS
// describes them now.
func (b *Broker) deciding(ctx context.Context, by org.Person, id string) (rules.Facts, error) {
	f := b.heard(ctx)
	var r access.Request
	if err := b.Store.View(ctx, func(tx *store.Tx) (err error) { r, err = tx.Request(id); return err }); err != nil {
		return f, found(err, "request", id)
	}
	requester, ok := b.rules().Organization().Person(r.Requester.ID)
	if ok {
		b.ticketed(ctx, &f, requester, r.Asks()...)
	}
	var given []access.Approval
	for _, l := range r.Lines {
		if l.State == access.Pending {
			given = append(given, l.Approvals...)
		}
	}
	if err := b.givers(ctx, &f, given, by); err != nil {
		b.Log.Error("somebody who approved before could not be looked up", "request", id, "error", err)
		return f, &access.Problem{Kind: access.ErrUnavailable, Message: "AWS does not say at the moment whether those who approved before still may", Hint: "try again in a moment"}
	}
	return f, b.lenders(ctx, &f, by)
}

// lenders looks up live those who are away and whose say the caller has: a say is worth what its owner's is at the click.
func (b *Broker) lenders(ctx context.Context, f *rules.Facts, by org.Person) error {
	var all []rules.Delegation
	if err := b.Store.View(ctx, func(tx *store.Tx) (err error) { all, err = tx.Delegations(f.Now); return err }); err != nil {
		return err
	}
	var from []access.Approval
	for _, d := range all {
		if d.To.ID == by.ID {
			from = append(from, access.Approval{Vote: rules.Vote{By: d.From}})
		}
	}
	if err := b.givers(ctx, f, from); err != nil {
		b.Log.Error("somebody who is away could not be looked up", "delegate", by.User, "error", err)
		return &access.Problem{Kind: access.ErrUnavailable, Message: "AWS does not say at the moment whether those whose say you have still may decide", Hint: "try again in a moment"}
	}
	return nil
}

// live is the caller as the directory describes them at this moment: who may approve is resolved at the click.
func (b *Broker) live(ctx context.Context) (org.Person, error) {
	by, err := b.person(ctx)
	if err != nil {
		return by, err
	}
	if _, err := b.ready(); err != nil {
		return by, err
	}
	now, err := b.lookUp(ctx, access.Named{ID: by.ID, User: by.User})
	if err != nil {
		b.Log.Error("a person who decides could not be looked up", "person", by.User, "error", err)
		return by, &access.Problem{Kind: access.ErrUnavailable, Message: "AWS does not say at the moment whether you may still decide", Hint: "try again in a moment"}
	}
	if now.Status.Gone() {
		if err := b.left(ctx, now); err != nil {
			b.Log.Error("a person who left could not be let go of", "person", by.User, "error", err)
		}
		return by, &access.Problem{Kind: access.ErrRefused, Message: fmt.Sprintf("%s is %s in the directory", by.User, now.Status)}
	}
	return now, nil
}

// Withdraw takes back what still waits of the caller's request.
func (b *Broker) Withdraw(ctx context.Context, id, why string) (access.Request, error) {
	by, err := b.person(ctx)
	var c access.Change
	if err == nil {
		err = b.mayRead(ctx, by, id)
	}
	if err == nil {
		c, err = b.update(ctx, func(tx *store.Tx) (access.Change, error) {
			r, err := tx.Request(id)
			if err != nil {
				return access.Change{}, err
			}
			return r.Withdraw(actorOf(ctx, by), why, b.Now())
		})
	}
	if err != nil {
		return access.Request{}, b.refuse(ctx, "withdraw", audit.Subject{Kind: "request", ID: id}, found(err, "request", id))
	}
	return *c.Request, nil
}

func actorOf(ctx context.Context, p org.Person) audit.Actor {
	a := audit.From(ctx).Actor
	a.Name = p.User
	return a
}

const mostHeld = 1000 // grants at once; whoever holds more is not a person

// End ends a grant, and with it those that extend its access or that it extends. Whoever holds it, approved it or could have,
// and administrators may; nothing else can refuse it.
func (b *Broker) End(ctx context.Context, id, why string) (access.Grant, error) {
	by, err := b.person(ctx)
	var g access.Grant
	if err == nil {
		_, err = b.update(ctx, func(tx *store.Tx) (access.Change, error) {
			if g, err = tx.Grant(id); err != nil {
				return access.Change{}, err
			}
			if not := g.MayEnd(by); not != "" && !b.stops(by) {
				if !b.sees(by) {
					return access.Change{}, unknown("grant", id)
				}
				return access.Change{}, &access.Problem{Kind: access.ErrRefused, Message: not}
			}
			c, err := b.endChain(tx, g, actorOf(ctx, by), why)
			if err == nil && len(c.Grants) > 0 && c.Grants[0].ID == g.ID {
				g = c.Grants[0]
			}
			return c, err
		})
	}
	if err != nil {
		return access.Grant{}, b.refuse(ctx, "end", audit.Subject{Kind: "grant", ID: id}, found(err, "grant", id))
	}
	one := []access.Grant{g}
	b.lengthen(one)
	return one[0], nil
}

// endChain ends a grant and those that lend its access on.
func (b *Broker) endChain(tx *store.Tx, g access.Grant, by audit.Actor, why string) (access.Change, error) {
	c, err := g.EndIt(by, why, b.Now())
	if err != nil {
		return c, err
	}
	live, err := tx.GrantsOf(g.Person.ID, mostHeld)
	if err != nil {
		return c, err
	}
	live = slices.DeleteFunc(live, func(o access.Grant) bool { return !o.Live() }) // what is over is ended already
	chain, err := g.Chain(live, func(o access.Grant) (string, error) {
		for o.Extends != "" {
			before, err := tx.Grant(o.Extends)
			if errors.Is(err, store.ErrNotFound) {
				return o.Extends, nil // what is known of the chain ends
			}
			if err != nil {
				return "", fmt.Errorf("reading what %s extends: %w", o.ID, err)
			}
			o = before
		}
		return o.ID, nil
	})
	if err != nil {
		return c, err
	}
	for _, o := range chain[1:] {
		more, err := o.EndIt(by, why, b.Now())
		if err != nil {
			return c, err
		}
		c = c.And(more)
	}
	return c, nil
}
