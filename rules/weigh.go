package rules

import (
	"maps"
	"slices"
	"strings"
	"time"
)

// What somebody gets depends on more than the rules: on the hour, on tickets, on who is on call, on whether anybody can
// approve, on what the server can lend. Two lists of rules are compared in every state of these at once, as far as the rules
// ask about them; each state has one rule before and one after that decides. That a review is overdue is no such state: what
// was automatic and takes an approval now is narrower, although somebody with an overdue review can ask for it again.

// mostAsked is how many things rules about one target may ask about before they are no longer tried in every combination.
const mostAsked = 12

// weighing compares two lists of rules.
type weighing struct {
	lists   [2][]*lending
	asked   []string        // what the rules ask about
	implied [][2]uint32     // when the first is the case, so is the second
	kinds   map[Kind]bool   // in what is found with a reason
	bare    map[Kind]bool   // and without one
	decided [2]bool         // whether a list ever gives anything
	longs   []time.Duration // at which another rule may decide
}

// weigh says how after differs from before, in the order of [Kinds].
func weigh(before, after []*lending) []Kind {
	if slices.EqualFunc(before, after, func(a, b *lending) bool { return a.key == b.key }) {
		return nil
	}
	w := &weighing{lists: [2][]*lending{before, after}, kinds: map[Kind]bool{}, bare: map[Kind]bool{}}
	w.ask()
	if len(w.asked) > mostAsked { // nothing is shown, so it counts as both
		w.kinds[MoreOften], w.kinds[LessOften], w.decided = true, true, [2]bool{len(before) > 0, len(after) > 0}
	} else {
		for state := range uint32(1) << len(w.asked) {
			if !slices.ContainsFunc(w.implied, func(i [2]uint32) bool { return state&i[0] != 0 && state&i[1] == 0 }) {
				w.in(state, true, w.kinds)
				w.in(state, false, w.bare)
			}
		}
	}
	switch {
	case w.decided[1] && !w.decided[0]:
		return []Kind{Gained}
	case w.decided[0] && !w.decided[1]:
		return []Kind{Lost}
	}
	for k := range w.bare {
		switch {
		case w.kinds[k]: // is said already
		case k.Widens():
			w.kinds[LessReason] = true
		default:
			w.kinds[MoreReason] = true
		}
	}
	return slices.DeleteFunc(slices.Clone(Kinds), func(k Kind) bool { return !w.kinds[k] })
}

// ask gathers what the rules ask about, each once.
func (w *weighing) ask() {
	ways, asking := map[string]bool{}, map[string]*lending{}
	several := len(w.lists[0]) > 1 || len(w.lists[1]) > 1
	for _, l := range slices.Concat(w.lists[:]...) {
		ways[l.rule.way()] = true
		w.longs = append(w.longs, l.rule.For.Duration)
		things := []string{l.hoursAsked(), l.ticketAsked(), l.onCallAsked()}
		if several && l.needs.Approvals > 0 {
			things = append(things, l.nobodyAsked())
		}
		for _, thing := range things {
			w.add(thing)
			asking[thing] = l
		}
	}
	for _, l := range slices.Concat(w.lists[:]...) {
		if len(ways) > 1 {
			w.add(l.wayAsked())
		}
	}
	for a, l := range asking {
		for b, o := range asking {
			if a != b && w.bit(a) != 0 && w.bit(b) != 0 && l.implies(a, o, b) {
				w.implied = append(w.implied, [2]uint32{w.bit(a), w.bit(b)})
			}
		}
	}
	slices.Sort(w.longs)
	w.longs = slices.Compact(w.longs)
}

func (w *weighing) add(thing string) {
	if thing != "" && !slices.Contains(w.asked, thing) {
		w.asked = append(w.asked, thing)
	}
}

// bit is the place of what is asked about in a state, or nothing where it makes no difference.
func (w *weighing) bit(thing string) uint32 {
	i := slices.Index(w.asked, thing)
	if thing == "" || i < 0 {
		return 0
	}
	return 1 << i
}

// What a rule asks about: the hour, a ticket, who is on call, the way, and whether nobody can approve.
func (l *lending) hoursAsked() string  { return named("hours", l.hours) }
func (l *lending) ticketAsked() string { return named("ticket", l.ticket) }
func (l *lending) onCallAsked() string { return named("on call", l.onCall) }
func (l *lending) wayAsked() string    { return named("way", l.rule.way()) }
func (l *lending) nobodyAsked() string { return named("nobody", l.panels) }

// implies reports whether what o asks about is the case whenever what l asks about is: the other's hours hold its hours, the
// other's ticket asks nothing more, or the other's approvers are as hard to find, so that nobody can approve there either.
func (l *lending) implies(asked string, o *lending, others string) bool {
	switch {
	case asked == l.hoursAsked() && others == o.hoursAsked():
		return l.rule.weeks[l.rule.During].within(o.rule.weeks[o.rule.During])
	case asked == l.ticketAsked() && others == o.ticketAsked():
		return l.rule.With.Ticket.within(o.rule.With.Ticket)
	case asked == l.nobodyAsked() && others == o.nobodyAsked():
		return o.needs.noEasierThan(l.needs)
	}
	return false
}

func named(kind, what string) string {
	if what == "" {
		return ""
	}
	return kind + " " + what
}

// deciding is the rule that decides in a state, with what it needs then.
type deciding struct {
	*lending
	approvals int
	nobody    bool
}

// decides finds the rule that decides about so long in a state.
func (w *weighing) decides(side int, state uint32, long time.Duration, reason bool) (best deciding) {
	for _, l := range w.lists[side] {
		off := false
		for _, thing := range []string{l.hoursAsked(), l.ticketAsked(), l.wayAsked()} {
			bit := w.bit(thing)
			off = off || bit != 0 && state&bit == 0
		}
		d := deciding{l, l.needs.Approvals, state&w.bit(l.nobodyAsked()) != 0}
		if bit := w.bit(l.onCallAsked()); bit != 0 && state&bit != 0 {
			d.approvals = 0
		}
		d.nobody = d.nobody && d.approvals > 0
		if off || l.rule.For.Duration < long || !reason && l.rule.needsReason() || d.approvals == 0 && !l.gives {
			continue
		}
		if best.lending == nil || d.before(best.lending, d.nobody, best.nobody, d.approvals, best.approvals) {
			best = d
		}
	}
	return best
}

// in compares the lists in one state.
func (w *weighing) in(state uint32, reason bool, kinds map[Kind]bool) {
	var longest [2]time.Duration
	for _, long := range w.longs {
		was, is := w.decides(0, state, long, reason), w.decides(1, state, long, reason)
		if was.lending != nil {
			longest[0] = long
		}
		if is.lending != nil {
			longest[1] = long
		}
		if was.lending != nil && is.lending != nil {
			is.against(was, kinds)
		}
	}
	for side := range longest {
		w.decided[side] = w.decided[side] || longest[side] > 0
	}
	switch before, after := longest[0], longest[1]; {
	case before == after:
	case before == 0:
		kinds[MoreOften] = true
	case after == 0:
		kinds[LessOften] = true
	case after > before:
		kinds[Longer] = true
	default:
		kinds[Shorter] = true
	}
}

// against notes how what decides now differs from what decided before.
func (d deciding) against(was deciding, kinds map[Kind]bool) {
	note := func(k Kind, is bool) {
		if is {
			kinds[k] = true
		}
	}
	if d.nobody && !was.nobody { // when somebody can again, it is another state
		kinds[LessOften] = true
		return
	}
	note(FewerApprovals, d.approvals < was.approvals)
	note(MoreApprovals, d.approvals > was.approvals)
	if d.approvals > 0 && was.approvals > 0 {
		if d.whom.text() != was.whom.text() {
			fewer := d.whom.noEasierThan(was.whom)
			note(FewerApprovers, fewer)
			note(OtherApprovers, !fewer)
		}
		note(OtherApprovers, d.approvals >= was.approvals && d.needs.lower(was.needs))
		note(LessCare, was.needs.Comment && !d.needs.Comment)
		note(MoreCare, d.needs.Comment && !was.needs.Comment)
	}
	before, after := was.reviewed(d), d.reviewed(was)
	note(LessCare, before != after && before != "" || was.sensitive && !d.sensitive)
	note(MoreCare, before != after && after != "" || d.sensitive && !was.sensitive)
	note(Longer, d.rule.extendsBeyond(was.rule.Rule, was.approvals == 0))
	note(Shorter, was.rule.extendsBeyond(d.rule.Rule, d.approvals == 0))
}

// reviewed is the review that a use has, as text. The one of automatic use is compared only with another automatic use: an
// approval stands in its place.
func (d deciding) reviewed(other deciding) string {
	if d.approvals == 0 && other.approvals == 0 {
		return d.afterAuto
	}
	return d.review
}

// allOf lists what rules give, all of it: where what they give when all is well is the same.
func allOf(list []*lending) string {
	words := make([]string, len(list))
	for i, l := range list {
		words[i] = l.words
		if w := l.rule.weeks[l.rule.During]; w != nil && len(w.off) > 0 {
			words[i] += " (" + strings.Join(slices.Sorted(maps.Keys(w.off)), ", ") + ")"
		}
		if !l.rule.needsReason() {
			words[i] += ", no reason needed"
		}
	}
	return strings.Join(words, "; ")
}
