package rules

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"sparekey/org"
)

const nearest = 3 // so many rules are named when none allows something

// miss is an allow rule that does not match, and what it lacks.
type miss struct {
	rule    *bound
	lacks   []string
	further int // how far it is from matching: who counts least, since that is what one can mend
}

// whyNot names the allow rules that came nearest to allowing it.
func (s Set) whyNot(p org.Person, t place, ask Ask) []string {
	var misses []miss
	for i := range s.rules {
		if b := &s.rules[i]; !b.Deny {
			misses = append(misses, s.missed(b, p, t, ask))
		}
	}
	if len(misses) == 0 {
		return []string{"there are no rules that allow anything"}
	}
	slices.SortStableFunc(misses, func(a, b miss) int {
		return cmp.Or(cmp.Compare(a.further, b.further), cmp.Compare(b.rule.For.Duration, a.rule.For.Duration))
	})
	var why []string
	for _, m := range misses {
		// A rule about other permission sets or other accounts is no help, unless nothing else is left to say.
		if len(why) == nearest || m.further >= foreign && len(why) > 0 {
			break
		}
		if m.further >= foreign {
			return []string{fmt.Sprintf("no rule lends %s in %s (%s)", t.set.Name, t.account.Name, s.located(t.account))}
		}
		why = append(why, m.rule.ref.String()+" "+strings.Join(m.lacks, ", and "))
	}
	return why
}

const foreign = 100 // the distance of a rule that is about something else

func (s Set) missed(b *bound, p org.Person, t place, ask Ask) miss {
	m := miss{rule: b}
	add := func(distance int, lacks string) {
		m.further += distance
		m.lacks = append(m.lacks, lacks)
	}
	if !b.sets[t.set.ARN] || !b.accounts.has(t.bit) {
		add(foreign, "is about something else")
		return m // and nobody asks what else it lacks
	}
	if lack := s.lacksWho(b, p); lack != "" {
		add(3, lack)
	}
	o := option{rule: b, long: b.For.Duration, needs: s.needs(b, t.account)}
	for _, lack := range s.lacks(&o, p, t, ask) {
		add(1, lack)
	}
	return m
}

func (s Set) lacksWho(b *bound, p org.Person) string {
	if b.who.includes(p) {
		return ""
	}
	if b.who.names(p) {
		if g := shared(b.who.except.groups, p); g != "" {
			return fmt.Sprintf("leaves out the group %s, which %s is in", g, p.User)
		}
		return "leaves out " + p.User
	}
	var of []string
	if len(b.who.groups) > 0 {
		of = append(of, "the group "+strings.Join(slices.Sorted(maps.Values(b.who.groups)), " or "))
	}
	if len(b.who.people) > 0 {
		of = append(of, strings.Join(slices.Sorted(maps.Values(b.who.people)), " or "))
	}
	if len(of) == 0 {
		return "names only people and groups that do not exist: " + words(b.Who.Groups) + words(b.Who.People)
	}
	in := "no group"
	if names := s.m.GroupNames(p); len(names) > 0 {
		in = strings.Join(names, ", ")
	}
	return fmt.Sprintf("needs %s; %s is in: %s", strings.Join(of, " or "), p.User, in)
}

func shared(groups map[org.GroupID]string, p org.Person) string {
	for _, g := range p.Groups {
		if name, ok := groups[g]; ok {
			return name
		}
	}
	return ""
}

func (s Set) located(a org.Account) string {
	if path := s.m.Path(a.Parent); path != "" {
		return fmt.Sprintf("%s in %s", a.ID, path)
	}
	return string(a.ID)
}
