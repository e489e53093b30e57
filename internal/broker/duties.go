package broker

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"sparekey/access"
	"sparekey/audit"
	"sparekey/internal/store"
	"sparekey/org"
	"sparekey/rules"
)

// What is looked at again and again in the background: requests that wait for another system, tickets of live grants,
// reviews that are due, groups that are being made, session kills that are to be sent.

// Watch does one round of it. Rounds may overlap with another replica's: each step is decided in its own transaction.
func (b *Broker) Watch(ctx context.Context) error {
	b.halt(ctx)
	_, kills := b.SendKills(ctx)
	return errors.Join(kills, b.sweepAll(ctx), b.recheck(ctx), b.escalate(ctx), b.MakeGroups(ctx), b.MakeAnchors(ctx))
}

// ticketsAtOnce is how many tickets are asked about at once.
const ticketsAtOnce = 8

// recheck closes requests whose time is over, and judges anew what waits for another system to answer. A request that is
// decided by nobody has a job for its end; after a restore from a backup there are no jobs, and its row says the same.
func (b *Broker) recheck(ctx context.Context) error {
	var open []access.Request
	if err := b.Store.View(ctx, func(tx *store.Tx) (err error) { open, err = tx.OpenRequests(); return err }); err != nil {
		return err
	}
	var failed []error
	for _, r := range open {
		if !b.Now().Before(r.LapsesAt) {
			if _, err := b.Lapse(ctx, r.ID); err != nil {
				failed = append(failed, err)
			}
			continue
		}
		if !r.Waiting() || !b.rules().Ready() {
			continue
		}
		p, err := b.lookUp(ctx, r.Requester)
		if err != nil {
			failed = append(failed, err)
			continue
		}
		f := b.heard(ctx)
		b.ticketed(ctx, &f, b.named(p), r.Asks()...)
		_, err = b.update(ctx, func(tx *store.Tx) (access.Change, error) {
			now, err := tx.Request(r.ID)
			if err != nil {
				return access.Change{}, err
			}
			set, err := b.at(tx, f)
			if err != nil {
				return access.Change{}, err
			}
			return now.Recheck(b.named(p), set, f.Now)
		})
		if err != nil && !errors.Is(err, access.ErrOver) {
			failed = append(failed, err)
		}
	}
	return errors.Join(failed...)
}

// named gives a person what the directory left out and the mirror knows.
func (b *Broker) named(p org.Person) org.Person {
	was, ok := b.rules().Organization().Person(p.ID)
	if ok && p.User == "" {
		p.User = was.User
	}
	if ok && p.Email == "" {
		p.Email = was.Email
	}
	return p
}

// WatchTickets ends grants whose ticket was closed, handed to somebody else, or whose window was moved. A system that does
// not answer ends nothing, and is not asked again in this round.
func (b *Broker) WatchTickets(ctx context.Context) error {
	if b.Tickets == nil || !b.rules().Ready() {
		return nil
	}
	var grants []access.Grant // that have a ticket
	err := b.Store.View(ctx, func(tx *store.Tx) error {
		live, failed := alive(tx)
		for g := range live {
			if g.Service != "" && g.End == nil && g.State != access.Waiting {
				grants = append(grants, g)
			}
		}
		return *failed
	})
	if err != nil {
		return err
	}
	var down sync.Map // services
	asking, failed := make(chan access.Grant), make(chan error)
	var all sync.WaitGroup
	for range ticketsAtOnce {
		all.Go(func() {
			for g := range asking {
				if err := b.watchTicket(ctx, g, &down); err != nil {
					failed <- err
				}
			}
		})
	}
	go func() {
		for _, g := range grants {
			asking <- g
		}
		close(asking)
		all.Wait()
		close(failed)
	}()
	var errs []error
	for err := range failed {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func (b *Broker) watchTicket(ctx context.Context, g access.Grant, down *sync.Map) error {
	p, ok := b.rules().Organization().Person(g.Person.ID)
	if _, silent := down.Load(g.Service); silent || !ok || ctx.Err() != nil { // who is gone is let go of elsewhere
		return ctx.Err()
	}
	now := b.Now()
	said := b.Tickets.Ticket(ctx, rules.TicketQuestion{Service: g.Service, ID: g.Ticket, Person: p, From: now, To: now})
	switch {
	case said.Down != "":
		down.Store(g.Service, true)
		return nil
	case said.OK:
		return nil
	}
	why := fmt.Sprintf("the ticket %s: %s", g.Ticket, said.Why)
	return b.onGrant(audit.By(ctx, "ticket"), g.ID, func(g access.Grant) (access.Change, error) {
		return g.EndIt(audit.Actor{Kind: audit.Sparekey, ID: "ticket"}, clipped(why), b.Now())
	})
}

// clipped makes what another system said fit to be kept.
func clipped(text string) string {
	text = strings.Map(func(c rune) rune {
		if c < ' ' {
			return ' '
		}
		return c
	}, text)
	if runes := []rune(text); len(runes) > 400 {
		return string(runes[:400]) + "…"
	}
	return text
}

// escalate records which reviews are overdue, once each.
func (b *Broker) escalate(ctx context.Context) error {
	now := b.Now()
	var late []access.Review
	err := b.Store.View(ctx, func(tx *store.Tx) error {
		return eachOpenReview(tx, Page{}, func(r access.Review) bool {
			if r.Overdue(now) && !r.Late {
				late = append(late, r)
			}
			return r.Overdue(now) // the others are due later
		})
	})
	if err != nil {
		return err
	}
	var failed []error
	for _, r := range late {
		c, err := b.update(audit.By(ctx, "clock"), func(tx *store.Tx) (access.Change, error) {
			r, err := tx.Review(r.ID)
			if err != nil {
				return access.Change{}, err
			}
			return r.Escalate(now)
		})
		failed = append(failed, err)
		for _, r := range c.Reviews {
			b.Log.Error("a review is overdue; its person gets nothing automatically until it is done", "review", r.ID, "person", r.Person.User, "due", r.DueAt.Format(time.RFC3339))
		}
	}
	return errors.Join(failed...)
}

// Reviews lists the reviews that wait for the caller, those about the caller, and for whoever reads everything all that are
// open.
func (b *Broker) Reviews(ctx context.Context, from Page, most int) (duties []Duty, next Page, err error) {
	by, err := b.person(ctx)
	if err == nil {
		_, err = b.ready()
	}
	if err != nil {
		return nil, Page{}, b.refuse(ctx, "reviews", audit.Subject{Kind: "api"}, err)
	}
	err = b.view(ctx, func(tx *store.Tx, set rules.Set) error {
		return eachOpenReview(tx, from, func(r access.Review) bool {
			yours := r.MayConclude(by, set) == ""
			if yours || r.Person.ID == by.ID || b.sees(by) {
				duties = append(duties, Duty{r, yours})
			}
			if len(duties) == most {
				next = Page{At: r.DueAt, ID: r.ID}
			}
			return len(duties) < most
		})
	})
	return duties, next, err
}

// eachOpenReview reads the reviews that are to be done, from a place on, the most urgent first, until do says no.
func eachOpenReview(tx *store.Tx, from Page, do func(access.Review) bool) error {
	const atOnce = 500
	for {
		open, err := tx.OpenReviews(from, atOnce)
		if err != nil {
			return err
		}
		for _, r := range open {
			if !do(r) {
				return nil
			}
			from = Page{At: r.DueAt, ID: r.ID}
		}
		if len(open) < atOnce {
			return nil
		}
	}
}

// Duty is a review, and whether the caller may conclude it.
type Duty struct {
	access.Review
	Yours bool
}

// Review reads one review.
func (b *Broker) Review(ctx context.Context, id string) (Duty, error) {
	by, err := b.person(ctx)
	var d Duty
	if err == nil {
		d, err = b.review(ctx, by, id)
	}
	if err != nil {
		return Duty{}, b.refuse(ctx, "read", audit.Subject{Kind: "review", ID: id}, err)
	}
	return d, nil
}

// review reads a review, and refuses one that is not for these eyes as if it did not exist.
func (b *Broker) review(ctx context.Context, by org.Person, id string) (d Duty, err error) {
	err = b.view(ctx, func(tx *store.Tx, set rules.Set) error {
		if d.Review, err = tx.Review(id); err != nil {
			return found(err, "review", id)
		}
		able := set.Ready() && d.MayConclude(by, set) == ""
		if !able && !d.Concerns(by) && !b.sees(by) {
			return unknown("review", id)
		}
		d.Yours = able && d.State == access.ReviewOpen
		return nil
	})
	return d, err
}

// Conclude is the caller's judgement of what was done with a grant.
func (b *Broker) Conclude(ctx context.Context, id string, wrong bool, comment string) (access.Review, error) {
	r, err := b.conclude(ctx, id, wrong, comment)
	if err != nil {
		return access.Review{}, b.refuse(ctx, "review", audit.Subject{Kind: "review", ID: id}, err)
	}
	return r, nil
}

func (b *Broker) conclude(ctx context.Context, id string, wrong bool, comment string) (access.Review, error) {
	known, err := b.person(ctx)
	if err != nil {
		return access.Review{}, err
	}
	by, err := b.live(ctx)
	if err != nil {
		return access.Review{}, err
	}
	if _, err := b.review(ctx, known, id); err != nil {
		if _, err := b.review(ctx, by, id); err != nil {
			return access.Review{}, err
		}
	}
	f := b.heard(ctx)
	if err := b.lenders(ctx, &f, by); err != nil {
		return access.Review{}, err
	}
	c, err := b.update(ctx, func(tx *store.Tx) (access.Change, error) {
		r, err := tx.Review(id)
		if err != nil {
			return access.Change{}, err
		}
		set, err := b.at(tx, f)
		if err != nil {
			return access.Change{}, err
		}
		g, err := tx.Grant(r.Grant)
		if err != nil {
			return access.Change{}, err
		}
		return r.Conclude(g, by, wrong, comment, set, f.Now)
	})
	if err != nil {
		return access.Review{}, found(err, "review", id)
	}
	return c.Reviews[0], nil
}
