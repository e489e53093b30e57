package strict

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Position is a place in a file. Lines and columns count from 1.
//
// A struct field of this type is filled by [Decode] with the place where the mapping that fills the struct begins.
type Position struct {
	File   string
	Line   int
	Column int
}

func (p Position) String() string {
	if p.Line == 0 {
		return p.File
	}
	return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column)
}

// Errorf makes a problem at this place.
func (p Position) Errorf(format string, args ...any) *Error {
	return &Error{Position: p, Problem: fmt.Sprintf(format, args...)}
}

// Error is one problem at one place, and, where there is something to say, what would be right.
type Error struct {
	Position
	Problem string
	Hint    string
}

// WithHint adds what would be right.
func (e *Error) WithHint(format string, args ...any) *Error {
	e.Hint = fmt.Sprintf(format, args...)
	return e
}

func (e *Error) Error() string {
	if e.Hint == "" {
		return e.Position.String() + ": " + e.Problem
	}
	return e.Position.String() + ": " + e.Problem + " (" + e.Hint + ")"
}

// Errors is every problem of one or more files, in the order of the files' lines once it has passed [Errors.Err].
type Errors []*Error

func (es Errors) Error() string {
	lines := make([]string, len(es))
	for i, e := range es {
		lines[i] = e.Error()
	}
	return strings.Join(lines, "\n")
}

// Err sorts the problems by place and returns them as an error, or nil when there are none.
func (es Errors) Err() error {
	if len(es) == 0 {
		return nil
	}
	slices.SortStableFunc(es, func(a, b *Error) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return es
}

// Problems returns the single problems in err: none when it is nil, and one without a place when it is of another kind.
func Problems(err error) Errors {
	var many Errors
	var one *Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &many):
		return many
	case errors.As(err, &one):
		return Errors{one}
	}
	return Errors{{Problem: err.Error()}}
}
