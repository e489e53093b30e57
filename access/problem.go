package access

import (
	"errors"
	"fmt"
)

// The kinds of error that a person can be told. Each is mapped once to an HTTP status and an exit code.
var (
	ErrInvalid     = errors.New("not valid")     // what was asked makes no sense as it stands
	ErrRefused     = errors.New("refused")       // rules or roles do not allow it
	ErrUnknown     = errors.New("not found")     // there is no such thing, or it is not for these eyes
	ErrOver        = errors.New("over")          // it was decided, ended or changed before
	ErrTooMany     = errors.New("too many")      // more than one person may ask for in a time
	ErrUnavailable = errors.New("not available") // something that is needed to decide does not answer; later it may
)

// Problem is an error for people: one sentence that says what, and one that says what to do.
type Problem struct {
	Kind    error
	Message string
	Hint    string
}

func (p *Problem) Error() string { return p.Message }

// Unwrap returns the kind, so that errors.Is(err, ErrRefused) holds.
func (p *Problem) Unwrap() error { return p.Kind }

func problem(kind error, format string, args ...any) *Problem {
	return &Problem{Kind: kind, Message: fmt.Sprintf(format, args...)}
}

func (p *Problem) hint(format string, args ...any) *Problem {
	p.Hint = fmt.Sprintf(format, args...)
	return p
}

// What AWS can answer instead of doing what it was told. Adapters wrap these with AWS's own words.
var (
	ErrThrottled = errors.New("AWS throttles")                       // certainly not done; try again
	ErrConflict  = errors.New("AWS is busy with the same thing")     // certainly not done; try again
	ErrNotAsked  = errors.New("AWS could not be asked")              // certainly not done: no connection, no valid credentials; try again
	ErrDenied    = errors.New("AWS does not let Sparekey do it")     // certainly not done, nor will it be
	ErrRejected  = errors.New("AWS rejects it")                      // certainly not done, nor will it be
	ErrMissing   = errors.New("AWS does not know it")                // the account, the set, the person or the operation is not there
	ErrLost      = errors.New("AWS did not say whether it was done") // no answer, or a server error: it may have happened
)

// certain reports whether an error of AWS says that nothing was done.
func certain(err error) bool {
	return errors.Is(err, ErrThrottled) || errors.Is(err, ErrConflict) || errors.Is(err, ErrNotAsked) || final(err)
}

// final reports whether an error of AWS says that trying again is useless.
func final(err error) bool {
	return errors.Is(err, ErrDenied) || errors.Is(err, ErrRejected) || errors.Is(err, ErrMissing)
}
