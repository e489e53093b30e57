package access

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"sparekey/org"
	"sparekey/rules"
)

// Facts is what was seen before a grant begins, or creates.
type Facts struct {
	Person   org.Person // as AWS described the person a moment ago
	Rules    rules.Set
	Assigned bool    // whether AWS lists the assignment
	Others   []Grant // every other grant with the same key that is not over
	Creates  []Seen  // recent creates of the same key, by anybody; needed when the assignment is listed and [Leftover] says so
	NewID    func(kind string) string
}

// Leftover reports whether any of the grants has ended but may still show in AWS, or land there late.
func Leftover(others []Grant) bool {
	return slices.ContainsFunc(others, func(o Grant) bool { return !o.Live() && o.Held != PreExisting && o.checkable() })
}

// Begin records the intent, unless what was seen forbids or postpones it. When create is true, the assignment is to be
// created: the person is looked at once more, and [Grant.Attempt] comes next.
func (g Grant) Begin(f Facts, now time.Time) (c Change, create bool, err error) {
	now = moment(now)
	why, kind := g.hindrance(f)
	for _, o := range f.Others {
		if kind == noHindrance && o.busy() {
			why, kind = fmt.Sprintf("grant %s of the same access is %s", o.ID, o.State), passing
		}
	}
	if kind == noHindrance && g.Late(now) {
		why, kind = "it could not begin within "+rules.Short(StartWithin), lasting
	}
	switch kind {
	case passing:
		c, err = g.Postpone(why, now)
		return c, false, err
	case lasting:
		c, err = g.refuse(why, now)
		return c, false, err
	case otherTerms:
		c, err = g.askAnew(why, f, now)
		return c, false, err
	case noHindrance:
	}
	held := g.holder(f, now)
	c, err = g.lane(beginGrant, now, detail{"held": string(held)}, func(n *Grant) {
		n.Held, n.BegunAt, n.HardEnd = held, now, g.hardEnd(now)
		n.Trouble, n.Tries, n.NextTry = "", 0, now
		if held == Ours {
			n.Create = &Operation{SentAt: now, Outcome: NotTaken} // so far
			n.Unsure = slices.ContainsFunc(f.Others, func(o Grant) bool { return o.Unsure })
		}
	})
	return c, held == Ours, err
}

// Attempt records that AWS is about to be called to create the assignment, if the person may still have it: what was seen
// when the grant began may have changed since, by moments or, after a death, by hours. When call is true, AWS is to be
// called, and its answer goes to [Grant.CreateAnswered]. Otherwise the grant ends, or waits for what may pass; an hour after
// the approval it waits no more.
func (g Grant) Attempt(f Facts, now time.Time) (c Change, call bool, err error) {
	now = moment(now)
	if g.Create == nil || g.Create.ID != "" || g.End != nil {
		return Change{}, false, nil
	}
	why, kind := g.hindrance(f)
	if trouble := cmp.Or(why, g.Trouble); g.Late(now) {
		why, kind = "it could not start within "+rules.Short(StartWithin), lasting
		if trouble != "" {
			why += ": " + trouble
		}
	}
	var again Change
	switch kind {
	case passing:
		c, err = g.lane(hinder, now, detail{"why": why}, func(n *Grant) { n.hindered(why, now) })
		return c, false, err
	case otherTerms:
		if again, why, err = g.askAgain(why, f, now); err != nil {
			return Change{}, false, err
		}
		fallthrough
	case lasting:
		c, err = g.lane(fail, now, detail{"why": clip(why)}, func(n *Grant) {
			n.helped(now)
			n.doubt()
			n.Create.Outcome = NotTaken
			n.Failure, n.End, n.EndingAt = why, &EndCause{partActor("lane"), now, clip(why)}, now
		})
		return c.And(again), false, err
	case noHindrance:
	}
	c, err = g.lane(attempt, now, detail{}.number("try", g.Tries+1), func(n *Grant) {
		n.doubt()
		n.Create = &Operation{SentAt: now}
	})
	return c, err == nil, err
}

// Late reports whether nobody waits any more for the grant to start.
func (g Grant) Late(now time.Time) bool {
	return !now.Before(latest(g.ApprovedAt, g.StartAt).Add(StartWithin))
}

// hindering says what becomes of a grant that may not begin.
type hindering int

const (
	noHindrance hindering = iota
	passing               // it may pass
	lasting
	otherTerms // what was approved is no longer what would be given: it is asked anew
)

// hindrance says why the grant may not begin, and whether that may pass.
func (g Grant) hindrance(f Facts) (string, hindering) {
	switch {
	case f.Person.Status.Gone():
		return fmt.Sprintf("%s is %s in the directory", g.Person.User, f.Person.Status), lasting
	case f.Person.Status == org.StatusUnknown:
		return fmt.Sprintf("AWS does not say whether %s is enabled", g.Person.User), passing
	case !f.Rules.Ready():
		return "the organization has not been read yet", passing
	}
	ok, anew, whyNot := f.Rules.Stands(f.Person, g.Ask(), g.Rule, rules.Bound{Rule: g.Rule.Digest, Content: g.Content}, func(n rules.Needs) bool {
		return g.Needs.Approvals == 0 || f.Rules.Progress(g.caseOf(n)).Done(n)
	})
	why := strings.Join(whyNot, "; ")
	switch {
	case ok:
		return "", noHindrance
	case anew:
		return why, otherTerms
	case g.Service != "" && strings.HasPrefix(why, g.Service):
		return why, passing // the service that checks the ticket does not answer
	}
	return "the rules no longer allow it: " + why, lasting
}

// Ask is what the rules are asked about the grant before it starts.
func (g Grant) Ask() rules.Ask {
	return rules.Ask{Target: g.Target.Target, For: g.Duration(), Reason: g.Reason, Ticket: g.Ticket, Approved: true}
}

func (g Grant) caseOf(n rules.Needs) rules.Case {
	return rules.Case{
		Needs: n, Requester: g.Person.ID, Asked: g.AskedAt, Sensitive: g.Sensitive, Votes: votes(g.Approvals, rules.Bound{Rule: g.Rule.Digest, Content: g.Content}),
	}
}

// askAnew refuses a grant that has not begun and whose terms have changed since they were approved, and asks for the same
// under those of now.
func (g Grant) askAnew(why string, f Facts, now time.Time) (Change, error) {
	again, why, err := g.askAgain(why, f, now)
	if err != nil {
		return Change{}, err
	}
	c, err := g.refuse(why, now)
	return c.And(again), err
}

// askAgain asks for what the grant was to give under the rules of now, in its person's name, and says so after why. Where
// those do not allow it either, nothing is asked.
func (g Grant) askAgain(why string, f Facts, now time.Time) (Change, string, error) {
	c, err := Ask(f.Person, Wish{Targets: []org.Target{g.Target.Target}, Duration: g.Duration(), Reason: g.Reason, Ticket: g.Ticket, Policy: g.Policy}, f.Rules, now, f.NewID)
	var p *Problem
	if errors.As(err, &p) {
		return Change{}, "the rules no longer allow it: " + why, nil
	}
	if err != nil {
		return Change{}, "", err
	}
	return c, fmt.Sprintf("%s; it was asked for anew as %s", why, c.Request.ID), nil
}

// holder says whose an assignment is that AWS lists, or would be.
func (g Grant) holder(f Facts, now time.Time) Held {
	if !f.Assigned {
		return Ours
	}
	held := PreExisting
	for _, o := range f.Others {
		switch {
		case o.State == Active && o.Held != PreExisting:
			return Shared
		case Leftover([]Grant{o}) && (o.Unsure || now.Before(o.EndedAt.Add(listingLag))):
			// A listing can still show what we deleted a moment ago, and a create of ours can land late. Creating again does
			// no harm; calling it somebody else's would leave it standing for ever.
			held = Ours
		}
	}
	if held == Ours && givenByOthers(f.Creates, f.Others) {
		return PreExisting
	}
	return held
}

// listingLag is how long a listing may show what AWS said it has deleted.
const listingLag = time.Minute

// clockSlack is how far AWS's clock and ours may differ when operations are told apart by time.
const clockSlack = time.Minute

// givenByOthers reports whether AWS shows a create that is none of these grants'. Where the id of every create of ours is
// known, ids tell; where one is not, everything up to its time may be ours.
func givenByOthers(creates []Seen, grants []Grant) bool {
	known := map[string]bool{}
	var since time.Time
	for _, g := range grants {
		if g.Create == nil {
			continue
		}
		known[g.Create.ID] = true
		if at := g.Create.SentAt.Add(clockSlack); (g.Unsure || g.Create.ID == "" && g.Create.Outcome != NotTaken) && at.After(since) {
			since = at
		}
	}
	return slices.ContainsFunc(creates, func(op Seen) bool { return !known[op.ID] && op.Outcome != FailedOp && op.At.After(since) })
}

func (g Grant) refuse(why string, now time.Time) (Change, error) {
	return g.lane(refuseGrant, now, detail{"why": why}, func(n *Grant) {
		n.Failure, n.Trouble, n.NextTry, n.EndedAt = why, "", time.Time{}, now
	})
}

// Postpone leaves a grant waiting that cannot begin for a reason that may pass. After an hour it is refused.
func (g Grant) Postpone(why string, now time.Time) (Change, error) {
	now = moment(now)
	if g.Late(now) {
		return g.refuse("it could not begin within "+rules.Short(StartWithin)+": "+why, now)
	}
	return g.lane(postponeGrant, now, detail{"why": why}, func(n *Grant) { n.hindered(why, now) })
}

// hardEnd is when a grant that begins now ends whatever happens: not after the ticket's window or the rule's hours either.
func (g Grant) hardEnd(now time.Time) time.Time {
	hard := now.Add(g.Duration() + HardMargin)
	if !g.NotAfter.IsZero() && g.NotAfter.Before(hard) {
		return g.NotAfter
	}
	return hard
}

// hindered counts a try without success and sets the next.
func (g *Grant) hindered(why string, now time.Time) {
	g.Trouble = clip(why)
	g.NextTry = moment(now.Add(g.backoff()))
	g.Tries++
	g.tried(now)
}

// tried remembers when the end, if it is being ended, was first tried.
func (g *Grant) tried(now time.Time) {
	if g.End != nil && g.TriedAt.IsZero() {
		g.TriedAt = moment(now)
	}
}

// helped forgets earlier tries without success.
func (g *Grant) helped(now time.Time) { g.Trouble, g.Tries, g.NextTry = "", 0, now }

// clip keeps AWS's words to a length that fits a record.
func clip(words string) string {
	if len(words) > 400 {
		return words[:400] + "…"
	}
	return words
}

// Hinder records that AWS could not be asked, or did not do its part. Whatever was being done is tried again later.
func (g Grant) Hinder(trouble error, now time.Time) (Change, error) {
	now = moment(now)
	if g.State == Waiting {
		return g.Postpone(trouble.Error(), now)
	}
	return g.lane(hinder, now, detail{"aws": clip(trouble.Error())}, func(n *Grant) { n.hindered(trouble.Error(), now) })
}

// Wait leaves a grant that may not start now for a reason that lies with Sparekey and not with the grant or AWS.
func (g Grant) Wait(why string, now time.Time) (Change, error) {
	now = moment(now)
	if g.State == Waiting {
		return g.Postpone(why, now)
	}
	return g.lane(hinder, now, detail{"why": clip(why)}, func(n *Grant) { n.hindered(why, now) })
}

// CreateAnswered records AWS's answer to a create: an operation, or an error.
func (g Grant) CreateAnswered(op Seen, answer error, now time.Time) (Change, error) {
	now = moment(now)
	switch {
	case g.Create == nil || g.Create.ID != "":
		return Change{}, nil // the answer of a call that was given up
	case answer == nil:
		return g.tookCreate(op, now)
	case final(answer) && g.End == nil:
		return g.failing(answer.Error(), now, func(o *Operation) { o.Outcome = NotTaken })
	}
	return g.lane(hinder, now, detail{"aws": clip(answer.Error()), "call": "create"}, func(n *Grant) {
		n.hindered(answer.Error(), now)
		if certain(answer) {
			n.Create.Outcome = NotTaken
		} else {
			n.Unsure = true
		}
	})
}

// tookCreate records that AWS took a create, and what it already says about its outcome.
func (g Grant) tookCreate(op Seen, now time.Time) (Change, error) {
	if op.Outcome == FailedOp && g.End == nil {
		return g.failing(op.Reason, now, func(o *Operation) { o.ID, o.Outcome, o.Reason = op.ID, FailedOp, clip(op.Reason) })
	}
	return g.lane(accept, now, detail{"operation": op.ID, "outcome": string(op.Outcome)}, func(n *Grant) {
		n.NextTry = now // that AWS took it is no success yet
		n.Create.ID, n.Create.Outcome, n.Create.Reason = op.ID, op.Outcome, clip(op.Reason)
		n.Unsure = n.Unsure || op.Outcome == FailedOp
	})
}

// failing turns a grant that AWS will not create into one that ends, so that whatever may be there is taken away.
func (g Grant) failing(why string, now time.Time, edit func(*Operation)) (Change, error) {
	return g.lane(fail, now, detail{"aws": clip(why)}, func(n *Grant) {
		n.helped(now)
		edit(n.Create)
		n.Unsure = n.Unsure || n.Create.Outcome == FailedOp
		n.Failure = "AWS did not create it: " + clip(why)
		n.End, n.EndingAt = &EndCause{partActor("lane"), now, n.Failure}, now
	})
}

// CreateSeen records what AWS says about a create that goes on. While it goes on, nothing changes.
func (g Grant) CreateSeen(op Seen, now time.Time) (Change, error) {
	now = moment(now)
	switch {
	case g.Create == nil || g.Create.ID != op.ID || g.Create.Outcome != "" || op.Outcome == "":
		return Change{}, nil
	case op.Outcome == FailedOp && g.End == nil:
		return g.failing(op.Reason, now, func(o *Operation) { o.Outcome, o.Reason = FailedOp, clip(op.Reason) })
	}
	return g.lane(settle, now, detail{"operation": op.ID, "outcome": string(op.Outcome)}, func(n *Grant) {
		n.helped(now)
		n.Create.Outcome, n.Create.Reason = op.Outcome, clip(op.Reason)
		n.Unsure = n.Unsure || op.Outcome == FailedOp
	})
}

// CreateForgotten records that AWS no longer knows a create that we are waiting for: its outcome must be found by looking.
func (g Grant) CreateForgotten(now time.Time) (Change, error) {
	now = moment(now)
	return g.lane(hinder, now, detail{"operation": g.Create.ID, "aws": "the operation is not known"}, func(n *Grant) {
		n.Create.ID, n.Unsure = "", true
		n.hindered("AWS does not know the operation any more", now)
	})
}

// Recover goes on after a create that was not made yet, whose answer is not known, or was a certain no: it adopts the
// operation if AWS shows one under way for this key, or takes what is listed for its result, or, when there is neither,
// asks to create as [Grant.Attempt] does. Of the facts, the person and who approved matter only then, and only while the
// grant is not being ended.
func (g Grant) Recover(f Facts, now time.Time) (c Change, call bool, err error) {
	now = moment(now)
	if g.Create == nil || g.Create.ID != "" {
		return Change{}, false, nil
	}
	never := g.End == nil && g.Create.Outcome == NotTaken && !g.Unsure // was a create of ours taken
	if i := slices.IndexFunc(f.Creates, func(op Seen) bool { return op.Outcome == "" }); i >= 0 && never {
		c, err = g.Hinder(errors.New("somebody else's create of the same access is under way"), now)
		return c, false, err
	} else if i >= 0 {
		c, err = g.lane(accept, now, detail{"operation": f.Creates[i].ID, "seen": "under way"}, func(n *Grant) {
			n.NextTry = now
			n.doubt()
			n.Create.ID = f.Creates[i].ID
		})
		return c, false, err
	}
	if held := g.holder(f, now); f.Assigned && never && held != Ours {
		c, err = g.lane(settle, now, detail{"held": string(held), "seen": "listed, and AWS never took a create of ours"}, func(n *Grant) {
			n.helped(now)
			n.Held, n.Create = held, nil
		})
		return c, false, err
	}
	if g.End == nil && (!f.Assigned || never) {
		return g.Attempt(f, now)
	}
	outcome, seen := Succeeded, "listed"
	if !f.Assigned {
		outcome, seen = NotTaken, "neither listed nor under way"
	}
	c, err = g.lane(settle, now, detail{"outcome": string(outcome), "seen": seen}, func(n *Grant) {
		n.helped(now)
		n.doubt()
		n.Create.Outcome = outcome
	})
	return c, false, err
}

// doubt remembers that a create of ours was never answered: whatever is found instead of its answer, it may still land.
func (g *Grant) doubt() {
	g.Unsure = g.Unsure || g.Create != nil && g.Create.ID == "" && g.Create.Outcome == ""
}

// Confirm starts the clock if AWS lists the assignment. If what the grant relied upon is gone, or AWS does not list what it
// said it created, [Recover] comes next and creates it.
func (g Grant) Confirm(assigned bool, now time.Time) (Change, error) {
	now = moment(now)
	switch {
	case !g.wanted() || g.State == Active:
		return Change{}, nil
	case assigned:
		c, err := g.lane(confirm, now, detail{"held": string(g.Held)}, func(n *Grant) {
			n.helped(now)
			n.ActiveAt, n.EndsAt, n.NextTry = now, earliest(now.Add(g.Duration()), g.HardEnd), time.Time{}
		})
		if err != nil || g.Review == nil {
			return c, err
		}
		return c, c.review(c.Grants[0], now)
	case g.Held != Ours || g.Tries >= listings:
		return g.lane(hinder, now, detail{"seen": "not listed", "held": string(g.Held)}, func(n *Grant) {
			n.Unsure = n.Unsure || g.Create != nil // it may show later
			n.Held, n.Create, n.NextTry = Ours, &Operation{SentAt: now, Outcome: NotTaken}, now
		})
	}
	return g.Hinder(errors.New("AWS says that it created it, but does not list it yet"), now)
}

// listings is how many looks a listing is given to catch up with what AWS said, before AWS is called again.
const listings = 4

// Stick records that AWS has not confirmed a start or an end for ten minutes. It goes on being tried.
func (g Grant) Stick(now time.Time) (Change, error) {
	doing := "starting"
	if g.End != nil {
		doing = "ending"
	}
	return g.lane(stick, moment(now), detail{"while": doing, "aws": g.Trouble}, nil)
}
