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
//
// PLACE is an account, by name or id, or the path of an OU, which stands for every active account below it. What is in
// double quotes is one word. "may have" without "automatically" or "with …" is true however many must approve; "may not
// have" without "for …" is about any duration.
type Test struct {
	Sentence  string
	At        strict.Position
	person    string
	set       string
	place     string
	long      time.Duration
	allowed   bool
	approvals int // -1: any number
}

const testForm = `a test reads: PERSON may have SET in PLACE for 1h [automatically | with one approval], or PERSON may not have SET in PLACE [for 1h]`

var numbers = []string{"no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"}

func parseTest(w strict.Word) (Test, *strict.Error) {
	t := Test{Sentence: w.Text, At: w.At, approvals: -1}
	bad := func(format string, args ...any) (Test, *strict.Error) {
		return t, w.At.Errorf("test %q: "+format, append([]any{w.Text}, args...)...).WithHint(testForm)
	}
	words, err := split(w.Text)
	if err != nil {
		return bad("%v", err)
	}
	next := func(keyword string) bool {
		if len(words) == 0 || words[0] != keyword {
			return false
		}
		words = words[1:]
		return true
	}
	take := func(into *string) bool {
		if len(words) == 0 {
			return false
		}
		*into, words = words[0], words[1:]
		return true
	}
	if !take(&t.person) || !next("may") {
		return bad("it does not begin with PERSON may")
	}
	t.allowed = !next("not")
	if !next("have") || !take(&t.set) || !next("in") || !take(&t.place) {
		return bad("it does not go on with have SET in PLACE")
	}
	var text string
	if next("for") && take(&text) {
		if t.long, err = ParseDuration(text); err != nil {
			return bad("%v", err)
		}
	}
	if t.allowed && t.long == 0 {
		return bad("it does not say for how long")
	}
	if t.allowed {
		words, t.approvals = parseApprovals(words)
	}
	if len(words) > 0 {
		return bad("%q is not understood", strings.Join(words, " "))
	}
	return t, nil
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

// try says what is wrong with a test's claim, or nothing.
func (s Set) try(t Test) string {
	person, ok := s.m.PersonNamed(t.person)
	if !ok {
		return notHere("person", t.person, s.m.Names().Users)
	}
	set, ok := s.m.PermissionSet(t.set)
	if !ok {
		return notHere("permission set", t.set, s.m.Names().PermissionSets)
	}
	accounts := s.m.AccountsNamed(t.place)
	if len(accounts) == 0 {
		if accounts = s.below(t.place); len(accounts) == 0 {
			return notHere("account, and no OU that holds one,", t.place, append(s.m.Names().Accounts, s.m.Names().OUs...))
		}
	}
	for _, a := range accounts {
		d := s.Judge(person, Ask{org.Target{Account: a.ID, PermissionSet: set.ARN}, t.long, "a test of the rules"})
		where := fmt.Sprintf("in %s (%s)", a.Name, a.ID)
		switch {
		case t.allowed && !d.Allowed:
			return fmt.Sprintf("no %s: %s", where, strings.Join(d.Why, "; "))
		case !t.allowed && d.Allowed:
			return fmt.Sprintf("%s allows it %s for %s, %s", d.Rule, where, Short(d.Longest), d.Needs)
		case t.allowed && t.approvals >= 0 && d.Needs.Approvals != t.approvals:
			return fmt.Sprintf("%s decides it %s: %s", d.Rule, where, d.Needs)
		}
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
