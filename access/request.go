package access

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"sparekey/audit"
	"sparekey/org"
	"sparekey/rules"
)

// Limits of what one request may hold.
const (
	MaxLines   = 50                  // targets of one request
	MaxText    = 500                 // characters of a reason or a comment
	LapseAfter = 3 * time.Hour       // a line that nobody decided lapses
	MaxMinutes = 366 * 24 * 60       // minutes of a request; rules give less
	Ahead      = 30 * 24 * time.Hour // how long before its start something can be asked for
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
	recheckLine  lineCommand = "recheck" // what it waited for has answered
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
		recheckLine:  {Pending, "request.rechecked"},
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
	Ticket    string    `json:"ticket,omitempty"`
	StartAt   time.Time `json:"startAt,omitzero"` // when it is to begin; zero: once it is approved
	AskedAt   time.Time `json:"askedAt"`
	LapsesAt  time.Time `json:"lapsesAt"`
	Extends   *Extended `json:"extends,omitempty"`
	Policy    string    `json:"policy,omitempty"` // a session policy that allows less than the roles
	Lines     []Line    `json:"lines"`
}

// Extended is the grant that a request is to extend.
type Extended struct {
	Grant  string    `json:"grant"`
	EndsAt time.Time `json:"endsAt"` // of that grant, when it was asked
	Freely int       `json:"freely"` // minutes of extensions so far that nobody approved
}

// Line is one target of a request.
type Line struct {
	Number int         `json:"number"` // from 1
	State  LineState   `json:"state"`
	Target Place       `json:"target"`
	Rule   rules.Ref   `json:"rule"`  // under which it was judged last
	Needs  rules.Needs `json:"needs"` // what that rule asked for
	Terms
	Minutes   int        `json:"minutes"` // what was asked for, or less when less was approved
	Shortened bool       `json:"shortened,omitempty"`
	Waits     string     `json:"waits,omitempty"`
	Nobody    string     `json:"nobody,omitempty"`
	Approvals []Approval `json:"approvals,omitempty"`
	Decided   *Decision  `json:"decided,omitempty"`
	Grant     string     `json:"grant"` // the id that its grant has or would have
}

// Terms is what else the rule said to a line.
type Terms struct {
	Way       Way              `json:"way"`
	Group     org.GroupID      `json:"group,omitempty"`   // of a membership
	Content   string           `json:"content,omitempty"` // digest of what the permission set permits
	Service   string           `json:"service,omitempty"` // that checks the ticket
	NotAfter  time.Time        `json:"notAfter,omitzero"` // the end of the ticket's window, or of the rule's hours
	Sensitive bool             `json:"sensitive,omitempty"`
	Review    *rules.Reviewers `json:"review,omitempty"`
}

func termsOf(d rules.Decision) Terms {
	return Terms{Way(d.Way), d.Group, d.Content, d.Ticket, moment(d.Until), d.Sensitive, d.Review}
}

// judged puts a decision of the rules into the line.
func (l *Line) judged(d rules.Decision) {
	l.Rule, l.Needs, l.Nobody, l.Waits, l.Terms = d.Rule, d.Needs, d.Nobody, d.Waits, termsOf(d)
}

// votes are the approvals that were given for exactly what a decision is about.
func (l Line) votes(d rules.Decision) []rules.Vote { return votes(l.Approvals, bound(d)) }

func votes(approvals []Approval, to rules.Bound) []rules.Vote {
	var all []rules.Vote
	for _, a := range approvals {
		if a.Bound == to {
			all = append(all, a.Vote)
		}
	}
	return all
}

func bound(d rules.Decision) rules.Bound { return rules.Bound{Rule: d.Rule.Digest, Content: d.Content} }

// Place is a target with its names at the moment of asking, for people and records.
type Place struct {
	org.Target
	AccountName       string `json:"accountName"`
	PermissionSetName string `json:"permissionSetName"`
	SessionMinutes    int    `json:"sessionMinutes"` // how long sessions of the permission set live
}

func (p Place) String() string { return p.AccountName + " " + p.PermissionSetName }

// Approval is one person's yes to one line, with what it was given for.
type Approval struct {
	rules.Vote
	Bound   rules.Bound `json:"bound"`
	Minutes int         `json:"minutes"`
	Comment string      `json:"comment,omitempty"`
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
	Ticket   string
	Start    time.Time // zero: as soon as it is approved
	Extends  *Grant    // the grant that is to last longer by Duration; its target is the only one
	Already  string    // the request or the grant that extends that one already
	Policy   string    // a session policy that allows less than the roles that are asked for; approvers see it
}

// Ask makes a request of what by wishes, if the rules allow every line of it. Lines whose rule agrees by itself are approved
// at once. newID makes ids: "req" for the request, "g" for grants.
func Ask(by org.Person, w Wish, in rules.Set, now time.Time, newID func(kind string) string) (Change, error) {
	w.Reason, w.Ticket, w.Start = strings.TrimSpace(w.Reason), strings.TrimSpace(w.Ticket), moment(w.Start)
	now = moment(now)
	if err := w.check(by, in.Organization(), now); err != nil {
		return Change{}, err
	}
	r := Request{
		ID: newID("req"), Requester: named(by), Reason: w.Reason, Minutes: int(w.Duration.Minutes()), Ticket: w.Ticket, StartAt: w.Start,
		AskedAt: now, LapsesAt: latest(now.Add(LapseAfter), w.Start), Extends: w.extended(), Policy: w.Policy,
	}
	var refused []string
	for i, t := range w.Targets {
		l := Line{Number: i + 1, State: Pending, Target: PlaceOf(t, in.Organization()), Minutes: r.Minutes}
		d := in.Judge(by, r.ask(l))
		if d.Allowed {
			d = w.extension(d, in.Overdue(by.ID) == "", now)
		}
		if !d.Allowed {
			refused = append(refused, fmt.Sprintf("%s: %s", l.Target, strings.Join(d.Why, "; ")))
			continue
		}
		l.judged(d)
		l.Grant = newID("g")
		r.Lines = append(r.Lines, l)
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

func (w Wish) extended() *Extended {
	if w.Extends == nil {
		return nil
	}
	return &Extended{w.Extends.ID, w.Extends.EndsAt, w.Extends.Freely}
}

// extension changes what the rules say to a wish that extends a grant: it may need nobody, up to what the rule lets be
// extended freely, unless its person gets nothing automatically, or it is sensitive and nobody would look at it afterwards, or
// an approver gave less than was asked for; and nothing reaches further ahead than the rule gives at once.
func (w Wish) extension(d rules.Decision, automatic bool, now time.Time) rules.Decision {
	g := w.Extends
	if g == nil {
		return d
	}
	if left := g.EndsAt.Sub(now); left+w.Duration > d.Longest {
		return rules.Decision{Rule: d.Rule, Why: []string{fmt.Sprintf(
			"%s gives at most %s at once, and %s are left of %s", d.Rule, rules.Short(d.Longest), rules.Short(left.Truncate(time.Minute)), g.ID)}}
	}
	freely := time.Duration(g.Freely)*time.Minute + w.Duration
	if automatic = automatic && !g.Shortened && (!d.Sensitive || d.Review != nil); automatic && d.Needs.Approvals > 0 && d.Rule.Digest == g.Rule.Digest && freely <= d.Extend {
		d.Needs = d.Needs.Waived(fmt.Sprintf("%s lets it be extended by %s in all without being approved anew", d.Rule, rules.Short(d.Extend)))
		d.Nobody = ""
	}
	return d
}

func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

func refusal(refused []string, of int) *Problem {
	p := problem(ErrRefused, "%s", strings.Join(refused, "\n"))
	if len(refused) < of {
		return p.hint("nothing was asked for; without the lines above, the other %d can be", of-len(refused))
	}
	return p.hint("`sparekey access list` shows what you may ask for, `sparekey why` shows which rule decides")
}

// approveAutomatic approves the lines whose rule needs nobody, and that wait for nothing.
func (c *Change) approveAutomatic(r *Request, now time.Time) error {
	old := r.copy()
	var approved []int
	because := ""
	for i := range r.Lines {
		l := &r.Lines[i]
		if l.State == Pending && l.Needs.Approvals == 0 && l.Waits == "" {
			l.State = Approved
			l.Decided = &Decision{By: partActor("rules"), At: now, Comment: l.Needs.Automatic}
			because = l.Needs.Automatic
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
	d := detail{"lines": numbers(approved), "automatic": "true"}
	if because != "" {
		d["because"] = because
	}
	if err := c.record(&old, r, step.event, partActor("rules"), now, d); err != nil {
		return err
	}
	return c.recordNewGrants(now)
}

// Recheck judges the lines anew that wait for another system to answer: those whose rule needs nobody are approved when it
// says yes, and rejected when the rules no longer allow them. While it does not answer, nothing changes.
func (r Request) Recheck(by org.Person, in rules.Set, now time.Time) (Change, error) {
	now = moment(now)
	next := r.copy()
	var changed, refused []int
	for i := range next.Lines {
		l := &next.Lines[i]
		if l.State != Pending || l.Waits == "" {
			continue
		}
		d := in.Judge(by, r.ask(*l))
		switch {
		case !d.Allowed:
			l.State, l.Waits, l.Decided = Rejected, "", &Decision{By: partActor("rules"), At: now, Comment: strings.Join(d.Why, "; ")}
			refused = append(refused, l.Number)
		case d.Waits == "":
			l.judged(d)
			changed = append(changed, l.Number)
		}
	}
	c := Change{Request: &next}
	for _, do := range []struct {
		lines   []int
		command lineCommand
	}{{changed, recheckLine}, {refused, rejectLine}} {
		if len(do.lines) == 0 {
			continue
		}
		step, err := lineTable.take(Pending, do.command)
		if err != nil {
			return Change{}, err
		}
		if err := c.record(&r, &next, step.event, partActor("rules"), now, detail{"lines": numbers(do.lines)}); err != nil {
			return Change{}, err
		}
		r = next.copy()
	}
	if len(changed)+len(refused) == 0 {
		return Change{}, nil
	}
	return c, c.approveAutomatic(&next, now)
}

// Waiting reports whether some line waits for another system to answer.
func (r Request) Waiting() bool {
	return slices.ContainsFunc(r.Lines, func(l Line) bool { return l.State == Pending && l.Waits != "" })
}

func (w Wish) check(by org.Person, m *org.Mirror, now time.Time) error {
	switch {
	case w.Extends != nil && (w.Extends.Person.ID != by.ID || w.Extends.State != Active):
		return problem(ErrRefused, "%s is not a live grant of yours", w.Extends.ID).hint("what is over can be asked for anew: `sparekey access again`")
	case w.Extends != nil && w.Already != "":
		return problem(ErrOver, "%s extends %s already", w.Already, w.Extends.ID).hint("a grant that extends another is extended itself; a request is taken back with `sparekey requests withdraw`")
	case !w.Start.IsZero() && !w.Start.After(now):
		return problem(ErrInvalid, "the start %s has passed", w.Start.Format(time.RFC3339)).hint("leave it out to begin at once")
	case w.Start.After(now.Add(Ahead)):
		return problem(ErrInvalid, "the start %s is more than %d days ahead", w.Start.Format(time.RFC3339), int(Ahead.Hours()/24)).hint("ask nearer to it")
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
	if err := w.checkPolicy(now); err != nil {
		return err
	}
	if len(w.Ticket) > 64 {
		return problem(ErrInvalid, "the ticket has more than 64 characters").hint("name it as in INC-4711")
	}
	if err := checkText("the ticket", w.Ticket); err != nil {
		return err
	}
	return checkText("the reason", w.Reason)
}

// checkPolicy refuses a session policy where there is no session, or that AWS would not take.
func (w Wish) checkPolicy(now time.Time) error {
	if w.Policy == "" {
		return nil
	}
	for _, t := range w.Targets {
		if !strings.HasPrefix(t.PermissionSet, org.RolePrefix) {
			return problem(ErrInvalid, "a session policy goes with roles, and not with permission sets").hint("ask for the permission sets in a request of their own")
		}
	}
	_, err := SessionPolicy(now.Add(w.Duration), w.Policy)
	return err
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
