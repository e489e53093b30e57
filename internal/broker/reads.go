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
	err = b.view(ctx, func(_ *store.Tx, set rules.Set) error {
		offers, next, err = f.page(set, by)
		return err
	})
	if err != nil {
		return nil, "", b.refuse(ctx, "list", audit.Subject{Kind: "api"}, err)
	}
	return offers, next, nil
}

func (f OfferFilter) page(set rules.Set, by org.Person) (offers []rules.Offer, next string, err error) {
	search := rules.Search{Account: f.Account, PermissionSet: f.PermissionSet}
	if f.After != "" {
		account, name, _ := strings.Cut(f.After, "/")
		if _, ok := set.Organization().Account(org.AccountID(account)); !ok {
			return nil, "", &access.Problem{Kind: access.ErrInvalid, Message: "the page is not there any more", Hint: "begin at the first page"}
		}
		search.After = rules.Spot{Account: org.AccountID(account), PermissionSet: name}
	}
	for o := range set.Find(by, search) {
		if len(offers) == f.Limit {
			last := offers[len(offers)-1]
			return offers, string(last.Account.ID) + "/" + last.PermissionSet.Name, nil
		}
		offers = append(offers, o)
	}
	return offers, "", nil
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
	var mine []Pending
	err = b.view(ctx, func(tx *store.Tx, set rules.Set) error {
		open, err := tx.OpenRequests()
		if err != nil {
			return err
		}
		for _, r := range open {
			if lines := r.Decidable(by, b.believing(set, r), b.Now()); len(lines) > 0 {
				mine = append(mine, Pending{Asked{Request: r, Able: able(set, r)}, lines})
			}
		}
		return nil
	})
	return mine, err
}

// believing supposes that tickets which were right when they were asked about last still are: lists do not ask about every
// ticket, the click does.
func (b *Broker) believing(set rules.Set, r access.Request) rules.Set { return set.Believing(r.Ticket) }

// mayRead refuses a request that is not for these eyes as if it did not exist.
func (b *Broker) mayRead(ctx context.Context, by org.Person, id string) error {
	return b.view(ctx, func(tx *store.Tx, set rules.Set) error {
		r, err := tx.Request(id)
		if err != nil {
			return found(err, "request", id)
		}
		if r.Concerns(by) || b.sees(by) || len(r.Decidable(by, b.believing(set, r), b.Now())) > 0 {
			return nil
		}
		return unknown("request", id)
	})
}

// Request reads a request, and the grants that came of it.
func (b *Broker) Request(ctx context.Context, id string) (Asked, error) {
	var asked Asked
	by, err := b.person(ctx)
	if err == nil {
		err = b.mayRead(ctx, by, id)
	}
	if err == nil {
		err = b.view(ctx, func(tx *store.Tx, set rules.Set) error {
			if asked.Request, err = tx.Request(id); err != nil {
				return err
			}
			asked.Able = able(set, asked.Request)
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

// able counts who could approve the pending lines of a request now.
func able(set rules.Set, r access.Request) map[int]int {
	counts := map[int]int{}
	for _, l := range r.Lines {
		if l.State == access.Pending {
			counts[l.Number] = len(set.Approvers(r.Case(l)))
		}
	}
	return counts
}

// Requests lists the caller's requests from a place on, the newest first.
func (b *Broker) Requests(ctx context.Context, from Page, most int) ([]Asked, error) {
	by, err := b.person(ctx)
	if err != nil {
		return nil, b.refuse(ctx, "requests", audit.Subject{Kind: "api"}, err)
	}
	var asked []Asked
	err = b.view(ctx, func(tx *store.Tx, set rules.Set) error {
		requests, err := tx.RequestsBefore(by.ID, from, most)
		if err != nil {
			return err
		}
		for _, r := range requests {
			grants, err := tx.GrantsOfRequest(r.ID)
			if err != nil {
				return err
			}
			b.lengthen(grants)
			asked = append(asked, Asked{r, grants, able(set, r)})
		}
		return nil
	})
	return asked, err
}

// Page says where a listing goes on: after the entry of this time and id; the zero Page is the beginning.
type Page = store.Page

// GrantFilter says which grants to list.
type GrantFilter struct {
	All   bool // not only the caller's own, but all that the caller may end or read
	Ended bool // also those that are over
	From  Page
	Most  int
}

// Grants lists grants, those of the caller unless the filter says more, the newest first. next is the place of the next page.
func (b *Broker) Grants(ctx context.Context, f GrantFilter) (grants []access.Grant, next Page, err error) {
	by, err := b.person(ctx)
	if err != nil {
		return nil, next, b.refuse(ctx, "grants", audit.Subject{Kind: "api"}, err)
	}
	shown := func(g access.Grant) bool {
		return (f.Ended || g.Live()) && (f.All || g.Person.ID == by.ID) && (g.MayEnd(by) == "" || b.sees(by))
	}
	err = b.Store.View(ctx, func(tx *store.Tx) (err error) {
		some := func(from Page, most int) ([]access.Grant, error) { return tx.GrantsBefore(by.ID, from, most) }
		switch {
		case f.All && f.Ended:
			some = func(from Page, most int) ([]access.Grant, error) { return tx.GrantsBefore("", from, most) }
		case f.All:
			some = tx.LiveGrantsBefore
		}
		grants, next, err = f.page(some, shown)
		return err
	})
	b.lengthen(grants)
	return grants, next, err
}

// KeptBy lists the other grants of the same access that go on: what one of them gives stays when g ends. Where that cannot be
// read it says so in the log, and lists none: g has ended all the same.
func (b *Broker) KeptBy(ctx context.Context, g access.Grant) (kept []access.Grant) {
	err := b.Store.View(ctx, func(tx *store.Tx) error {
		all, err := tx.GrantsOfKey(g.Key())
		kept = slices.DeleteFunc(all, func(o access.Grant) bool { return o.ID == g.ID || o.End != nil || !o.Live() })
		return err
	})
	if err != nil {
		b.Log.Error("what keeps an access that was ended could not be read", "grant", g.ID, "error", err)
		return nil
	}
	b.lengthen(kept)
	return kept
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

// Of everybody's grants so many are read at once, and so many are looked through for one page.
const (
	grantsAtOnce = 500
	grantsLooked = 10_000
)

// page looks for a page of those that are shown to the caller. The place of the next one is that of a grant that is shown, or
// names none: it must not tell of one that is not for these eyes.
func (f GrantFilter) page(read func(from Page, most int) ([]access.Grant, error), shown func(access.Grant) bool) (grants []access.Grant, next Page, err error) {
	most, from := max(f.Most, grantsAtOnce), f.From
	for looked := 0; ; {
		some, err := read(from, most)
		if err != nil {
			return nil, Page{}, err
		}
		for _, g := range some {
			if from = (Page{At: g.ApprovedAt, ID: g.ID}); !shown(g) {
				continue
			}
			if grants = append(grants, g); len(grants) == f.Most {
				return grants, from, nil
			}
		}
		looked += len(some)
		switch {
		case len(some) < most:
			return grants, Page{}, nil
		case looked >= grantsLooked:
			return grants, Page{At: from.At, ID: afterEveryGrant}, nil
		}
	}
}

// afterEveryGrant comes after the id of every grant.
const afterEveryGrant = "g-zzzzzzz"

// Question asks why somebody may have something, or may not.
type Question struct {
	Person string // id or user name
	Names
	Duration time.Duration // zero: the longest that there is
	Reason   string
	Ticket   string
	Start    time.Time // zero: now
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
	ask := rules.Ask{Target: t, For: q.Duration, Reason: reason, Ticket: q.Ticket, Start: q.Start}
	f := b.heard(ctx)
	if err := b.question(by.ID, ask.Ticket); err != nil {
		return Explanation{}, err
	}
	b.ticketed(ctx, &f, p, ask)
	var e Explanation
	err = b.Store.View(ctx, func(tx *store.Tx) error {
		set, err := b.at(tx, f)
		if err != nil {
			return err
		}
		e = Explanation{Person: p, Target: access.PlaceOf(t, m), Decision: set.Judge(p, ask)}
		about := rules.Case{Needs: e.Decision.Needs, Requester: p.ID, Asked: f.Now, Sensitive: e.Decision.Sensitive}
		for _, a := range set.Approvers(about) {
			e.Approvers = append(e.Approvers, a.User)
		}
		return nil
	})
	return e, err
}

// Status says how far Sparekey is.
type Status struct {
	Ready         bool
	MirrorReadAt  time.Time // zero: never
	MirrorError   string    // why the last attempt failed
	Accounts      int
	People        int
	Rules         string // digest of the rules in force
	Book          string // digest of their files
	FolderDiffers bool   // whether the configuration's folder said something else at the start
	Halted        string // why nothing may start; empty: it may
	Now           time.Time
}

// Status is for everybody who has proved who they are.
func (b *Broker) Status(ctx context.Context) (Status, error) {
	if _, err := b.person(ctx); err != nil {
		return Status{}, b.refuse(ctx, "status", audit.Subject{Kind: "api"}, err)
	}
	s := Status{Now: b.Now(), FolderDiffers: b.folderDiffers(), Halted: b.halt(ctx)}
	if current := b.current.Load(); current != nil {
		s.Rules, s.Book = current.Rules, current.Digest
	}
	if f := b.failures.Load(); f != nil {
		s.MirrorError = f.Error
	}
	set := b.rules()
	if !set.Ready() {
		return s, nil
	}
	o := set.Organization().Organization()
	s.Ready, s.MirrorReadAt, s.Accounts, s.People = true, o.ReadAt, len(o.Accounts), len(o.People)
	return s, nil
}
