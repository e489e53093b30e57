package broker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"sparekey/access"
	"sparekey/audit"
	"sparekey/internal/store"
	"sparekey/org"
	"sparekey/rules"
)

// Way gives access in AWS, takes it away, and says what is there. Every method makes one call (a listing or a search may
// page) and reports one of the errors that package access names. Retrying is not its business.
type Way interface {
	// Assigned reports whether AWS lists the access.
	Assigned(ctx context.Context, k access.Key) (bool, error)
	// Create asks AWS to give it. AWS does so later; what is returned may already be over.
	Create(ctx context.Context, k access.Key) (access.Seen, error)
	// Creation says how a create goes on; [access.ErrMissing] when AWS does not know it any more.
	Creation(ctx context.Context, id string) (access.Seen, error)
	// Creations lists creates of the access by anybody, those that began since a time or are still under way.
	Creations(ctx context.Context, k access.Key, since time.Time) ([]access.Seen, error)
	// Delete asks AWS to take it away.
	Delete(ctx context.Context, k access.Key) (access.Seen, error)
	// Deletion says how a delete goes on.
	Deletion(ctx context.Context, id string) (access.Seen, error)
}

// Directory is where people and the organization are read from.
type Directory interface {
	// Person reads one person live. Somebody the directory does not know is returned with [org.StatusRemoved], not as an error.
	Person(ctx context.Context, id org.PersonID) (org.Person, error)
	// Organization reads everything. It may take minutes.
	Organization(ctx context.Context) (org.Organization, error)
}

// Promises keeps what is promised for later.
type Promises interface {
	// Promise leaves promises in the transaction that made them.
	Promise(tx *store.Tx, promises []access.Promise) error
	// Wake says that grants have changed, so that what is due is looked for now.
	Wake()
	// Holds reports whether the lane is still this process's: nobody else changes grants in AWS.
	Holds() bool
}

// Roles are the people who may do more than ask and approve. They are part of the configuration.
type Roles struct {
	Administrators rules.Who // may end every grant, read everything and change the rules
	Security       rules.Who // may end every grant and read everything
	Auditors       rules.Who // may read everything
}

// Parts is what a broker is made of.
type Parts struct {
	Store     *store.Store
	Ways      map[access.Way]Way
	Directory Directory
	Roles     Roles
	Now       func() time.Time
	Random    io.Reader
	Log       *slog.Logger
	Tickets   Tickets // nil: no service checks tickets
	Rota      Rota    // nil: nobody knows who is on call
	Groups    Groups  // nil: nothing can be prepared to be lent by membership
	Meter     Meter   // nil: nobody counts

	KillPolicy KillSettings // without a policy, no session kills are sent

	Quota          access.Quota  // for estimates; [access.TypicalQuota] where it is zero
	Enforce        Enforcement   // what the reconciler takes away; nothing unless it is chosen
	ScansPerSecond float64       // calls with which what is given in AWS is read in the background; zero means 2
	Management     bool          // whether a way of its own leads into the management account; without one it is not lent
	PerHour        int           // requests of one person in an hour; zero means 100
	Longest        time.Duration // that a rule may give. Zero means [rules.DefaultLongest].
	CallTimeout    time.Duration // of one call of AWS; shorter than the lease under which it is made. Zero means 10 s.

	Ledger LedgerSettings // without a place, what must end is in the database only

	// Halts say why nothing may start now, or nothing. They are asked often, and their words stay the same as long as the
	// reason does. Ends never ask them.
	Halts []func() string
}

// Broker is the one door. Its methods may be called by any number of goroutines.
type Broker struct {
	Parts
	holder   string // our name on leases
	promises Promises

	changing  sync.Mutex // of what is in force
	book      *rules.Book
	current   atomic.Pointer[rules.Proposal] // the book in force, as the store has it
	folder    atomic.Pointer[string]         // digest of the files of the configuration's folder, as it was at the start
	seen      store.MirrorHead
	inForce   atomic.Pointer[rules.Set]
	roles     atomic.Pointer[boundRoles]
	failures  atomic.Pointer[mirrorFailure]
	looked    *rules.Book // what was checked last, and in which organization
	lookedAt  *org.Mirror
	wrongs    atomic.Pointer[string] // what that found
	refused   refusals
	shifts    shifts
	throttles atomic.Int64  // how often AWS said that it was asked too much
	questions tally         // about tickets
	vain      tally         // requests that were refused
	looks     *rate.Limiter // of people who are looked up in the background
	scans     *rate.Limiter // of what is listed in the background
	confirmed sync.Map      // by target of live grants: when it was looked at

	halting sync.Mutex
	halts   string // why nothing may start, as it was last said

	ledger    ledger
	killing   killing
	intruders sync.Map // by anchor: who was last found in it

	telling sync.Mutex
	changed chan struct{}
}

const (
	leaseTime   = 30 * time.Second
	callTimeout = 10 * time.Second
	perHour     = 100

	lookUpsPerSecond = 5 // in the background; each is two calls of the identity store
	scansPerSecond   = 2 // of the 20 calls that Identity Center lets everybody together make
)

// New makes a broker. Its rules are set by [Broker.Begin]; until then, and until an organization is there, it refuses.
func New(p Parts) (*Broker, error) {
	if p.CallTimeout == 0 {
		p.CallTimeout = callTimeout
	}
	if p.Quota == (access.Quota{}) {
		p.Quota = access.TypicalQuota
	}
	if p.ScansPerSecond == 0 {
		p.ScansPerSecond = scansPerSecond
	}
	if p.PerHour == 0 {
		p.PerHour = perHour
	}
	if p.Longest == 0 {
		p.Longest = rules.DefaultLongest
	}
	if p.Meter == nil {
		p.Meter = uncounted{}
	}
	if p.CallTimeout >= leaseTime {
		return nil, fmt.Errorf("a call of AWS may take %s, which is not shorter than its lease of %s", p.CallTimeout, leaseTime)
	}
	b := &Broker{Parts: p, promises: nobody{}, changed: make(chan struct{}), looks: rate.NewLimiter(lookUpsPerSecond, lookUpsPerSecond)}
	b.scans = rate.NewLimiter(rate.Limit(p.ScansPerSecond), max(int(p.ScansPerSecond), 1))
	b.holder = b.newID("holder")
	b.inForce.Store(&rules.Set{})
	b.roles.Store(&boundRoles{})
	return b, nil
}

// nobody keeps no promises. It stands in until those who keep them are there.
type nobody struct{}

func (nobody) Promise(*store.Tx, []access.Promise) error { return nil }
func (nobody) Wake()                                     {}
func (nobody) Holds() bool                               { return true }

// Keep says who keeps promises from now on. It is called once, before anything else.
func (b *Broker) Keep(p Promises) { b.promises = p }

// alphabet has no letters that look like digits, and none that read aloud as another.
const alphabet = "0123456789abcdefghjkmnpqrstvwxyz"

// newID makes an id such as req-7k2m9x: short enough to read aloud and to travel in a session's name.
func (b *Broker) newID(kind string) string {
	random := make([]byte, 6)
	if _, err := io.ReadFull(b.Random, random); err != nil {
		panic("reading randomness: " + err.Error()) // there is nothing that can be done without it
	}
	for i := range random {
		random[i] = alphabet[random[i]%32]
	}
	return kind + "-" + string(random)
}

// ManagementAccount is which account that is; empty until the organization was read.
func (b *Broker) ManagementAccount() org.AccountID {
	if set := b.rules(); set.Ready() {
		return set.Organization().Organization().ManagementAccount
	}
	return ""
}

// rules returns what decisions are taken with at this moment.
func (b *Broker) rules() rules.Set { return *b.inForce.Load() }

// update runs a change in the store's transaction, leaves its promises there, and wakes who keeps them.
func (b *Broker) update(ctx context.Context, decide func(tx *store.Tx) (access.Change, error)) (access.Change, error) {
	var done access.Change
	err := b.Store.Update(ctx, func(tx *store.Tx) error {
		c, err := decide(tx)
		if err != nil {
			return err
		}
		if err := tx.Apply(c, audit.From(ctx)); err != nil {
			return err
		}
		done = c
		return b.promises.Promise(tx, c.Promises)
	})
	if err != nil {
		return access.Change{}, err
	}
	b.report(done)
	b.Meter.Changed(done)
	if len(done.Grants) > 0 {
		b.promises.Wake()
	}
	if len(done.Events) > 0 {
		b.tell()
	}
	return done, nil
}

// Changed returns a channel that is closed when this process next changes a request or a grant. Other replicas' changes do
// not show here: who waits looks again from time to time as well.
func (b *Broker) Changed() <-chan struct{} {
	b.telling.Lock()
	defer b.telling.Unlock()
	return b.changed
}

func (b *Broker) tell() {
	b.telling.Lock()
	defer b.telling.Unlock()
	close(b.changed)
	b.changed = make(chan struct{})
}

// report writes to the log what a person must come to know, until there is somebody to tell.
func (b *Broker) report(c access.Change) {
	for _, g := range c.Grants {
		about := []any{"grant", g.ID, "person", g.Person.User, "account", g.Target.AccountName, "permissionSet", g.Target.PermissionSetName}
		switch g.State {
		case access.Stuck:
			if slices.ContainsFunc(c.Events, func(e audit.Event) bool { return e.Kind == "grant.stuck" && e.Subject.ID == g.ID }) {
				b.Log.Error("AWS has not confirmed a grant for ten minutes; it is being tried on", append(about, "ending", g.End != nil, "trouble", g.Trouble)...)
			}
		case access.Failed:
			b.Log.Error("a grant failed", append(about, "why", g.Failure)...)
		case access.Waiting, access.Granting, access.Active, access.Ending, access.Ended, access.Verified:
		}
	}
}

// person returns who the caller is. Only people pass; what Sparekey does by itself does not come through here.
func (b *Broker) person(ctx context.Context) (org.Person, error) {
	actor := audit.From(ctx).Actor
	if actor.Kind != audit.APerson {
		return org.Person{}, &access.Problem{Kind: access.ErrRefused, Message: "nobody has proved who asks"}
	}
	set := b.rules()
	if !set.Ready() {
		return org.Person{ID: org.PersonID(actor.ID), User: actor.Name}, nil
	}
	p, ok := set.Organization().Person(org.PersonID(actor.ID))
	switch {
	case !ok:
		return p, &access.Problem{Kind: access.ErrRefused, Message: fmt.Sprintf("the directory does not know the person %s", actor.ID)}
	case p.Status.Gone():
		return p, &access.Problem{Kind: access.ErrRefused, Message: fmt.Sprintf("%s is %s in the directory", p.User, p.Status)}
	}
	return p, nil
}

// Known reports whether the organization has been read. [Broker.Changed] tells when it is.
func (b *Broker) Known() bool { return b.rules().Ready() }

// ready refuses what cannot be decided before the organization was read for the first time.
func (b *Broker) ready() (rules.Set, error) {
	set := b.rules()
	if set.Ready() {
		return set, nil
	}
	problem := &access.Problem{Kind: access.ErrUnavailable, Message: "the organization has not been read from AWS yet", Hint: "try again in a moment; `sparekey status` shows how far it is"}
	if f := b.failures.Load(); f != nil {
		problem.Message += ": " + f.Error
	}
	return set, problem
}

// found turns the store's "not there" into what a person is told.
func found(err error, kind, id string) error {
	switch {
	case errors.Is(err, store.ErrNotFound):
		return unknown(kind, id)
	case errors.Is(err, store.ErrChanged):
		return &access.Problem{Kind: access.ErrOver, Message: fmt.Sprintf("%s %s was changed by somebody else at the same moment", kind, id), Hint: "look at it again"}
	}
	return err
}

func unknown(kind, id string) error {
	hint := "`sparekey requests` lists what you asked for, `sparekey approvals` what you may decide"
	switch kind {
	case "grant":
		hint = "`sparekey grants --all` lists the grants that you may see"
	case "review":
		hint = "`sparekey reviews` lists what waits for you, and what is about you"
	case "stop":
		hint = "`sparekey stops` lists them"
	case "favourite":
		hint = "`sparekey access favourites` lists what you have kept"
	}
	return &access.Problem{Kind: access.ErrUnknown, Message: fmt.Sprintf("there is no %s %s for you", kind, id), Hint: hint}
}
