package broker_test

import (
	"crypto/rand"
	"errors"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"sparekey/access"
	"sparekey/internal/broker"
	"sparekey/internal/rig"
	"sparekey/internal/sandbox"
	"sparekey/org"
	"sparekey/rules"
)

// explained has rules of many kinds.
const explained = `
rules:
  - name: never-who-approves
    deny: true
    description: who approves there does not work there
    who: {groups: [approvers]}
    what: {permission-sets: [ReadOnly]}
    where: {ous: [Workloads]}
  - name: play
    who: {groups: [developers]}
    what: {permission-sets: [ReadOnly, PowerUser]}
    where: {ous: [Sandbox]}
    for: 8h
    with: {reason: optional}
    approval: {automatic: true}
  - name: prod-with-a-ticket
    who: {groups: [developers]}
    what: {permission-sets: [PowerUser]}
    where: {ous: [Workloads]}
    for: 4h
    with: {ticket: {pattern: "INC-[0-9]+"}}
    approval: {need: 1, groups: [approvers]}
  - name: prod-reading
    who: {groups: [developers]}
    what: {permission-sets: [ReadOnly]}
    where: {ous: [Workloads]}
    for: 1h
    during: {days: [mon, tue, wed, thu, fri], from: "08:00", to: "18:00", zone: Europe/Berlin}
    approval: {need: 2, groups: [approvers]}
  - name: operators
    by: session
    who: {groups: [developers]}
    what: {roles: [ops/Deployer]}
    where: {ous: [Sandbox]}
    for: 2h
    approval: {need: 1, groups: [approvers]}
`

// TestWhyIsWhatAskingDoes compares, for everybody at every target, what `why` explains with what asking for it does: the same
// rule decides, needs the same approvals, and refuses for the same reasons. Requirement: every decision is explained.
func TestWhyIsWhatAskingDoes(t *testing.T) {
	r := rig.New(t, rig.Engines["SQLite"](t), sandbox.Behaviour{})
	r.Ruled(explained)
	r.Broker.PerHour = 1 << 20
	seen := map[string]int{}
	for _, night := range []bool{true, false} { // the rig begins at 03:00 on a Sunday
		if !night {
			r.Clock.Advance(31 * time.Hour)
		}
		for _, p := range r.O.People {
			for _, a := range r.O.Accounts {
				for _, set := range []string{"ReadOnly", "PowerUser", "role/ops/Deployer"} {
					for _, ask := range []rules.Ask{{For: 30 * time.Minute, Reason: "because"}, {For: 5 * time.Hour, Reason: "because", Ticket: "INC-1"}, {For: time.Hour, Ticket: "INC-7", Reason: "because"}, {For: time.Hour, Ticket: "nonsense", Reason: "because"}} {
						seen[compared(t, r, p, broker.Names{Account: a.Name, PermissionSet: set}, ask)]++
					}
				}
			}
		}
	}
	for _, rule := range []string{"never-who-approves refused", "play given", "play refused", "prod-with-a-ticket asked", "prod-with-a-ticket refused", "prod-reading asked", "prod-reading refused", "operators asked", " refused"} {
		if seen[rule] == 0 {
			t.Errorf("nothing was %q; there was %v", rule, seen)
		}
	}
}

// naming is how a reason names the rule that refuses, or says that there is none for the target.
var naming = regexp.MustCompile(`^(?:rule "([a-z-]+)" \(rules\.yaml:[0-9]+\) |no rule lends ([^(]*[^( ]) \()`)

// compared returns which rule decided, and how.
func compared(t *testing.T, r *rig.Rig, p org.Person, n broker.Names, ask rules.Ask) string {
	t.Helper()
	r.Clock.Advance(3 * time.Second) // nobody may ask about very many tickets at once
	e, err := r.Broker.Why(r.As("amy"), broker.Question{Person: p.User, Names: n, Duration: ask.For, Reason: ask.Reason, Ticket: ask.Ticket})
	q, refused := r.Broker.Ask(r.As(p.User), broker.Wish{Targets: []broker.Names{n}, Duration: ask.For, Reason: ask.Reason, Ticket: ask.Ticket, Key: rand.Text()})
	var problem *access.Problem
	if err != nil { // there is no such thing, or nobody by that name who may ask
		if refused == nil {
			t.Errorf("%s %v is not explained (%v), and given", p.User, n, err)
		}
		return "unknown"
	}
	d := e.Decision
	if refused != nil {
		if d.Allowed || !errors.As(refused, &problem) || len(d.Why) == 0 || !strings.Contains(refused.Error(), strings.Join(d.Why, "; ")) {
			t.Errorf("%s %v %v: refused with %v, and explained with %+v", p.User, n, ask, refused, d)
			return "unexplained"
		}
		named := naming.FindStringSubmatch(d.Why[0])
		if named == nil || named[2] != "" && !strings.HasSuffix(named[2], " in "+n.Account) {
			t.Errorf("%s %v %v: the reason %q names no rule, and no target", p.User, n, ask, d.Why[0])
			return "unexplained"
		}
		return named[1] + " refused"
	}
	line := q.Lines[0]
	if !d.Allowed || d.Rule != line.Rule || !reflect.DeepEqual(d.Needs, line.Needs) || d.Sensitive != line.Sensitive || access.Way(d.Way) != line.Way {
		t.Errorf("%s %v %v: asked under %+v, and explained with %+v", p.User, n, ask, line, d)
	}
	if !q.Open() {
		if _, err := r.Broker.End(r.As(p.User), line.Grant, "compared"); err != nil {
			t.Error(err)
		}
		return d.Rule.Name + " given"
	}
	if _, err := r.Broker.Withdraw(r.As(p.User), q.ID, "compared"); err != nil {
		t.Error(err)
	}
	return d.Rule.Name + " asked"
}
