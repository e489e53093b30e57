package broker

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"sparekey/access"
	"sparekey/audit"
	"sparekey/internal/store"
	"sparekey/org"
	"sparekey/rules"
)

// Tickets asks ticket systems. It answers in any case: what a system did not say is in the answer.
type Tickets interface {
	Known(service string) bool
	Ticket(ctx context.Context, q rules.TicketQuestion) rules.Ticket
}

// Rota asks who is on call. It may answer with what it heard a moment ago.
type Rota interface {
	Known(schedule string) bool
	// OnCall returns the e-mail addresses of those who are on call in a schedule of the configuration, and until when. An error
	// is in words for people.
	OnCall(ctx context.Context, schedule string, now time.Time) (emails []string, until time.Time, err error)
}

// Contents is a directory that also reads what a permission set permits.
type Contents interface {
	PermissionSet(ctx context.Context, arn string) (org.PermissionSet, error)
}

// heard is what other systems say at this moment that the rules in force ask about. It is never called inside a transaction.
func (b *Broker) heard(ctx context.Context) rules.Facts {
	f := rules.Facts{Now: b.Now()}
	set := b.rules()
	if !set.Ready() || b.Rota == nil {
		return f
	}
	for _, name := range set.Book().Schedules() {
		if f.OnCall == nil {
			f.OnCall = map[string]rules.Shift{}
		}
		f.OnCall[name] = b.shift(ctx, name, set.Organization())
	}
	return f
}

// shiftFor is how long an answer of the on-call service serves, also one that it did not give: lists and pages ask often, and
// must not wait for a service that is down.
const shiftFor = 15 * time.Second

// shifts are the last answers of the on-call service.
type shifts struct {
	asking sync.Mutex // held by the one who asks
	last   sync.Map   // by schedule: rules.Shift
}

// shift is who is on call. While somebody else asks, the answer before serves.
func (b *Broker) shift(ctx context.Context, schedule string, m *org.Mirror) rules.Shift {
	before, has := b.shifts.last.Load(schedule)
	if has && b.Now().Sub(before.(rules.Shift).Asked) < shiftFor {
		return before.(rules.Shift)
	}
	if has && !b.shifts.asking.TryLock() {
		return before.(rules.Shift)
	} else if !has {
		b.shifts.asking.Lock()
	}
	defer b.shifts.asking.Unlock()
	s := rules.Shift{Asked: b.Now()}
	// The answer serves everybody: that one caller leaves must not make the service look down.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), b.CallTimeout)
	defer cancel()
	emails, until, err := b.Rota.OnCall(ctx, schedule, s.Asked)
	if err != nil {
		s.Down = err.Error()
	} else {
		s.People, s.Until = rules.ShiftOf(emails, m), until
	}
	b.shifts.last.Store(schedule, s)
	return s
}

// ticketed adds what ticket systems say about the ticket of some asks of one person.
func (b *Broker) ticketed(ctx context.Context, f *rules.Facts, p org.Person, asks ...rules.Ask) {
	set := b.rules()
	if !set.Ready() {
		return
	}
	for _, ask := range asks {
		for _, service := range set.TicketServices(p, ask) {
			if _, asked := f.Tickets[service]; asked {
				continue
			}
			if f.Tickets == nil {
				f.Tickets = map[string]rules.Ticket{}
			}
			f.Tickets[service] = b.ticket(ctx, service, p, ask, *f)
		}
	}
}

func (b *Broker) ticket(ctx context.Context, service string, p org.Person, ask rules.Ask, f rules.Facts) rules.Ticket {
	if b.Tickets == nil {
		return rules.Ticket{Down: "the configuration has no service " + service}
	}
	from := f.Now
	if ask.Start.After(from) {
		from = ask.Start
	}
	return b.Tickets.Ticket(ctx, rules.TicketQuestion{Service: service, ID: ask.Ticket, Person: p, From: from, To: from.Add(ask.For)})
}

// at is what decisions are taken with in a transaction: the rules and the organization in force, with what was heard before
// and what the database says.
func (b *Broker) at(tx *store.Tx, f rules.Facts) (rules.Set, error) {
	set := b.rules()
	if !set.Ready() {
		return set, nil
	}
	var err error
	if f.Delegations, err = tx.Delegations(f.Now); err != nil {
		return set, err
	}
	if f.Overdue, err = tx.Overdue(f.Now); err != nil {
		return set, err
	}
	stops, err := tx.HoldingStops(f.Now)
	if err != nil {
		return set, err
	}
	f.Held, f.NotLent = held(stops), b.notLent
	f.Groups = b.lentGroups(tx)
	return set.At(f), nil
}

// fewGroups is how many groups are looked up one by one; whoever asks about more asks about many, and all are read at once.
const fewGroups = 3

// lentGroups finds the groups that Sparekey made, as one transaction sees them.
func (b *Broker) lentGroups(tx *store.Tx) func(org.Target) org.GroupID {
	asked := 0
	var all map[org.Target]org.GroupID
	return func(t org.Target) org.GroupID {
		if asked++; asked <= fewGroups {
			g, err := tx.LentGroup(t)
			if err != nil && !errors.Is(err, store.ErrNotFound) {
				b.Log.Error("the group of a target could not be read", "error", err)
			}
			if err != nil || !g.Ready {
				return ""
			}
			return g.Group
		}
		if all == nil {
			groups, err := tx.LentGroups()
			if err != nil {
				b.Log.Error("the groups that lend could not be read", "error", err)
			}
			all = map[org.Target]org.GroupID{}
			for _, g := range groups {
				if g.Ready {
					all[g.Target.Target] = g.Group
				}
			}
		}
		return all[t]
	}
}

// notLent says why a target cannot be lent in a way: the management account only by assignment, and only where a way of its
// own leads into it.
func (b *Broker) notLent(t org.Target, way string) string {
	switch {
	case t.Account != b.ManagementAccount():
		return ""
	case !b.Management:
		return "it is the management account, and this server has no way of its own into it (aws.management in the configuration)"
	case access.Way(way) != access.Assignment:
		return "the management account is lent by assignment only"
	}
	return ""
}

// view runs a read with what decisions are taken with at this moment.
func (b *Broker) view(ctx context.Context, do func(tx *store.Tx, set rules.Set) error) error {
	f := b.heard(ctx)
	return b.Store.View(ctx, func(tx *store.Tx) error {
		set, err := b.at(tx, f)
		if err != nil {
			return err
		}
		return do(tx, set)
	})
}

// givers looks up live those who approved before, so that nobody's yes counts who may no longer give it.
func (b *Broker) givers(ctx context.Context, f *rules.Facts, approvals []access.Approval, known ...org.Person) error {
	if f.Live == nil {
		f.Live = map[org.PersonID]org.Person{}
	}
	for _, p := range known {
		f.Live[p.ID] = p
	}
	for _, a := range approvals {
		for _, who := range []access.Named{a.By, a.For} {
			if _, has := f.Live[who.ID]; has || who.ID == "" {
				continue
			}
			p, err := b.lookUp(ctx, who)
			if err != nil {
				return err
			}
			if p.Status.Gone() {
				if err := b.left(ctx, p); err != nil {
					b.Log.Error("a person who left could not be let go of", "person", p.User, "error", err)
				}
			}
			f.Live[who.ID] = p
		}
	}
	return nil
}

// joined remembers when people were first seen in their groups: those of before who were in them keep their time.
func joined(before *org.Mirror, o *org.Organization) {
	if before == nil {
		return
	}
	for i := range o.People {
		was, known := before.Person(o.People[i].ID)
		o.People[i] = since(was, known, o.People[i], *o)
	}
}

func since(was org.Person, known bool, p org.Person, o org.Organization) org.Person {
	p.Joined = nil
	for _, g := range p.Groups {
		at := o.ReadAt
		if known && slices.Contains(was.Groups, g) {
			at = was.Joined[g]
		}
		if at.IsZero() || o.ReadAt.Sub(at) >= rules.NewcomersWait {
			continue // long enough
		}
		if p.Joined == nil {
			p.Joined = map[org.GroupID]time.Time{}
		}
		p.Joined[g] = at
	}
	return p
}

// contents keeps what was known of what permission sets permit: reading the organization does not read it.
func contents(before *org.Mirror, o *org.Organization) {
	if before == nil {
		return
	}
	for i := range o.PermissionSets {
		set := &o.PermissionSets[i]
		if was, ok := before.PermissionSet(set.ARN); ok && set.Content == "" && was.Session == set.Session {
			set.Content = was.Content
		}
	}
}

// content reads live what a permission set permits, and puts it into the mirror if it is news.
func (b *Broker) content(ctx context.Context, arn string) error {
	reader, can := b.Directory.(Contents)
	if set := b.rules(); !can || !set.Ready() {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, b.CallTimeout)
	defer cancel()
	now, err := reader.PermissionSet(ctx, arn)
	if err != nil {
		return err
	}
	was, ok := b.rules().Organization().PermissionSet(arn)
	if !ok || was.Content == now.Content && was.Session == now.Session {
		return nil
	}
	was.Content, was.Session = now.Content, now.Session
	if err := b.Store.Update(context.WithoutCancel(ctx), func(tx *store.Tx) error {
		if err := tx.PutPermissionSet(was); err != nil {
			return err
		}
		return tx.Append(audit.From(ctx), audit.Event{
			At: b.Now(), Kind: "permission-set.read", Actor: audit.From(ctx).Actor, Subject: audit.Subject{Kind: "permission-set", ID: arn},
			Detail: map[string]string{"name": was.Name, "content": was.Content},
		})
	}); err != nil {
		return err
	}
	return b.Follow(context.WithoutCancel(ctx))
}
