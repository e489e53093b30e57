package jobs

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"sparekey/access"
	"sparekey/audit"
	"sparekey/internal/aws"
	"sparekey/internal/broker"
	"sparekey/internal/rig"
	"sparekey/internal/sandbox"
	"sparekey/internal/store"
	"sparekey/org"
)

// Arbitrary schedules of people, faults at AWS's calls, deaths, pauses and time, over one store and up to three replicas. What
// runs is the real lane, broker, store and adapter against the sandbox over HTTP; the lane carries one grant after the other,
// so that a schedule can be repeated and shrunk. A replica is dropped at a call of AWS or right after it, which are the
// moments between its durable steps; what AWS has taken then goes on.

// scheduled is how the ways are mixed in schedules.
const scheduled = `
rules:
  - name: play
    who: {groups: [developers]}
    what: {permission-sets: [ReadOnly]}
    where: {ous: [Sandbox]}
    for: 8h
    with: {reason: optional}
    approval: {automatic: true}
  - name: lent
    by: membership
    who: {groups: [developers]}
    what: {permission-sets: [PowerUser]}
    where: {accounts: ["100000000003"]}
    for: 8h
    with: {reason: optional}
    approval: {automatic: true}
  - name: roles
    by: session
    who: {groups: [developers]}
    what: {roles: [ops/Deployer]}
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

// lentGroup is the rig's group for PowerUser in play.
const lentGroup = "sparekey 100000000003 PowerUser"

// stage is what schedules of one engine have in common: one store and three ways into AWS, one for each replica.
type stage struct {
	*rig.Rig
	connections [3]func() broker.Parts
	play        *schedule // that is on
}

func newStage(t *testing.T, address string) *stage {
	s := &stage{Rig: rig.New(t, address, sandbox.Behaviour{})}
	s.Lends(access.Membership)
	s.Ruled(scheduled)
	s.Together()
	if s.Store.Engine() == store.PostgreSQL { // the record cannot be forgotten otherwise
		s.sql("DROP TRIGGER events_stay ON events")
	} else {
		s.sql("DROP TRIGGER events_remain")
		s.sql("PRAGMA synchronous=OFF") // processes die here, and the machine does not
	}
	for i := range s.connections {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) { s.play.call(i, w, q) }))
		t.Cleanup(func() {
			server.CloseClientConnections()
			server.Close()
		})
		at := s.AWS
		s.AWS = server.URL
		c := s.Connected("sparekey")
		s.AWS = at
		center := aws.NewCenter(c, s.O.Instance, s.O.IdentityStore)
		parts := broker.Parts{
			Store: s.Store, Ways: rig.Ways(c, center), Directory: aws.NewDirectory(c, center, org.StatusUnknown), Groups: aws.NewGroups(c, center),
			Roles: s.Broker.Roles, Log: slog.New(slog.NewTextHandler(s.Log, nil)), ScansPerSecond: 10000, PerHour: 10000,
		}
		s.connections[i] = func() broker.Parts { return parts }
	}
	return s
}

// clear forgets everything but the organization and the rules, so that the same draws make the same schedule.
func (s *stage) clear() {
	s.Helper()
	for _, table := range []string{"grants", "requests", "events", "leases", "replies", "reviews", "stops", "scans"} {
		s.sql("DELETE FROM " + table)
	}
}

func (s *stage) sql(text string) {
	s.Helper()
	var err error
	if s.Store.Engine() == store.PostgreSQL {
		_, err = s.Store.PostgreSQL().Exec(s.Context(), text)
	} else {
		_, err = s.Store.SQLite().ExecContext(s.Context(), text)
	}
	if err != nil {
		s.Fatal(err)
	}
}

// replica is a broker with a lane.
type replica struct {
	*lane
	broker *broker.Broker
	ctx    context.Context
	die    context.CancelFunc
	inside bool // it is in the middle of something, however long that takes
}

// Promise, with Wake and Holds of the lane, makes a replica what the broker leaves promises with.
func (r *replica) Promise(*store.Tx, []access.Promise) error { return nil }
func (r *replica) Holds() bool                               { return r.holds() }

// schedule is one of them.
type schedule struct {
	*stage
	t        *rapid.T
	random   io.Reader
	replicas [3]*replica
	born     int
	calm     bool
	since    time.Time // when somebody took the lane that nobody had
	what     plot
	foreign  []org.Assignment
	trouble  string
	ids      map[string]access.Grant // as they were when they were last watched
}

// plot is what befalls a call of AWS that a replica will make.
type plot struct {
	calls int // that pass before
	kind  string
	pause time.Duration
}

// birth makes a replica anew: a broker and a lane that know what the store knows.
func (s *schedule) birth(i int) {
	parts := s.connections[i]()
	parts.Now, parts.Random = s.Clock.Now, s.random
	b, err := broker.New(parts)
	if err != nil {
		s.Fatal(err)
	}
	ctx, cancel := context.WithCancel(s.Context())
	s.born++
	r := &replica{broker: b, ctx: ctx, die: cancel}
	r.lane = newLane(b, s.Store, s.Clock, parts.Log, Limits{CallsPerSecond: 1e12}, fmt.Sprint("replica ", s.born))
	r.lane.begin = func(work func()) { work() }
	b.Keep(r)
	if err := b.Begin(audit.By(ctx, "start"), rig.Files(scheduled), nil); err != nil {
		s.Fatal(err)
	}
	s.replicas[i] = r
}

// call is a call of AWS by a replica.
func (s *schedule) call(i int, w http.ResponseWriter, q *http.Request) {
	operation := q.Header.Get("X-Amz-Target")
	operation = operation[strings.LastIndexByte(operation, '.')+1:]
	r := s.replicas[i]
	now := plot{}
	if !s.calm && s.what.kind != "" && r != nil && r.inside {
		if s.what.calls--; s.what.calls < 0 {
			now, s.what = s.what, plot{}
		}
	}
	if now.kind == "death before" {
		r.die()
		panic(http.ErrAbortHandler)
	}
	if operation == "CreateAccountAssignment" || operation == "DeleteAccountAssignment" {
		s.alone(i, operation)
	}
	if now.kind == "death after" {
		s.Rig.ServeHTTP(httptest.NewRecorder(), q)
		r.die()
		panic(http.ErrAbortHandler)
	}
	answer := httptest.NewRecorder()
	s.Rig.ServeHTTP(answer, q)
	if now.kind == "pause" {
		s.meanwhile(i, now.pause)
	}
	for name, values := range answer.Header() {
		w.Header()[name] = values
	}
	w.WriteHeader(answer.Code)
	_, _ = w.Write(answer.Body.Bytes())
}

// held reports whether somebody has the lane.
func (s *schedule) held() bool {
	return slices.ContainsFunc(s.replicas[:], func(r *replica) bool { return r != nil && r.holds() })
}

// alone checks that nobody else has the lane when a replica changes something.
func (s *schedule) alone(i int, operation string) {
	for j, other := range s.replicas {
		if j != i && other != nil && other.holds() {
			s.trouble = fmt.Sprintf("replica %d calls %s, and %d has the lane", i, operation, j)
		}
	}
}

// meanwhile lets time pass while one replica does not notice, and the others go on.
func (s *schedule) meanwhile(paused int, d time.Duration) {
	for until := s.Clock.Now().Add(d); s.Clock.Now().Before(until); {
		s.Clock.Advance(min(5*time.Second, until.Sub(s.Clock.Now())))
		for j := range s.replicas {
			if j != paused {
				s.turn(j)
			}
		}
	}
}

// turn is one turn of a replica's lane.
func (s *schedule) turn(i int) (carried int) {
	r := s.replicas[i]
	if r == nil || r.inside {
		return 0
	}
	if r.ctx.Err() != nil { // it died while it answered somebody
		s.replicas[i] = nil
		return 0
	}
	r.inside = true
	defer func() { r.inside = false }()
	unheld := !s.held()
	if !r.renew(r.ctx) {
		return 0
	}
	if unheld {
		s.since = s.Clock.Now()
	}
	r.adapt()
	r.lane.turn(r.ctx)
	for carried = len(r.carrying); len(r.carrying) > 0; {
		r.finish(<-r.done)
	}
	if r.ctx.Err() != nil { // it died
		s.replicas[i] = nil
	}
	return carried
}

// work lets every replica do what is due, until nothing is or AWS needs time.
func (s *schedule) work() {
	for range 30 {
		carried := 0
		for i := range s.replicas {
			carried += s.turn(i)
		}
		if carried == 0 {
			break
		}
	}
	s.watch()
}

// pass lets time go by in steps to the moments at which something is due, but of no more than most.
func (s *schedule) pass(d, most time.Duration) {
	for until := s.Clock.Now().Add(d); s.Clock.Now().Before(until); {
		now := s.Clock.Now()
		at := now.Add(min(most, until.Sub(now)))
		sooner := func(t time.Time) {
			if t.After(now) && t.Before(at) {
				at = t
			}
		}
		var due time.Time
		if err := s.Store.View(s.Context(), func(tx *store.Tx) (err error) { due, err = tx.NextDue(now); return err }); err != nil {
			s.Fatal(err)
		}
		sooner(due)
		for _, r := range s.replicas {
			if r != nil {
				for _, t := range r.notUntil {
					sooner(t)
				}
			}
		}
		s.Clock.Advance(max(at.Sub(now), 100*time.Millisecond))
		s.work()
	}
}

// some is a replica that people talk to.
func (s *schedule) some() *broker.Broker {
	for i := range s.replicas {
		if s.replicas[i] != nil && s.replicas[i].ctx.Err() == nil {
			return s.replicas[i].broker
		}
	}
	s.birth(0)
	return s.replicas[0].broker
}

// said accepts what a person may be told.
func (s *schedule) said(err error) {
	var p *access.Problem
	if err != nil && !errors.As(err, &p) && !errors.Is(err, context.Canceled) {
		s.t.Logf("a person is told: %v", err)
	}
	s.work()
}

func (s *schedule) grants() (all []access.Grant) {
	err := s.Store.View(s.Context(), func(tx *store.Tx) (err error) { all, err = tx.RecentGrants(1000); return err })
	if err != nil {
		s.Fatal(err)
	}
	return all
}

// there says what AWS gives, by key.
func (s *schedule) there() map[access.Key]bool {
	all := map[access.Key]bool{}
	state := s.Box.State()
	for _, a := range s.Box.Assignments() {
		if a.Kind == org.User {
			all[access.Key{Way: access.Assignment, Person: org.PersonID(a.Principal), Target: a.Target}] = true
		}
	}
	for _, p := range state.People {
		if slices.Contains(p.Groups, lentGroup) {
			all[access.Key{Way: access.Membership, Person: p.ID, Target: s.Target("play", "PowerUser"), Group: s.Group(lentGroup)}] = true
		}
	}
	return all
}

// watch checks what must hold at every moment.
func (s *schedule) watch() {
	if s.trouble != "" {
		s.t.Fatal(s.trouble)
	}
	now, there, grants := s.Clock.Now(), s.there(), s.grants()
	for _, f := range s.foreign {
		k := access.Key{Way: access.Assignment, Person: org.PersonID(f.Principal), Target: f.Target}
		if !there[k] {
			s.t.Fatalf("%v is gone, which somebody else gave", k)
		}
		delete(there, k)
	}
	for k := range there {
		own := slices.DeleteFunc(slices.Clone(grants), func(g access.Grant) bool { return g.Key() != k })
		if !slices.ContainsFunc(own, func(g access.Grant) bool { return !g.BegunAt.IsZero() && (!over(g) || late(g)) }) {
			s.t.Fatalf("there is access that no grant answers for: %v\n%s", k, stories(own))
		}
	}
	for _, g := range grants {
		s.watchGrant(g, s.ids[g.ID], there[g.Key()], now)
		s.ids[g.ID] = g
	}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func over(g access.Grant) bool { return !g.Live() }

// late reports whether a create without a certain outcome may just have landed, which the listings after the end find.
func late(g access.Grant) bool { return g.Unsure && g.Checks < 2 }

func (s *schedule) watchGrant(g, was access.Grant, there bool, now time.Time) {
	standing := g.Held == access.PreExisting || g.Way == access.Session
	if g.State == access.Active && !standing && !there {
		s.t.Fatalf("it is active, and AWS does not give it: %s", rig.Story(g))
	}
	if !g.EndsAt.IsZero() && (g.ActiveAt.IsZero() || g.EndsAt.After(g.HardEnd) || g.EndsAt.After(g.ActiveAt.Add(g.Duration()))) {
		s.t.Fatalf("its end is too late: %s", rig.Story(g))
	}
	// Whoever takes the lane, or wakes up with it, has ten seconds for what nobody did in the meantime.
	overdue := func(t time.Time) bool {
		return s.held() && now.After(t.Add(10*time.Second)) && now.After(s.since.Add(10*time.Second))
	}
	if g.State == access.Active && overdue(g.EndsAt) {
		s.t.Fatalf("it is active past its end: %s", rig.Story(g))
	}
	if g.State == access.Ending && overdue(later(g.EndingAt, g.TriedAt).Add(access.StuckAfter)) || g.State == access.Granting && overdue(g.HardEnd) {
		s.t.Fatalf("it is %s for too long: %s", g.State, rig.Story(g))
	}
	if g.Version != was.Version {
		s.Chained(g.ID, g)
	}
}

func (s *schedule) run() {
	s.clear()
	s.Sandboxed(sandbox.Behaviour{}, s.Rig.Foreign()[2:]...)
	s.foreign = s.Rig.Foreign()[2:]
	for _, who := range []string{"dana", "eli"} {
		s.Says(who, org.StatusEnabled)
		if err := s.Store.Update(s.Context(), func(tx *store.Tx) error { return tx.PutPerson(s.Person(who)) }); err != nil {
			s.Fatal(err)
		}
	}
	for i := range rapid.IntRange(1, 3).Draw(s.t, "replicas") {
		s.birth(i)
	}
	s.t.Repeat(map[string]func(*rapid.T){
		"ask": func(*rapid.T) { s.ask() }, "ask too": func(*rapid.T) { s.ask() }, "end": func(*rapid.T) { s.end() }, "extend": func(*rapid.T) { s.extend() },
		"stop": func(*rapid.T) { s.stopIt() }, "directory": func(*rapid.T) { s.directory() }, "fault": func(*rapid.T) { s.fault() }, "fault too": func(*rapid.T) { s.fault() },
		"death or pause": func(*rapid.T) { s.plotted() }, "replica": func(*rapid.T) { s.replicasChange() },
		"moment": func(t *rapid.T) { s.pass(time.Duration(rapid.IntRange(1, 20).Draw(t, "s"))*time.Second, 5*time.Second) },
		"minutes": func(t *rapid.T) {
			s.pass(time.Duration(rapid.IntRange(1, 40).Draw(t, "min"))*time.Minute, 10*time.Minute)
		},
		"jump": func(t *rapid.T) {
			s.Clock.Advance(time.Duration(rapid.IntRange(1, 120).Draw(t, "jump")) * time.Minute)
			s.work()
		},
	})
	s.settle()
}

// settle ends all faults, and lets time pass: then everything that is due has ended.
func (s *schedule) settle() {
	s.calm, s.what = true, plot{}
	s.Box.ClearFaults()
	s.some()
	s.pass(2*time.Minute, 10*time.Second)
	for range 60 {
		if !slices.ContainsFunc(s.grants(), func(g access.Grant) bool { return !g.Over() }) {
			break
		}
		s.pass(10*time.Minute, 2*time.Minute)
	}
	for _, g := range s.grants() {
		if !g.Over() {
			s.t.Fatalf("ten hours later it is %s: %s\n%s", g.State, rig.Story(g), s.Log)
		}
	}
	there := s.there()
	for _, f := range s.foreign {
		delete(there, access.Key{Way: access.Assignment, Person: org.PersonID(f.Principal), Target: f.Target})
	}
	if len(there) > 0 {
		s.t.Fatalf("access is left: %v\n%s", there, stories(s.grants()))
	}
	if all, account := overlaps(s.Box); all > 9 {
		s.t.Fatalf("%d operations were under way at once, %d in one account", all, account)
	}
}

// both reports to rapid what a rig finds.
type both struct {
	testing.TB
	t *rapid.T
}

func (b both) Helper()                   {}
func (b both) Fatal(a ...any)            { b.t.Fatal(a...) }
func (b both) Fatalf(f string, a ...any) { b.t.Fatalf(f, a...) }
func (b both) Error(a ...any)            { b.t.Error(a...) }
func (b both) Errorf(f string, a ...any) { b.t.Errorf(f, a...) }

// TestSchedules plays some, on every run the same; `make faults SEEDS=n` plays n others on each engine.
func TestSchedules(t *testing.T) {
	short := map[string]string{"rapid.checks": "12", "rapid.seed": "20261125"}
	if f := flag.Lookup("rapid.checks"); f.Value.String() == f.DefValue {
		for name, value := range short {
			if err := flag.Set(name, value); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, address := range rig.Engines {
		t.Run(name, func(t *testing.T) {
			on := newStage(t, address(t))
			rapid.Check(t, func(t *rapid.T) {
				outer := on.TB
				on.TB = both{outer, t}
				defer func() { on.TB = outer }()
				var seed [32]byte
				s := &schedule{stage: on, t: t, random: rand.NewChaCha8(seed), ids: map[string]access.Grant{}}
				on.play = s
				s.run()
			})
		})
	}
}
