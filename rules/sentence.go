package rules

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"sparekey/strict"
)

// Test is a sentence about what the rules must say, kept beside them:
//
//	dana may have ReadOnly in payments-prod for 1h automatically
//	dana may have PowerUser in Workloads/Prod for 30m with one approval with a comment
//	dana may not have Admin in payments-prod
//	kim may approve PowerUser in payments-prod for dana after 15m
//
// PLACE is an account, by name or id, or the path of an OU, which stands for every active account below it. What is in
// double quotes is one word. "may have" claims no more than it says: without "automatically" or "with … approvals" it is true
// however many must approve. "may not have" without "for …" is about any duration. "may approve" asks about the first stage
// that PERSON could have a say in, with those before it agreed; with "first" or "once kim has agreed" about the stage whose
// turn it then is.
//
// Any test may end with what is the case beside the rules: see [supposed].
type Test struct {
	Sentence string
	At       strict.Position

	person    string // who has, or approves
	requester string // whom "may approve … for" is about
	set       string
	place     string
	long      time.Duration
	allowed   bool
	has       claims
	approves  turn
	supposed
}

// claims is what "may have" says beside that it may be had. What it does not say may be anything.
type claims struct {
	approvals int // -1: any number
	way       string
	comment   bool
	sensitive bool
	reviewer  string // a group or a person
	within    time.Duration
	late      time.Duration // how long after the review was due the reviewer may do it as well
	extend    time.Duration
}

// turn is what "may approve" says of the moment and of the approval.
type turn struct {
	after   time.Duration
	first   bool     // nobody has agreed yet
	agreed  []string // who has, in their order
	comment bool     // the approval must have one
	untold  bool     // the approver is not told
}

const testForm = `a test reads: PERSON may have SET in PLACE for 1h, with any of: by session, automatically, with one approval, with a comment, as sensitive, ` +
	`reviewed by GROUP within 48h, reviewed by GROUP after 24h, extended by 30m; or PERSON may not have SET in PLACE [for 1h]; ` +
	`or PERSON may [not] approve SET in PLACE for PERSON [first | once PERSON has agreed] [after 15m] [with a comment] [without being told]. ` +
	`Then, what is the case: at TIME, ticket ID, on call in SCHEDULE, while SERVICE says no, while SERVICE is down, while PERSON is away, ` +
	`while PERSON stands in for PERSON, while PERSON is new to GROUP, while a review of PERSON is overdue`

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

// name takes a word that must be there.
func (s *sentence) name(into *string, after, what string) error {
	if !s.take(into) {
		return fmt.Errorf("after %q it does not say which %s", after, what)
	}
	return nil
}

func (s *sentence) duration(into *time.Duration, after string) (err error) {
	var text string
	if err := s.name(&text, after, "duration"); err != nil {
		return err
	}
	*into, err = ParseDuration(text)
	return err
}

func parseTest(w strict.Word) (Test, *strict.Error) {
	t := Test{Sentence: w.Text, At: w.At, has: claims{approvals: -1}}
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
	var err error
	switch {
	case approve && (!s.next("for") || !s.take(&t.requester)):
		return fmt.Errorf("it does not say for whom")
	case approve:
		err = t.approves.read(s, t.allowed)
	default:
		if s.next("for") {
			err = s.duration(&t.long, "for")
		} else if t.allowed {
			return fmt.Errorf("it does not say for how long")
		}
		if err == nil && t.allowed {
			err = t.has.read(s)
		}
	}
	if err != nil {
		return err
	}
	return t.suppose(s)
}

// read takes all that a sentence claims, in any order.
func (c *claims) read(s *sentence) error {
	for {
		var err error
		switch {
		case s.next("automatically"):
			c.approvals = 0
		case s.next("with", "a", "comment"):
			c.comment = true
		case s.approvals(&c.approvals):
		case s.next("as", "sensitive"):
			c.sensitive = true
		case s.next("extended", "by"):
			err = s.duration(&c.extend, "extended by")
		case s.next("by"):
			if err = s.name(&c.way, "by", "way"); err == nil && !slices.Contains([]string{byAssignment, byMembership, bySession}, c.way) {
				err = fmt.Errorf("%q is no way to give access; there are assignment, membership and session", c.way)
			}
		case s.next("reviewed", "by"):
			err = c.review(s)
		default:
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (c *claims) review(s *sentence) error {
	if err := s.name(&c.reviewer, "reviewed by", "group or person"); err != nil {
		return err
	}
	switch {
	case s.next("within"):
		return s.duration(&c.within, "within")
	case s.next("after"):
		return s.duration(&c.late, "after")
	}
	return nil
}

func (u *turn) read(s *sentence, allowed bool) error {
	for {
		var err error
		switch {
		case s.next("after"):
			err = s.duration(&u.after, "after")
		case s.next("first"):
			u.first = true
		case s.next("once"):
			err = u.others(s)
		case allowed && s.next("with", "a", "comment"):
			u.comment = true
		case allowed && s.next("without", "being", "told"):
			u.untold = true
		default:
			if u.first && len(u.agreed) > 0 {
				return fmt.Errorf("nobody is the first once somebody has agreed")
			}
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// others reads "kim has agreed" and "kim and ren have agreed".
func (u *turn) others(s *sentence) error {
	for {
		var who string
		if err := s.name(&who, "once", "person has agreed"); err != nil {
			return err
		}
		u.agreed = append(u.agreed, who)
		switch {
		case s.next("has", "agreed"), s.next("have", "agreed"):
			return nil
		case !s.next("and"):
			return fmt.Errorf("after \"once %s\" it does not go on with has agreed", who)
		}
	}
}

// approvals takes "with two approvals".
func (s *sentence) approvals(into *int) bool {
	if len(s.words) < 3 || s.words[0] != "with" || strings.TrimSuffix(s.words[2], "s") != "approval" {
		return false
	}
	n, err := strconv.Atoi(s.words[1])
	if err != nil {
		n = slices.Index(numbers, s.words[1])
	}
	if n < 1 {
		return false
	}
	*into, s.words = n, s.words[3:]
	return true
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
