package access

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"sparekey/audit"
	"sparekey/org"
	"sparekey/rules"
)

const organization = `
management-account: "100000000001"
accounts:
  - {id: "100000000001", name: management}
  - {id: "100000000002", name: payments-prod, ou: Workloads/Prod}
  - {id: "100000000003", name: play, ou: Sandbox}
permission-sets: [{name: ReadOnly}, {name: PowerUser, session: 2h}, {name: Audit}]
groups: [ghosts]
people:
  - {user: dana, groups: [developers]}
  - {user: kim, groups: [approvers, developers]}
  - {user: ren, groups: [approvers]}
  - {user: lee, groups: [approvers, security]}
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
  - name: prod-read
    who: {groups: [developers]}
    what: {permission-sets: [ReadOnly]}
    where: {ous: [Workloads]}
    for: 4h
    approval: {need: 1, groups: [approvers]}
  - name: prod-power
    who: {groups: [developers]}
    what: {permission-sets: [PowerUser]}
    where: {ous: [Workloads]}
    for: 1h
    approval: {need: 2, groups: [approvers]}
  - name: prod-audit
    who: {groups: [developers]}
    what: {permission-sets: [Audit]}
    where: {ous: [Workloads]}
    for: 1h
    approval: {need: 1, groups: [ghosts]}
`

var update = flag.Bool("update", false, "draw the lifecycles in the docs anew")

var start = time.Date(2026, 11, 22, 3, 0, 0, 0, time.UTC)

// world is the small organization in which the tests of this package ask and approve.
type world struct {
	testing.TB
	o   org.Organization
	set rules.Set
	ids int
}

func newWorld(t testing.TB) *world {
	t.Helper()
	o, _, err := org.Describe("organization.yaml", []byte(organization))
	if err != nil {
		t.Fatal(err)
	}
	w := &world{TB: t, o: o}
	w.ruled(book)
	return w
}

func (w *world) ruled(text string) {
	w.Helper()
	b, err := rules.Parse([]rules.File{{Name: "rules.yaml", Text: []byte(text)}}, rules.DefaultLongest)
	if err != nil {
		w.Fatal(err)
	}
	w.set = b.In(org.NewMirror(w.o))
}

func (w *world) person(user string) org.Person {
	w.Helper()
	p, ok := w.set.Organization().PersonNamed(user)
	if !ok {
		w.Fatalf("no %s", user)
	}
	return p
}

func (w *world) change(user string, edit func(*org.Person)) {
	w.o.People = slices.Clone(w.o.People)
	for i := range w.o.People {
		if w.o.People[i].User == user {
			edit(&w.o.People[i])
		}
	}
	w.ruled(book)
}

func (w *world) target(account, set string) org.Target {
	w.Helper()
	s, ok := w.set.Organization().PermissionSet(set)
	if a := w.set.Organization().AccountsNamed(account); ok && len(a) == 1 {
		return org.Target{Account: a[0].ID, PermissionSet: s.ARN}
	}
	w.Fatalf("no %s %s", account, set)
	return org.Target{}
}

func (w *world) newID(kind string) string {
	w.ids++
	return fmt.Sprintf("%s-%d", kind, w.ids)
}

func (w *world) ask(user string, targets ...org.Target) (Change, error) {
	return Ask(w.person(user), Wish{targets, 30 * time.Minute, "INC-1 rollback"}, w.set, start, w.newID)
}

// must returns the change or ends the test.
func (w *world) must(c Change, err error) Change {
	w.Helper()
	if err != nil {
		w.Fatalf("unexpected: %v", err)
	}
	return c
}

func states(r Request) string {
	var all []string
	for _, l := range r.Lines {
		all = append(all, string(l.State))
	}
	return strings.Join(all, " ")
}

func kinds(c Change) string {
	var all []string
	for _, e := range c.Events {
		all = append(all, e.Kind)
	}
	return strings.Join(all, " ")
}

// Requirement S1-32.
func TestEveryLineIsDecidedUnderItsOwnRule(t *testing.T) {
	w := newWorld(t)
	c := w.must(w.ask("dana", w.target("play", "ReadOnly"), w.target("payments-prod", "ReadOnly"), w.target("payments-prod", "PowerUser")))
	if states(*c.Request) != "approved pending pending" || len(c.Grants) != 1 || kinds(c) != "request.asked request.approved grant.approved" {
		t.Fatalf("%s, %d grants, %s", states(*c.Request), len(c.Grants), kinds(c))
	}
	if p := c.Promises; len(p) != 1 || p[0] != (Promise{PromiseLapse, c.Request.ID, start.Add(LapseAfter)}) {
		t.Errorf("promises %+v", p)
	}
	r := *c.Request
	c = w.must(r.Approve(w.person("ren"), "go", w.set, start.Add(time.Minute)))
	if states(*c.Request) != "approved approved pending" || len(c.Grants) != 1 || kinds(c) != "request.approved grant.approved" || c.Events[0].Detail["agreed"] != "3" {
		t.Fatalf("%s, %d grants, %s, %v", states(*c.Request), len(c.Grants), kinds(c), c.Events[0].Detail)
	}
	if g := c.Grants[0]; g.State != Waiting || g.Target.PermissionSetName != "ReadOnly" || g.Approvals[0].By.User != "ren" || g.Rule.Name != "prod-read" {
		t.Errorf("%+v", g)
	}
	if r.Lines[1].State != Pending || len(r.Lines[2].Approvals) != 0 {
		t.Error("the old request was changed")
	}
	c = w.must(c.Request.Approve(w.person("kim"), "", w.set, start.Add(2*time.Minute)))
	if states(*c.Request) != "approved approved approved" || len(c.Grants) != 1 || len(c.Grants[0].Approvals) != 2 || c.Request.Version != 4 {
		t.Fatalf("%s, version %d", states(*c.Request), c.Request.Version)
	}
}

func TestARequestWithALineThatIsNotAllowedIsRefusedWhole(t *testing.T) {
	w := newWorld(t)
	_, err := w.ask("dana", w.target("play", "ReadOnly"), w.target("management", "ReadOnly"))
	var p *Problem
	if !errors.As(err, &p) || !errors.Is(err, ErrRefused) || !strings.HasPrefix(p.Message, "management ReadOnly: no rule lends") || !strings.Contains(p.Hint, "the other 1 can be") {
		t.Errorf("%v, %+v", err, p)
	}
}

func TestNobodyCanApproveIsSaidAtOnce(t *testing.T) {
	w := newWorld(t)
	c := w.must(w.ask("dana", w.target("payments-prod", "Audit")))
	if got := c.Request.Lines[0].Nobody; got != "the group ghosts is empty" {
		t.Error(got)
	}
}

func TestWishesThatMakeNoSenseAreNotValid(t *testing.T) {
	w := newWorld(t)
	one := w.target("play", "ReadOnly")
	for want, wish := range map[string]Wish{
		"no account and permission set was named":     {nil, time.Hour, ""},
		"51 targets in one request":                   {make([]org.Target, 51), time.Hour, ""},
		"is not a duration in whole minutes":          {[]org.Target{one}, 90 * time.Second, ""},
		"-1h0m0s is not a duration":                   {[]org.Target{one}, -time.Hour, ""},
		"play ReadOnly is named twice":                {[]org.Target{one, one}, time.Hour, ""},
		"the reason has 501 characters":               {[]org.Target{one}, time.Hour, strings.Repeat("é", 501)},
		"a character that cannot be printed":          {[]org.Target{one}, time.Hour, "a\x1b[2Jb"},
		"the reason holds a character that cannot be": {[]org.Target{one}, time.Hour, "two\nlines"},
	} {
		if _, err := Ask(w.person("dana"), wish, w.set, start, w.newID); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

func TestWhoMayDecideIsResolvedAtTheClick(t *testing.T) {
	w := newWorld(t)
	power := *w.must(w.ask("kim", w.target("payments-prod", "PowerUser"))).Request
	refused := func(user, want string) {
		t.Helper()
		_, err := power.Approve(w.person(user), "", w.set, start)
		_, err2 := power.Reject(w.person(user), "", w.set, start)
		if !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), want) || !errors.Is(err2, ErrRefused) {
			t.Errorf("%s: %v and %v, want %s", user, err, err2, want)
		}
	}
	refused("kim", "nobody approves what they asked for themselves")
	refused("dana", "dana is none of them")
	once := *w.must(power.Approve(w.person("ren"), "", w.set, start)).Request
	if _, err := once.Approve(w.person("ren"), "", w.set, start); !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "you approved it already") {
		t.Errorf("twice: %v", err)
	}
	// ren leaves: the yes that was given no longer counts.
	w.change("ren", func(p *org.Person) { p.Status = org.StatusDisabled })
	power = once
	refused("ren", "ren is disabled in the directory")
	alone := w.must(once.Approve(w.person("lee"), "", w.set, start))
	if states(*alone.Request) != "pending" || kinds(alone) != "request.agreed" {
		t.Errorf("%s after one valid approval of two", states(*alone.Request))
	}
	// dana joins the approvers, and may decide at once.
	w.change("dana", func(p *org.Person) { p.Groups = append(p.Groups, w.person("lee").Groups...) })
	if c := w.must(alone.Request.Approve(w.person("dana"), "", w.set, start)); states(*c.Request) != "approved" {
		t.Errorf("%s after the second", states(*c.Request))
	}
}

func TestADecisionIsTakenUnderTheRulesOfThatMoment(t *testing.T) {
	w := newWorld(t)
	r := *w.must(w.ask("dana", w.target("payments-prod", "ReadOnly"))).Request
	for text, want := range map[string]string{
		strings.Replace(book, "what: {permission-sets: [ReadOnly]}", "what: {permission-sets: [Audit]}", 1): "the rules no longer allow it",
		strings.Replace(book, "need: 1, groups: [approvers]", "automatic: true", 1):                         "now gives it without approval; dana can ask again",
	} {
		w.ruled(text)
		if _, err := r.Approve(w.person("ren"), "", w.set, start); !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	w.ruled(strings.Replace(book, "need: 1, groups: [approvers]", "need: 1, groups: [security]", 1))
	if _, err := r.Approve(w.person("ren"), "", w.set, start); !errors.Is(err, ErrRefused) {
		t.Errorf("ren is no approver any more: %v", err)
	}
	if c := w.must(r.Approve(w.person("lee"), "", w.set, start)); states(*c.Request) != "approved" || c.Request.Lines[0].Needs.Groups[0].Name != "security" {
		t.Errorf("%s under %s", states(*c.Request), c.Request.Lines[0].Needs)
	}
	var unread rules.Set
	if _, err := r.Approve(w.person("ren"), "", unread, start); !errors.Is(err, ErrUnavailable) {
		t.Errorf("without an organization: %v", err)
	}
}

func TestOneNoIsEnough(t *testing.T) {
	w := newWorld(t)
	r := *w.must(w.ask("dana", w.target("play", "ReadOnly"), w.target("payments-prod", "ReadOnly"), w.target("payments-prod", "PowerUser"))).Request
	c := w.must(r.Reject(w.person("ren"), "not today", w.set, start))
	if states(*c.Request) != "approved rejected rejected" || c.Request.Lines[1].Decided.Comment != "not today" || len(c.Grants) != 0 || kinds(c) != "request.rejected" {
		t.Errorf("%s %s", states(*c.Request), kinds(c))
	}
	if _, err := c.Request.Approve(w.person("kim"), "", w.set, start); !errors.Is(err, ErrOver) {
		t.Errorf("after the end: %v", err)
	}
}

func TestOnlyTheRequesterWithdraws(t *testing.T) {
	w := newWorld(t)
	r := *w.must(w.ask("dana", w.target("payments-prod", "ReadOnly"))).Request
	if _, err := r.Withdraw(personActor(named(w.person("ren"))), "", start); !errors.Is(err, ErrRefused) {
		t.Errorf("ren: %v", err)
	}
	c := w.must(r.Withdraw(personActor(named(w.person("dana"))), "mended otherwise", start))
	if states(*c.Request) != "withdrawn" || kinds(c) != "request.withdrawn" {
		t.Error(states(*c.Request))
	}
	c = w.must(r.Withdraw(partActor("directory"), "dana is disabled", start))
	if states(*c.Request) != "withdrawn" || c.Events[0].Actor.Kind != audit.Sparekey {
		t.Error("Sparekey could not withdraw what a leaver asked for")
	}
}

func TestALineLapsesAfterThreeHours(t *testing.T) {
	w := newWorld(t)
	r := *w.must(w.ask("dana", w.target("payments-prod", "ReadOnly"))).Request
	if c := w.must(r.Lapse(start.Add(LapseAfter - time.Millisecond))); c.Request != nil {
		t.Error("it lapsed early")
	}
	at := start.Add(LapseAfter)
	if _, err := r.Approve(w.person("ren"), "", w.set, at); !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "it lapsed at 2026-11-22T06:00:00Z") {
		t.Errorf("approved at the moment of lapsing: %v", err)
	}
	if c := w.must(r.Lapse(at)); states(*c.Request) != "lapsed" {
		t.Error(states(*c.Request))
	}
}

func TestTheDrawingInTheDocsIsTheTables(t *testing.T) {
	const file = "../docs/design/lifecycles.md"
	const mark = "<!-- drawn from the tables of package access; `go test ./access -update` draws it anew -->\n"
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	head, _, ok := strings.Cut(string(text), mark)
	if !ok {
		t.Fatalf("%s lacks the line %q", file, mark)
	}
	want := head + mark + "\n" + Drawing()
	if *update {
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if string(text) != want {
		t.Errorf("%s is not what the tables say; draw it anew with go test ./access -update", file)
	}
}
