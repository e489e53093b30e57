package rules

import (
	"cmp"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"
	"unicode"

	"sparekey/audit"
)

// Limits of the files of one book.
const (
	MostFiles   = 500
	MostBytes   = 1 << 20 // of all files together
	longestName = 200     // bytes of a file's name
)

// Why a book does not come in force.
var (
	ErrSecond = errors.New("the rules give somebody more, and so a second administrator must agree; nobody agrees to what they proposed themselves")
	ErrStale  = errors.New("other rules have come in force since these were proposed")
	ErrClosed = errors.New("the proposal is not open any more")
)

// State is where a proposed book is.
type State string

// The states of a proposed book.
const (
	StateProposed   State = "proposed"   // a second administrator must agree
	StateInForce    State = "in-force"   // decisions are taken with it; at most one is
	StateReplaced   State = "replaced"   // it was in force
	StateRejected   State = "rejected"   // somebody said no
	StateSuperseded State = "superseded" // other rules came in force before it did
)

type command string

const (
	propose   command = "propose"
	activate  command = "activate"
	reject    command = "reject"
	supersede command = "supersede"
	replace   command = "replace"
)

// activation is the lifecycle of a change of rules: state × command → state, event.
var activation = map[State]map[command]struct {
	to    State
	event string
}{
	"":              {propose: {StateProposed, "rules.proposed"}},
	StateProposed:   {activate: {StateInForce, "rules.activated"}, reject: {StateRejected, "rules.rejected"}, supersede: {StateSuperseded, "rules.superseded"}},
	StateInForce:    {replace: {StateReplaced, "rules.replaced"}},
	StateReplaced:   {},
	StateRejected:   {},
	StateSuperseded: {},
}

// ActivationRows lists the lifecycle in a fixed order, a line each: from, command, to, event.
func ActivationRows() [][4]string {
	var rows [][4]string
	for _, from := range []State{"", StateProposed, StateInForce, StateReplaced, StateRejected, StateSuperseded} {
		for _, c := range []command{propose, activate, reject, supersede, replace} {
			if step, ok := activation[from][c]; ok {
				rows = append(rows, [4]string{cmp.Or(string(from), "new"), string(c), string(step.to), step.event})
			}
		}
	}
	return rows
}

// Proposal is a book on its way into force. It binds the digest of its files and the digest of the rules in force that it was
// compared with: when those are others by now, it must be proposed anew.
type Proposal struct {
	ID          string       `json:"id"`
	Version     int64        `json:"version"`
	State       State        `json:"state"`
	Digest      string       `json:"digest"`         // of the files
	Rules       string       `json:"rules"`          // of what they say
	Count       int          `json:"count"`          // of rules
	Base        string       `json:"base,omitempty"` // digest of the rules in force that it was compared with; empty: there were none
	Widens      bool         `json:"widens"`
	Totals      Totals       `json:"totals"`
	Again       bool         `json:"again,omitempty"` // it was in force before
	By          audit.Actor  `json:"by"`
	ProposedAt  time.Time    `json:"proposedAt"`
	ActivatedBy *audit.Actor `json:"activatedBy,omitempty"`
	ActivatedAt time.Time    `json:"activatedAt,omitzero"`
	ClosedBy    *audit.Actor `json:"closedBy,omitempty"` // who rejected, superseded or replaced it
	ClosedAt    time.Time    `json:"closedAt,omitzero"`
	Why         string       `json:"why,omitempty"`
}

// Turn is a step of a proposal: what it is now, and the event that records it.
type Turn struct {
	Proposal
	Event audit.Event
}

// Propose begins the way of a book into force. effect is what it changes against the rules in force whose digest is base.
func Propose(id string, files []File, book *Book, base string, effect Effect, again bool, by audit.Actor, now time.Time) (Turn, error) {
	digest, err := FilesDigest(files)
	if err != nil {
		return Turn{}, err
	}
	p := Proposal{
		ID: id, Digest: digest, Rules: book.Digest(), Count: len(book.Rules), Base: base, Widens: effect.Widens(), Totals: effect.Totals, Again: again,
		By: bare(by), ProposedAt: moment(now),
	}
	return p.turn(propose, by, now, func(*Proposal) {})
}

// Activate puts the book in force: a second administrator agrees, or nobody gains anything by it and one is enough. inForce
// is the digest of the rules in force at this moment.
func (p Proposal) Activate(by audit.Actor, inForce string, now time.Time) (Turn, error) {
	switch {
	case p.State != StateProposed:
		return Turn{}, fmt.Errorf("%w: it is %s", ErrClosed, p.State)
	case p.Base != inForce:
		return Turn{}, ErrStale
	case p.Widens && by.Kind == p.By.Kind && by.ID == p.By.ID && !byItself(by):
		return Turn{}, ErrSecond
	}
	return p.turn(activate, by, now, func(p *Proposal) {
		who := bare(by)
		p.ActivatedBy, p.ActivatedAt = &who, moment(now)
	})
}

// byItself reports whether Sparekey acts by itself: at its very first start there is nobody to ask.
func byItself(a audit.Actor) bool { return a.Kind == audit.Sparekey }

// Reject closes a proposal without putting it in force.
func (p Proposal) Reject(by audit.Actor, why string, now time.Time) (Turn, error) {
	return p.close(reject, by, why, now)
}

// Supersede closes a proposal since it can no longer come in force.
func (p Proposal) Supersede(by audit.Actor, why string, now time.Time) (Turn, error) {
	return p.close(supersede, by, why, now)
}

// Replace takes the book out of force, for another.
func (p Proposal) Replace(by audit.Actor, why string, now time.Time) (Turn, error) {
	return p.close(replace, by, why, now)
}

func (p Proposal) close(c command, by audit.Actor, why string, now time.Time) (Turn, error) {
	return p.turn(c, by, now, func(p *Proposal) {
		who := bare(by)
		p.ClosedBy, p.ClosedAt, p.Why = &who, moment(now), why
	})
}

// turn takes a step of the table and makes its event.
func (p Proposal) turn(c command, by audit.Actor, now time.Time, change func(*Proposal)) (Turn, error) {
	step, ok := activation[p.State][c]
	if !ok {
		return Turn{}, fmt.Errorf("%w: it is %s", ErrClosed, p.State)
	}
	var before *audit.Image
	if p.Version > 0 {
		image, err := audit.ImageOf(string(p.State), p.Version, p)
		if err != nil {
			return Turn{}, err
		}
		before = image.Bare()
	}
	p.State = step.to
	p.Version++
	change(&p)
	after, err := audit.ImageOf(string(p.State), p.Version, p)
	if err != nil {
		return Turn{}, err
	}
	return Turn{p, audit.Event{At: moment(now), Kind: step.event, Actor: by, Subject: audit.Subject{Kind: "rules", ID: p.ID}, Before: before, After: after}}, nil
}

// moment brings a time into the form in which it is kept: UTC, to the millisecond.
func moment(t time.Time) time.Time { return t.UTC().Truncate(time.Millisecond) }

// bare is an actor without the key that they used, which stands in the event.
func bare(a audit.Actor) audit.Actor {
	a.Key = ""
	return a
}

// FilesDigest names files of rules to the letter, in whatever order they come.
func FilesDigest(files []File) (string, error) { return audit.Digest(ordered(files)) }

func ordered(files []File) []map[string]string {
	files = slices.SortedFunc(slices.Values(files), func(a, b File) int { return strings.Compare(a.Name, b.Name) })
	list := make([]map[string]string, len(files))
	for i, f := range files {
		list[i] = map[string]string{"name": f.Name, "text": string(f.Text)}
	}
	return list
}

// CheckFiles refuses files that are too many or too large, and names that are no paths below a folder.
func CheckFiles(files []File) error {
	size, names := 0, map[string]bool{}
	for _, f := range files {
		size += len(f.Text)
		switch {
		case f.Name == "" || len(f.Name) > longestName || path.IsAbs(f.Name) || path.Clean(f.Name) != f.Name || f.Name == ".." || strings.HasPrefix(f.Name, "../") ||
			strings.ContainsFunc(f.Name, func(c rune) bool { return !unicode.IsGraphic(c) || c == '\\' }):
			return fmt.Errorf("%.60q is not the name of a file of rules: a path below their folder, as in prod/payments.yaml", f.Name)
		case names[f.Name]:
			return fmt.Errorf("the file %s is there twice", f.Name)
		}
		names[f.Name] = true
	}
	switch {
	case len(files) == 0:
		return errors.New("there are no files of rules")
	case len(files) > MostFiles:
		return fmt.Errorf("there are %d files of rules; at most %d are taken", len(files), MostFiles)
	case size > MostBytes:
		return fmt.Errorf("the files of rules have %d bytes together; at most %d are taken", size, MostBytes)
	}
	return nil
}
