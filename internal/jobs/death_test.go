package jobs

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"sparekey/access"
	"sparekey/audit"
	"sparekey/internal/aws"
	"sparekey/internal/awsconn"
	"sparekey/internal/broker"
	"sparekey/internal/judge"
	"sparekey/internal/rig"
	"sparekey/internal/sandbox"
	"sparekey/internal/store"
	"sparekey/org"
)

// A real process is killed with SIGKILL between each two durable steps of a grant's life: right before a call of AWS and
// right after it, for every call. Another process then goes on. The process is this test's program, started again as the
// one that keeps promises; AWS and the clock are the test's.

// TestMain is the program's other life.
func TestMain(m *testing.M) {
	if text := os.Getenv("SPAREKEY_MORTAL"); text != "" {
		if err := mortal(text); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// task is what a mortal process is told.
type task struct {
	Store, AWS, Key, Clock, Instance, IdentityStore string
	Way                                             access.Way
	Groups                                          bool // make groups, and nothing else
}

// mortal keeps promises until it is killed.
func mortal(text string) error {
	var t task
	if err := json.Unmarshal([]byte(text), &t); err != nil {
		return err
	}
	ctx := context.Background()
	connection, err := awsconn.Open(awsconn.Settings{Region: "us-east-1", Endpoint: t.AWS, Credentials: awsconn.Credentials{File: t.Key}})
	if err != nil {
		return err
	}
	s, err := store.Open(ctx, t.Store, store.Shared())
	if err != nil {
		return err
	}
	life, err := strconv.Atoi(os.Getenv("SPAREKEY_LIFE"))
	if err != nil {
		return err
	}
	clock, log := &farClock{url: t.Clock, life: life}, slog.New(slog.NewTextHandler(os.Stderr, nil))
	center := aws.NewCenter(connection, t.Instance, t.IdentityStore)
	b, err := broker.New(broker.Parts{
		Store: s, Ways: rig.Ways(connection, center), Groups: aws.NewGroups(connection, center), Directory: aws.NewDirectory(connection, center, org.StatusUnknown),
		Now: clock.Now, Random: rand.Reader, Log: log,
	})
	if err != nil {
		return err
	}
	k, err := New(b, s, clock, log, rand.Text(), Options{Limits: Limits{CallsPerSecond: 10000}, MirrorEvery: time.Hour})
	if err != nil {
		return err
	}
	clock.lane = k.lane
	if err := b.Begin(audit.By(ctx, "start"), rig.Files(rig.BookOf(t.Way)), nil); err != nil {
		return err
	}
	fmt.Println("alive")
	for t.Groups {
		_ = b.MakeGroups(ctx) // what hinders it is in the row, and it is tried again
		<-clock.After(15 * time.Second)
	}
	return k.Run(ctx)
}

// farClock is the test's clock, asked over HTTP. Whoever waits on it is the lane, which tells so how much it has in hand.
type farClock struct {
	url  string
	life int // which process this is; the machine may use a dead one's number again
	lane *lane
	rest int // how often the lane went to rest
}

func (c *farClock) get(path string) int64 {
	answer, err := http.Get(c.url + path)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1) // the test has ended
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		os.Exit(1)
	}
	ms, err := strconv.ParseInt(string(text), 10, 64)
	if err != nil {
		panic(err)
	}
	return ms
}

func (c *farClock) Now() time.Time { return time.UnixMilli(c.get("/now")) }

func (c *farClock) After(d time.Duration) <-chan time.Time {
	c.rest++
	path := fmt.Sprintf("/after?ms=%d&process=%d&rest=%d&carrying=%d", d.Milliseconds(), c.life, c.rest, len(c.lane.carrying))
	fires := make(chan time.Time, 1)
	go func() { fires <- time.UnixMilli(c.get(path)) }()
	return fires
}

// rests says of which process what the lane does when it last went to rest.
type rests struct {
	clock   *sandbox.ManualClock
	url     string
	mu      sync.Mutex
	last    map[int]rest // by process
	changed chan struct{}
}

// rest is one wait of the lane.
type rest struct {
	number, carrying int
	until            time.Time
}

func serveClock(t *testing.T, clock *sandbox.ManualClock) *rests {
	r := &rests{clock: clock, last: map[int]rest{}, changed: make(chan struct{}, 1)}
	s := httptest.NewServer(r)
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
	})
	r.url = s.URL
	return r
}

func (r *rests) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	if q.URL.Path == "/after" {
		var n [4]int
		for i, name := range []string{"ms", "process", "rest", "carrying"} {
			var err error
			if n[i], err = strconv.Atoi(q.FormValue(name)); err != nil {
				panic(err)
			}
		}
		d := time.Duration(max(n[0], 1)) * time.Millisecond
		fires := r.clock.After(d) // before the rest is noted: a clock moved on in between would pass it unseen
		r.note(n[1], rest{n[2], n[3], r.clock.Now().Add(d)})
		select {
		case <-fires:
		case <-q.Context().Done():
			return
		}
	}
	fmt.Fprint(w, r.clock.Now().UnixMilli())
}

// note keeps a rest, unless a later one was heard of before it.
func (r *rests) note(process int, now rest) {
	r.mu.Lock()
	if now.number > r.last[process].number {
		r.last[process] = now
	}
	r.mu.Unlock()
	select {
	case r.changed <- struct{}{}:
	default:
	}
}

// idle reports whether a process's lane waits for the clock, and for nothing else.
func (r *rests) idle(process int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	last := r.last[process]
	return last.number > 0 && last.carrying == 0 && r.clock.Now().Before(last.until)
}

// reaper lets calls of AWS pass until the one at which the process is to die.
type reaper struct {
	sync.Mutex
	box       http.Handler
	at        int    // how many calls pass before; negative: all
	first     string // or: the operation at whose first call it is
	after     bool   // whether AWS does what that call asks before the process dies
	passed    int
	kill      func()
	operation string // at which it died
}

func (p *reaper) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	operation := r.Header.Get("X-Amz-Target")
	operation = operation[strings.LastIndexByte(operation, '.')+1:]
	if operation == "" { // STS names its operation in the form
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // who asked has gone
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		if form, err := url.ParseQuery(string(body)); err == nil {
			operation = form.Get("Action")
		}
	}
	p.Lock()
	die := false
	if counted(operation) {
		die = p.passed == p.at || operation == p.first
		p.passed++
		if die {
			p.at, p.first = -1, ""
		}
	}
	p.Unlock()
	if !die {
		p.box.ServeHTTP(w, r)
		return
	}
	if p.after {
		p.box.ServeHTTP(httptest.NewRecorder(), r)
	}
	p.operation = operation
	p.kill()
	panic(http.ErrAbortHandler)
}

// counted reports whether an operation belongs to a grant's life, and not to the reading of the organization.
func counted(operation string) bool {
	return strings.Contains(operation, "AccountAssignment") || strings.HasSuffix(operation, "GroupMembership") || operation == "GetGroupMembershipId" || operation == "AssumeRole" ||
		operation == "DescribeUser" || operation == "CreateGroup" || operation == "GetGroupId" || operation == "DescribeGroup" || operation == "ListGroupMembershipsForMember" || strings.HasSuffix(operation, "PermissionSet") && operation != "ListPermissionSetsProvisionedToAccount"
}

// mortals are the processes of one life.
type mortals struct {
	*rig.Rig
	reaper *reaper
	rests  *rests
	does   task
	life   int // the number of the process that lives
	dead   chan struct{}
	ask    func()
}

func newMortals(t *testing.T, address string, way access.Way) *mortals {
	r := rig.New(t, address, sandbox.Behaviour{})
	r.Lends(way)
	r.Sandboxed(sandbox.Behaviour{}, r.Foreign()...)
	m := &mortals{Rig: r, reaper: &reaper{box: r, at: -1}, rests: serveClock(t, r.Clock)}
	s := httptest.NewServer(m.reaper)
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
	})
	key, err := json.Marshal(r.Box.Key(r.O.ManagementAccount, "sparekey"))
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "key.json")
	if err := os.WriteFile(file, key, 0o600); err != nil {
		t.Fatal(err)
	}
	m.does = task{address, s.URL, file, m.rests.url, r.O.Instance, r.O.IdentityStore, way, false}
	return m
}

// born starts a process and waits until it keeps promises.
func (m *mortals) born() {
	m.Helper()
	c := exec.Command(os.Args[0], "-test.run=^$")
	m.life++
	text, err := json.Marshal(m.does)
	if err != nil {
		m.Fatal(err)
	}
	c.Env = append(os.Environ(), "SPAREKEY_MORTAL="+string(text), fmt.Sprintf("SPAREKEY_LIFE=%d", m.life))
	c.Stderr = m.Log
	out, err := c.StdoutPipe()
	if err == nil {
		err = c.Start()
	}
	if err != nil {
		m.Fatal(err)
	}
	dead := make(chan struct{})
	var once sync.Once
	kill := func() {
		once.Do(func() {
			_ = c.Process.Kill() // SIGKILL
			_ = c.Wait()
			close(dead)
		})
	}
	m.Cleanup(kill)
	m.dead, m.reaper.kill = dead, kill
	m.ask = func() { // what it does, before it ends
		_ = c.Process.Signal(syscall.SIGQUIT)
		_ = c.Wait()
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "alive\n" {
		m.Fatalf("the process said %q, %v\n%s", line, err, m.Log)
	}
}

// live moves the clock on while a process lives and its lane waits for the clock, until something is true; false when the
// process has died. At each step of the clock what must hold is watched.
func (m *mortals) live(most time.Duration, is func() bool, watch ...func()) bool {
	m.Helper()
	patience := time.NewTimer(time.Minute)
	defer patience.Stop()
	for end := m.Clock.Now().Add(most); !is(); {
		if !m.Clock.Now().Before(end) {
			m.Fatalf("it does not happen within %s\n%s", most, m.Log)
		}
		if m.rests.idle(m.life) {
			for _, w := range watch {
				w()
			}
			m.Clock.Advance(step(m.Rig))
			continue
		}
		select {
		case <-m.dead:
			return false
		case <-m.rests.changed:
			patience.Reset(time.Minute)
		case <-patience.C:
			m.ask()
			m.Fatalf("the process neither rests nor dies\n%+v\n%s", m.rests, m.Log)
		}
	}
	return true
}

// die lets a grant live its life, with one death at the n-th call, and reports whether there was such a call. While nobody
// lives, meanwhile may happen.
func (m *mortals) die(n int, after bool, away time.Duration, meanwhile ...func()) bool {
	m.Helper()
	m.reaper.passed, m.reaper.at, m.reaper.after, m.reaper.operation = 0, n, after, ""
	l := m.Live()
	over := func() bool { return m.Grant(l.ID).Over() }
	m.born()
	died := !m.live(3*time.Hour, over, l.Watch)
	l.Watch()
	m.reaper.at = -1
	if died {
		for _, do := range meanwhile {
			do()
		}
		m.Clock.Advance(away)
		m.born()
		m.live(3*time.Hour, over, l.Watch)
	}
	m.reaper.kill()
	l.Watch()
	g := l.Grant
	if !g.Over() || l.There() {
		m.Fatalf("killed at %s (after: %v): %s, access %v", m.reaper.operation, after, rig.Story(g), l.There())
	}
	if g.State != access.Verified && away < access.StartWithin && len(meanwhile) == 0 {
		m.Errorf("killed at %s (after: %v): %s", m.reaper.operation, after, rig.Story(g))
	}
	if g.State == access.Verified && (g.ActiveAt.IsZero() != g.EndsAt.IsZero() || g.EndsAt.After(g.HardEnd)) {
		m.Errorf("killed at %s (after: %v): %s", m.reaper.operation, after, rig.Story(g))
	}
	m.Chained(l.ID, g)
	return died
}

// Requirement S2-17.
func TestAProcessKilledBetweenEachTwoDurableSteps(t *testing.T) {
	for way, calls := range map[access.Way][]string{
		access.Assignment: {"DescribeUser", "ListAccountAssignments", "CreateAccountAssignment", "DescribeAccountAssignmentCreationStatus", "DeleteAccountAssignment", "DescribeAccountAssignmentDeletionStatus"},
		access.Membership: {"DescribeUser", "GetGroupMembershipId", "CreateGroupMembership", "DeleteGroupMembership"},
		access.Session:    {"DescribeUser", "AssumeRole"},
	} {
		for name, address := range rig.Engines {
			t.Run(string(way)+" "+name, func(t *testing.T) {
				t.Parallel()
				dieEverywhere(t, newMortals(t, address(t), way), way, calls)
			})
		}
	}
}

func dieEverywhere(t *testing.T, m *mortals, way access.Way, calls []string) {
	deaths := map[string]int{}
	for n := 0; ; n++ {
		before := m.die(n, false, time.Second)
		where := m.reaper.operation
		if !before {
			break // the life has no such call
		}
		deaths[where]++
		m.die(n, true, time.Second)
	}
	t.Logf("deaths before and after: %v", deaths)
	for _, operation := range calls {
		if deaths[operation] == 0 {
			t.Errorf("no process died at %s: %v", operation, deaths)
		}
	}
	if way == access.Assignment && deaths["ListAccountAssignments"] < 5 {
		t.Errorf("listings come before the start, after it, before the end, after it and twice later: %v", deaths)
	}
}

// TestAPersonWhoIsDisabledWhileEverythingIsDeadGetsNothing kills the process before and after each call of a start; dana is
// disabled before another goes on.
func TestAPersonWhoIsDisabledWhileEverythingIsDeadGetsNothing(t *testing.T) {
	t.Parallel()
	m := newMortals(t, rig.Engines["SQLite"](t), access.Assignment)
	looks := 0
	for n := 0; m.reaper.operation != "DescribeAccountAssignmentCreationStatus"; n++ {
		for _, after := range []bool{false, true} {
			m.Sandboxed(sandbox.Behaviour{}, m.Foreign()...)
			if err := m.Broker.Refresh(m.As("sparekey")); err != nil {
				t.Fatal(err)
			}
			var before int
			creates := func() int { return strings.Count(strings.Join(m.Calls(), " "), "CreateAccountAssignment") }
			if !m.die(n, after, time.Second, func() { before = creates(); m.Says("dana", org.StatusDisabled) }) {
				t.Fatalf("there is no call %d", n)
			}
			if late := creates() - before; late > 0 {
				t.Errorf("killed at %s, call %d (after: %v): %d creates for somebody who is disabled", m.reaper.operation, n, after, late)
			}
			if m.reaper.operation == "DescribeUser" {
				looks++
			}
		}
	}
	if looks != 4 {
		t.Errorf("%d deaths at a look-up of the person, not before and after each of two", looks)
	}
}

func TestAGrantIsEndedByWhoeverComesLongAfterADeath(t *testing.T) {
	t.Parallel()
	m := newMortals(t, judge.Postgres(t), access.Assignment)
	m.reaper.first = "CreateAccountAssignment"
	if !m.die(-1, true, 2*time.Hour) || m.reaper.operation != "CreateAccountAssignment" {
		t.Errorf("it died at %q, not at CreateAccountAssignment", m.reaper.operation)
	}
}

func TestAGrantWhoseEndCameWhileEverythingWasDeadEndsAtOnce(t *testing.T) {
	t.Parallel()
	m := newMortals(t, rig.Engines["SQLite"](t), access.Assignment)
	id := m.Ask("dana", "play PowerUser").Lines[0].Grant
	m.born()
	m.live(time.Minute, func() bool { return m.Grant(id).State == access.Active })
	m.reaper.kill()
	m.Clock.Advance(5 * time.Hour)
	m.born()
	back := m.Clock.Now()
	m.live(time.Minute, func() bool { return m.Grant(id).State == access.Ended })
	if late := m.Grant(id).EndedAt.Sub(back); late > 30*time.Second {
		t.Errorf("it took %s after the return", late)
	}
}
