package access

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"sparekey/org"
	"sparekey/rules"
)

const chained = `
rules:
  - name: two-stages
    who: {everyone: true}
    what: {permission-sets: [PowerUser]}
    where: {ous: [/]}
    for: 1h
    extend: 10m
    approval: {stages: [{need: 1, groups: [approvers]}, {need: 1, groups: [security, developers], ladder: {after: 20m, groups: [approvers]}}]}
  - name: two-at-once
    who: {everyone: true}
    what: {permission-sets: [ReadOnly]}
    where: {ous: [/]}
    for: 2h
    approval: {all: [{need: 1, groups: [approvers]}, {need: 1, groups: [approvers, security]}]}
  - name: owned
    who: {everyone: true}
    what: {permission-sets: [Audit]}
    where: {ous: [/]}
    for: 1h
    approval: {need: 1, owner: owner, automatic-on-call: {schedule: shift}, ladder: {after: 30m, groups: [approvers]}}
`

// chain is a world in which people do one thing after the other.
type chain struct {
	*world
	rt          *rapid.T
	now         time.Time
	delegations []rules.Delegation
	onCall      org.Person
	requests    []Request
	grants      map[string]Grant
}

// TestNoChainOfCommandsLetsAnybodyApproveTheirOwnLine: people ask, approve (for less as well), reject, withdraw, go away,
// delegate, come back, are on call and extend in any order, everybody for themselves and together. Whatever was given, enough
// others agreed to it, each once; whatever was refused, somebody else refused it.
//
// Requirement S2-36.
func TestNoChainOfCommandsLetsAnybodyApproveTheirOwnLine(t *testing.T) {
	given, refused := 0, 0
	rapid.Check(t, func(rt *rapid.T) {
		c := &chain{world: newWorld(t), rt: rt, now: start, grants: map[string]Grant{}}
		for i := range c.o.Accounts { // one account is a person's, one is a group's, one is nobody's
			c.o.Accounts[i].Tags = map[string]string{"owner": map[string]string{"payments-prod": "kim", "play": "developers"}[c.o.Accounts[i].Name]}
		}
		c.ruled(chained)
		c.onCall = c.who("is on call")
		for i := range rapid.IntRange(1, 40).Draw(rt, "steps") {
			c.now = c.now.Add(time.Duration(rapid.IntRange(0, 15).Draw(rt, "minutes")) * time.Minute)
			c.step(i)
		}
		given += len(c.grants)
		for _, r := range c.requests {
			refused += strings.Count(states(r), string(Rejected))
		}
	})
	if given == 0 || refused == 0 {
		t.Errorf("%d grants and %d lines that were rejected show nothing", given, refused)
	}
}

func (c *chain) who(does string) org.Person { return rapid.SampledFrom(c.o.People).Draw(c.rt, does) }

func (c *chain) step(i int) {
	in := c.set.At(rules.Facts{Now: c.now, Delegations: c.delegations, OnCall: map[string]rules.Shift{"shift": {People: []org.PersonID{c.onCall.ID}}}})
	switch rapid.IntRange(0, 11).Draw(c.rt, "command") {
	case 0, 1, 2:
		set := rapid.SampledFrom([]string{"PowerUser", "ReadOnly", "Audit"}).Draw(c.rt, "set")
		w := Wish{Targets: []org.Target{c.target("play", set), c.target("payments-prod", set)}, Duration: 20 * time.Minute, Reason: "r"}
		c.keep(Ask(c.who("asks"), w, in, c.now, c.newID))
	case 3, 4, 5, 6:
		if r, ok := c.request(); ok {
			c.keep(r.Approve(c.who("approves"), "", rapid.SampledFrom([]int{0, 0, 0, 20, 5}).Draw(c.rt, "for"), in, c.now))
		}
	case 7:
		if r, ok := c.request(); ok {
			c.rejects(r, c.who("rejects"), in)
		}
	case 8:
		if r, ok := c.request(); ok {
			by := c.who("withdraws")
			change, err := r.Withdraw(personActor(named(by)), "", c.now)
			if err == nil && by.ID != r.Requester.ID {
				c.rt.Fatalf("%s withdrew what %s asked for", by.User, r.Requester.User)
			}
			c.keep(change, err)
		}
	case 9:
		from, to := c.who("goes away"), c.who("stands in")
		c.delegations = append(slices.Clone(c.delegations), rules.Delegation{From: named(from), To: named(to), Since: c.now, Until: c.now.Add(time.Hour)})
	case 10:
		back := c.who("comes back")
		c.delegations = slices.DeleteFunc(slices.Clone(c.delegations), func(d rules.Delegation) bool { return d.From.ID == back.ID })
		c.onCall = c.who("is on call")
	case 11:
		if ids := sortedKeys(c.grants); len(ids) > 0 {
			g := c.grants[rapid.SampledFrom(ids).Draw(c.rt, "grant")]
			c.keep(Ask(c.who("extends"), Wish{Targets: []org.Target{g.Target.Target}, Duration: 5 * time.Minute, Reason: fmt.Sprint(i), Extends: &g}, in, c.now, c.newID))
		}
	}
}

func (c *chain) request() (Request, bool) {
	if len(c.requests) == 0 {
		return Request{}, false
	}
	return rapid.SampledFrom(c.requests).Draw(c.rt, "request"), true
}

// rejects is a no, which counts for what the same person or another said yes to before, and never for one's own.
func (c *chain) rejects(r Request, by org.Person, in rules.Set) {
	change, err := r.Reject(by, "", in, c.now)
	if err == nil && (by.ID == r.Requester.ID || len(change.Grants) > 0) {
		c.rt.Fatalf("%s rejected what %s asked for, and %d grants came of it", by.User, r.Requester.User, len(change.Grants))
	}
	c.keep(change, err)
}

// keep takes over what a command changed, and checks what was given.
func (c *chain) keep(change Change, err error) {
	var p *Problem
	if err != nil && !errors.As(err, &p) {
		c.rt.Fatal(err)
	}
	if err != nil || change.Request == nil {
		return
	}
	if i := slices.IndexFunc(c.requests, func(r Request) bool { return r.ID == change.Request.ID }); i >= 0 {
		c.requests[i] = *change.Request
	} else {
		c.requests = append(c.requests, *change.Request)
	}
	for _, g := range change.Grants {
		g.State, g.ActiveAt, g.EndsAt = Active, c.now, c.now.Add(g.Duration()) // AWS is not what this is about
		c.grants[g.ID] = g
		c.agreedByOthers(g)
	}
}

func sortedKeys(grants map[string]Grant) []string {
	var ids []string
	for id := range grants {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

// agreedByOthers checks who agreed to a grant, and for how long.
func (c *chain) agreedByOthers(g Grant) {
	said, says := map[org.PersonID]bool{}, map[org.PersonID]bool{}
	for _, a := range g.Approvals {
		authority := a.By.ID
		if a.For.ID != "" {
			authority = a.For.ID
		}
		if a.By.ID == g.Person.ID || authority == g.Person.ID {
			c.rt.Fatalf("%s agreed to what is theirs: %+v", a.By.User, a)
		}
		if said[a.By.ID] || says[authority] {
			c.rt.Fatalf("somebody agreed twice: %+v", g.Approvals)
		}
		if g.Extends == "" && a.Minutes < g.Minutes {
			c.rt.Fatalf("%s agreed to %d minutes, and it is given for %d", a.By.User, a.Minutes, g.Minutes)
		}
		said[a.By.ID], says[authority] = true, true
	}
	freely := g.Rule.Name == "two-stages" && g.Extends != "" && g.Freely <= 10 && !c.grants[g.Extends].Shortened
	onCall := g.Rule.Name == "owned" && g.Person.ID == c.onCall.ID
	if len(said) < g.Needs.Approvals || g.Needs.Approvals == 0 && !freely && !onCall {
		c.rt.Fatalf("%d people agreed to %s of %s: %+v", len(said), g.Needs, g.Person.User, g)
	}
}
