package access

import (
	"strconv"
	"time"

	"sparekey/audit"
	"sparekey/org"
	"sparekey/rules"
)

// Change is what a transition returns: new values, their events in order, and what is promised for later. It is carried out
// whole or not at all.
type Change struct {
	Request    *Request
	Grants     []Grant
	Reviews    []Review
	Stops      []Stop
	Kills      []Kill
	Recoveries []Recovery
	Events     []audit.Event
	Promises   []Promise
}

// And is both changes, c's first. At most one of them is about a request.
func (c Change) And(more Change) Change {
	if more.Request != nil {
		c.Request = more.Request
	}
	c.Grants, c.Reviews = append(c.Grants, more.Grants...), append(c.Reviews, more.Reviews...)
	c.Recoveries = append(c.Recoveries, more.Recoveries...)
	c.Stops, c.Kills = append(c.Stops, more.Stops...), append(c.Kills, more.Kills...)
	c.Events, c.Promises = append(c.Events, more.Events...), append(c.Promises, more.Promises...)
	return c
}

// Promise is something to be done later by whoever keeps promises. Starts and ends of access are not among them: those are
// read from the grants themselves.
type Promise struct {
	Kind    PromiseKind
	Subject string // the id of what it is about
	At      time.Time
}

// PromiseKind says what is promised.
type PromiseKind string

// The kinds of promise.
const (
	PromiseLapse PromiseKind = "lapse" // to let a request lapse at its time if it is still pending
	PromiseKill  PromiseKind = "kill"  // to send a session kill
)

// Named is a person in a record: the id that counts, and the user name at that moment.
type Named = rules.Named

func named(p org.Person) Named { return Named{ID: p.ID, User: p.User} }

func personActor(n Named) audit.Actor {
	return audit.Actor{Kind: audit.APerson, ID: string(n.ID), Name: n.User}
}

func partActor(part string) audit.Actor { return audit.Actor{Kind: audit.Sparekey, ID: part} }

// moment brings a time into the form in which it is kept: UTC, to the millisecond.
func moment(t time.Time) time.Time { return t.UTC().Truncate(time.Millisecond) }

type detail map[string]string

func (d detail) number(key string, n int) detail {
	d[key] = strconv.Itoa(n)
	return d
}
