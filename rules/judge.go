package rules

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"sparekey/org"
)

// Ask is one line of a request, as the rules see it. A duration of zero asks for the longest that there is.
type Ask struct {
	Target org.Target
	For    time.Duration
	Reason string
}

// Decision is what the rules say to one ask.
type Decision struct {
	Allowed bool          `json:"allowed"`
	Rule    Ref           `json:"rule"` // the rule that decided: the allow rule it is judged under, or the rule that denies; empty when none allows
	Needs   Needs         `json:"needs"`
	Longest time.Duration `json:"longest"`          // the longest that the rule gives
	Nobody  string        `json:"nobody,omitempty"` // why nobody can approve this now
	Why     []string      `json:"why,omitempty"`    // why not, the nearest reason first
}

// Judge decides whether p may have what is asked, and under which rule. It looks at the person's status and groups as they
// are given, so that a person who was just looked up in AWS is judged by what AWS said.
func (s Set) Judge(p org.Person, ask Ask) Decision {
	target, refusal := s.target(ask.Target)
	if refusal != "" {
		return Decision{Why: []string{refusal}}
	}
	if p.Status.Gone() {
		return Decision{Why: []string{fmt.Sprintf("%s is %s in the directory", p.User, p.Status)}}
	}
	if deny := s.denied(p, target); deny != nil {
		return Decision{Rule: deny.ref, Why: []string{deny.saysNo()}}
	}
	var best *option
	for o := range s.options(p, target) {
		if o.long < ask.For || o.rule.needsReason() && strings.TrimSpace(ask.Reason) == "" {
			continue
		}
		if best == nil || o.before(*best) {
			best = &o
		}
	}
	if best == nil {
		return Decision{Why: s.whyNot(p, target, ask)}
	}
	return Decision{Allowed: true, Rule: best.rule.ref, Needs: best.rule.needs, Longest: best.long, Nobody: best.nobody}
}

// Stands reports whether what was approved may still be given: whether some rule lets p have what is asked, with as many
// approvals that count under it as it needs. count says how many do. It is judged again before access starts, since
// rules, groups and people may have changed in between.
func (s Set) Stands(p org.Person, ask Ask, count func(Needs) int) (bool, []string) {
	d := s.Judge(p, ask)
	if !d.Allowed {
		return false, d.Why
	}
	target, _ := s.target(ask.Target)
	for o := range s.options(p, target) {
		if o.long >= ask.For && count(o.rule.needs) >= o.rule.needs.Approvals {
			return true, nil
		}
	}
	return false, []string{fmt.Sprintf("%s now needs %s, and the approvals that were given are not those", d.Rule, d.Needs)}
}

// place is a target that exists and can be lent.
type place struct {
	account org.Account
	bit     int
	set     org.PermissionSet
}

// target finds an ask's target, or says why there is nothing to lend.
func (s Set) target(t org.Target) (place, string) {
	if !s.Ready() {
		return place{}, "the organization has not been read yet"
	}
	i, ok := s.place[t.Account]
	if !ok {
		return place{}, fmt.Sprintf("there is no account %s in the organization", t.Account)
	}
	account := s.m.Organization().Accounts[i]
	set, ok := s.m.PermissionSet(t.PermissionSet)
	switch {
	case !ok:
		return place{}, fmt.Sprintf("there is no permission set %s in this Identity Center", t.PermissionSet)
	case !s.live.has(i):
		return place{}, fmt.Sprintf("the account %s (%s) is %s", account.Name, account.ID, strings.ToLower(string(account.State)))
	}
	return place{account, i, set}, ""
}

func (s Set) denied(p org.Person, t place) *bound {
	for i := range s.rules {
		b := &s.rules[i]
		if b.Deny && b.accounts.has(t.bit) && (b.sets == nil || b.sets[t.set.ARN]) && b.who.includes(p) {
			return b
		}
	}
	return nil
}

func (b *bound) saysNo() string {
	why := b.ref.String() + " denies it"
	if b.Description != "" {
		why += ": " + b.Description
	}
	for _, broken := range b.broken {
		why += "; " + broken
	}
	return why
}

// option is one allow rule under which a person might have a target.
type option struct {
	rule   *bound
	long   time.Duration
	nobody string // why nobody could approve under it
}

// before is the order in which rules ask: one that somebody can approve, fewest approvals, longest duration, name.
func (o option) before(other option) bool {
	return cmp.Or(
		cmp.Compare(min(len(o.nobody), 1), min(len(other.nobody), 1)),
		cmp.Compare(o.rule.needs.Approvals, other.rule.needs.Approvals),
		cmp.Compare(other.long, o.long),
		strings.Compare(o.rule.Name, other.rule.Name),
	) < 0
}

// options yields the allow rules that match the person and the target.
func (s Set) options(p org.Person, t place) func(yield func(option) bool) {
	return func(yield func(option) bool) {
		for i := range s.rules {
			b := &s.rules[i]
			if b.Deny || len(b.broken) > 0 || !b.accounts.has(t.bit) || !b.sets[t.set.ARN] || !b.who.includes(p) {
				continue
			}
			if !yield(option{b, b.For.Duration, s.nobody(b.needs, p.ID)}) {
				return
			}
		}
	}
}

// Approvers lists the enabled people who may approve for the requester, by user name.
func (s Set) Approvers(n Needs, requester org.PersonID) []org.Person {
	if n.Approvals == 0 || !s.Ready() {
		return nil
	}
	seen := map[org.PersonID]bool{requester: true}
	var found []org.Person
	add := func(id org.PersonID) {
		if p, ok := s.m.Person(id); ok && !seen[id] && p.Status == org.StatusEnabled {
			seen[id] = true
			found = append(found, p)
		}
	}
	for _, g := range n.Groups {
		for _, id := range s.m.Members(g.ID) {
			add(id)
		}
	}
	for _, p := range n.People {
		add(p.ID)
	}
	slices.SortFunc(found, func(a, b org.Person) int { return strings.Compare(a.User, b.User) })
	return found
}

// MayApprove says why by may not approve what the requester asked, or nothing when they may. It judges by the status and
// groups that by carries, so that a person who was just looked up in AWS is judged by what AWS said.
func (n Needs) MayApprove(by org.Person, requester org.PersonID) string {
	switch {
	case by.ID == requester:
		return "nobody approves what they asked for themselves"
	case by.Status == org.StatusUnknown:
		return "AWS does not say whether " + by.User + " is enabled"
	case by.Status != org.StatusEnabled:
		return by.User + " is " + string(by.Status) + " in the directory"
	}
	for _, g := range n.Groups {
		if by.In(g.ID) {
			return ""
		}
	}
	for _, p := range n.People {
		if p.ID == by.ID {
			return ""
		}
	}
	return fmt.Sprintf("it needs %s; %s is none of them", n, by.User)
}

// nobody says why there are too few people who could approve, or nothing when there are enough.
func (s Set) nobody(n Needs, requester org.PersonID) string {
	if n.Approvals == 0 || s.enough(n, requester) {
		return ""
	}
	able := s.Approvers(n, requester)
	var why []string
	for _, g := range n.Groups {
		why = append(why, s.shortOf(g, requester))
	}
	for _, p := range n.People {
		switch who, ok := s.m.Person(p.ID); {
		case p.ID == requester:
			why = append(why, p.User+" asks for it")
		case !ok || who.Status != org.StatusEnabled:
			why = append(why, p.User+" is not enabled")
		}
	}
	for _, name := range n.Lost {
		why = append(why, fmt.Sprintf("%q does not exist", name))
	}
	why = slices.DeleteFunc(why, func(w string) bool { return w == "" })
	if len(able) > 0 {
		return fmt.Sprintf("it needs %d people and only %d can: %s", n.Approvals, len(able), strings.Join(why, ", "))
	}
	return strings.Join(why, ", ")
}

// enough counts only as far as it must: it runs for every rule of every decision.
func (s Set) enough(n Needs, requester org.PersonID) bool {
	var seen [10]org.PersonID // need is at most 10
	count := 0
	add := func(id org.PersonID) bool {
		p, ok := s.m.Person(id)
		if !ok || id == requester || p.Status != org.StatusEnabled || slices.Contains(seen[:count], id) {
			return false
		}
		seen[count] = id
		count++
		return count >= n.Approvals
	}
	for _, p := range n.People {
		if add(p.ID) {
			return true
		}
	}
	for _, g := range n.Groups {
		for _, id := range s.m.Members(g.ID) {
			if add(id) {
				return true
			}
		}
	}
	return false
}

func (s Set) shortOf(g org.Group, requester org.PersonID) string {
	members := s.m.Members(g.ID)
	others, enabled := 0, 0
	for _, id := range members {
		if id == requester {
			continue
		}
		others++
		if p, ok := s.m.Person(id); ok && p.Status == org.StatusEnabled {
			enabled++
		}
	}
	switch {
	case len(members) == 0:
		return fmt.Sprintf("the group %s is empty", g.Name)
	case others == 0:
		return fmt.Sprintf("nobody but the requester is in the group %s", g.Name)
	case enabled == 0:
		return fmt.Sprintf("nobody in the group %s is enabled", g.Name)
	}
	return fmt.Sprintf("the group %s has %d who can", g.Name, enabled)
}
