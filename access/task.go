package access

import (
	"hash/fnv"
	"time"
)

// Task is what is to be done next for a grant, outside of the database.
type Task string

// The tasks. Each but [Stick] and [EndNow] looks at AWS or acts in it; what was seen is reported back through the method of
// [Grant] that is named with it.
const (
	Rest        Task = ""
	Begin       Task = "begin"        // look at the person and the assignment, then Grant.Begin; the person again, then Grant.Attempt, then create
	Recover     Task = "recover"      // look at the assignment, at recent creates and at the person, then Grant.Recover, then create if it says so
	PollCreate  Task = "poll create"  // Grant.CreateSeen
	Confirm     Task = "confirm"      // look at the assignment, then Grant.Confirm
	EndNow      Task = "end"          // Grant.Expire
	Remove      Task = "remove"       // look at the assignment, then Grant.Remove, then delete if it says so
	PollDelete  Task = "poll delete"  // Grant.DeleteSeen
	ConfirmGone Task = "confirm gone" // look at the assignment, then Grant.ConfirmGone
	Stick       Task = "stick"        // Grant.Stick
	Check       Task = "check"        // look at the assignment, and at recent creates if it is there, then Grant.Check
)

// Task says what is to be done for the grant at a time. It depends on nothing but the grant, so that whoever takes over
// after a death goes on where the grant stands.
func (g Grant) Task(now time.Time) Task {
	switch g.State {
	case Waiting:
		if now.Before(g.StartAt) {
			return Rest
		}
		return Begin
	case Active:
		if !now.Before(g.EndsAt) {
			return EndNow
		}
		return Rest
	case Granting, Ending, Stuck:
		return g.taskUnderway(now)
	case Ended, Failed:
		if g.checkable() && g.Checks < 2 && !now.Before(g.nextCheck()) {
			return Check
		}
		return Rest
	case Verified:
	}
	return Rest
}

func (g Grant) taskUnderway(now time.Time) Task {
	stuckAt, tried := g.stuckAt()
	switch {
	case g.State != Stuck && tried && !now.Before(stuckAt):
		return Stick
	case g.End == nil && !now.Before(g.HardEnd):
		return EndNow
	case g.Create != nil && g.Create.Outcome == "" && g.Create.ID != "":
		return PollCreate
	case g.Create != nil && g.Create.Outcome == "":
		return Recover
	case g.End == nil && g.Create != nil && g.Create.Outcome == NotTaken:
		return Recover
	case g.End == nil:
		return Confirm
	case g.Delete != nil && g.Delete.Outcome == Succeeded:
		return ConfirmGone
	case g.Delete != nil && g.Delete.Outcome == "" && g.Delete.ID != "":
		return PollDelete
	}
	return Remove
}

// checkable reports whether AWS was ever called for the grant, so that something could land late.
func (g Grant) checkable() bool { return g.Create != nil || g.Delete != nil }

func (g Grant) nextCheck() time.Time {
	at := g.EndedAt.Add(FirstCheck)
	if g.Checks > 0 {
		at = g.EndedAt.Add(SecondCheck)
	}
	if g.NextTry.After(at) { // a check that AWS hindered
		return g.NextTry
	}
	return at
}

// stuckAt is when the grant counts as stuck; ok is false while an end waits for its turn: of very many ends at once most wait,
// and nothing of AWS is in their way.
func (g Grant) stuckAt() (at time.Time, ok bool) {
	switch {
	case g.End == nil:
		return g.BegunAt.Add(StuckAfter), true
	case !g.TriedAt.IsZero():
		return g.TriedAt.Add(StuckAfter), true
	}
	return g.EndingAt.Add(StuckAfter), g.Delete != nil || g.Create != nil && g.Create.Outcome == ""
}

// orStuck is a time, or the one at which the grant counts as stuck if that is earlier.
func (g Grant) orStuck(t time.Time) time.Time {
	if at, ok := g.stuckAt(); ok {
		return earliest(t, at)
	}
	return t
}

// Due is the earliest time at which the grant has a task; the zero time means never.
func (g Grant) Due() time.Time {
	switch g.State {
	case Waiting:
		return g.NextTry
	case Active:
		return g.EndsAt
	case Granting:
		return g.orStuck(earliest(g.NextTry, g.HardEnd))
	case Ending:
		return g.orStuck(g.NextTry)
	case Stuck:
		if g.End == nil {
			return earliest(g.NextTry, g.HardEnd)
		}
		return g.NextTry
	case Ended, Failed:
		if g.checkable() && g.Checks < 2 {
			return g.nextCheck()
		}
	case Verified:
	}
	return time.Time{}
}

func earliest(first time.Time, more ...time.Time) time.Time {
	for _, t := range more {
		if t.Before(first) {
			first = t
		}
	}
	return first
}

// Outstanding reports whether an operation of AWS is under way for the grant, as far as is known. It takes one of the few
// that AWS lets be under way at once.
func (g Grant) Outstanding() bool {
	return g.Create != nil && g.Create.Outcome == "" || g.Delete != nil && g.Delete.Outcome == ""
}

// Urgencies is how many urgencies there are, from 0 on.
const Urgencies = 3

// Urgency orders what is due: ends before starts before checks (design rule 7).
func (g Grant) Urgency() int {
	switch {
	case g.State == Active || g.State == Ending || g.State == Stuck:
		return 0
	case g.State == Waiting || g.State == Granting:
		return 1
	}
	return 2
}

// PollAfter is how long to wait before asking again about an operation that is so old: a fifth of its age, but soon enough
// that a start shows within a second of AWS's own time, and rarely enough that ten operations stay within half of the 20
// calls a second that Identity Center gives.
func PollAfter(age time.Duration) time.Duration {
	if age > time.Minute {
		return 3 * time.Second
	}
	return min(max(age/5, 200*time.Millisecond), 800*time.Millisecond)
}

// backoff is how long to wait after so many tries in a row without success: doubling from one second, at most half a minute,
// five seconds before it has begun, two minutes once it is stuck. A quarter is spread by the grant's id, so that many do not come back together.
func (g Grant) backoff() time.Duration {
	longest := 30 * time.Second
	if g.State == Waiting {
		longest = 5 * time.Second // mostly for another grant of the same access to be out of the way
	} else if g.State == Stuck {
		longest = 2 * time.Minute
	}
	wait := min(time.Second<<min(g.Tries, 10), longest)
	h := fnv.New32a()
	h.Write([]byte(g.ID))
	h.Write([]byte{byte(g.Tries)})
	return wait - wait/4*time.Duration(h.Sum32()%256)/255
}
