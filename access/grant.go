package access

import (
	"time"

	"sparekey/audit"
	"sparekey/org"
	"sparekey/rules"
)

// The times of a grant.
const (
	StartWithin = time.Hour        // an approved grant that cannot begin for so long fails; nobody waits for it any more
	HardMargin  = 15 * time.Minute // how long after the asked duration, counted from the intent, everything ends whatever happened
	StuckAfter  = 10 * time.Minute // a start or an end that AWS has not confirmed by then is stuck, and people are told
	FirstCheck  = 5 * time.Minute  // listings after an end that look for what landed late
	SecondCheck = 15 * time.Minute
)

// GrantState is where a grant stands.
type GrantState string

// The states of a grant.
const (
	Waiting  GrantState = "waiting"  // approved; nothing was done in AWS
	Granting GrantState = "granting" // the intent is recorded; AWS may have been called
	Active   GrantState = "active"   // AWS lists it; the clock runs
	Ending   GrantState = "ending"   // it is being taken away
	Ended    GrantState = "ended"    // AWS does not list it
	Verified GrantState = "verified" // and still did not 15 minutes later
	Failed   GrantState = "failed"   // it never came to be, and AWS does not list it
	Stuck    GrantState = "stuck"    // AWS has not confirmed a start or an end for 10 minutes; still being tried
)

var grantStates = []GrantState{"", Waiting, Granting, Active, Ending, Stuck, Ended, Verified, Failed}

type grantCommand string

const (
	approveGrant  grantCommand = "approve"
	postponeGrant grantCommand = "postpone"
	refuseGrant   grantCommand = "refuse"
	beginGrant    grantCommand = "begin"
	attempt       grantCommand = "attempt" // about to call create, after the intent and another look at the person
	accept        grantCommand = "accept"  // AWS took the create
	settle        grantCommand = "settle"  // the create is over, one way or the other
	hinder        grantCommand = "hinder"  // AWS did not do its part
	confirm       grantCommand = "confirm" // AWS lists it
	fail          grantCommand = "fail"    // AWS will not create it: undo what may be there
	vendGrant     grantCommand = "vend"    // credentials of a session
	endGrant      grantCommand = "end"
	remove        grantCommand = "remove" // about to call delete
	acceptRemoval grantCommand = "accept removal"
	settleRemoval grantCommand = "settle removal"
	gone          grantCommand = "gone"
	goneFailed    grantCommand = "gone, failed"
	release       grantCommand = "release" // nothing of ours to delete
	releaseFailed grantCommand = "release, failed"
	inherit       grantCommand = "inherit" // what another grant made is now this one's to delete
	stick         grantCommand = "stick"
	check         grantCommand = "check"
	verify        grantCommand = "verify"
	reappear      grantCommand = "reappear"
	takeOver      grantCommand = "take over" // from the ledger, which knows more than a restored database
)

var grantTable = table[GrantState, grantCommand]{
	"": {approveGrant: {Waiting, "grant.approved"}, takeOver: {Active, "grant.recovered"}},
	Waiting: {
		postponeGrant: {Waiting, "grant.postponed"},
		refuseGrant:   {Failed, "grant.refused"},
		beginGrant:    {Granting, "grant.begun"},
		endGrant:      {Ended, "grant.cancelled"},
		takeOver:      {Active, "grant.recovered"},
	},
	Granting: {
		attempt:  {Granting, "grant.creating"},
		accept:   {Granting, "grant.create-accepted"},
		settle:   {Granting, "grant.create-settled"},
		hinder:   {Granting, "grant.hindered"},
		inherit:  {Granting, "grant.inherited"},
		confirm:  {Active, "grant.active"},
		fail:     {Ending, "grant.failing"},
		endGrant: {Ending, "grant.ending"},
		stick:    {Stuck, "grant.stuck"},
		takeOver: {Active, "grant.recovered"},
	},
	Active: {
		vendGrant: {Active, "grant.vended"},
		inherit:   {Active, "grant.inherited"},
		endGrant:  {Ending, "grant.ending"},
		takeOver:  {Active, "grant.recovered"},
	},
	Ending: {
		accept:        {Ending, "grant.create-accepted"},
		settle:        {Ending, "grant.create-settled"},
		remove:        {Ending, "grant.removing"},
		acceptRemoval: {Ending, "grant.delete-accepted"},
		settleRemoval: {Ending, "grant.delete-settled"},
		hinder:        {Ending, "grant.hindered"},
		stick:         {Stuck, "grant.stuck"},
		gone:          {Ended, "grant.ended"},
		release:       {Ended, "grant.released"},
		goneFailed:    {Failed, "grant.failed"},
		releaseFailed: {Failed, "grant.failed"},
	},
	Stuck: {
		attempt:       {Stuck, "grant.creating"},
		accept:        {Stuck, "grant.create-accepted"},
		settle:        {Stuck, "grant.create-settled"},
		hinder:        {Stuck, "grant.hindered"},
		inherit:       {Stuck, "grant.inherited"},
		confirm:       {Active, "grant.active"},
		takeOver:      {Active, "grant.recovered"},
		fail:          {Stuck, "grant.failing"},
		endGrant:      {Stuck, "grant.ending"},
		remove:        {Stuck, "grant.removing"},
		acceptRemoval: {Stuck, "grant.delete-accepted"},
		settleRemoval: {Stuck, "grant.delete-settled"},
		gone:          {Ended, "grant.ended"},
		release:       {Ended, "grant.released"},
		goneFailed:    {Failed, "grant.failed"},
		releaseFailed: {Failed, "grant.failed"},
	},
	Ended: {
		hinder:   {Ended, "grant.hindered"},
		check:    {Ended, "grant.checked"},
		verify:   {Verified, "grant.verified"},
		reappear: {Ending, "grant.reappeared"},
		takeOver: {Active, "grant.recovered"},
	},
	Failed: {
		hinder:   {Failed, "grant.hindered"},
		check:    {Failed, "grant.checked"},
		verify:   {Failed, "grant.verified"},
		reappear: {Ending, "grant.reappeared"},
		takeOver: {Active, "grant.recovered"},
	},
	Verified: {takeOver: {Active, "grant.recovered"}},
}

// Held says whose an assignment is.
type Held string

// What a grant can find when it looks before it begins.
const (
	Ours        Held = "ours"         // there was none, or one that an earlier grant of ours left: this grant deletes it
	Shared      Held = "shared"       // another live grant of ours made it; whichever ends last deletes it
	PreExisting Held = "pre-existing" // somebody else gave it; it is never ours to delete
)

// Way is a way to give access. Adapters implement ways; grants remember theirs.
type Way string

// The ways to give access.
const (
	Assignment Way = "assignment" // an account assignment of Identity Center, made for the person
	Membership Way = "membership" // membership of a group that Sparekey made and that is assigned to the target
	Session    Way = "session"    // sessions of an IAM role, vended one after the other while the grant lives
)

// Key is what two grants must share to need the same access.
type Key struct {
	Way    Way          `json:"way"`
	Person org.PersonID `json:"person"`
	org.Target
	Group org.GroupID `json:"group,omitempty"` // of a membership: the group that Sparekey made for the target
}

// Grant is one person's access to one target for one stretch of time.
type Grant struct {
	ID      string     `json:"id"`
	Version int64      `json:"version"`
	State   GrantState `json:"state"`
	Request string     `json:"request"`
	Line    int        `json:"line"`
	Person  Named      `json:"person"`
	Target  Place      `json:"target"`
	Minutes int        `json:"minutes"`
	Reason  string     `json:"reason,omitempty"`
	Ticket  string     `json:"ticket,omitempty"`
	AskedAt time.Time  `json:"askedAt,omitzero"`
	StartAt time.Time  `json:"startAt,omitzero"`  // not before
	Extends string     `json:"extends,omitempty"` // the grant that this one goes on after
	Policy  string     `json:"policy,omitempty"`  // a session policy that allows less than the role
	Freely  int        `json:"freely,omitempty"`  // minutes of extensions up to here that nobody approved

	Shortened bool `json:"shortened,omitempty"` // an approver gave less than was asked for
	Terms
	Rule       rules.Ref   `json:"rule"`
	Needs      rules.Needs `json:"needs"`
	Approvals  []Approval  `json:"approvals,omitempty"`
	ApprovedAt time.Time   `json:"approvedAt"`

	Held     Held       `json:"held,omitempty"`
	BegunAt  time.Time  `json:"begunAt,omitzero"` // the intent
	HardEnd  time.Time  `json:"hardEnd,omitzero"`
	ActiveAt time.Time  `json:"activeAt,omitzero"`
	EndsAt   time.Time  `json:"endsAt,omitzero"`
	Create   *Operation `json:"create,omitempty"`
	Unsure   bool       `json:"unsure,omitempty"` // some create of ours has no certain outcome, this grant's or one's before it: it may land late

	End      *EndCause  `json:"end,omitempty"`
	EndingAt time.Time  `json:"endingAt,omitzero"`
	TriedAt  time.Time  `json:"triedAt,omitzero"` // when the end was first tried in AWS
	Delete   *Operation `json:"delete,omitempty"`
	EndedAt  time.Time  `json:"endedAt,omitzero"`
	Checks   int        `json:"checks,omitempty"` // listings after the end that did not show it
	Failure  string     `json:"failure,omitempty"`

	VendedUntil time.Time `json:"vendedUntil,omitzero"` // when the last credentials that were vended stop working

	Trouble string    `json:"trouble,omitempty"` // what AWS said last that is in the way
	Tries   int       `json:"tries,omitempty"`   // in a row without success
	NextTry time.Time `json:"nextTry,omitzero"`
}

// EndCause is who or what ended a grant, when, and why.
type EndCause struct {
	By  audit.Actor `json:"by"`
	At  time.Time   `json:"at"`
	Why string      `json:"why"`
}

// Operation is one asynchronous call of AWS. Without an id, its answer is not known.
type Operation struct {
	ID      string    `json:"id,omitempty"`
	SentAt  time.Time `json:"sentAt"`
	Outcome Outcome   `json:"outcome,omitempty"`
	Reason  string    `json:"reason,omitempty"` // AWS's words for a failure
}

// Outcome is how an operation of AWS ended.
type Outcome string

// The outcomes of an operation; an empty one means that it goes on, or that nobody knows.
const (
	Succeeded Outcome = "succeeded"
	FailedOp  Outcome = "failed"
	NotTaken  Outcome = "not taken" // AWS certainly did not take the call
)

// Seen is an operation as AWS describes it.
type Seen struct {
	ID      string
	Outcome Outcome // empty while it goes on
	Reason  string
	At      time.Time // when AWS created it; to the second, by AWS's clock
}

func newGrant(r Request, l Line, now time.Time) Grant {
	g := Grant{
		ID: l.Grant, Request: r.ID, Line: l.Number, Person: r.Requester, Target: l.Target, Minutes: l.Minutes, Reason: r.Reason, Ticket: r.Ticket,
		AskedAt: r.AskedAt, StartAt: r.StartAt, Policy: r.Policy, Terms: l.Terms, Rule: l.Rule, Needs: l.Needs, Approvals: append([]Approval(nil), l.Approvals...),
		ApprovedAt: now, NextTry: latest(now, r.StartAt), Shortened: l.Shortened,
	}
	if e := r.Extends; e != nil {
		// It begins now and runs beside the other, so that nothing of the access is missing in between, and lasts as much longer.
		g.Extends = e.Grant
		if left := e.EndsAt.Sub(now); left > 0 {
			g.Minutes += int((left + time.Minute - 1) / time.Minute)
		}
		if l.Needs.Approvals == 0 && l.Needs.Automatic != "" {
			g.Freely = e.Freely + l.Minutes
		}
	}
	return g
}

// recordNewGrants appends the events of the grants that a decision made.
func (c *Change) recordNewGrants(now time.Time) error {
	for i := range c.Grants {
		g := &c.Grants[i]
		step, err := grantTable.take("", approveGrant)
		if err != nil {
			return err
		}
		g.State, g.Version = step.to, 1
		after, err := audit.ImageOf(string(g.State), g.Version, g)
		if err != nil {
			return err
		}
		c.Events = append(c.Events, audit.Event{
			At: now, Kind: step.event, Actor: partActor("rules"), Subject: audit.Subject{Kind: "grant", ID: g.ID}, After: after, Detail: detail{"rule": g.Rule.Name},
		})
	}
	return nil
}

// turn carries out a command: it takes the step from the table, lets edit change a copy, and records both.
func (g Grant) turn(command grantCommand, by audit.Actor, now time.Time, d detail, edit func(*Grant)) (Change, error) {
	step, err := grantTable.take(g.State, command)
	if err != nil {
		return Change{}, err
	}
	before, err := audit.ImageOf(string(g.State), g.Version, g)
	if err != nil {
		return Change{}, err
	}
	next := g.copy()
	next.State = step.to
	if edit != nil {
		edit(&next)
	}
	next.Version++
	after, err := audit.ImageOf(string(next.State), next.Version, next)
	if err != nil {
		return Change{}, err
	}
	return Change{Grants: []Grant{next}, Events: []audit.Event{{
		At: moment(now), Kind: step.event, Actor: by, Subject: audit.Subject{Kind: "grant", ID: g.ID}, Before: before.Bare(), After: after, Detail: d,
	}}}, nil
}

// lane turns g as the lane does, which is how nearly everything after the approval happens.
func (g Grant) lane(command grantCommand, now time.Time, d detail, edit func(*Grant)) (Change, error) {
	return g.turn(command, partActor("lane"), now, d, edit)
}

func (g Grant) copy() Grant {
	for _, op := range []**Operation{&g.Create, &g.Delete} {
		if *op != nil {
			o := **op
			*op = &o
		}
	}
	return g
}

// Key returns what the grant gives access to.
func (g Grant) Key() Key {
	return Key{Way: g.Way, Person: g.Person.ID, Target: g.Target.Target, Group: g.Group}
}

// Duration is how long the access was asked for.
func (g Grant) Duration() time.Duration { return time.Duration(g.Minutes) * time.Minute }

// Live reports whether the grant gives access, may give it, or will.
func (g Grant) Live() bool {
	switch g.State {
	case Waiting, Granting, Active, Ending, Stuck:
		return true
	case Ended, Verified, Failed:
	}
	return false
}

// Over reports whether nothing is left to do for the grant.
func (g Grant) Over() bool { return g.Task(g.hardest()) == Rest }

// hardest is a time after everything that a grant waits for.
func (g Grant) hardest() time.Time {
	return g.ApprovedAt.Add(g.Duration() + 100*365*24*time.Hour)
}

// wanted reports whether the grant has begun and should have its access now.
func (g Grant) wanted() bool {
	return g.State == Granting || g.State == Active || g.State == Stuck && g.End == nil
}

// busy reports whether AWS may be changing the grant's assignment at this moment.
func (g Grant) busy() bool { return g.State == Granting || g.State == Ending || g.State == Stuck }

// EndDue is when the grant's access is, or was, to be taken away: what AWS still lists after it is late. Whatever ends it early
// moves it to that moment; an end that AWS undid, by a create that landed late, is as late as it would be without. The zero
// time means that nothing was begun, so that nothing is to be taken away.
func (g Grant) EndDue() time.Time {
	due := g.HardEnd // zero before it has begun
	if !g.EndsAt.IsZero() {
		due = g.EndsAt
	}
	if due.IsZero() || g.EndingAt.IsZero() {
		return due
	}
	return earliest(due, g.EndingAt)
}

// LastMinute is when the last session that the grant makes possible can end: its end, and then as long as sessions of the
// permission set live (trap 5: deleting an assignment does not end sessions). While a grant is being ended this is a moving
// target, and sure is false: it is the least that it can be. Before the grant is active it is not known.
func (g Grant) LastMinute(now time.Time) (at time.Time, sure bool) {
	session := time.Duration(g.Target.SessionMinutes) * time.Minute
	if g.Way == Session {
		return g.lastVended(now)
	}
	switch {
	case g.BegunAt.IsZero():
		return time.Time{}, false
	case g.State == Active:
		return g.EndsAt.Add(session), true
	case !g.EndedAt.IsZero():
		return g.EndedAt.Add(session), true
	case g.State == Granting:
		return time.Time{}, false
	}
	return moment(now).Add(session), false
}

// lastVended is the last minute of sessions that were vended: each denies everything after the grant's end, so an early end
// leaves what was vended until then to its own end.
func (g Grant) lastVended(now time.Time) (at time.Time, sure bool) {
	switch {
	case g.ActiveAt.IsZero():
		return time.Time{}, false
	case g.State == Active:
		return g.EndsAt, true
	}
	ended := g.EndedAt
	if ended.IsZero() {
		ended = moment(now)
	}
	return latest(ended, earliest(g.VendedUntil, g.EndsAt)), !g.EndedAt.IsZero()
}
