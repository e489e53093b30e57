package access

import (
	"fmt"
	"strings"
	"time"
	"unicode"

	"sparekey/audit"
	"sparekey/org"
	"sparekey/rules"
)

// Limits of what one request may hold.
const (
	MaxLines   = 50            // targets of one request
	MaxText    = 500           // characters of a reason or a comment
	LapseAfter = 3 * time.Hour // a line that nobody decided lapses
	MaxMinutes = 366 * 24 * 60 // minutes of a request; rules give less
)

// LineState is where a line of a request stands.
type LineState string

// The states of a line.
const (
	Pending   LineState = "pending"
	Approved  LineState = "approved"
	Rejected  LineState = "rejected"
	Withdrawn LineState = "withdrawn"
	Lapsed    LineState = "lapsed"
)

type lineCommand string

const (
	askLine      lineCommand = "ask"
	agreeLine    lineCommand = "agree"   // one of several approvals
	approveLine  lineCommand = "approve" // the last one, or the rule's own
	rejectLine   lineCommand = "reject"
	withdrawLine lineCommand = "withdraw"
	lapseLine    lineCommand = "lapse"
)

var lineStates = []LineState{"", Pending, Approved, Rejected, Withdrawn, Lapsed}

var lineTable = table[LineState, lineCommand]{
	"": {askLine: {Pending, "request.asked"}},
	Pending: {
		agreeLine:    {Pending, "request.agreed"},
		approveLine:  {Approved, "request.approved"},
		rejectLine:   {Rejected, "request.rejected"},
		withdrawLine: {Withdrawn, "request.withdrawn"},
		lapseLine:    {Lapsed, "request.lapsed"},
	},
	Approved: {}, Rejected: {}, Withdrawn: {}, Lapsed: {},
}

// Request is what a person asked for at one moment: some targets, one duration, one reason.
type Request struct {
	ID        string    `json:"id"`
	Version   int64     `json:"version"`
	Requester Named     `json:"requester"`
	Reason    string    `json:"reason,omitempty"`
	Minutes   int       `json:"minutes"`
	AskedAt   time.Time `json:"askedAt"`
	LapsesAt  time.Time `json:"lapsesAt"`
	Lines     []Line    `json:"lines"`
}

// Line is one target of a request.
type Line struct {
	Number    int         `json:"number"` // from 1
	State     LineState   `json:"state"`
	Target    Place       `json:"target"`
	Rule      rules.Ref   `json:"rule"`  // under which it was judged last
	Needs     rules.Needs `json:"needs"` // what that rule asked for
	Nobody    string      `json:"nobody,omitempty"`
	Approvals []Approval  `json:"approvals,omitempty"`
	Decided   *Decision   `json:"decided,omitempty"`
	Grant     string      `json:"grant"` // the id that its grant has or would have
}

// Place is a target with its names at the moment of asking, for people and records.
type Place struct {
	org.Target
	AccountName       string `json:"accountName"`
	PermissionSetName string `json:"permissionSetName"`
	SessionMinutes    int    `json:"sessionMinutes"` // how long sessions of the permission set live
}

func (p Place) String() string { return p.AccountName + " " + p.PermissionSetName }

// Approval is one person's yes to one line.
type Approval struct {
	By      Named     `json:"by"`
	At      time.Time `json:"at"`
	Comment string    `json:"comment,omitempty"`
}

// Decision is who or what closed a line, and when.
type Decision struct {
	By      audit.Actor `json:"by"`
	At      time.Time   `json:"at"`
	Comment string      `json:"comment,omitempty"`
}

// Duration is how long the access was asked for.
func (r Request) Duration() time.Duration { return time.Duration(r.Minutes) * time.Minute }

// Open reports whether any line still waits for a decision.
func (r Request) Open() bool {
	for _, l := range r.Lines {
		if l.State == Pending {
			return true
		}
	}
	return false
}

// Wish is what a person asks for.
type Wish struct {
	Targets  []org.Target
	Duration time.Duration
	Reason   string
}

// Ask makes a request of what by wishes, if the rules allow every line of it. Lines whose rule agrees by itself are approved
// at once. newID makes ids: "req" for the request, "g" for grants.
func Ask(by org.Person, w Wish, in rules.Set, now time.Time, newID func(kind string) string) (Change, error) {
	w.Reason = strings.TrimSpace(w.Reason)
	if err := w.check(in.Organization()); err != nil {
		return Change{}, err
	}
	now = moment(now)
	r := Request{ID: newID("req"), Requester: named(by), Reason: w.Reason, Minutes: int(w.Duration.Minutes()), AskedAt: now, LapsesAt: now.Add(LapseAfter)}
	var refused []string
	for i, t := range w.Targets {
		d := in.Judge(by, rules.Ask{Target: t, For: w.Duration, Reason: w.Reason})
		place := PlaceOf(t, in.Organization())
		if !d.Allowed {
			refused = append(refused, fmt.Sprintf("%s: %s", place, strings.Join(d.Why, "; ")))
			continue
		}
		r.Lines = append(r.Lines, Line{Number: i + 1, State: Pending, Target: place, Rule: d.Rule, Needs: d.Needs, Nobody: d.Nobody, Grant: newID("g")})
	}
	if len(refused) > 0 {
		return Change{}, refusal(refused, len(w.Targets))
	}
	c := Change{}
	asked, err := lineTable.take("", askLine)
	if err != nil {
		return Change{}, err
	}
	if err := c.record(nil, &r, asked.event, personActor(r.Requester), now, detail{}.number("lines", len(r.Lines))); err != nil {
		return Change{}, err
	}
	if err := c.approveAutomatic(&r, now); err != nil {
		return Change{}, err
	}
	c.Request = &r
	if r.Open() {
		c.Promises = append(c.Promises, Promise{PromiseLapse, r.ID, r.LapsesAt})
	}
	return c, nil
}

func refusal(refused []string, of int) *Problem {
	p := problem(ErrRefused, "%s", strings.Join(refused, "\n"))
	if len(refused) < of {
		return p.hint("nothing was asked for; without the lines above, the other %d can be", of-len(refused))
	}
	return p.hint("`sparekey access list` shows what you may ask for, `sparekey why` shows which rule decides")
}

// approveAutomatic approves the lines whose rule needs nobody.
func (c *Change) approveAutomatic(r *Request, now time.Time) error {
	old := r.copy()
	var approved []int
	for i := range r.Lines {
		l := &r.Lines[i]
		if l.Needs.Approvals == 0 {
			l.State = Approved
			l.Decided = &Decision{By: partActor("rules"), At: now}
			c.Grants = append(c.Grants, newGrant(*r, *l, now))
			approved = append(approved, l.Number)
		}
	}
	if len(approved) == 0 {
		return nil
	}
	step, err := lineTable.take(Pending, approveLine)
	if err != nil {
		return err
	}
	if err := c.record(&old, r, step.event, partActor("rules"), now, detail{"lines": numbers(approved), "automatic": "true"}); err != nil {
		return err
	}
	return c.recordNewGrants(now)
}

func (w Wish) check(m *org.Mirror) error {
	switch {
	case len(w.Targets) == 0:
		return problem(ErrInvalid, "no account and permission set was named").hint("name at least one of each")
	case len(w.Targets) > MaxLines:
		return problem(ErrInvalid, "%d targets in one request; at most %d are taken", len(w.Targets), MaxLines)
	case w.Duration < time.Minute || w.Duration%time.Minute != 0 || w.Duration > MaxMinutes*time.Minute:
		return problem(ErrInvalid, "%s is not a duration in whole minutes", w.Duration).hint("write it as 45m, 8h or 1h30m")
	}
	seen := map[org.Target]bool{}
	for _, t := range w.Targets {
		if seen[t] {
			return problem(ErrInvalid, "%s is named twice", PlaceOf(t, m)).hint("name each account with each permission set once")
		}
		seen[t] = true
	}
	return checkText("the reason", w.Reason)
}

// checkText limits what people write for others to read: its length, and characters that a terminal or a log would act upon.
func checkText(what, text string) error {
	if n := len([]rune(text)); n > MaxText {
		return problem(ErrInvalid, "%s has %d characters; at most %d are kept", what, n, MaxText).hint("say it in fewer words, or name where it is written at length")
	}
	if strings.ContainsFunc(text, func(c rune) bool { return !unicode.IsPrint(c) }) {
		return problem(ErrInvalid, "%s holds a character that cannot be printed", what).hint("write it in one line of plain text")
	}
	return nil
}

// PlaceOf adds to a target the names that it has in an organization.
func PlaceOf(t org.Target, m *org.Mirror) Place {
	p := Place{Target: t, AccountName: string(t.Account), PermissionSetName: t.PermissionSet}
	if m == nil {
		return p
	}
	if a, ok := m.Account(t.Account); ok {
		p.AccountName = a.Name
	}
	if s, ok := m.PermissionSet(t.PermissionSet); ok {
		p.PermissionSetName, p.SessionMinutes = s.Name, int(s.Session.Minutes())
	}
	return p
}

func numbers(ns []int) string {
	return strings.Trim(strings.ReplaceAll(fmt.Sprint(ns), " ", ","), "[]")
}

// copy returns a request whose lines can be changed without touching r's.
func (r Request) copy() Request {
	r.Lines = append([]Line(nil), r.Lines...)
	for i := range r.Lines {
		r.Lines[i].Approvals = append([]Approval(nil), r.Lines[i].Approvals...)
	}
	return r
}

// record appends the event that turns old into r, and counts r's version up. A nil old is nothing.
func (c *Change) record(old, r *Request, kind string, by audit.Actor, now time.Time, d detail) error {
	var before *audit.Image
	if old != nil {
		var err error
		if before, err = audit.ImageOf("", old.Version, old); err != nil {
			return err
		}
	}
	r.Version++
	after, err := audit.ImageOf("", r.Version, r)
	if err != nil {
		return err
	}
	c.Events = append(c.Events, audit.Event{
		At: now, Kind: kind, Actor: by, Subject: audit.Subject{Kind: "request", ID: r.ID}, Before: before.Bare(), After: after, Detail: d,
	})
	return nil
}
