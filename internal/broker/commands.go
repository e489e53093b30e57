package broker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"sparekey/access"
	"sparekey/audit"
	"sparekey/internal/store"
	"sparekey/org"
	"sparekey/rules"
	"sparekey/strict"
)

// Wish is what a person asks for, in names or ids.
type Wish struct {
	Targets  []Names
	Duration time.Duration
	Reason   string
	Key      string // idempotency key: the same key and the same wish make one request, however often they come
}

// Names is a target as people write it: an account by its id or its name, a permission set by its name or its ARN.
type Names struct {
	Account       string
	PermissionSet string
}

// Ask makes a request for the caller.
func (b *Broker) Ask(ctx context.Context, w Wish) (access.Request, error) {
	r, err := b.ask(ctx, w)
	if err != nil {
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
	wish := access.Wish{Duration: w.Duration, Reason: w.Reason}
	for _, n := range w.Targets {
		t, err := target(set.Organization(), n)
		if err != nil {
			return access.Request{}, err
		}
		wish.Targets = append(wish.Targets, t)
	}
	digest, err := audit.Digest(map[string]any{"targets": wish.Targets, "minutes": int(w.Duration.Minutes()), "reason": w.Reason})
	if err != nil {
		return access.Request{}, err
	}
	return b.askOnce(ctx, by, wish, w.Key, digest, set)
}

// askOnce makes the request, or finds the one that the same key made before.
func (b *Broker) askOnce(ctx context.Context, by org.Person, wish access.Wish, key, digest string, set rules.Set) (access.Request, error) {
	var r access.Request
	_, err := b.update(ctx, func(tx *store.Tx) (access.Change, error) {
		reply, err := tx.Reply(string(by.ID), key)
		switch {
		case err == nil && reply.Digest != digest:
			return access.Change{}, &access.Problem{Kind: access.ErrOver, Message: "this idempotency key was used for another request", Hint: "send a new random key"}
		case err == nil:
			r, err = tx.Request(reply.Subject)
			return access.Change{}, err
		case !errors.Is(err, store.ErrNotFound):
			return access.Change{}, err
		}
		c, err := access.Ask(by, wish, set, b.Now(), b.newID)
		if err != nil {
			return c, err
		}
		r = *c.Request
		return c, tx.PutReply(string(by.ID), key, store.Reply{Digest: digest, Subject: r.ID}, b.Now())
	})
	return r, err
}

// Forget deletes what is kept only so that repeated requests are recognized, after a day.
func (b *Broker) Forget(ctx context.Context) error {
	before := b.Now().Add(-24 * time.Hour)
	if err := b.Store.Update(ctx, func(tx *store.Tx) error { return tx.ForgetReplies(before) }); err != nil {
		return err
	}
	return b.Store.ForgetLeases(ctx, before)
}

// target turns names into a target, or says what there is instead.
func target(m *org.Mirror, n Names) (org.Target, error) {
	accounts := m.AccountsNamed(n.Account)
	set, ok := m.PermissionSet(n.PermissionSet)
	switch {
	case len(accounts) == 0:
		return org.Target{}, nameless("account", n.Account, m.Names().Accounts)
	case len(accounts) > 1:
		return org.Target{}, &access.Problem{Kind: access.ErrInvalid, Message: fmt.Sprintf("%d accounts are called %q", len(accounts), n.Account), Hint: "name it by its id: " + accountIDs(accounts)}
	case !ok:
		return org.Target{}, nameless("permission set", n.PermissionSet, m.Names().PermissionSets)
	}
	return org.Target{Account: accounts[0].ID, PermissionSet: set.ARN}, nil
}

func nameless(kind, name string, known []string) error {
	p := &access.Problem{Kind: access.ErrUnknown, Message: fmt.Sprintf("there is no %s called %q", kind, name)}
	switch near := strict.Nearest(name, known); {
	case near != "":
		p.Hint = fmt.Sprintf("did you mean %q?", near)
	case kind == "person":
		p.Hint = "write the user name as the directory has it, or the person's id"
	default:
		p.Hint = "`sparekey access list` shows what you may ask for"
	}
	return p
}

func accountIDs(accounts []org.Account) string {
	text := ""
	for i, a := range accounts {
		if i > 0 {
			text += ", "
		}
		text += string(a.ID)
	}
	return text
}

// Approve is the caller's yes to every line of the request that the caller may decide.
func (b *Broker) Approve(ctx context.Context, id, comment string) (access.Request, error) {
	return b.decide(ctx, "approve", id, func(r access.Request, by org.Person, set rules.Set, earlier []org.Person) (access.Change, error) {
		return r.Approve(by, comment, set, b.Now(), earlier...)
	})
}

// Reject is the caller's no to every line of the request that the caller may decide.
func (b *Broker) Reject(ctx context.Context, id, comment string) (access.Request, error) {
	return b.decide(ctx, "reject", id, func(r access.Request, by org.Person, set rules.Set, _ []org.Person) (access.Change, error) {
		return r.Reject(by, comment, set, b.Now())
	})
}

func (b *Broker) decide(ctx context.Context, command, id string, turn func(access.Request, org.Person, rules.Set, []org.Person) (access.Change, error)) (access.Request, error) {
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
		var earlier []org.Person
		if command == "approve" {
			if earlier, err = b.earlier(ctx, id, by); err != nil {
				return access.Request{}, err
			}
		}
		set := b.rules()
		c, err := b.update(ctx, func(tx *store.Tx) (access.Change, error) {
			r, err := tx.Request(id)
			if err != nil {
				return access.Change{}, err
			}
			return turn(r, by, set, earlier)
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

// earlier are those who approved pending lines of the request before, as the directory describes them at this moment: a yes
// counts only while whoever gave it still may.
func (b *Broker) earlier(ctx context.Context, id string, by org.Person) (all []org.Person, err error) {
	var r access.Request
	if err := b.Store.View(ctx, func(tx *store.Tx) (err error) { r, err = tx.Request(id); return err }); err != nil {
		return nil, found(err, "request", id)
	}
	seen := map[org.PersonID]bool{by.ID: true}
	for _, l := range r.Lines {
		for _, a := range l.Approvals {
			if l.State != access.Pending || seen[a.By.ID] {
				continue
			}
			seen[a.By.ID] = true
			p, err := b.lookUp(ctx, a.By)
			if err != nil {
				b.Log.Error("a person who approved before could not be looked up", "person", a.By.User, "error", err)
				return nil, &access.Problem{Kind: access.ErrUnavailable, Message: fmt.Sprintf("AWS does not say at the moment whether %s, who approved before you, still may", a.By.User), Hint: "try again in a moment"}
			}
			if p.Status.Gone() {
				if err := b.left(ctx, p); err != nil {
					b.Log.Error("a person who left could not be let go of", "person", p.User, "error", err)
				}
			}
			all = append(all, p)
		}
	}
	return all, nil
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

// End ends a grant. Whoever holds it, approved it or could have, and administrators may; nothing else can refuse it.
func (b *Broker) End(ctx context.Context, id, why string) (access.Grant, error) {
	by, err := b.person(ctx)
	var g access.Grant
	if err == nil {
		_, err = b.update(ctx, func(tx *store.Tx) (access.Change, error) {
			if g, err = tx.Grant(id); err != nil {
				return access.Change{}, err
			}
			if not := g.MayEnd(by); not != "" && !b.administers(by) {
				if !b.sees(by) {
					return access.Change{}, unknown("grant", id)
				}
				return access.Change{}, &access.Problem{Kind: access.ErrRefused, Message: not}
			}
			c, err := g.EndIt(actorOf(ctx, by), why, b.Now())
			if err == nil && len(c.Grants) > 0 {
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
