package world

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"sparekey/org"
)

// ErrConflict says that an operation on the same assignment is not finished.
var ErrConflict = errors.New("an operation on the same assignment is in progress")

// Status is how far an asynchronous operation is (StatusValues, CreateAccountState).
type Status string

// The statuses of AWS.
const (
	InProgress Status = "IN_PROGRESS"
	Succeeded  Status = "SUCCEEDED"
	Failed     Status = "FAILED"
)

// Kind says what an operation does to its assignment.
type Kind string

// The kinds of operations.
const (
	Create Kind = "create"
	Delete Kind = "delete"
)

// Fate is what becomes of an operation on a bad day. The zero value is a good day.
type Fate struct {
	Fails  bool          // it ends FAILED
	Reason string        // the FailureReason, if it Fails
	Lost   bool          // it has no effect
	Lands  time.Duration // after acceptance, when its effect happens; 0 is when it ends
	Hidden bool          // no status and no list of statuses knows it, no quota counts it, nothing conflicts with it
	Slower time.Duration // added to AWS's own time
	Factor int           // multiplies AWS's own time; 0 is 1
}

// Operation is an accepted creation or deletion of an assignment.
type Operation struct {
	ID         string
	Kind       Kind
	Assignment org.Assignment
	Accepted   time.Time
	Ended      time.Time // when it will, while Status is InProgress
	Status     Status
	Reason     string
	Sequence   int // in which order operations were accepted
	fate       Fate
	lands      time.Time
	landed     bool
	obstacle   string
}

// most is how many operations are remembered after their end.
const most = 100_000

// work is what is going on, and what was.
type work struct {
	operations []*Operation // the oldest first
	byID       map[string]*Operation
	unfinished []*Operation
	busy       map[org.AccountID]time.Time // until when
	creations  []*AccountCreation
	accepted   int
}

func newWork() work {
	return work{byID: map[string]*Operation{}, busy: map[org.AccountID]time.Time{}}
}

// Begin accepts an operation. The error is [ErrConflict].
func (w *World) Begin(now time.Time, kind Kind, a org.Assignment, fate Fate) (Operation, error) {
	for _, op := range w.unfinished {
		if op.Assignment == a && op.Status == InProgress && !op.fate.Hidden {
			return Operation{}, fmt.Errorf("operation %s: %w", op.ID, ErrConflict)
		}
	}
	starts := now
	if busy := w.busy[a.Account]; busy.After(now) {
		starts = busy
	}
	w.accepted++
	op := &Operation{
		ID: w.source.UUID("operation"), Kind: kind, Assignment: a, Accepted: now, Status: InProgress, Sequence: w.accepted, fate: fate,
		Ended: starts.Add(w.timing.Assignment*time.Duration(max(1, fate.Factor)) + fate.Slower),
	}
	op.lands = op.Ended
	if fate.Lands > 0 {
		op.lands = now.Add(fate.Lands)
	}
	op.landed = fate.Lost
	w.busy[a.Account] = op.Ended
	w.unfinished = append(w.unfinished, op)
	w.keep(op)
	return *op, nil
}

func (w *World) keep(op *Operation) {
	w.operations = append(w.operations, op)
	w.byID[op.ID] = op
	if len(w.operations) > most {
		delete(w.byID, w.operations[0].ID)
		w.operations = slices.Delete(w.operations, 0, 1)
	}
}

// Operation finds an operation by its request id.
func (w *World) Operation(id string) (Operation, bool) {
	op, ok := w.byID[id]
	if !ok || op.fate.Hidden {
		return Operation{}, false
	}
	return *op, true
}

// Operations lists the operations of a kind, in the order in which they were accepted.
func (w *World) Operations(kind Kind) []Operation {
	var all []Operation
	for _, op := range w.operations {
		if op.Kind == kind && !op.fate.Hidden {
			all = append(all, *op)
		}
	}
	return all
}

// Outstanding counts the operations that have not ended.
func (w *World) Outstanding() int {
	n := 0
	for _, op := range w.unfinished {
		if op.Status == InProgress && !op.fate.Hidden {
			n++
		}
	}
	return n
}

// Unlanded reports whether any operation may still have its effect.
func (w *World) Unlanded() bool {
	return slices.ContainsFunc(w.unfinished, func(op *Operation) bool { return !op.landed })
}

// next is when something will happen to an operation, and whether that is its effect.
func (op *Operation) next() (at time.Time, lands bool) {
	if !op.landed && (op.Status != InProgress || !op.lands.After(op.Ended)) {
		return op.lands, true
	}
	return op.Ended, false
}

// Settle lets everything happen whose time has come, in the order of its time.
func (w *World) Settle(now time.Time) {
	w.settleAccounts(now)
	for len(w.unfinished) > 0 {
		first := slices.MinFunc(w.unfinished, func(a, b *Operation) int {
			aAt, _ := a.next()
			bAt, _ := b.next()
			return cmp.Or(aAt.Compare(bAt), cmp.Compare(a.Sequence, b.Sequence))
		})
		at, lands := first.next()
		if at.After(now) {
			return
		}
		if lands {
			w.land(at, first)
		} else {
			first.end()
		}
		w.unfinished = slices.DeleteFunc(w.unfinished, func(op *Operation) bool { return op.landed && op.Status != InProgress })
	}
}

func (op *Operation) end() {
	op.Status = Succeeded
	if op.fate.Fails {
		op.Status, op.Reason = Failed, op.fate.Reason
	} else if op.obstacle != "" {
		op.Status, op.Reason = Failed, op.obstacle
	}
}

func (w *World) land(at time.Time, op *Operation) {
	op.landed = true
	if op.obstacle = w.obstacle(op); op.obstacle != "" {
		return
	}
	if op.Kind == Create {
		w.assign(at, op.Assignment)
	} else {
		w.unassign(at, op.Assignment)
	}
}

// obstacle says, in the words that AWS was seen to use, why an operation cannot have its effect.
func (w *World) obstacle(op *Operation) string {
	a := op.Assignment
	if _, ok := w.sets[a.PermissionSet]; !ok {
		return "Received a 404 status error: the permission set " + a.PermissionSet + " was not found"
	}
	// For a deletion terraform-provider-aws issue 19341 saw this; for a creation it is inferred.
	if w.PrincipalName(a) == "" && (op.Kind == Create || w.orphansStay) {
		return fmt.Sprintf("Received a 404 status error: the %s assignee %s was not found in directory %s", a.Kind, a.Principal, w.Store)
	}
	// aws-identitycenter-codepipeline-auto-assignment issue 31, aws-sso-util issue 80.
	if account, ok := w.accounts[a.Account]; !ok || account.State != org.AccountActive {
		return "AWS SSO is unable to complete your request at this time. Obtaining permissions to manage your AWS account '" + string(a.Account) +
			"' is taking longer than usual. Please try again in a few minutes. If this problem continues, contact AWS Support."
	}
	return ""
}
