package wire

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Shape is a simple shape of a service's model.
type Shape struct {
	Min, Max int      // characters of a string, members of a list, or the value of an integer; Max 0 is no bound
	Pattern  string   // of the whole string
	Enum     []string // the only values
	pattern  *regexp.Regexp
}

// Shapes are the shapes of one service by their names in its model.
type Shapes map[string]*Shape

// NewShapes makes a service's shapes ready for use. It panics on a pattern that is not a regular expression.
func NewShapes(shapes Shapes) Shapes {
	for _, s := range shapes {
		if s.Pattern != "" {
			s.pattern = regexp.MustCompile(`^(?:` + s.Pattern + `)$`)
		}
	}
	return shapes
}

// Constraint is a kind of constraint of a model.
type Constraint int

// The constraints that a request can break.
const (
	Required Constraint = iota
	TooShort
	TooLong
	TooSmall
	TooLarge
	Pattern
	Enum
)

// Violation is one constraint that a request breaks.
type Violation struct {
	Member     string // its path as AWS writes it: "instanceArn", "tags.1.member.key"
	Constraint Constraint
	Text       string
}

// Violations are all constraints that a request breaks.
type Violations []Violation

func (v Violations) String() string {
	texts := make([]string, len(v))
	for i := range v {
		texts[i] = v[i].Text
	}
	plural := ""
	if len(v) != 1 {
		plural = "s"
	}
	return fmt.Sprintf("%d validation error%s detected: %s", len(v), plural, strings.Join(texts, "; "))
}

// checkString names the constraint that text breaks; ok is false then.
func (s *Shape) checkString(text string) (broken Constraint, must string, ok bool) {
	n := len([]rune(text))
	switch {
	case len(s.Enum) > 0 && !slices.Contains(s.Enum, text):
		return Enum, "Member must satisfy enum value set: [" + strings.Join(s.Enum, ", ") + "]", false
	case n < s.Min:
		return TooShort, fmt.Sprintf("Member must have length greater than or equal to %d", s.Min), false
	case s.Max > 0 && n > s.Max:
		return TooLong, fmt.Sprintf("Member must have length less than or equal to %d", s.Max), false
	case s.pattern != nil && !s.pattern.MatchString(text):
		return Pattern, "Member must satisfy regular expression pattern: " + s.Pattern, false
	}
	return 0, "", true
}

func (s *Shape) checkLength(n int) (broken Constraint, must string, ok bool) {
	switch {
	case n < s.Min:
		return TooShort, fmt.Sprintf("Member must have length greater than or equal to %d", s.Min), false
	case s.Max > 0 && n > s.Max:
		return TooLong, fmt.Sprintf("Member must have length less than or equal to %d", s.Max), false
	}
	return 0, "", true
}

func (s *Shape) checkNumber(n int) (broken Constraint, must string, ok bool) {
	switch {
	case n < s.Min:
		return TooSmall, fmt.Sprintf("Member must have value greater than or equal to %d", s.Min), false
	case s.Max > 0 && n > s.Max:
		return TooLarge, fmt.Sprintf("Member must have value less than or equal to %d", s.Max), false
	}
	return 0, "", true
}
