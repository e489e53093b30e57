package broker_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"sparekey/access"
	"sparekey/audit"
	"sparekey/internal/aws"
	"sparekey/internal/awsconn"
	"sparekey/internal/broker"
	"sparekey/internal/judge"
	"sparekey/internal/sandbox"
	"sparekey/internal/store"
	"sparekey/org"
	"sparekey/rules"
)

const organization = `
management-account: "100000000001"
accounts:
  - {id: "100000000001", name: management}
  - {id: "100000000002", name: payments-prod, ou: Workloads/Prod}
  - {id: "100000000003", name: play, ou: Sandbox}
  - {id: "100000000004", name: play-two, ou: Sandbox}
permission-sets: [{name: ReadOnly}, {name: PowerUser, session: 2h}]
groups: [ghosts]
people:
  - {user: dana, groups: [developers]}
  - {user: eli, groups: [developers]}
  - {user: kim, groups: [approvers, developers]}
  - {user: ren, groups: [approvers]}
  - {user: amy, groups: [admins]}
  - {user: ana, groups: [auditors]}
  - {user: finn}
`

const book = `
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

var start = time.Date(2026, 11, 22, 3, 0, 0, 0, time.UTC)

// rig is a broker over a real store and the sandbox, with a clock that the test moves and a lane that the test is.
type rig struct {
	testing.TB
	clock  *sandbox.ManualClock
	box    *sandbox.Sandbox
	at     atomic.Pointer[sandbox.Sandbox] // which sandbox answers
	store  *store.Store
	broker *broker.Broker
	o      org.Organization
	log    *strings.Builder
	waits  map[string]time.Time // AWS works, and looking before is of no use
}

// engines are the databases that behaviour is shown on.
var engines = map[string]func(testing.TB) string{
	"SQLite":     func(t testing.TB) string { return "sqlite:" + filepath.Join(t.TempDir(), "s.db") },
	"PostgreSQL": func(t testing.TB) string { return judge.Postgres(t) },
}

func onBoth(t *testing.T, test func(t *testing.T, r *rig)) {
	for name, address := range engines {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, newRig(t, address(t), sandbox.Behaviour{}))
		})
	}
}

func newRig(t testing.TB, address string, b sandbox.Behaviour) *rig {
	t.Helper()
	o, assignments, err := org.Describe("organization.yaml", []byte(organization))
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{TB: t, clock: sandbox.NewManualClock(start), o: o, log: &strings.Builder{}, waits: map[string]time.Time{}}
	r.sandboxed(b, assignments...)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) { r.at.Load().ServeHTTP(realDate{w}, q) }))
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	key := r.box.Key(o.ManagementAccount, "sparekey")
	connection, err := awsconn.Open(awsconn.Settings{Region: "us-east-1", Endpoint: server.URL, Credentials: awsconn.Credentials{File: keyFile(t, key)}})
	if err != nil {
		t.Fatal(err)
	}
	if r.store, err = store.Open(t.Context(), address); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.store.Close)
	center := aws.NewCenter(connection, o.Instance, o.IdentityStore)
	r.broker, err = broker.New(broker.Parts{
		Store: r.store, Ways: map[access.Way]broker.Way{access.Assignment: aws.NewAssignments(connection, center)}, Directory: aws.NewDirectory(connection, center, org.StatusUnknown),
		Roles: broker.Roles{Administrators: who("admins"), Auditors: who("auditors")},
		Now:   r.clock.Now, Random: rand.Reader, Log: slog.New(slog.NewTextHandler(r.log, nil)), CallTimeout: 500 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	r.ruled(book)
	if err := r.broker.Refresh(r.as("sparekey")); err != nil {
		t.Fatal(err)
	}
	return r
}

// sandboxed puts a fresh sandbox of the same organization behind the same address, with the same keys.
func (r *rig) sandboxed(b sandbox.Behaviour, assignments ...org.Assignment) {
	b.CallsPerSecond = -1 // the clock stands between calls
	r.box = sandbox.New(sandbox.Options{Organization: r.o, Assignments: assignments, Clock: r.clock, Behaviour: b, Seed: 7})
	r.box.Key(r.o.ManagementAccount, "sparekey")
	r.at.Store(r.box)
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

func (r *rig) ruled(text string) {
	r.Helper()
	b, err := rules.Parse([]rules.File{{Name: "rules.yaml", Text: []byte(text)}}, rules.DefaultLongest)
	if err == nil {
		err = r.broker.Enforce(r.as("sparekey"), b)
	}
	if err != nil {
		r.Fatal(err)
	}
}

func (r *rig) person(user string) org.Person {
	r.Helper()
	p, ok := org.NewMirror(r.o).PersonNamed(user)
	if !ok {
		r.Fatalf("no %s", user)
	}
	return p
}

// as is a context in which a person asks; "sparekey" is the program itself.
func (r *rig) as(user string) context.Context {
	if user == "sparekey" {
		return audit.By(r.Context(), "test")
	}
	p := r.person(user)
	return audit.With(r.Context(), audit.Cause{Actor: audit.Actor{Kind: audit.APerson, ID: string(p.ID), Name: user, Key: "key-of-" + user}, Request: "sha256:of-" + user})
}

func (r *rig) target(account, set string) org.Target {
	r.Helper()
	m := org.NewMirror(r.o)
	s, ok := m.PermissionSet(set)
	if a := m.AccountsNamed(account); ok && len(a) == 1 {
		return org.Target{Account: a[0].ID, PermissionSet: s.ARN}
	}
	r.Fatalf("no %s %s", account, set)
	return org.Target{}
}

func (r *rig) assignment(user, account, set string) org.Assignment {
	return org.Assignment{Kind: org.User, Principal: string(r.person(user).ID), Target: r.target(account, set)}
}

// ask asks for single targets, "account set", for half an hour.
func (r *rig) ask(user string, targets ...string) access.Request {
	r.Helper()
	w := broker.Wish{Duration: 30 * time.Minute, Reason: "INC-1", Key: rand.Text()}
	for _, t := range targets {
		account, set, _ := strings.Cut(t, " ")
		w.Targets = append(w.Targets, broker.Names{Account: account, PermissionSet: set})
	}
	q, err := r.broker.Ask(r.as(user), w)
	if err != nil {
		r.Fatalf("asking: %v", err)
	}
	return q
}

func (r *rig) grant(id string) access.Grant {
	r.Helper()
	var g access.Grant
	if err := r.store.View(r.Context(), func(tx *store.Tx) (err error) { g, err = tx.Grant(id); return err }); err != nil {
		r.Fatal(err)
	}
	return g
}

func (r *rig) request(id string) access.Request {
	r.Helper()
	var q access.Request
	if err := r.store.View(r.Context(), func(tx *store.Tx) (err error) { q, err = tx.Request(id); return err }); err != nil {
		r.Fatal(err)
	}
	return q
}

// events lists the kinds of the log's events after a place.
func (r *rig) events(after int64) (records []store.Record) {
	r.Helper()
	if err := r.store.View(r.Context(), func(tx *store.Tx) (err error) { records, err = tx.EventsAfter(after, 100000); return err }); err != nil {
		r.Fatal(err)
	}
	return records
}

func (r *rig) head() (head int64) {
	r.Helper()
	if err := r.store.View(r.Context(), func(tx *store.Tx) (err error) { head, err = tx.Head(); return err }); err != nil {
		r.Fatal(err)
	}
	return head
}

// work does what is due now, as the lane does, until nothing is or AWS needs time.
func (r *rig) work() {
	r.Helper()
	for range 200 {
		var due []access.Grant
		now := r.clock.Now()
		if err := r.store.View(r.Context(), func(tx *store.Tx) (err error) { due, err = tx.DueGrants(now, 100); return err }); err != nil {
			r.Fatal(err)
		}
		due = slices.DeleteFunc(due, func(g access.Grant) bool { return r.waits[g.ID].After(now) })
		if len(due) == 0 {
			return
		}
		for _, g := range due {
			wait, err := r.broker.Carry(r.Context(), g.ID)
			if err != nil && !errors.Is(err, context.Canceled) {
				r.Fatalf("carrying %s: %v", g.ID, err)
			}
			r.waits[g.ID] = now.Add(wait)
		}
	}
	r.Fatal("the work does not end")
}

// next moves the clock to the next moment at which something is to be done, but not by more than most, and does it.
func (r *rig) next(most time.Duration) {
	r.Helper()
	now := r.clock.Now()
	at := now.Add(most)
	var due time.Time
	if err := r.store.View(r.Context(), func(tx *store.Tx) (err error) { due, err = tx.NextDue(now); return err }); err != nil {
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
	r.clock.Advance(max(at.Sub(now), time.Millisecond))
	r.work()
}

// pass lets time go by, doing everything at its moment.
func (r *rig) pass(d time.Duration, watch ...func()) {
	r.Helper()
	for until := r.clock.Now().Add(d); r.clock.Now().Before(until); {
		r.next(until.Sub(r.clock.Now()))
		for _, w := range watch {
			w()
		}
	}
}

// become passes time until the grant is in a state; it must be within most.
func (r *rig) become(id string, state access.GrantState, most time.Duration, watch ...func()) access.Grant {
	r.Helper()
	until := r.clock.Now().Add(most)
	r.work()
	for {
		g := r.grant(id)
		if g.State == state {
			return g
		}
		if !r.clock.Now().Before(until) {
			r.Fatalf("after %s %s is %s, not %s: %s", most, id, g.State, state, story(g))
		}
		r.next(until.Sub(r.clock.Now()))
		for _, w := range watch {
			w()
		}
	}
}

func story(g access.Grant) string {
	text, err := json.Marshal(g)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// chained checks that every change of a subject has its event: each begins where the one before ended, and the row is what
// the last one says.
func (r *rig) chained(id string, row any) {
	r.Helper()
	kind := "grant"
	if strings.HasPrefix(id, "req-") {
		kind = "request"
	}
	var records []store.Record
	if err := r.store.View(r.Context(), func(tx *store.Tx) (err error) {
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

// calls lists the operations that the sandbox was asked for, with "!" before those that failed.
func (r *rig) calls() []string {
	var all []string
	for _, c := range r.box.Calls() {
		name := c.Operation
		if c.Code != "" || c.Status != http.StatusOK {
			name = fmt.Sprintf("!%s", name)
		}
		all = append(all, name)
	}
	return all
}

func parse(t testing.TB, text string) *rules.Book {
	t.Helper()
	b, err := rules.Parse([]rules.File{{Name: "rules.yaml", Text: []byte(text)}}, rules.DefaultLongest)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
