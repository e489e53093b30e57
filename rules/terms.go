package rules

import (
	"slices"
	"strings"
	"time"

	"sparekey/org"
)

// terms is what a set gives one person at one target, as far as a diff compares it, with a reason and without one. Everything
// that a diff knows of decisions goes through here.
type terms struct{ reasoned, reasonless ladder }

// ladder is the ways to get something, from the one that asks least to the one that gives it longest.
type ladder []term

// term is one way.
type term struct {
	longest   time.Duration
	approvals int
	approvers []string // ids of the groups and people named, and names that find nothing; sorted
	words     string
}

// reach is the longest that rules give which might match, with a reason and without one.
type reach struct{ reasoned, reasonless time.Duration }

// termsOf asks the judge until it gives no more. It never asks for more than there is: an answer that has to explain itself
// takes long.
func (s Set) termsOf(p org.Person, to org.Target, most reach) terms {
	return terms{s.ladder(p, Ask{to, 0, "a comparison of rules"}, most.reasoned), s.ladder(p, Ask{to, 0, ""}, most.reasonless)}
}

func (s Set) ladder(p org.Person, ask Ask, most time.Duration) ladder {
	var l ladder
	for long := time.Duration(0); long < most; {
		ask.For = long + time.Minute
		d := s.Judge(p, ask)
		if !d.Allowed {
			break
		}
		l, long = append(l, termOf(d)), d.Longest
	}
	return l
}

func termOf(d Decision) term {
	t := term{longest: d.Longest, approvals: d.Needs.Approvals, words: "up to " + Short(d.Longest) + ", " + d.Needs.String()}
	if d.Nobody != "" {
		t.words += " (nobody can approve it now)"
	}
	if t.approvals == 0 {
		return t
	}
	for _, g := range d.Needs.Groups {
		t.approvers = append(t.approvers, "group "+string(g.ID))
	}
	for _, p := range d.Needs.People {
		t.approvers = append(t.approvers, "person "+string(p.ID))
	}
	for _, name := range d.Needs.Lost {
		t.approvers = append(t.approvers, "name "+name)
	}
	slices.Sort(t.approvers)
	return t
}

// counts reports whether p is one of the people who make up the number that a rule needs: whoever is cannot approve their own.
func (n Needs) counts(p org.Person) bool {
	return p.Status == org.StatusEnabled && (slices.ContainsFunc(n.Groups, func(g org.Group) bool { return p.In(g.ID) }) ||
		slices.ContainsFunc(n.People, func(q Named) bool { return q.ID == p.ID }))
}

func (t terms) String() string {
	switch {
	case len(t.reasonless) == 0:
		return t.reasoned.String()
	case t.reasoned.String() == t.reasonless.String():
		return t.reasoned.String() + ", no reason needed"
	}
	return t.reasoned.String() + "; without a reason: " + t.reasonless.String()
}

func (l ladder) String() string {
	words := make([]string, len(l))
	for i, w := range l {
		words[i] = w.words
	}
	return strings.Join(words, "; ")
}

func (l ladder) longest() time.Duration {
	if len(l) == 0 {
		return 0
	}
	return l[len(l)-1].longest
}

// at is the way under which so long would be asked for.
func (l ladder) at(long time.Duration) term {
	for _, w := range l {
		if w.longest >= long {
			return w
		}
	}
	return term{}
}

// against says how terms differ from those before, in the order of [Kinds].
func (t terms) against(before terms) []Kind {
	differs := t.reasoned.against(before.reasoned)
	if !differs[Gained] && !differs[Lost] {
		for k := range t.reasonless.against(before.reasonless) {
			switch {
			case differs[k]: // is said already
			case k.Widens():
				differs[LessReason] = true
			default:
				differs[MoreReason] = true
			}
		}
	}
	var kinds []Kind
	for _, k := range Kinds {
		if differs[k] {
			kinds = append(kinds, k)
		}
	}
	return kinds
}

func (l ladder) against(before ladder) map[Kind]bool {
	differs := map[Kind]bool{}
	note := func(k Kind, is bool) {
		if is {
			differs[k] = true
		}
	}
	if len(l) == 0 || len(before) == 0 {
		note(Gained, len(l) > 0)
		note(Lost, len(before) > 0)
		return differs
	}
	note(Longer, l.longest() > before.longest())
	note(Shorter, l.longest() < before.longest())
	for _, w := range append(slices.Clone(l), before...) {
		if w.longest > min(l.longest(), before.longest()) {
			continue
		}
		now, was := l.at(w.longest), before.at(w.longest)
		note(FewerApprovals, now.approvals < was.approvals)
		note(MoreApprovals, now.approvals > was.approvals)
		if now.approvals > 0 && was.approvals > 0 && !slices.Equal(now.approvers, was.approvers) {
			fewer := subset(now.approvers, was.approvers)
			note(FewerApprovers, fewer)
			note(OtherApprovers, !fewer)
		}
	}
	return differs
}

func subset[T comparable](part, whole []T) bool {
	return !slices.ContainsFunc(part, func(v T) bool { return !slices.Contains(whole, v) })
}
