package broker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"sparekey/access"
	"sparekey/audit"
	"sparekey/internal/store"
	"sparekey/org"
	"sparekey/rules"
)

// What is in force is the rules and the organization, bound to each other. Decisions take it as it is at their moment.

// bind makes what is in force anew. b.changing is held.
func (b *Broker) bind(m *org.Mirror) {
	if m == nil || b.book == nil {
		return
	}
	set := b.book.In(m)
	b.roles.Store(b.bindRoles(m))
	b.inForce.Store(&set)
	if b.looked != b.book || b.lookedAt != m {
		b.looked, b.lookedAt = b.book, m
		go b.check(b.book, m)
	}
}

// check says in the log what is wrong with the rules in the organization as it is now: a group that was renamed makes a rule
// stricter than it was written, and nobody would notice until they need it.
func (b *Broker) check(book *rules.Book, m *org.Mirror) {
	wrong := book.Check(m)
	said := wrong.Error()
	if before := b.wrongs.Swap(&said); before != nil && *before == said {
		return
	}
	for _, w := range wrong {
		b.Log.Warn("a rule does not do what it says", "at", w.Position.String(), "problem", w.Problem, "hint", w.Hint)
	}
}

// Follow takes over the rules and the mirror from the store if they are newer than ours: after a start, and when another
// replica has changed or read them.
func (b *Broker) Follow(ctx context.Context) error {
	b.changing.Lock()
	defer b.changing.Unlock()
	if err := b.followRecovery(ctx); err != nil {
		return err
	}
	ruled, err := b.followRules(ctx)
	if err != nil {
		return err
	}
	var head store.MirrorHead
	if err := b.Store.View(ctx, func(tx *store.Tx) (err error) { head, err = tx.MirrorHead(); return err }); err != nil {
		return fmt.Errorf("looking for a newer mirror: %w", err)
	}
	if head.Generation == 0 || head.Generation == b.seen.Generation {
		if ruled {
			b.bind(b.rules().Organization())
		}
		return nil
	}
	var o org.Organization
	if err := b.Store.View(ctx, func(tx *store.Tx) (err error) { o, head, err = tx.Mirror(); return err }); err != nil {
		return fmt.Errorf("reading the mirror: %w", err)
	}
	b.seen = head
	b.bind(org.NewMirror(o))
	return nil
}

// mirrorFailure is why the last refresh of the mirror failed.
type mirrorFailure struct {
	At    time.Time
	Error string
}

// Refresh reads the whole organization from AWS, keeps it, and lets go of those who have left: their requests are withdrawn
// and their grants end.
func (b *Broker) Refresh(ctx context.Context) error {
	ctx = audit.By(ctx, "mirror")
	o, err := b.Directory.Organization(ctx)
	if err != nil {
		first := b.failures.Swap(&mirrorFailure{b.Now(), err.Error()}) == nil
		if first {
			b.Log.Error("the organization could not be read; decisions are taken with what was read before", "error", err)
			b.recordMirror(ctx, "mirror.failed", map[string]string{"aws": err.Error()})
		}
		return fmt.Errorf("reading the organization: %w", err)
	}
	o.ReadAt = b.Now()
	joined(b.rules().Organization(), &o)
	contents(b.rules().Organization(), &o)
	var change store.Difference
	err = b.Store.Update(ctx, func(tx *store.Tx) error {
		var err error
		if change, err = tx.PutMirror(o); err != nil {
			return err
		}
		if change == (store.Difference{}) {
			return nil
		}
		return tx.Append(audit.From(ctx), b.mirrorEvent(ctx, "mirror.read", map[string]string{
			"changed": fmt.Sprint(change.Put), "dropped": fmt.Sprint(change.Dropped), "accounts": fmt.Sprint(len(o.Accounts)), "people": fmt.Sprint(len(o.People)),
		}))
	})
	if err != nil {
		return fmt.Errorf("keeping the mirror: %w", err)
	}
	if b.failures.Swap(nil) != nil {
		b.recordMirror(ctx, "mirror.recovered", nil)
	}
	if err := b.Follow(ctx); err != nil {
		return err
	}
	b.promises.Wake()
	b.tell()
	return b.letGo(ctx, func(id org.PersonID) bool {
		p, ok := b.rules().Organization().Person(id)
		return !ok || p.Status.Gone()
	})
}

func (b *Broker) mirrorEvent(ctx context.Context, kind string, detail map[string]string) audit.Event {
	return audit.Event{At: b.Now(), Kind: kind, Actor: audit.From(ctx).Actor, Subject: audit.Subject{Kind: "mirror"}, Detail: detail}
}

func (b *Broker) recordMirror(ctx context.Context, kind string, detail map[string]string) {
	err := b.Store.Update(ctx, func(tx *store.Tx) error { return tx.Append(audit.From(ctx), b.mirrorEvent(ctx, kind, detail)) })
	if err != nil {
		b.Log.Error("an event could not be recorded", "event", kind, "error", err)
	}
}

// LetGo looks at everybody who has a request that waits or a grant that lives, and lets go of those of whom the directory
// says, when asked now, that they are disabled or removed. Somebody about whom it says nothing keeps what they have.
//
// It looks up a few people a second, so that it leaves the identity store's quota to those who wait for an answer.
func (b *Broker) LetGo(ctx context.Context) error {
	return b.letGo(ctx, func(org.PersonID) bool { return true })
}

func (b *Broker) letGo(ctx context.Context, suspect func(org.PersonID) bool) error {
	if !b.rules().Ready() {
		return nil
	}
	concerned := map[org.PersonID]access.Named{}
	err := b.Store.View(ctx, func(tx *store.Tx) error {
		requests, err := tx.OpenRequests()
		if err != nil {
			return err
		}
		for _, r := range requests {
			concerned[r.Requester.ID] = r.Requester
		}
		live, failed := alive(tx)
		for g := range live {
			concerned[g.Person.ID] = g.Person
		}
		return *failed
	})
	if err != nil {
		return err
	}
	var failed []error
	for id, who := range concerned {
		if !suspect(id) {
			continue
		}
		if err := b.looks.Wait(ctx); err != nil {
			return err
		}
		p, err := b.lookUp(ctx, who)
		if err == nil && p.Status.Gone() {
			err = b.left(ctx, p)
		}
		if err != nil {
			failed = append(failed, err)
		}
	}
	return errors.Join(failed...)
}

// lookUp reads a person live, within the time that a call may take. The directory has no name any more for somebody who was
// removed; they keep the one by which they were known.
func (b *Broker) lookUp(ctx context.Context, who access.Named) (org.Person, error) {
	ctx, cancel := context.WithTimeout(ctx, b.CallTimeout)
	defer cancel()
	p, err := b.Directory.Person(ctx, who.ID)
	if err != nil {
		return p, fmt.Errorf("looking up %s: %w", who.User, err)
	}
	p.User = cmp.Or(p.User, who.User, string(who.ID))
	if set := b.rules(); set.Ready() {
		was, known := set.Organization().Person(who.ID)
		p = since(was, known, p, org.Organization{ReadAt: b.Now()})
	}
	return p, nil
}

// left lets go of a person of whom the directory says that they are gone: the mirror says so at once, so that they approve
// nothing any more; what they asked for is withdrawn; what they hold ends.
func (b *Broker) left(ctx context.Context, p org.Person) error {
	ctx = audit.By(ctx, "directory")
	b.keepPerson(ctx, p)
	actor := audit.From(ctx).Actor
	why := fmt.Sprintf("%s is %s in the directory", p.User, p.Status)
	var requests []access.Request
	var grants []access.Grant
	err := b.Store.View(ctx, func(tx *store.Tx) (err error) {
		if requests, err = tx.OpenRequests(); err != nil {
			return err
		}
		grants, err = tx.LiveGrantsOf(p.ID)
		return err
	})
	if err != nil {
		return err
	}
	var failed []error
	for _, r := range requests {
		if r.Requester.ID == p.ID {
			failed = append(failed, b.onRequest(ctx, r.ID, func(r access.Request) (access.Change, error) { return r.Withdraw(actor, why, b.Now()) }))
		}
	}
	for _, g := range grants {
		if g.End == nil {
			failed = append(failed, b.onGrant(ctx, g.ID, func(g access.Grant) (access.Change, error) { return g.EndIt(actor, why, b.Now()) }))
		}
	}
	return errors.Join(failed...)
}

// keepPerson puts what AWS just said about a person into the mirror, if it is news.
func (b *Broker) keepPerson(ctx context.Context, p org.Person) {
	set := b.rules()
	if !set.Ready() {
		return
	}
	was, ok := set.Organization().Person(p.ID)
	if !ok || was.Status == p.Status {
		return
	}
	was.Status = p.Status
	err := b.Store.Update(ctx, func(tx *store.Tx) error {
		if err := tx.PutPerson(was); err != nil {
			return err
		}
		return tx.Append(audit.From(ctx), audit.Event{
			At: b.Now(), Kind: "person.left", Actor: audit.From(ctx).Actor, Subject: audit.Subject{Kind: "person", ID: string(p.ID)},
			Detail: map[string]string{"user": was.User, "status": string(p.Status)},
		})
	})
	if err == nil {
		err = b.Follow(ctx)
	}
	if err != nil {
		b.Log.Error("a person's status could not be kept", "person", p.User, "error", err)
	}
}

// onRequest runs a transition of one request. Coming too late is no error: somebody else closed it.
func (b *Broker) onRequest(ctx context.Context, id string, turn func(access.Request) (access.Change, error)) error {
	_, err := b.update(ctx, func(tx *store.Tx) (access.Change, error) {
		r, err := tx.Request(id)
		if err != nil {
			return access.Change{}, err
		}
		return turn(r)
	})
	if errors.Is(err, access.ErrOver) {
		return nil
	}
	return err
}

// onGrant runs a transition of one grant. Coming too late is no error: somebody else ended it.
func (b *Broker) onGrant(ctx context.Context, id string, turn func(access.Grant) (access.Change, error)) error {
	_, err := b.update(ctx, func(tx *store.Tx) (access.Change, error) {
		g, err := tx.Grant(id)
		if err != nil {
			return access.Change{}, err
		}
		return turn(g)
	})
	if errors.Is(err, access.ErrOver) {
		return nil
	}
	return err
}

// Lapse closes a request that nobody decided, if its time has come, and says when it will if not.
func (b *Broker) Lapse(ctx context.Context, id string) (later time.Duration, err error) {
	now := b.Now()
	err = b.onRequest(audit.By(ctx, "clock"), id, func(r access.Request) (access.Change, error) {
		if r.Open() && now.Before(r.LapsesAt) {
			later = r.LapsesAt.Sub(now)
		}
		return r.Lapse(now)
	})
	return later, err
}
