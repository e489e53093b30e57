package access

import (
	"errors"
	"fmt"
	"slices"
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
`

// TestNoChainOfCommandsLetsAnybodyApproveTheirOwnLine: people ask, approve, reject, go away, delegate and extend in any order,
// everybody for themselves and together. Whatever was given, enough others agreed to it, each once.
//
// Requirement S2-36.
func TestNoChainOfCommandsLetsAnybodyApproveTheirOwnLine(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := newWorld(t)
		w.ruled(chained)
		people := w.o.People
		who := func(what string) org.Person { return rapid.SampledFrom(people).Draw(rt, what) }
		now := start
		var delegations []rules.Delegation
		var requests []Request
		grants := map[string]Grant{}
		keep := func(c Change, err error) {
			var p *Problem
			if err != nil && !errors.As(err, &p) {
				rt.Fatal(err)
			}
			if err != nil || c.Request == nil {
				return
			}
			if i := slices.IndexFunc(requests, func(r Request) bool { return r.ID == c.Request.ID }); i >= 0 {
				requests[i] = *c.Request
			} else {
				requests = append(requests, *c.Request)
			}
			for _, g := range c.Grants {
				g.State, g.ActiveAt, g.EndsAt = Active, now, now.Add(g.Duration()) // AWS is not what this is about
				grants[g.ID] = g
				agreedByOthers(rt, g)
			}
		}
		for i := range rapid.IntRange(1, 40).Draw(rt, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(0, 15).Draw(rt, "minutes")) * time.Minute)
			in := w.set.At(rules.Facts{Now: now, Delegations: delegations})
			switch rapid.IntRange(0, 5).Draw(rt, "command") {
			case 0, 1:
				set := rapid.SampledFrom([]string{"PowerUser", "ReadOnly"}).Draw(rt, "set")
				keep(Ask(who("asks"), Wish{Targets: []org.Target{w.target("play", set), w.target("payments-prod", set)}, Duration: 20 * time.Minute, Reason: "r"}, in, now, w.newID))
			case 2, 3:
				if len(requests) > 0 {
					r := rapid.SampledFrom(requests).Draw(rt, "request")
					keep(r.Approve(who("approves"), "", 0, in, now))
				}
			case 4:
				from, to := who("goes away"), who("stands in")
				delegations = append(delegations, rules.Delegation{From: named(from), To: named(to), Since: now, Until: now.Add(time.Hour)})
			case 5:
				if ids := sortedKeys(grants); len(ids) > 0 {
					g := grants[rapid.SampledFrom(ids).Draw(rt, "grant")]
					keep(Ask(who("extends"), Wish{Targets: []org.Target{g.Target.Target}, Duration: 5 * time.Minute, Reason: fmt.Sprint(i), Extends: &g}, in, now, w.newID))
				}
			}
		}
	})
}

func sortedKeys(grants map[string]Grant) []string {
	var ids []string
	for id := range grants {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

// agreedByOthers checks who agreed to a grant.
func agreedByOthers(t *rapid.T, g Grant) {
	said, says := map[org.PersonID]bool{}, map[org.PersonID]bool{}
	for _, a := range g.Approvals {
		authority := a.By.ID
		if a.For.ID != "" {
			authority = a.For.ID
		}
		if a.By.ID == g.Person.ID || authority == g.Person.ID {
			t.Fatalf("%s agreed to what is theirs: %+v", a.By.User, a)
		}
		if said[a.By.ID] || says[authority] {
			t.Fatalf("somebody agreed twice: %+v", g.Approvals)
		}
		said[a.By.ID], says[authority] = true, true
	}
	if len(said) < g.Needs.Approvals || g.Needs.Approvals == 0 && (g.Extends == "" || g.Freely > 10) {
		t.Fatalf("%d people agreed to %s of %s: %+v", len(said), g.Needs, g.Person.User, g)
	}
}
