package rules

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"sparekey/org"
	"sparekey/strict"
)

// Test is a sentence about what the rules must say, kept beside them:
//
//	dana may have ReadOnly in payments-prod for 1h automatically
//	dana may have PowerUser in Workloads/Prod for 30m with one approval
//	dana may not have Admin in payments-prod
//	kim may approve PowerUser in payments-prod for dana after 15m
//
// PLACE is an account, by name or id, or the path of an OU, which stands for every active account below it. What is in
// double quotes is one word. "may have" without "automatically" or "with …" is true however many must approve; "may not
// have" without "for …" is about any duration. "may approve" asks about the first stage that PERSON could have a say in, with
// those before it agreed.
//
// Any test may end with what is the case: "at 2026-12-31T03:00:00+09:00", "ticket INC-1" (which every service says yes to,
// but "when jira says no" or "when jira is down"), and "on call in payments" (the person whom the test is about).
type Test struct {
	Sentence string
	At       strict.Position

	person    string // who has, or approves
	requester string // whom "may approve … for" is about
	set       string
	place     string
	long      time.Duration
	allowed   bool
	approvals int // -1: any number
	after     time.Duration

	now     time.Time
	ticket  string
	onCall  string
	service map[string]string // no, or down
}

const testForm = `a test reads: PERSON may have SET in PLACE for 1h [automatically | with one approval], PERSON may not have SET in PLACE [for 1h], ` +
	`or PERSON may [not] approve SET in PLACE for PERSON [after 15m]; then [at TIME] [ticket ID] [when SERVICE says no | is down] [on call in SCHEDULE]`

var numbers = []string{"no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"}

// sentence is what is left to read of a test.
type sentence struct{ words []string }

func (s *sentence) next(keywords ...string) bool {
	if len(s.words) < len(keywords) || !slices.Equal(s.words[:len(keywords)], keywords) {
		return false
	}
	s.words = s.words[len(keywords):]
	return true
}

func (s *sentence) take(into *string) bool {
	if len(s.words) == 0 {
		return false
	}
	*into, s.words = s.words[0], s.words[1:]
	return true
}

func parseTest(w strict.Word) (Test, *strict.Error) {
	t := Test{Sentence: w.Text, At: w.At, approvals: -1, service: map[string]string{}}
	words, err := split(w.Text)
	s := &sentence{words}
	if err == nil {
		err = t.read(s)
	}
	if err == nil && len(s.words) > 0 {
		err = fmt.Errorf("%q is not understood", strings.Join(s.words, " "))
	}
	if err != nil {
		return t, w.At.Errorf("test %q: %v", w.Text, err).WithHint(testForm)
	}
	return t, nil
}

func (t *Test) read(s *sentence) error {
	if !s.take(&t.person) || !s.next("may") {
		return fmt.Errorf("it does not begin with PERSON may")
	}
	t.allowed = !s.next("not")
	approve := s.next("approve")
	if !approve && !s.next("have") || !s.take(&t.set) || !s.next("in") || !s.take(&t.place) {
		return fmt.Errorf("it does not go on with have SET in PLACE, or approve SET in PLACE")
	}
	if approve {
		if !s.next("for") || !s.take(&t.requester) {
			return fmt.Errorf("it does not say for whom")
		}
		if err := t.duration(s, "after", &t.after); err != nil {
			return err
		}
		return t.suppose(s)
	}
	if err := t.duration(s, "for", &t.long); err != nil {
		return err
	}
	if t.allowed && t.long == 0 {
		return fmt.Errorf("it does not say for how long")
	}
	if t.allowed {
		s.words, t.approvals = parseApprovals(s.words)
	}
	return t.suppose(s)
}

func (t *Test) duration(s *sentence, keyword string, into *time.Duration) (err error) {
	var text string
	if s.next(keyword) && s.take(&text) {
		*into, err = ParseDuration(text)
	}
	return err
}

// suppose reads what is the case beside the rules.
func (t *Test) suppose(s *sentence) error {
	for {
		var text, service string
		switch {
		case s.next("at") && s.take(&text):
			at, err := time.Parse(time.RFC3339, text)
			if err != nil {
				return fmt.Errorf("%q is not a time like 2026-12-31T03:00:00+09:00", text)
			}
			t.now = at
		case s.next("ticket") && s.take(&t.ticket):
		case s.next("on", "call", "in") && s.take(&t.onCall):
		case s.next("when") && s.take(&service) && s.next("says", "no"):
			t.service[service] = "no"
		case service != "" && s.next("is", "down"):
			t.service[service] = "down"
		default:
			return nil
		}
	}
}

func parseApprovals(words []string) (rest []string, approvals int) {
	if len(words) > 0 && words[0] == "automatically" {
		return words[1:], 0
	}
	if len(words) < 3 || words[0] != "with" || strings.TrimSuffix(words[2], "s") != "approval" {
		return words, -1
	}
	n, err := strconv.Atoi(words[1])
	if err != nil {
		n = slices.Index(numbers, words[1])
	}
	if n < 1 {
		return words, -1
	}
	return words[3:], n
}

// split cuts a sentence at its blanks, but not within double quotes.
func split(text string) ([]string, error) {
	var words []string
	for text = strings.TrimSpace(text); text != ""; text = strings.TrimSpace(text) {
		if text[0] != '"' {
			end := strings.IndexFunc(text, unicode.IsSpace)
			if end < 0 {
				end = len(text)
			}
			words, text = append(words, text[:end]), text[end:]
			continue
		}
		end := strings.IndexByte(text[1:], '"')
		if end < 0 {
			return nil, fmt.Errorf("a quotation mark is not closed")
		}
		words, text = append(words, text[1:end+1]), text[end+2:]
	}
	return words, nil
}

// Result is the outcome of one test.
type Result struct {
	Test
	OK  bool
	Got string // what the rules say instead, or why the test means nothing here
}

// Try runs the book's tests against the organization that the set is bound to.
func (s Set) Try() []Result {
	results := make([]Result, 0, len(s.book.Tests))
	for _, t := range s.book.Tests {
		got := s.try(t)
		results = append(results, Result{t, got == "", got})
	}
	return results
}

// supposing returns the set as it judges when what the test says is the case.
func (s Set) supposing(t Test, about org.Person) Set {
	f := Facts{Now: t.now, Tickets: map[string]Ticket{}, OnCall: map[string]Shift{}, Groups: func(org.Target) org.GroupID { return "supposed" }}
	for _, name := range s.book.TicketServices() {
		switch t.service[name] {
		case "no":
			f.Tickets[name] = Ticket{Why: "the test says so"}
		case "down":
			f.Tickets[name] = Ticket{Down: "the test says so"}
		default:
			f.Tickets[name] = Ticket{OK: true}
		}
	}
	for _, name := range s.book.Schedules() {
		f.OnCall[name] = Shift{}
	}
	if t.onCall != "" {
		f.OnCall[t.onCall] = Shift{People: []org.PersonID{about.ID}}
	}
	return s.At(f)
}

// try says what is wrong with a test's claim, or nothing.
func (s Set) try(t Test) string {
	person, ok := s.m.PersonNamed(t.person)
	if !ok {
		return notHere("person", t.person, s.m.Names().Users)
	}
	set, ok := s.set(t.set)
	if !ok {
		return notHere("permission set", t.set, s.m.Names().PermissionSets)
	}
	accounts := s.m.AccountsNamed(t.place)
	if len(accounts) == 0 {
		if accounts = s.below(t.place); len(accounts) == 0 {
			return notHere("account, and no OU that holds one,", t.place, append(s.m.Names().Accounts, s.m.Names().OUs...))
		}
	}
	s = s.supposing(t, person)
	for _, a := range accounts {
		target := org.Target{Account: a.ID, PermissionSet: set.ARN}
		wrong := ""
		if t.requester != "" {
			wrong = s.tryApprover(t, person, target)
		} else {
			wrong = s.tryHave(t, person, target)
		}
		if wrong != "" {
			return strings.Replace(wrong, " here", fmt.Sprintf(" in %s (%s)", a.Name, a.ID), 1)
		}
	}
	return ""
}

func (t Test) ask(target org.Target) Ask {
	return Ask{Target: target, For: t.long, Reason: "a test of the rules", Ticket: t.ticket}
}

func (s Set) tryHave(t Test, person org.Person, target org.Target) string {
	d := s.Judge(person, t.ask(target))
	switch {
	case t.allowed && !d.Allowed:
		return "no here: " + strings.Join(d.Why, "; ")
	case t.allowed && d.Waits != "":
		return fmt.Sprintf("%s lets it wait here: %s", d.Rule, d.Waits)
	case !t.allowed && d.Allowed && d.Waits == "":
		return fmt.Sprintf("%s allows it here for %s, %s", d.Rule, Short(d.Longest), d.Needs)
	case t.allowed && t.approvals >= 0 && d.Needs.Approvals != t.approvals:
		return fmt.Sprintf("%s decides it here: %s", d.Rule, d.Needs)
	}
	return ""
}

// tryApprover asks of every stage in turn, as if those before it had agreed.
func (s Set) tryApprover(t Test, by org.Person, target org.Target) string {
	requester, ok := s.m.PersonNamed(t.requester)
	if !ok {
		return notHere("person", t.requester, s.m.Names().Users)
	}
	d := s.Judge(requester, t.ask(target))
	if !d.Allowed {
		return fmt.Sprintf("%s may not have it here: %s", requester.User, strings.Join(d.Why, "; "))
	}
	asked := s.facts.Now.Add(-t.after)
	why := d.Rule.String() + " needs nobody here"
	for i := range d.Needs.asked() {
		left := Needs{Stages: d.Needs.Stages[i:]}
		for _, stage := range left.Stages {
			for _, q := range stage {
				left.Approvals += q.Need
			}
		}
		_, not := s.MayApprove(Case{Needs: left, Requester: requester.ID, Asked: asked, Sensitive: d.Sensitive}, by)
		if not == "" {
			if !t.allowed {
				return fmt.Sprintf("%s may approve under %s here", by.User, d.Rule)
			}
			return ""
		}
		why = fmt.Sprintf("%s decides it here: %s", d.Rule, not)
	}
	if t.allowed {
		return why
	}
	return ""
}

func notHere(kind, name string, known []string) string {
	if near := strict.Nearest(name, known); near != "" {
		return fmt.Sprintf("there is no %s called %q; did you mean %q?", kind, name, near)
	}
	return fmt.Sprintf("there is no %s called %q", kind, name)
}

// below lists the active accounts below an OU.
func (s Set) below(path string) []org.Account {
	ou, ok := s.m.OU(path)
	if !ok {
		return nil
	}
	var found []org.Account
	for _, a := range s.m.Organization().Accounts {
		if a.State == org.AccountActive && slices.Contains(s.m.Above(a), ou) {
			found = append(found, a)
		}
	}
	return found
}
