package api

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sparekey/access"
	"sparekey/audit"
	"sparekey/internal/api/client"
	"sparekey/internal/aws"
	"sparekey/internal/awsconn"
	"sparekey/internal/broker"
	"sparekey/internal/jobs"
	"sparekey/internal/sandbox"
	"sparekey/internal/store"
	"sparekey/org"
	"sparekey/rules"
)

const organization = `
management-account: "100000000001"
accounts:
  - {id: "100000000001", name: management}
  - {id: "100000000002", name: payments-prod, ou: Workloads/Prod, tags: {env: prod, team: payments}}
  - {id: "100000000003", name: shop-prod, ou: Workloads/Prod, tags: {env: prod}}
  - {id: "100000000004", name: play, ou: Sandbox}
permission-sets:
  - {name: ReadOnly, session: 1h, description: Look but do not touch}
  - {name: PowerUser, session: 2h}
  - {name: Admin}
people:
  - {user: dana, groups: [developers]}
  - {user: lena, groups: [developers]}
  - {user: kim, groups: [developers, approvers]}
  - {user: ren, groups: [approvers]}
  - {user: amy, groups: [admins]}
  - {user: ana, groups: [auditors]}
  - {user: dino, status: disabled, groups: [developers, approvers, admins]}
  - {user: rita, groups: [developers, approvers, admins]}
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
    what: {permission-sets: [PowerUser]}
    where: {ous: [Workloads]}
    for: 1h
    approval: {need: 1, groups: [approvers]}
  - name: prod-long
    who: {groups: [developers]}
    what: {permission-sets: [PowerUser]}
    where: {ous: [Workloads]}
    for: 4h
    approval: {need: 2, groups: [approvers]}
  - name: reviewed
    who: {groups: [developers]}
    what: {permission-sets: [ReadOnly]}
    where: {accounts: ["100000000003"]}
    for: 1h
    approval: {automatic: true}
    review: {groups: [approvers], within: 24h}
  - name: roles
    who: {groups: [developers]}
    what: {roles: [Deployer]}
    where: {ous: [Sandbox]}
    for: 2h
    by: session
    approval: {automatic: true}
  - name: shared
    who: {groups: [developers]}
    what: {permission-sets: [Admin]}
    where: {ous: [Sandbox]}
    for: 1h
    by: membership
    approval: {automatic: true}
  - name: ticketed
    who: {groups: [developers]}
    what: {permission-sets: [ReadOnly]}
    where: {accounts: ["100000000002"]}
    for: 1h
    with: {reason: optional, ticket: {pattern: "INC-[0-9]+"}}
    approval: {need: 1, groups: [approvers]}
    extend: 30m
sensitive: {accounts: ["100000000003"]}
`

var start = time.Date(2026, 11, 22, 3, 0, 0, 0, time.UTC)

// rig is the API over a real broker, a real store and the sandbox, behind a loopback socket, with a clock that the test
// moves and a lane that the test is. Every answer that goes through it is held against the OpenAPI document.
type rig struct {
	testing.TB
	clock  *sandbox.ManualClock
	box    *sandbox.Sandbox
	lends  *lender
	mirror *org.Mirror
	store  *store.Store
	broker *broker.Broker
	server *Server
	url    string
	tokens map[string]string // by user name; also "ghost", whom the directory does not know
	log    *lines
	file   string      // of the database
	came   chan string // gets the path of every request that has arrived
	done   chan string // gets the path of every request whose handler has returned

	contract *contract
}

// lines is a log that tests read while it is written.
type lines struct {
	sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.Lock()
	defer l.Unlock()
	return l.text.Write(p)
}

func (l *lines) String() string {
	l.Lock()
	defer l.Unlock()
	return l.text.String()
}

// newRig starts everything and reads the organization. Options change what the sandbox is made of.
func newRig(t testing.TB) *rig {
	t.Helper()
	r := unread(t)
	r.must(r.broker.Refresh(audit.By(t.Context(), "test")))
	return r
}

// unread starts everything; the organization was not read yet.
func unread(t testing.TB) *rig {
	t.Helper()
	o, given, err := org.Describe("organization.yaml", []byte(organization))
	r := &rig{TB: t, clock: sandbox.NewManualClock(start), mirror: org.NewMirror(o), tokens: map[string]string{}, log: &lines{}, came: make(chan string, 1000), done: make(chan string, 1000)}
	r.must(err)
	r.box = sandbox.New(sandbox.Options{
		Organization: o, Assignments: given, Clock: r.clock, Seed: 1,
		Behaviour: sandbox.Behaviour{CallsPerSecond: -1}, // the clock stands between calls
	})
	r.assemble(o, r.serve(r.box))
	r.url = r.serve(r.whole())
	r.contract = readContract(t)
	t.Cleanup(r.discreet)
	return r
}

// discreet looks whether a token or a vended secret was written down anywhere: in the log, the record or the database. Answers are looked at
// as they come. It runs at the end of every test.
func (r *rig) discreet() {
	r.Helper()
	places := map[string]string{"the log": r.log.String()}
	for _, file := range []string{r.file, r.file + "-wal"} {
		text, err := os.ReadFile(file)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			r.Error(err)
		}
		places[filepath.Base(file)] = string(text)
	}
	for place, text := range places {
		if what := marked(text); what != "" {
			r.Errorf("there is something secret in %s: %s", place, what)
		}
	}
}

func (r *rig) serve(h http.Handler) string {
	s := httptest.NewUnstartedServer(h)
	s.Config.MaxHeaderBytes = 16 << 10 // as in the program
	s.Start()
	r.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
	})
	return s.URL
}

// whole is the server's handler; what it has finished is told.
func (r *rig) whole() http.Handler {
	h := r.server.Handler()
	return http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		told(r.came, q.URL.Path)
		h.ServeHTTP(w, q)
		told(r.done, q.URL.Path)
	})
}

func told(c chan string, path string) {
	select {
	case c <- path:
	default: // nobody listens
	}
}

func (r *rig) assemble(o org.Organization, endpoint string) {
	key, err := json.Marshal(r.box.Key(o.ManagementAccount, "sparekey"))
	r.must(err)
	file := filepath.Join(r.TempDir(), "key.json")
	r.must(os.WriteFile(file, key, 0o600))
	connection, err := awsconn.Open(awsconn.Settings{Region: "us-east-1", Endpoint: endpoint, Credentials: awsconn.Credentials{File: file}})
	r.must(err)
	r.file = filepath.Join(r.TempDir(), "sparekey.db")
	r.store, err = store.Open(context.WithoutCancel(r.Context()), "sqlite:"+r.file)
	r.must(err)
	r.Cleanup(r.store.Close)
	log := slog.New(slog.NewTextHandler(r.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	center := aws.NewCenter(connection, o.Instance, o.IdentityStore)
	r.lends = newLender(r.clock.Now)
	r.broker, err = broker.New(broker.Parts{
		Store: r.store, Groups: lentGroups{r.lends},
		Ways:      map[access.Way]broker.Way{access.Assignment: aws.NewAssignments(connection, center), access.Session: r.lends, access.Membership: r.lends},
		Directory: aws.NewDirectory(connection, center, org.StatusUnknown),
		Roles:     broker.Roles{Administrators: group("admins"), Auditors: group("auditors")}, Now: r.clock.Now, Random: rand.Reader, Log: log,
	})
	r.must(err)
	k, err := jobs.New(r.broker, r.store, r.clock, log, "test", jobs.Options{}) // keeps promises; does not run
	r.must(err)
	r.broker.Keep(lanes{k})
	r.must(r.broker.Begin(audit.By(r.Context(), "test"), []rules.File{{Name: "rules.yaml", Text: []byte(book)}}, nil))
	r.server = New(r.broker, r.hand(o), log, "test")
}

// lanes is a keeper whose lane the test is.
type lanes struct{ *jobs.Keeper }

// Holds implements broker.Promises.
func (lanes) Holds() bool { return true }

// hand gives everybody a token.
func (r *rig) hand(o org.Organization) []Token {
	var tokens []Token
	for _, p := range append(o.People, org.Person{ID: "00000000-0000-0000-0000-000000000000", User: "ghost"}) {
		token := "spk_" + p.User + "_" + rand.Text()
		r.tokens[p.User] = token
		tokens = append(tokens, Token{sha256.Sum256([]byte(token)), string(p.ID)})
	}
	return tokens
}

func group(name string) rules.Who {
	text := "rules: [{name: a, deny: true, who: {groups: [" + name + "]}}]"
	b, err := rules.Parse([]rules.File{{Name: "r", Text: []byte(text)}}, time.Hour)
	if err != nil {
		panic(err)
	}
	return *b.Rules[0].Who
}

func (r *rig) must(err error) {
	r.Helper()
	if err != nil {
		r.Fatal(err)
	}
}

// as is the generated client with a person's token; "" has none.
func (r *rig) as(user string) *client.Client {
	r.Helper()
	c, err := client.NewClient(r.url, client.WithHTTPClient(r.contract.through(r.TB)), client.WithRequestEditorFn(func(_ context.Context, q *http.Request) error {
		if user != "" {
			q.Header.Set("Authorization", "Bearer "+r.tokens[user])
		}
		return nil
	}))
	r.must(err)
	return c
}

// got is an answer that was read to its end.
type got struct {
	status int
	header http.Header
	text   string
}

func (g got) problem(t testing.TB) client.Problem {
	t.Helper()
	var p client.Problem
	if kind := g.header.Get("Content-Type"); kind != "application/problem+json" {
		t.Errorf("%d is %s, no problem: %s", g.status, kind, g.text)
	} else if err := json.Unmarshal([]byte(g.text), &p); err != nil || int(p.Status) != g.status || p.Title != http.StatusText(g.status) || p.Detail == "" {
		t.Errorf("%d with the problem %s, %v", g.status, g.text, err)
	}
	return p
}

func (r *rig) read(answer *http.Response, err error) got {
	r.Helper()
	r.must(err)
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	r.must(err)
	return got{answer.StatusCode, answer.Header, string(text)}
}

// ok reads the answer to a call that must succeed.
func ok[T any](r *rig, answer *http.Response, err error) (v T) {
	r.Helper()
	g := r.read(answer, err)
	if g.status != http.StatusOK {
		r.Fatalf("%d %s", g.status, g.text)
	}
	r.must(json.Unmarshal([]byte(g.text), &v))
	return v
}

// raw sends a request as it stands, with a person's token unless the headers say something else.
func (r *rig) raw(user, method, path, body string, headers ...string) got {
	r.Helper()
	q, err := http.NewRequestWithContext(r.Context(), method, r.url+path, strings.NewReader(body))
	r.must(err)
	if user != "" {
		q.Header.Set("Authorization", "Bearer "+r.tokens[user])
	}
	if body != "" {
		q.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(headers); i += 2 {
		q.Header[http.CanonicalHeaderKey(headers[i])] = strings.Split(headers[i+1], "\n")
	}
	return r.read(r.contract.through(r.TB).Do(q))
}

func (r *rig) asking(user string, minutes int64, targets ...string) (*http.Response, error) {
	r.Helper()
	return r.as(user).Ask(r.Context(), &client.AskParams{IdempotencyKey: rand.Text()}, wish(minutes, targets...))
}

// wish is a body that asks for targets, "account set".
func wish(minutes int64, targets ...string) client.AskBody {
	why := "INC-4711"
	body := client.AskBody{Minutes: minutes, Reason: &why}
	for _, t := range targets {
		account, set, _ := strings.Cut(t, " ")
		body.Targets = append(body.Targets, client.AskTarget{Account: account, PermissionSet: set})
	}
	return body
}

// ask makes a request that waits for kim or ren.
func (r *rig) ask(user string) client.Request {
	r.Helper()
	answer, err := r.asking(user, 30, "payments-prod PowerUser")
	return ok[client.Request](r, answer, err)
}

// approved makes a request and has it approved by kim, or by ren if it is kim's.
func (r *rig) approved(user string) client.Grant {
	r.Helper()
	by := "kim"
	if user == "kim" {
		by = "ren"
	}
	answer, err := r.as(by).Approve(r.Context(), r.ask(user).Id, client.ApproveBody{})
	return *ok[client.Request](r, answer, err).Lines[0].Grant
}

// work does what is due as the lane does, and lets AWS take its time.
func (r *rig) work() {
	r.Helper()
	for range 100 {
		var due []access.Grant
		r.must(r.store.View(r.Context(), func(tx *store.Tx) (err error) { due, err = tx.DueGrants(r.clock.Now(), 100); return err }))
		if len(due) == 0 {
			return
		}
		for _, g := range due {
			wait, err := r.broker.Carry(r.Context(), g.ID)
			r.must(err)
			r.clock.Advance(wait)
		}
	}
	r.Fatal("the work does not end")
}

func (r *rig) events() (all []store.Record) {
	r.Helper()
	r.must(r.store.View(r.Context(), func(tx *store.Tx) (err error) { all, err = tx.EventsAfter(0, 1_000_000); return err }))
	return all
}

// refusals lists the events of what was refused, after the first n.
func (r *rig) refusals(n int) []store.Record {
	r.Helper()
	all := slices.DeleteFunc(r.events(), func(e store.Record) bool {
		return !strings.HasSuffix(e.Kind, ".refused") || e.Kind == "grant.refused" && e.After != nil
	})
	return all[min(n, len(all)):]
}

// dump is everything that a request could change: every row of ours, every event but those of refusals, and how often AWS
// was made to change something.
func (r *rig) dump() string {
	r.Helper()
	var text strings.Builder
	for _, q := range []string{
		"SELECT id || ' ' || version || ' ' || body FROM requests ORDER BY id", "SELECT id || ' ' || version || ' ' || body FROM grants ORDER BY id",
		"SELECT id || ' ' || version || ' ' || body FROM reviews ORDER BY id", "SELECT person || ' ' || body FROM delegations ORDER BY person",
		"SELECT person || ' ' || body FROM favourites ORDER BY person, name", "SELECT body FROM lent_groups ORDER BY body",
		"SELECT id || ' ' || version || ' ' || state || ' ' || body FROM books ORDER BY id",
		"SELECT person || ' ' || key || ' ' || digest || ' ' || subject FROM replies ORDER BY person, key", "SELECT kind || ' ' || args FROM river_job ORDER BY id",
	} {
		rows, err := r.store.SQLite().QueryContext(r.Context(), q)
		r.must(err)
		for rows.Next() {
			var row string
			r.must(rows.Scan(&row))
			fmt.Fprintln(&text, row)
		}
		r.must(rows.Err())
		rows.Close()
	}
	for _, e := range r.events() {
		// What AWS was heard to say on the way is nothing that the request changed.
		if !strings.HasSuffix(e.Kind, ".refused") && e.Kind != "permission-set.read" && e.Kind != "person.left" {
			fmt.Fprintf(&text, "%s\n", e.Text)
		}
	}
	fmt.Fprintln(&text, r.writes(), "changes in AWS")
	return text.String()
}

func (r *rig) writes() (n int) {
	for _, c := range r.box.Calls() {
		if c.Changed {
			n++
		}
	}
	return n
}

// unchanged reports what a request changed that should have changed nothing.
func (r *rig) unchanged(before string) {
	r.Helper()
	after := r.dump()
	was, is := strings.Split(before, "\n"), strings.Split(after, "\n")
	for _, line := range was {
		if !slices.Contains(is, line) {
			r.Errorf("gone: %s", line)
		}
	}
	for _, line := range is {
		if !slices.Contains(was, line) {
			r.Errorf("new: %s", line)
		}
	}
}
