package rules

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"sparekey/org"
)

// lending is an allow rule as it is at one target to everybody whom it names: all that a diff compares of it.
type lending struct {
	rule      *bound
	key       string // what is compared, as text: equal keys, equal terms
	number    uint32 // of its key
	needs     Needs
	panels    string // the needs without the comment, as text
	whom      Needs  // the needs without their numbers
	hours     string // when it lends, as text; empty: at any hour
	ticket    string // which ticket it wants, as text
	onCall    string // the schedule that makes it automatic for the requester
	review    string // of its own, as text
	afterAuto string // the review of automatic use, as text
	gives     bool   // whether it gives what it gives by itself: a sensitive target wants a review
	sensitive bool
	words     string
}

// lends makes what a diff compares of an allow rule at a target.
func (s *Set) lends(b *bound, needs Needs, to org.Target) *lending {
	l := &lending{rule: b, needs: needs, panels: needs.text(), whom: needs.unnumbered(), sensitive: s.Sensitive(to), gives: true}
	if b.During != nil {
		l.hours = b.weeks[b.During].text()
	}
	if t := b.With.Ticket; t != nil {
		l.ticket = fmt.Sprintf("%q %q %v", t.Pattern.Text, t.Check.Text, t.WhenDown.Text == "pass")
	}
	if a := b.Approval; a != nil && a.AutomaticOnCall != nil && needs.Approvals > 0 {
		l.onCall = a.AutomaticOnCall.Schedule.Text
	}
	l.review = b.review.text()
	l.afterAuto = l.review
	if l.sensitive && b.review == nil {
		l.afterAuto, l.gives = s.care.review.text(), s.care.review != nil
	}
	l.words = l.inWords()
	l.key = fmt.Sprintf("%q %d %v %d %s %v %q %q %q %q %q %v %v %q", b.Name, b.For.Duration, b.needsReason(), b.Extend.Duration, l.panels, needs.Comment,
		l.hours, l.ticket, l.onCall, l.review, l.afterAuto, l.gives, l.sensitive, b.way())
	return l
}

func (l *lending) inWords() string {
	b := l.rule
	words := "up to " + Short(b.For.Duration) + ", " + l.needs.String()
	add := func(is bool, format string, args ...any) {
		if is {
			words += ", " + fmt.Sprintf(format, args...)
		}
	}
	add(l.onCall != "", "automatic while on call in %s", l.onCall)
	add(l.needs.Comment, "with a comment")
	add(l.hours != "", "only %s", b.weeks[b.During])
	if t := b.With.Ticket; t != nil {
		add(true, "with a ticket like %s", t.Pattern.Text)
		add(t.Check.Text != "", "checked by %s", t.Check.Text)
		add(t.WhenDown.Text == "pass", "unchecked while that does not answer")
	}
	add(b.way() != byAssignment, "by %s", b.way())
	add(b.Extend.Duration > 0, "extended by up to %s", Short(b.Extend.Duration))
	if b.review != nil {
		add(true, "reviewed by %s", b.review.Quorum)
	}
	return words
}

// text is the needs but the comment, to be compared.
func (n Needs) text() string {
	text, err := json.Marshal(n.Stages)
	if err != nil {
		return fmt.Sprintf("%+v", n.Stages) // of plain values there is always a JSON
	}
	for _, stage := range n.Stages {
		for _, q := range stage {
			text = fmt.Appendf(text, " %s %q", q.week.text(), q.whenDown)
		}
	}
	return string(text)
}

func (r *Reviewers) text() string {
	if r == nil {
		return ""
	}
	return fmt.Sprintf("%d %s", r.Within, Needs{Stages: [][]Quorum{{r.Quorum}}}.text())
}

// text is all that hours say, the dates of their holidays included.
func (w *week) text() string {
	if w == nil {
		return ""
	}
	return fmt.Sprint(w.days, w.from, w.to, w.zone, slices.Sorted(maps.Keys(w.off)))
}

// unnumbered is who must agree, without how many.
func (n Needs) unnumbered() Needs {
	var all Needs
	for _, stage := range n.Stages {
		stage = slices.Clone(stage)
		for i := range stage {
			stage[i].Need = 0
		}
		all.Stages = append(all.Stages, stage)
	}
	return all
}

// lower reports whether a panel needs fewer than the same panel of needs of the same shape.
func (n Needs) lower(than Needs) bool {
	for i, stage := range n.Stages {
		for j, q := range stage {
			if i < len(than.Stages) && j < len(than.Stages[i]) && q.Need < than.Stages[i][j].Need {
				return true
			}
		}
	}
	return false
}

// counts says for each panel whether p is one of those who make up its number: whoever is cannot approve their own.
func (n Needs) counts(p org.Person) []byte {
	var all []byte
	for _, stage := range n.Stages {
		for _, q := range stage {
			one := byte(0)
			if p.Status == org.StatusEnabled && q.everybody().include(p) {
				one = 1
			}
			all = append(all, one)
		}
	}
	return all
}

// ids are groups and people, and names that find nothing, in a form to be compared.
func (m Members) ids(lost ...string) []string {
	var ids []string
	for _, g := range m.Groups {
		ids = append(ids, "group "+string(g.ID))
	}
	for _, p := range m.People {
		ids = append(ids, "person "+string(p.ID))
	}
	for _, name := range lost {
		ids = append(ids, "name "+name)
	}
	return ids
}

// noEasierThan reports whether whatever satisfies n satisfies o, and nobody has a say in n who has none in o, none sooner
// and none at other hours. Needs of another shape count as easier.
func (n Needs) noEasierThan(o Needs) bool {
	return slices.EqualFunc(n.Stages, o.Stages, func(a, b []Quorum) bool { return slices.EqualFunc(a, b, Quorum.noEasierThan) })
}

func (q Quorum) noEasierThan(o Quorum) bool {
	anyHour := o.week == nil && o.OnCall == ""
	if q.Need < o.Need || !q.week.within(o.week) || o.OnCall != "" && (q.OnCall != o.OnCall || q.whenDown != "nobody" && o.whenDown == "nobody") {
		return false
	}
	base := o.base().ids(o.Lost...)
	if !subset(q.base().ids(q.Lost...), base) {
		return false
	}
	for _, step := range q.Ladder {
		for _, id := range step.ids() {
			sooner := slices.ContainsFunc(o.Ladder, func(s Step) bool { return s.After <= step.After && slices.Contains(s.ids(), id) })
			if !sooner && !(anyHour && slices.Contains(base, id)) {
				return false
			}
		}
	}
	return true
}

func subset[T comparable](part, whole []T) bool {
	return !slices.ContainsFunc(part, func(v T) bool { return !slices.Contains(whole, v) })
}

// ladder says in words how somebody gets something when all is well, from what asks least to what gives it longest. now says
// of a rule whether nobody can approve under it at present.
func ladder(list []*lending, reason bool, nobody func(*lending) bool) string {
	var words []string
	for long := time.Duration(0); ; {
		var best *lending
		var stuck bool
		for _, l := range list {
			if l.rule.For.Duration <= long || !reason && l.rule.needsReason() || l.needs.Approvals == 0 && !l.gives {
				continue
			}
			if no := nobody(l); best == nil || l.before(best, no, stuck, l.needs.Approvals, best.needs.Approvals) {
				best, stuck = l, no
			}
		}
		if best == nil {
			return strings.Join(words, "; ")
		}
		long = best.rule.For.Duration
		words = append(words, best.words)
		if stuck {
			words[len(words)-1] += " (nobody can approve it now)"
		}
	}
}

// before is the order of [option], as it is in some state of the world.
func (l *lending) before(o *lending, nobody, othersNobody bool, approvals, others int) bool {
	if nobody != othersNobody {
		return !nobody
	}
	return cmp.Or(cmp.Compare(approvals, others), cmp.Compare(o.rule.For.Duration, l.rule.For.Duration), strings.Compare(l.rule.Name, o.rule.Name)) < 0
}

// termsIn says what a person has under rules: with a reason, and without one.
func termsIn(list []*lending, nobody func(*lending) bool) string {
	reasoned, reasonless := ladder(list, true, nobody), ladder(list, false, nobody)
	switch {
	case reasonless == "":
		return reasoned
	case reasoned == reasonless:
		return reasoned + ", no reason needed"
	}
	return reasoned + "; without a reason: " + reasonless
}
