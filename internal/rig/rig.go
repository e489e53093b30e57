// Package rig puts a broker on the sandbox, for tests of what stands on it.
//
// The store is real, AWS is the sandbox over HTTP, the clock moves when the test says so, and the test itself is the lane
// ([Rig.Work], [Rig.Pass]) unless it starts a real one.
package rig

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/aws"

	"sparekey/access"
	"sparekey/audit"
	"sparekey/internal/aws"
	"sparekey/internal/awsconn"
	"sparekey/internal/broker"
	"sparekey/internal/sandbox"
	"sparekey/internal/store"
	"sparekey/org"
	"sparekey/rules"
)

const described = `
management-account: "100000000001"
accounts:
  - {id: "100000000001", name: management}
  - {id: "100000000002", name: payments-prod, ou: Workloads/Prod}
  - {id: "100000000003", name: play, ou: Sandbox}
  - {id: "100000000004", name: play-two, ou: Sandbox}
permission-sets: [{name: ReadOnly}, {name: PowerUser, session: 2h}]
groups: [ghosts, sparekey 100000000003 PowerUser]
roles: [{name: Deployer, path: /ops/, ous: [Sandbox]}]
people:
  - {user: dana, email: dana@example.com, groups: [developers]}
  - {user: eli, groups: [developers]}
  - {user: kim, groups: [approvers, developers]}
  - {user: ren, groups: [approvers]}
  - {user: amy, groups: [admins]}
  - {user: lee, groups: [admins]}
  - {user: ana, groups: [auditors]}
  - {user: finn}
`

// Book is the rules of the rig.
const Book = `
rules:
  - name: play
    who: {groups: [developers]}
    what: {permission-sets: [ReadOnly, PowerUser]}
    where: {ous: [Sandbox]}
    for: 8h
    with: {reason: optional}
    approval: {automatic: true}
  - name: prod
    who: {groups: [developers]}
    what: {permission-sets: [ReadOnly, PowerUser]}
    where: {ous: [Workloads]}
    for: 4h
    approval: {need: 1, groups: [approvers]}
`

// Start is when the rig's clock starts.
var Start = time.Date(2026, 11, 22, 3, 0, 0, 0, time.UTC)

// Rig is a broker over a real store and the sandbox, with a clock that the test moves and a lane that the test is.
type Rig struct {
	testing.TB
	Clock      *sandbox.ManualClock
	Box        *sandbox.Sandbox
	AWS        string                          // URL of whichever sandbox answers
	at         atomic.Pointer[sandbox.Sandbox] // which sandbox answers
	Store      *store.Store
	Broker     *broker.Broker
	O          org.Organization
	Log        *Log
	waits      map[string]time.Time // AWS works, and looking before is of no use
	roles      []org.Role
	Connection sdk.Config // as Sparekey's, for tests that play somebody else
	way        access.Way // of what is lived

	witness witness
	halt    atomic.Pointer[string] // why nothing may start
}

// New makes a rig on the store at an address.
func New(t testing.TB, address string, b sandbox.Behaviour) *Rig {
	t.Helper()
	return NewAt(t, Start, address, b)
}

// NewAt makes a rig whose clock starts at a time.
func NewAt(t testing.TB, start time.Time, address string, b sandbox.Behaviour) *Rig {
	t.Helper()
	o, assignments, err := org.Describe("organization.yaml", []byte(described))
	if err != nil {
		t.Fatal(err)
	}
	roles, err := org.DescribeRoles("organization.yaml", []byte(described))
	if err != nil {
		t.Fatal(err)
	}
	r := &Rig{TB: t, Clock: sandbox.NewManualClock(start), O: o, roles: roles, way: access.Assignment, Log: &Log{}, waits: map[string]time.Time{}, witness: witness{enabled: map[string]bool{}}}
	r.Sandboxed(b, assignments...)
	server := httptest.NewServer(r)
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	r.AWS = server.URL
	connection := r.Connected("sparekey")
	if r.Store, err = store.Open(t.Context(), address, store.Shared()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Store.Close)
	r.Connection = connection
	center := aws.NewCenter(connection, o.Instance, o.IdentityStore)
	r.Broker, err = broker.New(broker.Parts{
		Store: r.Store, Ways: Ways(connection, center), Directory: aws.NewDirectory(connection, center, org.StatusUnknown), Groups: aws.NewGroups(connection, center),
		Roles: broker.Roles{Administrators: who("admins"), Auditors: who("auditors")},
		Now:   r.Clock.Now, Random: rand.Reader, Log: slog.New(slog.NewTextHandler(r.Log, nil)), CallTimeout: 500 * time.Millisecond, ScansPerSecond: 10000, Halts: []func() string{r.halted},
	})
	if err != nil {
		t.Fatal(err)
	}
	r.Ruled(Book)
	if err := r.Broker.Refresh(r.As("sparekey")); err != nil {
		t.Fatal(err)
	}
	return r
}

// Connected is a connection of its own to the sandbox, by a key of the management account.
func (r *Rig) Connected(key string) sdk.Config {
	r.Helper()
	file := keyFile(r.TB, r.Box.Key(r.O.ManagementAccount, key))
	c, err := awsconn.Open(awsconn.Settings{Region: "us-east-1", Endpoint: r.AWS, Credentials: awsconn.Credentials{File: file}})
	if err != nil {
		r.Fatal(err)
	}
	return c
}

// Ways are all the ways to give access.
func Ways(c sdk.Config, center *aws.Center) map[access.Way]broker.Way {
	return map[access.Way]broker.Way{
		access.Assignment: aws.NewAssignments(c, center), access.Membership: aws.NewMemberships(c, center), access.Session: aws.NewSessions(c),
	}
}

// Sandboxed puts a fresh sandbox of the same organization behind the same address, with the same keys.
func (r *Rig) Sandboxed(b sandbox.Behaviour, assignments ...org.Assignment) {
	b.CallsPerSecond = -1 // the clock stands between calls
	r.Box = sandbox.New(sandbox.Options{Organization: r.O, Assignments: assignments, Roles: r.roles, Clock: r.Clock, Behaviour: b, Seed: 7})
	r.Box.Key(r.O.ManagementAccount, "sparekey")
	r.at.Store(r.Box)
	if r.way == access.Membership {
		r.describeLent()
	}
}

// Describe replaces the organization, and reads it.
func (r *Rig) Describe(text string, b sandbox.Behaviour) {
	r.Helper()
	o, assignments, err := org.Describe("organization.yaml", []byte(text))
	if err != nil {
		r.Fatal(err)
	}
	r.O = o
	r.Sandboxed(b, assignments...)
	if err := r.Broker.Refresh(r.As("sparekey")); err != nil {
		r.Fatal(err)
	}
}

// Log keeps what the program writes to its log.
type Log struct {
	mu   sync.Mutex
	text strings.Builder
}

// Write implements io.Writer.
func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// realDate answers with the machine's date, by which the SDK signs its next call: the sandbox's clock jumps, and a call that
// is signed by its last date would be refused and tried again.
type realDate struct{ http.ResponseWriter }

func (w realDate) WriteHeader(status int) {
	w.Header().Set("Date", time.Now().UTC().Format(http.TimeFormat))
	w.ResponseWriter.WriteHeader(status)
}

func keyFile(t testing.TB, key sandbox.Credentials) string {
	t.Helper()
	text, err := json.Marshal(key)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "key.json")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func who(group string) rules.Who {
	b, err := rules.Parse([]rules.File{{Name: "r", Text: []byte("rules: [{name: a, deny: true, who: {groups: [" + group + "]}}]")}}, time.Hour)
	if err != nil {
		panic(err)
	}
	return *b.Rules[0].Who
}

// Ruled puts rules in force, whatever was before and without asking anybody.
func (r *Rig) Ruled(text string) {
	r.Helper()
	files, cause := Files(text), audit.From(r.As("sparekey"))
	if err := r.Broker.Begin(r.As("sparekey"), files, nil); err != nil {
		r.Fatal(err)
	}
	book, err := rules.Parse(files, rules.DefaultLongest)
	if err != nil {
		r.Fatal(err)
	}
	err = r.Store.Update(r.Context(), func(tx *store.Tx) error {
		now, err := tx.BookInForce()
		if err != nil {
			return err
		}
		next, err := rules.Propose("rules-"+rand.Text(), files, book, now.Rules, rules.Effect{}, false, cause.Actor, r.Clock.Now())
		if err != nil || next.Digest == now.Digest {
			return err
		}
		over, err1 := now.Replace(cause.Actor, "by the test", r.Clock.Now())
		active, err2 := next.Activate(cause.Actor, now.Rules, r.Clock.Now())
		return errors.Join(err1, err2, tx.PutBook(next, files, cause), tx.PutBook(over, nil, cause), tx.PutBook(active, nil, cause))
	})
	if err == nil {
		err = r.Broker.Follow(r.Context())
	}
	if err != nil {
		r.Fatal(err)
	}
}

// Person is somebody of the organization, as described.
func (r *Rig) Person(user string) org.Person {
	r.Helper()
	p, ok := org.NewMirror(r.O).PersonNamed(user)
	if !ok {
		r.Fatalf("no %s", user)
	}
	return p
}

// As is a context in which a person asks; "sparekey" is the program itself.
func (r *Rig) As(user string) context.Context {
	if user == "sparekey" {
		return audit.By(r.Context(), "test")
	}
	p := r.Person(user)
	return audit.With(r.Context(), audit.Cause{Actor: audit.Actor{Kind: audit.APerson, ID: string(p.ID), Name: user, Key: "key-of-" + user}, Request: "sha256:of-" + user})
}

// Target is a permission set in an account, both by name.
func (r *Rig) Target(account, set string) org.Target {
	r.Helper()
	m := org.NewMirror(r.O)
	s, ok := m.PermissionSet(set)
	if strings.HasPrefix(set, org.RolePrefix) {
		s, ok = org.PermissionSet{ARN: set}, true
	}
	if a := m.AccountsNamed(account); ok && len(a) == 1 {
		return org.Target{Account: a[0].ID, PermissionSet: s.ARN}
	}
	r.Fatalf("no %s %s", account, set)
	return org.Target{}
}

// Assignment is a person's assignment of a target.
func (r *Rig) Assignment(user, account, set string) org.Assignment {
	return org.Assignment{Kind: org.User, Principal: string(r.Person(user).ID), Target: r.Target(account, set)}
}

// Ask asks for single targets, "account set", for half an hour.
func (r *Rig) Ask(user string, targets ...string) access.Request {
	r.Helper()
	w := broker.Wish{Duration: 30 * time.Minute, Reason: "INC-1", Key: rand.Text()}
	for _, t := range targets {
		account, set, _ := strings.Cut(t, " ")
		w.Targets = append(w.Targets, broker.Names{Account: account, PermissionSet: set})
	}
	q, err := r.Broker.Ask(r.As(user), w)
	if err != nil {
		r.Fatalf("asking: %v", err)
	}
	return q
}

// Grant reads a grant from the store.
func (r *Rig) Grant(id string) access.Grant {
	r.Helper()
	var g access.Grant
	if err := r.Store.View(r.Context(), func(tx *store.Tx) (err error) { g, err = tx.Grant(id); return err }); err != nil {
		r.Fatal(err)
	}
	return g
}

// Request reads a request from the store.
func (r *Rig) Request(id string) access.Request {
	r.Helper()
	var q access.Request
	if err := r.Store.View(r.Context(), func(tx *store.Tx) (err error) { q, err = tx.Request(id); return err }); err != nil {
		r.Fatal(err)
	}
	return q
}

// Events lists the log's events after a place.
func (r *Rig) Events(after int64) (records []store.Record) {
	r.Helper()
	if err := r.Store.View(r.Context(), func(tx *store.Tx) (err error) { records, err = tx.EventsAfter(after, 100000); return err }); err != nil {
		r.Fatal(err)
	}
	return records
}

// Head is the place of the log's newest event.
func (r *Rig) Head() (head int64) {
	r.Helper()
	if err := r.Store.View(r.Context(), func(tx *store.Tx) (err error) { head, err = tx.Head(); return err }); err != nil {
		r.Fatal(err)
	}
	return head
}

// Work does what is due now, as the lane does, until nothing is or AWS needs time.
func (r *Rig) Work() {
	r.Helper()
	for range 200 {
		var due []access.Grant
		now := r.Clock.Now()
		if err := r.Store.View(r.Context(), func(tx *store.Tx) (err error) { due, err = tx.DueGrants(now, 100); return err }); err != nil {
			r.Fatal(err)
		}
		due = slices.DeleteFunc(due, func(g access.Grant) bool { return r.waits[g.ID].After(now) })
		if len(due) == 0 {
			return
		}
		for _, g := range due {
			wait, err := r.Broker.Carry(r.Context(), g.ID)
			if err != nil && !errors.Is(err, context.Canceled) {
				r.Fatalf("carrying %s: %v", g.ID, err)
			}
			r.waits[g.ID] = now.Add(wait)
		}
	}
	r.Fatal("the work does not end")
}

// Next moves the clock to the next moment at which something is to be done, but not by more than most, and does it.
func (r *Rig) Next(most time.Duration) {
	r.Helper()
	now := r.Clock.Now()
	at := now.Add(most)
	var due time.Time
	if err := r.Store.View(r.Context(), func(tx *store.Tx) (err error) { due, err = tx.NextDue(now); return err }); err != nil {
		r.Fatal(err)
	}
	if !due.IsZero() && due.Before(at) {
		at = due
	}
	for _, wait := range r.waits {
		if wait.After(now) && wait.Before(at) {
			at = wait
		}
	}
	r.Clock.Advance(max(at.Sub(now), time.Millisecond))
	r.Work()
}

// Pass lets time go by, doing everything at its moment.
func (r *Rig) Pass(d time.Duration, watch ...func()) {
	r.Helper()
	for until := r.Clock.Now().Add(d); r.Clock.Now().Before(until); {
		r.Next(until.Sub(r.Clock.Now()))
		for _, w := range watch {
			w()
		}
	}
}

// Become passes time until the grant is in a state; it must be within most.
func (r *Rig) Become(id string, state access.GrantState, most time.Duration, watch ...func()) access.Grant {
	r.Helper()
	until := r.Clock.Now().Add(most)
	r.Work()
	for {
		g := r.Grant(id)
		if g.State == state {
			return g
		}
		if !r.Clock.Now().Before(until) {
			r.Fatalf("after %s %s is %s, not %s: %s", most, id, g.State, state, Story(g))
		}
		r.Next(until.Sub(r.Clock.Now()))
		for _, w := range watch {
			w()
		}
	}
}

// Story writes a grant for whoever reads a failure.
func Story(g access.Grant) string {
	text, err := json.Marshal(g)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// Chained checks that every change of a subject has its event: each begins where the one before ended, and the row is what
// the last one says.
func (r *Rig) Chained(id string, row any) {
	r.Helper()
	kind := "grant"
	if strings.HasPrefix(id, "req-") {
		kind = "request"
	}
	var records []store.Record
	if err := r.Store.View(r.Context(), func(tx *store.Tx) (err error) {
		records, err = tx.EventsOf(audit.Subject{Kind: kind, ID: id})
		return err
	}); err != nil {
		r.Fatal(err)
	}
	var last *audit.Image
	for _, e := range records {
		if e.After == nil {
			continue // a refusal changes nothing
		}
		if (last == nil) != (e.Before == nil) || last != nil && (e.Before.Digest != last.Digest || e.After.Version != last.Version+1) {
			r.Fatalf("%s: the event %s does not follow on the one before", id, e.Kind)
		}
		last = e.After
	}
	digest, err := audit.Digest(row)
	if err != nil || last == nil || last.Digest != digest {
		r.Fatalf("%s is not what its last event says: %v", id, err)
	}
}

// Files is a folder with one file of rules.
func Files(text string) []rules.File { return []rules.File{{Name: "rules.yaml", Text: []byte(text)}} }

// Says makes the identity store say something of a person.
func (r *Rig) Says(user string, status org.Status) {
	r.Helper()
	id := r.Person(user).ID
	if err := r.Box.Change(func(d *sandbox.Directory) error { return d.SetStatus(id, status) }); err != nil {
		r.Fatal(err)
	}
}

// Group is the id of a group.
func (r *Rig) Group(name string) org.GroupID {
	r.Helper()
	g, ok := org.NewMirror(r.O).Group(name)
	if !ok {
		r.Fatalf("no group %s", name)
	}
	return g.ID
}
