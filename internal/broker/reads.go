package broker

import (
	"context"
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

// Me is the caller.
type Me struct {
	Person        org.Person
	Groups        []string
	Administrator bool
	Auditor       bool
}

// Me says who the caller is.
func (b *Broker) Me(ctx context.Context) (Me, error) {
	by, err := b.person(ctx)
	if err != nil {
		return Me{}, b.refuse(ctx, "me", audit.Subject{Kind: "api"}, err)
	}
	me := Me{Person: by, Administrator: b.administers(by)}
	me.Auditor = b.sees(by)
	if set := b.rules(); set.Ready() {
		me.Groups = set.Organization().GroupNames(by)
	}
	return me, nil
}

// OfferFilter narrows what the caller may ask for.
type OfferFilter struct {
	Account       string // any part of an account's name, id, OU path or tag
	PermissionSet string // any part of a permission set's name
	After         string // the cursor of the page before
	Limit         int
}

// Offers lists what the caller may ask for, a page at a time. next is the cursor of the next page, empty at the end.
func (b *Broker) Offers(ctx context.Context, f OfferFilter) (offers []rules.Offer, next string, err error) {
	by, err := b.person(ctx)
	if err == nil {
		_, err = b.ready()
	}
	if err != nil {
		return nil, "", b.refuse(ctx, "list", audit.Subject{Kind: "api"}, err)
	}
	passed := f.After == ""
	for o := range b.rules().Offers(by) {
		cursor := string(o.Account.ID) + "/" + o.PermissionSet.Name
		if !passed {
			passed = cursor == f.After
			continue
		}
		if !f.matches(o) {
			continue
		}
		if len(offers) == f.Limit {
			last := offers[len(offers)-1]
			return offers, string(last.Account.ID) + "/" + last.PermissionSet.Name, nil
		}
		offers = append(offers, o)
	}
	if !passed {
		return nil, "", &access.Problem{Kind: access.ErrInvalid, Message: "the page is not there any more", Hint: "begin at the first page"}
	}
	return offers, "", nil
}

func (f OfferFilter) matches(o rules.Offer) bool {
	holds := func(text, part string) bool { return strings.Contains(strings.ToLower(text), strings.ToLower(part)) }
	if !holds(o.PermissionSet.Name, f.PermissionSet) {
		return false
	}
	if holds(o.Account.Name, f.Account) || holds(string(o.Account.ID), f.Account) || holds(o.Path, f.Account) {
		return true
	}
	for k, v := range o.Account.Tags {
		if holds(k+"="+v, f.Account) {
			return true
		}
	}
	return false
}

// Pending is a request with the lines that the caller may decide, by number.
type Pending struct {
	Asked
	Lines []int
}

// Approvals lists the requests of which the caller may decide something now, the oldest first.
func (b *Broker) Approvals(ctx context.Context) ([]Pending, error) {
	by, err := b.person(ctx)
	if err == nil {
		_, err = b.ready()
	}
	if err != nil {
		return nil, b.refuse(ctx, "approvals", audit.Subject{Kind: "api"}, err)
	}
	var open []access.Request
	if err := b.Store.View(ctx, func(tx *store.Tx) (err error) { open, err = tx.OpenRequests(); return err }); err != nil {
		return nil, err
	}
	set, now := b.rules(), b.Now()
	var mine []Pending
	for _, r := range open {
		if lines := r.Decidable(by, set, now); len(lines) > 0 {
			mine = append(mine, Pending{Asked{Request: r, Able: b.able(r)}, lines})
		}
	}
	return mine, nil
}

// mayRead refuses a request that is not for these eyes as if it did not exist.
func (b *Broker) mayRead(ctx context.Context, by org.Person, id string) error {
	var r access.Request
	if err := b.Store.View(ctx, func(tx *store.Tx) (err error) { r, err = tx.Request(id); return err }); err != nil {
		return found(err, "request", id)
	}
	if r.Concerns(by) || b.sees(by) || len(r.Decidable(by, b.rules(), b.Now())) > 0 {
		return nil
	}
	return unknown("request", id)
}

// Request reads a request, and the grants that came of it.
func (b *Broker) Request(ctx context.Context, id string) (Asked, error) {
	var asked Asked
	by, err := b.person(ctx)
	if err == nil {
		err = b.mayRead(ctx, by, id)
	}
	if err == nil {
		err = b.Store.View(ctx, func(tx *store.Tx) error {
			if asked.Request, err = tx.Request(id); err != nil {
				return err
			}
			asked.Able = b.able(asked.Request)
			asked.Grants, err = tx.GrantsOfRequest(id)
			b.lengthen(asked.Grants)
			return err
		})
	}
	if err != nil {
		return Asked{}, b.refuse(ctx, "read", audit.Subject{Kind: "request", ID: id}, found(err, "request", id))
	}
	return asked, nil
}

// Asked is a request with the grants that came of it.
type Asked struct {
	access.Request
	Grants []access.Grant
	Able   map[int]int // by the number of a pending line: how many people could approve it now and have not
}

// able counts who could approve the pending lines of a request and have not yet.
func (b *Broker) able(r access.Request) map[int]int {
	counts, set := map[int]int{}, b.rules()
	for _, l := range r.Lines {
		if l.State == access.Pending {
			more := slices.DeleteFunc(set.Approvers(l.Needs, r.Requester.ID), func(p org.Person) bool {
				return slices.ContainsFunc(l.Approvals, func(a access.Approval) bool { return a.By.ID == p.ID })
			})
			counts[l.Number] = len(more)
		}
	}
	return counts
}

// Requests lists the caller's newest requests.
func (b *Broker) Requests(ctx context.Context, most int) ([]Asked, error) {
	by, err := b.person(ctx)
	if err != nil {
		return nil, b.refuse(ctx, "requests", audit.Subject{Kind: "api"}, err)
	}
	var asked []Asked
	err = b.Store.View(ctx, func(tx *store.Tx) error {
		requests, err := tx.RequestsOf(by.ID, most)
		if err != nil {
			return err
		}
		for _, r := range requests {
			grants, err := tx.GrantsOfRequest(r.ID)
			if err != nil {
				return err
			}
			b.lengthen(grants)
			asked = append(asked, Asked{r, grants, b.able(r)})
		}
		return nil
	})
	return asked, err
}

// GrantFilter says which grants to list.
type GrantFilter struct {
	All   bool // not only the caller's own, but all that the caller may end or read
	Ended bool // also those that are over
	Most  int
}

// Grants lists grants, those of the caller unless the filter says more, the newest first.
func (b *Broker) Grants(ctx context.Context, f GrantFilter) ([]access.Grant, error) {
	by, err := b.person(ctx)
	if err != nil {
		return nil, b.refuse(ctx, "grants", audit.Subject{Kind: "api"}, err)
	}
	var grants []access.Grant
	err = b.Store.View(ctx, func(tx *store.Tx) (err error) {
		switch {
		case !f.All:
			grants, err = tx.GrantsOf(by.ID, f.Most)
		case f.Ended:
			grants, err = tx.RecentGrants(f.Most)
		default:
			grants, err = tx.LiveGrants()
			slices.Reverse(grants)
		}
		return err
	})
	grants = slices.DeleteFunc(grants, func(g access.Grant) bool {
		return !f.Ended && !g.Live() || g.MayEnd(by) != "" && !b.sees(by)
	})
	grants = grants[:min(len(grants), f.Most)]
	b.lengthen(grants)
	return grants, err
}

// lengthen has grants say how long sessions live now, where a permission set's sessions were made longer since it was asked
// for: AWS takes the length of the moment at which somebody signs in, and nobody may be told a last minute that is too early.
func (b *Broker) lengthen(grants []access.Grant) {
	set := b.rules()
	if !set.Ready() {
		return
	}
	for i := range grants {
		t := &grants[i].Target
		if s, ok := set.Organization().PermissionSet(t.PermissionSet); ok {
			t.SessionMinutes = max(t.SessionMinutes, int(s.Session.Minutes()))
		}
	}
}

// Question asks why somebody may have something, or may not.
type Question struct {
	Person string // id or user name
	Names
	Duration time.Duration // zero: the longest that there is
	Reason   string
}

// Explanation is what the rules say, and under which rule.
type Explanation struct {
	Person    org.Person
	Target    access.Place
	Decision  rules.Decision
	Approvers []string // who could approve now, by user name
}

// Why explains a decision. People may ask about themselves; about others, administrators and auditors may.
func (b *Broker) Why(ctx context.Context, q Question) (Explanation, error) {
	e, err := b.why(ctx, q)
	if err != nil {
		return e, b.refuse(ctx, "why", audit.Subject{Kind: "api"}, err)
	}
	return e, nil
}

func (b *Broker) why(ctx context.Context, q Question) (Explanation, error) {
	by, err := b.person(ctx)
	if err != nil {
		return Explanation{}, err
	}
	set, err := b.ready()
	if err != nil {
		return Explanation{}, err
	}
	m := set.Organization()
	p, ok := m.PersonNamed(q.Person)
	if p.ID != by.ID && !b.sees(by) {
		return Explanation{}, &access.Problem{Kind: access.ErrRefused, Message: fmt.Sprintf("%s may not ask about %s", by.User, q.Person), Hint: "you may ask about yourself; administrators and auditors may ask about everybody"}
	}
	if !ok {
		return Explanation{}, nameless("person", q.Person, m.Names().Users)
	}
	t, err := target(m, q.Names)
	if err != nil {
		return Explanation{}, err
	}
	reason := q.Reason
	if reason == "" {
		reason = "a question" // what is asked here is who, what and where
	}
	d := set.Judge(p, rules.Ask{Target: t, For: q.Duration, Reason: reason})
	e := Explanation{Person: p, Target: access.PlaceOf(t, m), Decision: d}
	for _, a := range set.Approvers(d.Needs, p.ID) {
		e.Approvers = append(e.Approvers, a.User)
	}
	return e, nil
}

// Status says how far Sparekey is.
type Status struct {
	Ready        bool
	MirrorReadAt time.Time // zero: never
	MirrorError  string    // why the last attempt failed
	Accounts     int
	People       int
	Rules        string // digest of the rules in force
	Now          time.Time
}

// Status is for everybody who has proved who they are.
func (b *Broker) Status(ctx context.Context) (Status, error) {
	if _, err := b.person(ctx); err != nil {
		return Status{}, b.refuse(ctx, "status", audit.Subject{Kind: "api"}, err)
	}
	s := Status{Now: b.Now()}
	if f := b.failures.Load(); f != nil {
		s.MirrorError = f.Error
	}
	set := b.rules()
	if !set.Ready() {
		return s, nil
	}
	o := set.Organization().Organization()
	s.Ready, s.MirrorReadAt, s.Rules, s.Accounts, s.People = true, o.ReadAt, set.Digest(), len(o.Accounts), len(o.People)
	return s, nil
}
