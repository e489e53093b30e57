package access

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"sparekey/audit"
	"sparekey/org"
)

// StopState is where a stop stands.
type StopState string

// The states of a stop.
const (
	StopEnding StopState = "ending" // what it reaches is being told to end
	StopDone   StopState = "done"   // everything that it reaches was told to end; it may hold on
	StopLifted StopState = "lifted" // somebody let starts go on before its time
)

type stopCommand string

const (
	makeStop   stopCommand = "stop"
	finishStop stopCommand = "finish"
	liftStop   stopCommand = "lift"
)

var stopStates = []StopState{"", StopEnding, StopDone, StopLifted}

var stopTable = table[StopState, stopCommand]{
	"":         {makeStop: {StopEnding, "stop.made"}},
	StopEnding: {finishStop: {StopDone, "stop.done"}, liftStop: {StopLifted, "stop.lifted"}},
	StopDone:   {liftStop: {StopLifted, "stop.lifted"}},
	StopLifted: {},
}

// LongestStop is how long a stop may keep things from starting.
const LongestStop = 30 * 24 * time.Hour

// Reach is what a stop is about: the access of a person, to an account, with a permission set or role, under a rule. What is
// named together is meant together; Everything is named alone.
type Reach struct {
	Person     Named  `json:"person,omitzero"`
	Target     Place  `json:"target,omitzero"` // of which the account, or the permission set, may be left out
	Rule       string `json:"rule,omitempty"`  // its name
	Everything bool   `json:"everything,omitempty"`
}

// Covers reports whether the reach holds access of a person to a target under a rule.
func (r Reach) Covers(p org.PersonID, t org.Target, rule string) bool {
	return r.Everything || r.check() == nil &&
		(r.Person.ID == "" || r.Person.ID == p) && (r.Target.Account == "" || r.Target.Account == t.Account) &&
		(r.Target.PermissionSet == "" || r.Target.PermissionSet == t.PermissionSet) && (r.Rule == "" || r.Rule == rule)
}

func (r Reach) covers(g Grant) bool { return r.Covers(g.Person.ID, g.Target.Target, g.Rule.Name) }

func (r Reach) check() error {
	named := r.Person.ID != "" || r.Target.Target != (org.Target{}) || r.Rule != ""
	switch {
	case r.Everything && named:
		return problem(ErrInvalid, "everything is named, and more than that").hint("leave the rest out, or leave everything out")
	case !r.Everything && !named:
		return problem(ErrInvalid, "it is not said what is to be stopped").hint("name a person, an account, a permission set, a rule, or everything")
	}
	return nil
}

func (r Reach) String() string {
	if r.Everything {
		return "everything"
	}
	var parts []string
	add := func(is bool, text string) {
		if is {
			parts = append(parts, text)
		}
	}
	add(r.Person.ID != "", "of "+r.Person.User)
	add(r.Target.Account != "", fmt.Sprintf("in %s (%s)", r.Target.AccountName, r.Target.Account))
	add(r.Target.PermissionSet != "", "with "+cmp.Or(r.Target.PermissionSetName, r.Target.PermissionSet))
	add(r.Rule != "", fmt.Sprintf("under the rule %q", r.Rule))
	return "everything " + strings.Join(parts, " ")
}

// Stop is the red button: it ends every grant that it reaches, and until a time keeps others from starting.
type Stop struct {
	ID      string      `json:"id"`
	Version int64       `json:"version"`
	State   StopState   `json:"state"`
	Reach   Reach       `json:"reach"`
	By      audit.Actor `json:"by"`
	At      time.Time   `json:"at"`
	Why     string      `json:"why"`
	Until   time.Time   `json:"until,omitzero"` // nothing that it reaches starts before; zero: it only ends
	Lifted  *Decision   `json:"lifted,omitempty"`
}

// NewStop makes a stop. Ending is never refused; only what makes no sense is.
func NewStop(id string, reach Reach, by audit.Actor, why string, holds time.Duration, now time.Time) (Change, error) {
	why = strings.TrimSpace(why)
	if err := reach.check(); err != nil {
		return Change{}, err
	}
	if err := checkText("the reason", why); err != nil {
		return Change{}, err
	}
	switch {
	case why == "":
		return Change{}, problem(ErrInvalid, "the reason is missing").hint("say in a few words why; it stands in the record of every grant that ends")
	case holds < 0 || holds > LongestStop || holds%time.Minute != 0:
		return Change{}, problem(ErrInvalid, "a stop keeps things from starting for whole minutes, at most %d days", int(LongestStop.Hours()/24)).hint("for longer, change the rules")
	}
	s := Stop{ID: id, Reach: reach, By: by, At: moment(now), Why: why}
	if holds > 0 {
		s.Until = s.At.Add(holds)
	}
	return s.turn(makeStop, by, now, detail{"reach": reach.String(), "why": why, "minutes": fmt.Sprint(int(holds.Minutes()))}, nil)
}

// Holds reports whether the stop keeps things from starting.
func (s Stop) Holds(now time.Time) bool {
	return s.State != StopLifted && now.Before(s.Until)
}

// Open reports whether something is left to do for the stop, or it holds.
func (s Stop) Open(now time.Time) bool { return s.State == StopEnding || s.Holds(now) }

// Reaches reports whether the stop still has to end a grant. One that was approved after a stop that does not hold is none
// of its business.
func (s Stop) Reaches(g Grant, now time.Time) bool {
	return g.Live() && g.End == nil && s.Reach.covers(g) && (s.Holds(now) || !g.ApprovedAt.After(s.At))
}

// Sweep ends grants that the stop reaches. done says that there are no others, so that it is finished.
func (s Stop) Sweep(grants []Grant, done bool, now time.Time) (Change, error) {
	c := Change{}
	n := 0
	for _, g := range grants {
		if !s.Reaches(g, now) {
			continue
		}
		more, err := g.EndIt(s.By, shortened(s.ID+": "+s.Why), now)
		if err != nil {
			return Change{}, err
		}
		c = c.And(more)
		n++
	}
	if s.State != StopEnding || !done {
		return c, nil
	}
	more, err := s.turn(finishStop, partActor("clock"), now, detail{}.number("last", n), nil)
	return c.And(more), err
}

// shortened cuts a text to what a reason may have.
func shortened(text string) string {
	if runes := []rune(text); len(runes) > MaxText {
		return string(runes[:MaxText-1]) + "…"
	}
	return text
}

// Lift lets starts go on before the stop's time. What it ended stays ended.
func (s Stop) Lift(by Named, why string, now time.Time) (Change, error) {
	if err := checkText("the reason", why); err != nil {
		return Change{}, err
	}
	switch {
	case s.State == StopLifted:
		return Change{}, problem(ErrOver, "%s was lifted by %s at %s", s.ID, s.Lifted.By.Name, s.Lifted.At.Format(time.RFC3339))
	case s.Reach.Person.ID == by.ID && s.By.ID != string(by.ID):
		return Change{}, problem(ErrRefused, "%s is about you, and %s made it", s.ID, s.By.Name).hint("somebody else may lift it")
	case s.State == StopEnding:
		return Change{}, problem(ErrOver, "%s has not told everything that it reaches to end yet", s.ID).hint("lift it when it has; `sparekey stops` shows that")
	case !s.Holds(now):
		return Change{}, problem(ErrOver, "%s is over: it holds nothing any more", s.ID)
	}
	return s.turn(liftStop, personActor(by), now, detail{"why": why}, func(n *Stop) {
		n.Lifted = &Decision{By: personActor(by), At: moment(now), Comment: why}
	})
}

func (s Stop) turn(command stopCommand, by audit.Actor, now time.Time, d detail, edit func(*Stop)) (Change, error) {
	step, err := stopTable.take(s.State, command)
	if err != nil {
		return Change{}, err
	}
	var before *audit.Image
	if s.State != "" {
		if before, err = audit.ImageOf(string(s.State), s.Version, s); err != nil {
			return Change{}, err
		}
	}
	next := s
	next.State = step.to
	if edit != nil {
		edit(&next)
	}
	next.Version++
	after, err := audit.ImageOf(string(next.State), next.Version, next)
	if err != nil {
		return Change{}, err
	}
	return Change{Stops: []Stop{next}, Events: []audit.Event{{
		At: moment(now), Kind: step.event, Actor: by, Subject: audit.Subject{Kind: "stop", ID: s.ID}, Before: before.Bare(), After: after, Detail: d,
	}}}, nil
}

// Quota is what AWS lets be done at once, as far as an estimate needs to know.
type Quota struct {
	Outstanding    int           // operations of Identity Center under way at once
	CallsPerSecond float64       // of Identity Center
	Operation      time.Duration // that one takes
}

// TypicalQuota is AWS's: ten operations at once and 20 calls a second; AWS's own sample needed 61 minutes for 1,200 operations,
// half a minute each ("Scaling" of aws-samples/aws-iam-identity-center-extensions).
var TypicalQuota = Quota{Outstanding: 10, CallsPerSecond: 20, Operation: 30 * time.Second}

// Estimate says what ending some grants at once means.
type Estimate struct {
	Grants     int           `json:"grants"`
	People     int           `json:"people"`
	Accounts   int           `json:"accounts"`
	Unbegun    int           `json:"unbegun"`    // of the grants: they are cancelled at once
	Kept       int           `json:"kept"`       // of the grants: their access stays, since it is somebody else's or another grant keeps it
	Operations int           `json:"operations"` // that AWS carries out, one after another in each account
	Ahead      int           `json:"ahead"`      // operations that are under way or due already
	Takes      time.Duration `json:"takes"`      // until AWS has carried out the last, if nothing fails
	LastMinute time.Time     `json:"lastMinute,omitzero"`
}

// EstimateEnd says what ending those of the live grants that a reach covers means, from the quota.
func EstimateEnd(reach Reach, live []Grant, q Quota, now time.Time) Estimate {
	var e Estimate
	people, accounts, kept := map[org.PersonID]bool{}, map[org.AccountID]bool{}, map[Key]bool{}
	for _, g := range live {
		if !reach.covers(g) && g.wanted() && g.End == nil {
			kept[g.Key()] = true
		}
	}
	seen, perAccount := map[Key]bool{}, map[org.AccountID]int{}
	calls := 0
	for _, g := range live {
		if g.End != nil {
			if g.Way == Assignment {
				e.Ahead++
			}
			continue
		}
		if !reach.covers(g) {
			continue
		}
		e.Grants++
		people[g.Person.ID], accounts[g.Target.Account] = true, true
		switch {
		case g.State == Waiting:
			e.Unbegun++
		case g.Held == PreExisting || kept[g.Key()]:
			e.Kept++
		case g.Way == Session || seen[g.Key()]:
		default:
			seen[g.Key()] = true
			calls += 4 // to list, to delete, and to ask and list again, at the least
			if g.Way == Assignment {
				e.Operations++
				perAccount[g.Target.Account]++
			}
		}
		e.LastMinute = latest(e.LastMinute, lastAfterEnd(g, now))
	}
	e.People, e.Accounts = len(people), len(accounts)
	busiest := 0
	for _, n := range perAccount {
		busiest = max(busiest, n)
	}
	if slots := max(q.Outstanding-1, 1); e.Operations > 0 {
		rounds := max((e.Operations+e.Ahead+slots-1)/slots, busiest)
		e.Takes = max(time.Duration(rounds)*q.Operation, time.Duration(float64(calls)/q.CallsPerSecond*float64(time.Second)))
	}
	return e
}

// lastAfterEnd is when the last session that a grant made possible ends, if the grant ends now.
func lastAfterEnd(g Grant, now time.Time) time.Time {
	if g.State == Waiting {
		return time.Time{}
	}
	if g.Way == Session {
		last, _ := g.lastVended(now)
		return last
	}
	return now.Add(time.Duration(g.Target.SessionMinutes) * time.Minute)
}
