package access

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"sparekey/audit"
	"sparekey/org"
	"sparekey/rules"
)

// Approve is by's yes to every pending line that by may decide. Who may is resolved now, under the rules and the
// organization of this moment; by is as AWS described them a moment ago. Approvals that were given before count as far as
// those who gave them still may; known are those of them whom AWS described a moment ago as well.
func (r Request) Approve(by org.Person, comment string, in rules.Set, now time.Time, known ...org.Person) (Change, error) {
	d, err := r.decider(by, comment, in, now)
	if err != nil {
		return Change{}, err
	}
	d.known = append(d.known, known...)
	var agreed, approved []int
	c := Change{Request: &d.request}
	for i := range d.request.Lines {
		l := &d.request.Lines[i]
		verdict, ok := d.may(*l)
		if !ok {
			continue
		}
		if slices.ContainsFunc(l.Approvals, func(a Approval) bool { return a.By.ID == by.ID }) {
			d.cannot(*l, "you approved it already; it needs somebody else too")
			continue
		}
		l.Rule, l.Needs, l.Nobody = verdict.Rule, verdict.Needs, verdict.Nobody
		l.Approvals = append(l.Approvals, Approval{named(by), d.now, comment})
		if d.standing(*l) < verdict.Needs.Approvals {
			agreed = append(agreed, l.Number)
			continue
		}
		l.State, l.Decided = Approved, &Decision{By: personActor(named(by)), At: d.now, Comment: comment}
		approved = append(approved, l.Number)
		c.Grants = append(c.Grants, newGrant(d.request, *l, d.now))
	}
	command, lines := approveLine, approved
	if len(approved) == 0 {
		command, lines = agreeLine, agreed
	}
	if len(lines) == 0 {
		return Change{}, d.refused()
	}
	details := detail{"lines": numbers(approved)}
	if len(agreed) > 0 {
		details["agreed"] = numbers(agreed)
	}
	if err := d.record(&c, r, command, details); err != nil {
		return Change{}, err
	}
	return c, c.recordNewGrants(d.now)
}

// Reject is by's no to every pending line that by may decide. One no is enough.
func (r Request) Reject(by org.Person, comment string, in rules.Set, now time.Time) (Change, error) {
	d, err := r.decider(by, comment, in, now)
	if err != nil {
		return Change{}, err
	}
	var rejected []int
	for i := range d.request.Lines {
		l := &d.request.Lines[i]
		if _, ok := d.may(*l); ok {
			l.State, l.Decided = Rejected, &Decision{By: personActor(named(by)), At: d.now, Comment: comment}
			rejected = append(rejected, l.Number)
		}
	}
	if len(rejected) == 0 {
		return Change{}, d.refused()
	}
	c := Change{Request: &d.request}
	return c, d.record(&c, r, rejectLine, detail{"lines": numbers(rejected)})
}

// Decidable lists the numbers of the pending lines that by may decide, as far as the mirror knows by.
func (r Request) Decidable(by org.Person, in rules.Set, now time.Time) []int {
	d, err := r.decider(by, "", in, now)
	if err != nil {
		return nil
	}
	var lines []int
	for _, l := range r.Lines {
		given := slices.ContainsFunc(l.Approvals, func(a Approval) bool { return a.By.ID == by.ID })
		if _, ok := d.may(l); ok && !given {
			lines = append(lines, l.Number)
		}
	}
	return lines
}

// Concerns reports whether p asked for it, had a say in it, or could have had one.
func (r Request) Concerns(p org.Person) bool {
	if r.Requester.ID == p.ID {
		return true
	}
	return slices.ContainsFunc(r.Lines, func(l Line) bool {
		decided := l.Decided != nil && l.Decided.By.ID == string(p.ID)
		agreed := slices.ContainsFunc(l.Approvals, func(a Approval) bool { return a.By.ID == p.ID })
		return decided || agreed || l.Needs.Approvals > 0 && l.Needs.MayApprove(p, r.Requester.ID) == ""
	})
}

// decider is one person deciding one request at one moment.
type decider struct {
	request   Request // the copy that is changed
	by        org.Person
	known     []org.Person // who was just read live
	requester org.Person
	in        rules.Set
	now       time.Time
	why       []string // why lines could not be decided
}

func (r Request) decider(by org.Person, comment string, in rules.Set, now time.Time) (*decider, error) {
	if err := checkText("the comment", comment); err != nil {
		return nil, err
	}
	if !r.Open() {
		return nil, problem(ErrOver, "nothing of %s waits for a decision", r.ID).hint("`sparekey requests %s` shows what became of it", r.ID)
	}
	if !in.Ready() {
		return nil, problem(ErrUnavailable, "the organization has not been read yet").hint("try again in a moment")
	}
	requester, ok := in.Organization().Person(r.Requester.ID)
	if !ok {
		requester = org.Person{ID: r.Requester.ID, User: r.Requester.User, Status: org.StatusRemoved}
	}
	return &decider{request: r.copy(), by: by, known: []org.Person{by}, requester: requester, in: in, now: moment(now)}, nil
}

func (d *decider) cannot(l Line, why string) {
	d.why = append(d.why, fmt.Sprintf("%s: %s", l.Target, why))
}

// may judges a line anew and reports whether by may decide it.
func (d *decider) may(l Line) (rules.Decision, bool) {
	if l.State != Pending {
		return rules.Decision{}, false
	}
	if !d.now.Before(d.request.LapsesAt) {
		d.cannot(l, "it lapsed at "+d.request.LapsesAt.Format(time.RFC3339))
		return rules.Decision{}, false
	}
	verdict := d.in.Judge(d.requester, d.request.ask(l))
	switch {
	case !verdict.Allowed:
		d.cannot(l, "the rules no longer allow it: "+strings.Join(verdict.Why, "; "))
	case verdict.Needs.Approvals == 0:
		d.cannot(l, fmt.Sprintf("%s now gives it without approval; %s can ask again", verdict.Rule, d.requester.User))
	default:
		why := verdict.Needs.MayApprove(d.by, d.requester.ID)
		if why == "" {
			return verdict, true
		}
		d.cannot(l, why)
	}
	return rules.Decision{}, false
}

func (r Request) ask(l Line) rules.Ask {
	return rules.Ask{Target: l.Target.Target, For: r.Duration(), Reason: r.Reason}
}

// standing counts the approvals of a line by those who may give one now.
func (d *decider) standing(l Line) int {
	return standing(l.Approvals, l.Needs, d.requester.ID, d.in.Organization(), d.known...)
}

// standing counts approvals whose givers may still give them. known are people who were just read live.
func standing(approvals []Approval, n rules.Needs, requester org.PersonID, m *org.Mirror, known ...org.Person) int {
	count := 0
	for _, a := range approvals {
		giver, ok := m.Person(a.By.ID)
		for _, k := range known {
			if k.ID == a.By.ID {
				giver, ok = k, true
			}
		}
		if ok && n.MayApprove(giver, requester) == "" {
			count++
		}
	}
	return count
}

func (d *decider) refused() error {
	return problem(ErrRefused, "%s", strings.Join(d.why, "\n")).hint("`sparekey approvals` shows what you may decide")
}

func (d *decider) record(c *Change, old Request, command lineCommand, details detail) error {
	step, err := lineTable.take(Pending, command)
	if err != nil {
		return err
	}
	return c.record(&old, &d.request, step.event, personActor(named(d.by)), d.now, details)
}

// Withdraw takes back every pending line. The requester may, and Sparekey when the requester has gone; by says who does.
func (r Request) Withdraw(by audit.Actor, why string, now time.Time) (Change, error) {
	if by.Kind == audit.APerson && by.ID != string(r.Requester.ID) {
		return Change{}, problem(ErrRefused, "%s is %s's request", r.ID, r.Requester.User).hint("whoever may decide it can reject it: `sparekey reject %s`", r.ID)
	}
	if !r.Open() {
		return Change{}, problem(ErrOver, "nothing of %s waits for a decision", r.ID)
	}
	return r.close(withdrawLine, Withdrawn, by, why, now)
}

// Lapse closes every pending line when its time is over. Before that time it changes nothing.
func (r Request) Lapse(now time.Time) (Change, error) {
	if now.Before(r.LapsesAt) || !r.Open() {
		return Change{}, nil
	}
	return r.close(lapseLine, Lapsed, partActor("clock"), "nobody decided within "+rules.Short(LapseAfter), now)
}

func (r Request) close(command lineCommand, state LineState, by audit.Actor, why string, now time.Time) (Change, error) {
	step, err := lineTable.take(Pending, command)
	if err != nil {
		return Change{}, err
	}
	changed := r.copy()
	var closed []int
	for i := range changed.Lines {
		l := &changed.Lines[i]
		if l.State == Pending {
			l.State, l.Decided = state, &Decision{By: by, At: moment(now), Comment: why}
			closed = append(closed, l.Number)
		}
	}
	c := Change{Request: &changed}
	return c, c.record(&r, &changed, step.event, by, moment(now), detail{"lines": numbers(closed), "why": why})
}
