package access

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"sparekey/audit"
	"sparekey/org"
	"sparekey/rules"
)

// fault is what AWS does instead of what it was told. Faults come in pairs: failed, and failed but happened.
type fault string

const (
	none         fault = "none"
	throttle     fault = "throttle"
	lost         fault = "lost"                         // no answer, nothing happened
	lostAfter    fault = "lost, but it happened"        // no answer
	asyncFailed  fault = "failed"                       // accepted, then FAILED
	asyncFailed2 fault = "failed, but it happened"      // FAILED, and yet
	late         fault = "failed, and happened later"   // FAILED, and eight minutes later it is there
	forgotten    fault = "accepted, but not remembered" // the operation runs, and is not known when asked for
)

var faults = []fault{none, none, none, none, throttle, lost, lostAfter, asyncFailed, asyncFailed2, late, forgotten}

type operation struct {
	seen      Seen
	key       Key
	give      bool
	doneAt    time.Time
	effect    bool
	effectAt  time.Time
	forgotten bool
}

// cloud is a small AWS: assignments that are made and removed asynchronously, listings that lag, and faults.
type cloud struct {
	t       *rapid.T
	now     time.Time
	calm    bool // no more faults
	lag     time.Duration
	owner   map[Key]string // who gave what is there: "us" or "them"
	changed map[Key]time.Time
	was     map[Key]bool // before the last change
	ops     []*operation
	called  map[Key]time.Time // when we last tried to change it
}

func (c *cloud) fault(name string) fault {
	if c.calm {
		return none
	}
	return rapid.SampledFrom(faults).Draw(c.t, name)
}

// settle lets everything happen whose time has come.
func (c *cloud) settle() {
	for _, op := range c.ops {
		if op.seen.Outcome == "" && !op.doneAt.After(c.now) {
			op.seen.Outcome = Succeeded
			if op.seen.Reason != "" {
				op.seen.Outcome = FailedOp
			}
		}
		if op.effect && !op.effectAt.After(c.now) {
			op.effect = false
			c.put(op.key, op.give, "us", op.effectAt)
		}
	}
}

func (c *cloud) put(k Key, give bool, who string, at time.Time) {
	_, there := c.owner[k]
	if there == give {
		if give && who == "them" {
			c.owner[k] = who // whoever gives it again wants it too
		}
		return
	}
	c.was[k], c.changed[k] = there, at
	if give {
		c.owner[k] = who
	} else {
		delete(c.owner, k)
	}
}

func (c *cloud) listed(k Key) bool {
	c.settle()
	if c.now.Sub(c.changed[k]) < c.lag {
		return c.was[k]
	}
	_, there := c.owner[k]
	return there
}

func (c *cloud) call(k Key, give bool) (Seen, error) {
	c.settle()
	c.called[k] = c.now
	f := c.fault(fmt.Sprintf("fault of give=%v", give))
	if f == throttle {
		return Seen{}, fmt.Errorf("calling: %w", ErrThrottled)
	}
	if f == lost {
		return Seen{}, fmt.Errorf("calling: %w", ErrLost)
	}
	for _, op := range c.ops {
		if op.key == k && op.seen.Outcome == "" {
			return Seen{}, fmt.Errorf("calling: %w", ErrConflict)
		}
	}
	took := time.Duration(rapid.IntRange(0, 20).Draw(c.t, "takes")) * time.Second
	op := &operation{seen: Seen{ID: fmt.Sprintf("op-%d", len(c.ops)), At: c.now.Truncate(time.Second)}, key: k, give: give, doneAt: c.now.Add(took), effect: true, forgotten: f == forgotten}
	op.effectAt = op.doneAt
	switch f {
	case asyncFailed:
		op.effect, op.seen.Reason = false, "AWS could not"
	case asyncFailed2:
		op.seen.Reason = "AWS could not"
	case late:
		op.seen.Reason, op.effectAt = "AWS could not", op.doneAt.Add(8*time.Minute)
	case none, throttle, lost, lostAfter, forgotten:
	}
	if !give && f == late {
		op.effectAt = op.doneAt // a delete that lands late on what was given anew is AWS's own affair
	}
	c.ops = append(c.ops, op)
	if f == lostAfter {
		return Seen{}, fmt.Errorf("calling: %w", ErrLost)
	}
	return op.seen, nil
}

func (c *cloud) status(id string) (Seen, error) {
	c.settle()
	for _, op := range c.ops {
		if op.seen.ID == id && !op.forgotten {
			return op.seen, nil
		}
	}
	return Seen{}, ErrMissing
}

func (c *cloud) creates(k Key) []Seen {
	c.settle()
	var found []Seen
	for _, op := range c.ops {
		if op.key == k && op.give {
			found = append(found, op.seen)
		}
	}
	return found
}

// sim drives grants through the cloud as the lane does, and watches the promises that are made about them.
type sim struct {
	t      *rapid.T
	w      *world
	c      *cloud
	grants []Grant
	last   map[string]*audit.Image

	status org.Status // dana's, as AWS says it
	denied bool       // whether the rules deny everybody now
	books  map[bool]rules.Set
}

// facts are what the broker sees before it begins or creates.
func (s *sim) facts(g Grant) Facts {
	k, p := g.Key(), s.w.person(g.Person.User)
	p.Status = s.status
	return Facts{Person: p, Rules: s.books[s.denied], Assigned: s.c.listed(k), Others: s.others(g), Creates: s.c.creates(k), NewID: s.w.newID}
}

// meanwhile is what happens to dana or to the rules at a moment at which nobody looks.
func (s *sim) meanwhile(where string, often int) {
	if s.c.calm || rapid.IntRange(0, often).Draw(s.t, "change "+where) != 0 {
		return
	}
	s.status = rapid.SampledFrom([]org.Status{org.StatusEnabled, org.StatusEnabled, org.StatusDisabled, org.StatusRemoved, org.StatusUnknown}).Draw(s.t, "status")
	s.denied = rapid.IntRange(0, 3).Draw(s.t, "denied") == 0
}

func (s *sim) apply(c Change, err error) {
	if err != nil {
		s.t.Fatalf("a command failed: %v", err)
	}
	for _, g := range c.Grants {
		i := slices.IndexFunc(s.grants, func(o Grant) bool { return o.ID == g.ID })
		if i < 0 {
			s.grants = append(s.grants, g)
			continue
		}
		s.grants[i] = g
	}
	for _, e := range c.Events {
		if e.Subject.Kind != "grant" {
			continue
		}
		was := s.last[e.Subject.ID]
		if (was == nil) != (e.Before == nil) || was != nil && (was.Digest != e.Before.Digest || was.Version != e.Before.Version || e.After.Version != was.Version+1) {
			s.t.Fatalf("the event %s of %s does not follow on the one before", e.Kind, e.Subject.ID)
		}
		s.last[e.Subject.ID] = e.After
	}
	for i, g := range c.Grants {
		if s.last[g.ID].Version != g.Version {
			s.t.Fatalf("grant %s of change %d has no event", g.ID, i)
		}
	}
}

func (s *sim) find(id string) Grant {
	return s.grants[slices.IndexFunc(s.grants, func(o Grant) bool { return o.ID == id })]
}

func (s *sim) others(g Grant) []Grant {
	var found []Grant
	for _, o := range s.grants {
		if o.ID != g.ID && o.Key() == g.Key() && !o.Over() {
			found = append(found, o)
		}
	}
	return found
}

// do carries out a grant's task, as the broker does.
func (s *sim) do(g Grant) {
	k, now := g.Key(), s.c.now
	var c Change
	var call bool
	var err error
	switch task := g.Task(now); task {
	case Begin:
		c, call, err = g.Begin(s.facts(g), now)
		s.apply(c, err)
		if !call || s.crash("between the intent and the second look") {
			return
		}
		s.meanwhile("after the intent", 9)
		c, call, err = s.find(g.ID).Attempt(s.facts(g), now)
	case Recover:
		c, call, err = g.Recover(s.facts(g), now)
	case Confirm:
		c, err = g.Confirm(s.c.listed(k), now)
	case PollCreate:
		op, miss := s.c.status(g.Create.ID)
		if miss != nil {
			c, err = g.CreateForgotten(now)
		} else {
			c, err = g.CreateSeen(op, now)
		}
	case EndNow:
		c, err = g.Expire(now)
	case Remove:
		c, call, err = g.Remove(s.c.listed(k), s.others(g), now)
		s.apply(c, err)
		if call {
			s.remove(g)
		}
		return
	case PollDelete:
		op, miss := s.c.status(g.Delete.ID)
		if miss != nil {
			c, err = g.DeleteForgotten(now)
		} else {
			c, err = g.DeleteSeen(op, now)
		}
	case ConfirmGone:
		c, err = g.ConfirmGone(s.c.listed(k), now)
	case Stick:
		c, err = g.Stick(now)
	case Check:
		c, err = g.Check(s.c.listed(k), s.c.creates(k), s.others(g), now)
	case Rest:
		s.t.Fatalf("%s is due and has nothing to do: %+v", g.ID, g)
	}
	s.apply(c, err)
	if call {
		if n := s.find(g.ID); n.State != Granting && n.State != Stuck || n.BegunAt.IsZero() || n.HardEnd.IsZero() {
			s.t.Fatalf("AWS is called for %s without a recorded intent", g.ID)
		}
		if s.status != org.StatusEnabled || s.denied || !now.Before(g.ApprovedAt.Add(StartWithin)) {
			s.t.Fatalf("AWS is called to create %s: dana is %q, denied %v, %s after the approval\n%s", g.ID, s.status, s.denied, now.Sub(g.ApprovedAt), s.story(k))
		}
		if s.crash("between the intent and the call") {
			return
		}
		op, answer := s.c.call(k, true)
		if s.crash("between the call and its record") {
			return
		}
		c, err = s.find(g.ID).CreateAnswered(op, answer, now)
		s.apply(c, err)
	}
}

func (s *sim) remove(g Grant) {
	if s.crash("before the delete") {
		return
	}
	if who := s.c.owner[g.Key()]; who == "them" {
		s.t.Fatalf("%s deletes what somebody else gave\n%s", g.ID, s.story(g.Key()))
	}
	op, answer := s.c.call(g.Key(), false)
	if s.crash("after the delete") {
		return
	}
	c, err := s.find(g.ID).DeleteAnswered(op, answer, s.c.now)
	s.apply(c, err)
}

func (s *sim) crash(where string) bool {
	return !s.c.calm && rapid.IntRange(0, 9).Draw(s.t, "crash "+where) == 0
}

// story tells what became of the grants of a key, for whoever mends what this test finds.
func (s *sim) story(k Key) string {
	var b strings.Builder
	fmt.Fprintf(&b, "now %s\n", s.c.now.Format(time.TimeOnly))
	for _, g := range s.grants {
		if g.Key() == k {
			text, _ := audit.Canonical(g)
			fmt.Fprintf(&b, "%s\n", text)
		}
	}
	for _, op := range s.c.ops {
		if op.key == k {
			fmt.Fprintf(&b, "%+v\n", *op)
		}
	}
	return b.String()
}

// run does everything that is due, most urgent first, until nothing is.
func (s *sim) run() {
	for range 40 {
		due := slices.DeleteFunc(slices.Clone(s.grants), func(g Grant) bool { return g.Due().IsZero() || g.Due().After(s.c.now) })
		if len(due) == 0 {
			break
		}
		slices.SortFunc(due, func(a, b Grant) int { return a.Urgency() - b.Urgency() })
		moved := false
		for _, g := range due {
			before := s.find(g.ID)
			s.do(before)
			moved = moved || s.find(g.ID).Version != before.Version
		}
		if !moved {
			break // operations of AWS go on
		}
	}
	s.watch()
}

// watch checks what must hold at every moment.
func (s *sim) watch() {
	s.c.settle()
	for k, who := range s.c.owner {
		if who == "us" && !slices.ContainsFunc(s.grants, func(g Grant) bool { return g.Key() == k && !g.Over() }) {
			s.t.Fatalf("access of ours that no grant answers for: %+v\n%s", k, s.story(k))
		}
	}
	for _, g := range s.grants {
		if g.State == Active && (g.ActiveAt.IsZero() || g.EndsAt.After(g.HardEnd) || g.EndsAt.After(g.ActiveAt.Add(g.Duration()))) {
			s.t.Fatalf("%s is active from %s to %s, hard end %s", g.ID, g.ActiveAt, g.EndsAt, g.HardEnd)
		}
		if g.State == Active && s.c.now.After(g.EndsAt.Add(time.Second)) {
			s.t.Fatalf("%s is active past its end", g.ID)
		}
		if at, _ := g.stuckAt(); (g.State == Granting || g.State == Ending) && s.c.now.After(at.Add(time.Second)) {
			s.t.Fatalf("%s is %s for too long", g.ID, g.State)
		}
		if _, there := s.c.owner[g.Key()]; g.State == Active && !there && (g.Held == Shared || g.Create != nil) {
			s.t.Fatalf("%s is active and its access was taken away\n%s", g.ID, s.story(g.Key()))
		}
		if g.ActiveAt.IsZero() != g.EndsAt.IsZero() {
			s.t.Fatalf("%s has a clock without a confirmation", g.ID)
		}
	}
}

func (s *sim) grant(set string) {
	if s.status.Gone() || s.denied {
		s.t.Skip("there is nothing to ask for")
	}
	minutes := rapid.SampledFrom([]int{1, 5, 30}).Draw(s.t, "minutes")
	c, err := Ask(s.w.person("dana"), Wish{Targets: []org.Target{s.w.target("play", set)}, Duration: time.Duration(minutes) * time.Minute}, s.w.set, s.c.now, s.w.newID)
	s.apply(c, err)
	s.run()
}

func (s *sim) end() {
	live := slices.DeleteFunc(slices.Clone(s.grants), func(g Grant) bool { return !g.Live() })
	if len(live) == 0 {
		s.t.Skip("nothing is live")
	}
	g := rapid.SampledFrom(live).Draw(s.t, "ended")
	c, err := g.EndIt(personActor(g.Person), "done", s.c.now)
	s.apply(c, err)
	s.run()
}

// foreign is somebody else who gives the same access; not between a listing of ours and its call, and not on top of what
// we are changing at the moment.
func (s *sim) foreign(set string) {
	k := Key{Way: Assignment, Person: s.w.person("dana").ID, Target: s.w.target("play", set)}
	begun := func(g Grant) bool { return g.wanted() || g.busy() }
	if slices.ContainsFunc(s.grants, func(g Grant) bool { return g.Key() == k && begun(g) && !untouched(g) }) {
		s.t.Skip("a grant of ours is there")
	}
	if slices.ContainsFunc(s.c.ops, func(op *operation) bool {
		return op.key == k && (op.effect || op.seen.Outcome == "")
	}) || s.c.now.Sub(s.c.called[k]) <= 2*clockSlack {
		s.t.Skip("something of ours is on its way, or was a moment ago")
	}
	s.c.put(k, true, "them", s.c.now.Add(-time.Minute)) // what somebody wrote before our listing is in the listing
	s.c.ops = append(s.c.ops, &operation{seen: Seen{ID: fmt.Sprintf("op-%d", len(s.c.ops)), At: s.c.now, Outcome: Succeeded}, key: k, give: true})
	s.run()
}

// untouched reports whether a grant has begun, and AWS certainly took no create of it yet: it was not called, or refused.
func untouched(g Grant) bool {
	return g.wanted() && !g.Unsure && g.Create != nil && g.Create.Outcome == NotTaken
}

// foreignEnd is somebody else who takes back what they gave.
func (s *sim) foreignEnd(set string) {
	k := Key{Way: Assignment, Person: s.w.person("dana").ID, Target: s.w.target("play", set)}
	if s.c.owner[k] != "them" || slices.ContainsFunc(s.grants, func(g Grant) bool { return g.Key() == k && g.busy() }) {
		s.t.Skip("there is nothing to take back, or we are changing it")
	}
	s.c.put(k, false, "them", s.c.now.Add(-time.Minute))
	s.run()
}

func (s *sim) pass(d time.Duration) {
	s.c.now = s.c.now.Add(d)
	s.run()
}

// TestGrantsKeepTheirPromisesWhateverAWSDoes runs arbitrary schedules of people, faults of AWS, crashes of the lane and time.
func TestGrantsKeepTheirPromisesWhateverAWSDoes(t *testing.T) {
	w := newWorld(t)
	b, err := rules.Parse([]rules.File{{Name: "r.yaml", Text: []byte(book)}}, rules.DefaultLongest)
	if err != nil {
		t.Fatal(err)
	}
	none, err := rules.Parse([]rules.File{{Name: "r.yaml", Text: []byte(book + "  - {name: freeze, deny: true, who: {groups: [developers]}}\n")}}, rules.DefaultLongest)
	if err != nil {
		t.Fatal(err)
	}
	books := map[bool]rules.Set{false: b.In(org.NewMirror(w.o)), true: none.In(org.NewMirror(w.o))}
	rapid.Check(t, func(t *rapid.T) {
		fresh := &world{TB: w.TB, o: w.o, set: b.In(org.NewMirror(w.o))}
		s := &sim{t: t, w: fresh, status: org.StatusEnabled, books: books, last: map[string]*audit.Image{}, c: &cloud{
			t: t, now: start, owner: map[Key]string{}, changed: map[Key]time.Time{}, was: map[Key]bool{}, called: map[Key]time.Time{},
			lag: time.Duration(rapid.SampledFrom([]int{0, 0, 2, 5}).Draw(t, "lag")) * time.Second,
		}}
		set := func() string { return rapid.SampledFrom([]string{"ReadOnly", "PowerUser"}).Draw(t, "set") }
		t.Repeat(map[string]func(*rapid.T){
			"ask":         func(*rapid.T) { s.grant(set()) },
			"end":         func(*rapid.T) { s.end() },
			"directory":   func(*rapid.T) { s.meanwhile("of the directory or the rules", 0) },
			"foreign":     func(*rapid.T) { s.foreign(set()) },
			"foreign end": func(*rapid.T) { s.foreignEnd(set()) },
			"moment":      func(t *rapid.T) { s.pass(time.Duration(rapid.IntRange(100, 5000).Draw(t, "ms")) * time.Millisecond) },
			"seconds":     func(t *rapid.T) { s.pass(time.Duration(rapid.IntRange(5, 60).Draw(t, "s")) * time.Second) },
			"minutes": func(t *rapid.T) {
				for range rapid.IntRange(1, 20).Draw(t, "min") {
					s.pass(time.Minute)
				}
			},
		})
		s.c.calm = true
		for range 4 * 60 * 4 { // four hours, a quarter of a minute at a time
			s.pass(15 * time.Second)
		}
		for _, g := range s.grants {
			if !g.Over() {
				t.Fatalf("four hours later %s is %s: %+v", g.ID, g.State, g)
			}
		}
		for k, who := range s.c.owner {
			if who == "us" {
				t.Fatalf("access of ours is left: %+v", k)
			}
		}
	})
}
