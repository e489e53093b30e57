package access

import (
	"fmt"
	"strings"
	"time"

	"sparekey/audit"
)

// RecoveryState is where a recovery stands.
type RecoveryState string

// The states of a recovery.
const (
	Recovering RecoveryState = "recovering" // only ends happen
	Released   RecoveryState = "released"   // two people let starts go on
)

type recoveryCommand string

const (
	enterRecovery   recoveryCommand = "enter"
	agreeRecovery   recoveryCommand = "agree"
	releaseRecovery recoveryCommand = "release"
)

var recoveryTable = table[RecoveryState, recoveryCommand]{
	"":         {enterRecovery: {Recovering, "recovery.begun"}},
	Recovering: {agreeRecovery: {Recovering, "recovery.agreed"}, releaseRecovery: {Released, "recovery.released"}},
	Released:   {},
}

// Recovery is one time that a database was found to be behind the ledger, as one is that was restored from an old backup.
type Recovery struct {
	ID       string        `json:"id"`
	Version  int64         `json:"version"`
	State    RecoveryState `json:"state"`
	At       time.Time     `json:"at"`
	Was      int64         `json:"was"`  // the epoch of the database then
	Head     int64         `json:"head"` // and the place of its newest event
	Ledger   Standing      `json:"ledger"`
	Taken    int           `json:"taken"`     // grants that the ledger knew otherwise than the database
	Cancel   int           `json:"cancelled"` // grants that were not active yet, and sessions
	Releases []Decision    `json:"releases,omitempty"`
	Epoch    int64         `json:"epoch,omitempty"` // from the release on
}

// Standing is where a ledger stood.
type Standing struct {
	Epoch     int64     `json:"epoch"`
	Seq       int64     `json:"seq"`
	WrittenAt time.Time `json:"writtenAt"`
}

// EpochNow is the epoch of a database whose newest recovery this is; the zero value is none.
func (r Recovery) EpochNow() int64 {
	switch {
	case r.State == "":
		return 1
	case r.State == Released:
		return r.Epoch
	}
	return r.Was
}

// BeginRecovery begins a recovery: whatever the database knows, only ends happen from now on. What the ledger owes and the database
// does not know, or not so far, becomes a grant of the ledger's word, to be ended at its time. Grants that wait or
// are being started, and that the ledger does not owe, are ended, since they may have begun and ended meanwhile; so are grants of
// sessions, since they may have been ended.
func BeginRecovery(id string, b Behind, now time.Time) (Recovery, Change, error) {
	now = moment(now)
	var c Change
	l := b.Ledger
	r := Recovery{ID: id, At: now, Was: b.Was.EpochNow(), Head: b.Head, Ledger: Standing{l.Epoch, l.Seq, l.WrittenAt}}
	owed := map[string]bool{}
	for _, o := range b.Ledger.Owed {
		owed[o.Grant] = true
		g, ok, err := b.Known(o.Grant)
		if err != nil {
			return r, c, err
		}
		if !ok {
			g = Grant{ID: o.Grant}
		}
		more, err := g.recovered(o, b, now)
		if err != nil {
			return r, c, err
		}
		r.Taken += len(more.Grants)
		c = c.And(more)
	}
	for _, g := range b.Live {
		if owed[g.ID] || g.End != nil || g.State == Active && g.Way != Session {
			continue
		}
		more, err := g.EndIt(partActor("recovery"), "the database was restored, and is behind what was given", now)
		if err != nil {
			return r, c, err
		}
		r.Cancel += len(more.Grants)
		c = c.And(more)
	}
	r, more, err := r.turn(enterRecovery, partActor("recovery"), now, detail{
		"epoch": fmt.Sprint(r.Was), "events": fmt.Sprint(b.Head), "ledgerEpoch": fmt.Sprint(l.Epoch), "ledgerEvents": fmt.Sprint(l.Seq),
	}.number("taken", r.Taken).number("cancelled", r.Cancel), nil)
	return r, c.And(more), err
}

// recovered takes the ledger's word for a grant. What is being ended already goes on.
func (g Grant) recovered(o Owed, b Behind, now time.Time) (Change, error) {
	held := Ours
	if o.Kept {
		held = PreExisting
	}
	if g.Live() && g.End != nil || g.State == Active && g.Held == held && !g.EndsAt.After(o.End()) {
		return Change{}, nil
	}
	fresh := g.State == ""
	c, err := g.turn(takeOver, partActor("recovery"), now, detail{"end": o.End().Format(time.RFC3339), "held": string(held)}, func(n *Grant) {
		if fresh {
			user, place := b.Named(o.Key)
			n.Person, n.Target, n.ApprovedAt, n.Minutes = Named{ID: o.Key.Person, User: user}, place, now, 1
			if left := o.End().Sub(now); left > 0 {
				n.Minutes = int((left + time.Minute - 1) / time.Minute)
			}
			n.Reason = "taken over from the ledger: the database was restored and did not know it"
		}
		n.Way, n.Group, n.Held, n.HardEnd, n.EndsAt = o.Key.Way, o.Key.Group, held, o.HardEnd, o.End()
		n.BegunAt, n.ActiveAt = earliest(now, o.End()), earliest(now, o.End())
		// A create may have been under way when the ledger was written: after the end it is looked for.
		n.Create, n.Unsure = &Operation{SentAt: b.Ledger.WrittenAt, Outcome: Succeeded}, held == Ours
		n.End, n.EndingAt, n.TriedAt, n.EndedAt, n.Delete, n.Checks = nil, time.Time{}, time.Time{}, time.Time{}, nil, 0
		n.Failure, n.Trouble, n.Tries, n.NextTry = "", "", 0, time.Time{}
	})
	if err == nil && fresh {
		c.Events[0].Before = nil
	}
	return c, err
}

// Release lets starts go on, once two different people have said so.
func (r Recovery) Release(by Named, why string, now time.Time) (Recovery, Change, error) {
	why = strings.TrimSpace(why)
	if err := checkText("the reason", why); err != nil {
		return r, Change{}, err
	}
	switch {
	case r.State != Recovering:
		return r, Change{}, problem(ErrOver, "there is no recovery to release").hint("`sparekey status` says whether anything starts")
	case why == "":
		return r, Change{}, problem(ErrInvalid, "the reason is missing").hint("say in a few words what was looked at")
	case len(r.Releases) > 0 && r.Releases[0].By.ID == string(by.ID):
		return r, Change{}, problem(ErrRefused, "%s has released %s already; it takes somebody else", by.User, r.ID).hint("another administrator runs `sparekey recovery release`")
	}
	command := agreeRecovery
	if len(r.Releases) > 0 {
		command = releaseRecovery
	}
	return r.turn(command, personActor(by), now, detail{"why": why}, func(n *Recovery) {
		n.Releases = append(append([]Decision(nil), r.Releases...), Decision{By: personActor(by), At: moment(now), Comment: why})
		if command == releaseRecovery {
			n.Epoch = max(r.Was, r.Ledger.Epoch) + 1
		}
	})
}

func (r Recovery) turn(command recoveryCommand, by audit.Actor, now time.Time, d detail, edit func(*Recovery)) (Recovery, Change, error) {
	step, err := recoveryTable.take(r.State, command)
	if err != nil {
		return r, Change{}, err
	}
	var before *audit.Image
	if r.State != "" {
		if before, err = audit.ImageOf(string(r.State), r.Version, r); err != nil {
			return r, Change{}, err
		}
	}
	next := r
	next.State = step.to
	if edit != nil {
		edit(&next)
	}
	next.Version++
	after, err := audit.ImageOf(string(next.State), next.Version, next)
	if err != nil {
		return r, Change{}, err
	}
	return next, Change{Recoveries: []Recovery{next}, Events: []audit.Event{{
		At: moment(now), Kind: step.event, Actor: by, Subject: audit.Subject{Kind: "recovery", ID: r.ID}, Before: before.Bare(), After: after, Detail: d,
	}}}, nil
}

// Behind is a database that is behind a ledger.
type Behind struct {
	Was    Recovery // the newest recovery of the database; the zero value when there was none
	Head   int64
	Ledger Ledger
	Live   []Grant
	Known  func(id string) (Grant, bool, error) // any grant of the database
	Named  func(Key) (user string, place Place)
}

// Nameless names an access by its ids.
func Nameless(k Key) (string, Place) {
	return string(k.Person), Place{Target: k.Target, AccountName: string(k.Account), PermissionSetName: k.PermissionSet}
}
