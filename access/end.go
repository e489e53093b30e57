package access

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"sparekey/audit"
	"sparekey/org"
)

// MayEnd says why by may not end the grant, or nothing when they may. The person who holds it may, whoever approved it, and
// whoever could have. Administrators and Sparekey itself are not asked here.
func (g Grant) MayEnd(by org.Person) string {
	if by.ID == g.Person.ID || slices.ContainsFunc(g.Approvals, func(a Approval) bool { return a.By.ID == by.ID }) {
		return ""
	}
	if by.Status == org.StatusEnabled && g.Needs.Includes(by) {
		return ""
	}
	return fmt.Sprintf("%s belongs to %s, and %s could not have approved it", g.ID, g.Person.User, by.User)
}

// EndIt ends the grant, or, when it has not begun, cancels it. Ending what is being ended changes nothing and is no error.
func (g Grant) EndIt(by audit.Actor, why string, now time.Time) (Change, error) {
	now = moment(now)
	if err := checkText("the reason", why); err != nil {
		return Change{}, err
	}
	if !g.Live() {
		return Change{}, problem(ErrOver, "%s is over: %s since %s", g.ID, g.State, g.EndedAt.Format(time.RFC3339))
	}
	if g.End != nil {
		return Change{}, nil
	}
	c, err := g.turn(endGrant, by, now, detail{"why": why}, func(n *Grant) {
		n.End = &EndCause{by, now, why}
		if g.State == Waiting {
			n.EndedAt, n.NextTry = now, time.Time{}
			return
		}
		n.EndingAt = now
		n.helped(now)
	})
	if err != nil || g.Review == nil || !g.ActiveAt.IsZero() || g.Create == nil || !g.taken() {
		return c, err
	}
	// AWS may have given it before it was confirmed, and whoever was quick enough has used it.
	return c, c.review(c.Grants[0], now)
}

// Chain keeps, of the grants of one person, those that are g, that g extends, or that extend it, at any remove: they lend one
// access on, and whoever ends one of them means that access. all are those that are not over, root finds the one at the
// beginning.
func (g Grant) Chain(all []Grant, root func(Grant) (string, error)) ([]Grant, error) {
	first, err := root(g)
	if err != nil {
		return nil, err
	}
	chain := []Grant{g}
	for _, o := range all {
		if o.ID == g.ID {
			continue
		}
		other, err := root(o)
		if err != nil {
			return nil, err
		}
		if other == first {
			chain = append(chain, o)
		}
	}
	return chain, nil
}

// Expire ends a grant whose time is over.
func (g Grant) Expire(now time.Time) (Change, error) {
	why := "its time is over"
	if g.State != Active {
		why = "its hard end has come before AWS confirmed its start"
	}
	return g.EndIt(partActor("clock"), why, now)
}

// Remove decides what ending means for the assignment: others is every other grant with the same key that is not over. When
// call is true, AWS is to be called to delete it, and its answer goes to [Grant.DeleteAnswered].
func (g Grant) Remove(assigned bool, others []Grant, now time.Time) (c Change, call bool, err error) {
	now = moment(now)
	if g.End == nil || g.Delete != nil && g.Delete.ID != "" && (g.Delete.Outcome == "" || g.Delete.Outcome == Succeeded) {
		return Change{}, false, nil
	}
	heirs := slices.DeleteFunc(slices.Clone(others), func(o Grant) bool { return !o.wanted() })
	switch {
	case g.Held == PreExisting:
		c, err = g.over(release, now, detail{"why": "it existed before the grant"})
	case len(heirs) > 0:
		c, err = g.bequeath(heirs, now)
	case !g.taken():
		c, err = g.over(release, now, detail{"why": "AWS never took a create of ours"})
	case !assigned && !g.ActiveAt.IsZero():
		c, err = g.over(gone, now, detail{"seen": "not listed"})
	default: // also when it is not listed yet: AWS took our create, and a listing may lag behind it
		c, err = g.lane(remove, now, detail{}.number("try", g.Tries+1), func(n *Grant) { n.Delete = &Operation{SentAt: now}; n.tried(now) })
		call = err == nil
	}
	return c, call, err
}

// taken reports whether AWS took a create of ours, or may have, or an assignment was left to us.
func (g Grant) taken() bool {
	return g.Held == Shared || g.Create == nil || g.Unsure || g.Create.Outcome != NotTaken
}

// bequeath ends the grant and leaves its assignment to another that needs it.
func (g Grant) bequeath(heirs []Grant, now time.Time) (Change, error) {
	c, err := g.over(release, now, detail{"neededBy": heirs[0].ID})
	if err != nil || slices.ContainsFunc(heirs, func(h Grant) bool { return h.Held != PreExisting }) {
		return c, err
	}
	// The heirs found it there when they began; now it is theirs to delete.
	more, err := heirs[0].lane(inherit, now, detail{"from": g.ID}, func(n *Grant) { n.Held = Ours })
	c.Grants, c.Events = append(c.Grants, more.Grants...), append(c.Events, more.Events...)
	return c, err
}

// over closes a grant whose assignment is not there, or not ours to delete.
func (g Grant) over(command grantCommand, now time.Time, d detail) (Change, error) {
	if g.Failure != "" {
		command += ", failed"
	}
	return g.lane(command, now, d, func(n *Grant) {
		n.helped(now)
		n.EndedAt, n.NextTry = now, time.Time{}
	})
}

// DeleteAnswered records AWS's answer to a delete: an operation, or an error.
func (g Grant) DeleteAnswered(op Seen, answer error, now time.Time) (Change, error) {
	now = moment(now)
	if g.Delete == nil || g.Delete.ID != "" {
		return Change{}, nil
	}
	if errors.Is(answer, ErrMissing) {
		return g.lane(settleRemoval, now, detail{"aws": clip(answer.Error())}, func(n *Grant) {
			n.helped(now)
			n.Delete.Outcome = Succeeded
		})
	}
	if answer != nil {
		return g.lane(hinder, now, detail{"aws": clip(answer.Error()), "call": "delete"}, func(n *Grant) { n.hindered(answer.Error(), now) })
	}
	c, err := g.lane(acceptRemoval, now, detail{"operation": op.ID, "outcome": string(op.Outcome)}, func(n *Grant) {
		n.Delete.ID, n.NextTry = op.ID, now // that AWS took it is no success yet
		if op.Outcome != FailedOp {
			n.Delete.Outcome = op.Outcome
		}
	})
	if err != nil || op.Outcome != FailedOp {
		return c, err
	}
	more, err := c.Grants[0].DeleteSeen(op, now)
	return Change{Grants: more.Grants, Events: append(c.Events, more.Events...)}, err
}

// DeleteSeen records what AWS says about a delete that goes on. While it goes on, nothing changes.
func (g Grant) DeleteSeen(op Seen, now time.Time) (Change, error) {
	now = moment(now)
	if g.Delete == nil || g.Delete.ID != op.ID || g.Delete.Outcome != "" || op.Outcome == "" {
		return Change{}, nil
	}
	return g.lane(settleRemoval, now, detail{"operation": op.ID, "outcome": string(op.Outcome), "aws": clip(op.Reason)}, func(n *Grant) {
		n.Delete.Outcome, n.Delete.Reason = op.Outcome, clip(op.Reason)
		if op.Outcome == Succeeded {
			n.helped(now)
		} else {
			n.hindered("AWS did not delete it: "+op.Reason, now)
		}
	})
}

// DeleteForgotten records that AWS no longer knows a delete that we are waiting for: it is looked for and tried again.
func (g Grant) DeleteForgotten(now time.Time) (Change, error) {
	now = moment(now)
	return g.lane(hinder, now, detail{"operation": g.Delete.ID, "aws": "the operation is not known"}, func(n *Grant) {
		n.Delete = nil
		n.hindered("AWS does not know the operation any more", now)
	})
}

// ConfirmGone ends the grant if AWS no longer lists the assignment. A listing may lag; when it still shows after a few
// looks, it is deleted again.
func (g Grant) ConfirmGone(assigned bool, now time.Time) (Change, error) {
	now = moment(now)
	if g.End == nil || g.Delete == nil || g.Delete.Outcome != Succeeded {
		return Change{}, nil
	}
	if !assigned {
		return g.over(gone, now, detail{"seen": "not listed"})
	}
	trouble := errors.New("AWS says that it deleted it, but still lists it")
	return g.lane(hinder, now, detail{"aws": trouble.Error()}, func(n *Grant) {
		n.hindered(trouble.Error(), now)
		if n.Tries >= listings {
			n.Delete = nil
		}
	})
}

// Check records a listing made some minutes after the end. creates are the recent creates of the same key by anybody, and
// matter only when the assignment is listed again: then they tell a late create of ours, which is taken away, from what
// somebody else has given since, which is not. Only a create without a certain outcome can land late.
func (g Grant) Check(assigned bool, creates []Seen, others []Grant, now time.Time) (Change, error) {
	now = moment(now)
	if g.Live() || g.Checks >= 2 {
		return Change{}, nil
	}
	needed := slices.ContainsFunc(others, func(o Grant) bool { return o.wanted() || o.busy() })
	if assigned && !needed && g.Held != PreExisting && g.Unsure && !givenByOthers(creates, append(slices.Clone(others), g)) {
		return g.lane(reappear, now, detail{"seen": "listed after the end"}, func(n *Grant) {
			n.Delete, n.EndingAt, n.TriedAt, n.Checks = nil, now, time.Time{}, 0
			n.helped(now)
			if n.End == nil {
				n.End = &EndCause{partActor("lane"), now, "a create of Sparekey landed late"}
			}
		})
	}
	command, d := check, detail{"listed": fmt.Sprint(assigned)}
	if assigned && !needed {
		d["why"] = "somebody else gave it"
	}
	if g.Checks == 1 {
		command = verify
	}
	return g.lane(command, now, d, func(n *Grant) {
		n.helped(now)
		n.Checks++
		n.NextTry = time.Time{}
	})
}
