package rules

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"

	"sparekey/audit"
	"sparekey/org"
	"sparekey/strict"
)

// A rule for a group that is empty today gives nobody anything today. Whether a book may come to give more than another must
// not depend on who is where at the moment: here rules are compared as they are written. What cannot be shown to give no more
// counts as wider.

// latent says why somebody may come to have more under after than under before.
func latent(before, after *Book) []string {
	var why []string
	for _, r := range after.Rules {
		if !r.Deny && !has(before, r) && !r.within(before) {
			why = append(why, fmt.Sprintf("%s gives what no rule gave before to whoever it comes to name", refOf(r)))
		}
	}
	for _, r := range before.Rules {
		switch {
		case has(after, r):
		case r.Deny && !r.deniedBy(after):
			why = append(why, fmt.Sprintf("%s denied what no rule denies any more", refOf(r)))
		case !r.Deny:
			if o := r.successor(after); o != nil {
				why = append(why, fmt.Sprintf("%s decides where %s did, with other approvers or less care", refOf(o), refOf(r)))
			}
		}
	}
	return append(why, after.Sensitive.lessThan(before.Sensitive)...)
}

func refOf(r *Rule) Ref { return Ref{r.Name, r.At.File, r.At.Line, r.digest} }

func has(b *Book, r *Rule) bool {
	return slices.ContainsFunc(b.Rules, func(o *Rule) bool { return o.digest == r.digest })
}

// within reports whether each person, permission set and place that an allow rule names is named by one allow rule of the
// book that gives as much.
func (r *Rule) within(b *Book) bool {
	return r.each(func(who *Who, set string, where *Where) bool {
		return slices.ContainsFunc(b.Rules, func(o *Rule) bool {
			return !o.Deny && r.noEasierThan(o) && r.caredFor(o, b.Sensitive) && o.names(who, set, where)
		})
	})
}

func (r *Rule) deniedBy(b *Book) bool {
	return r.each(func(who *Who, set string, where *Where) bool {
		return slices.ContainsFunc(b.Rules, func(o *Rule) bool { return o.Deny && o.names(who, set, where) })
	})
}

// noEasierThan reports whether an allow rule asks at least as much as another, and gives no longer. What this function does
// not know of must be the same in both.
func (r *Rule) noEasierThan(o *Rule) bool {
	if r.For.Duration > o.For.Duration || !r.needsReason() && o.needsReason() || !r.weeks[r.During].within(o.weeks[o.During]) || !r.With.Ticket.within(o.With.Ticket) {
		return false
	}
	mine, others := r.unknownHere(), o.unknownHere()
	one, err1 := audit.Canonical(mine)
	two, err2 := audit.Canonical(others)
	return err1 == nil && err2 == nil && bytes.Equal(one, two) && r.approvedLike(o)
}

// within reports whether whatever passes for one ticket passes for another. None wanted is passed by everything.
func (t *TicketRule) within(o *TicketRule) bool {
	if t == nil || o == nil {
		return o == nil
	}
	less := o.Check.Text == "" || o.Check.Text == t.Check.Text && (o.WhenDown.Text == "pass" || t.WhenDown.Text != "pass")
	return t.Pattern.Text == o.Pattern.Text && less
}

// approvedLike reports whether whoever agrees under a rule could under another, and must at least as often; and whether the
// use is reviewed, commented and extended alike.
func (r *Rule) approvedLike(o *Rule) bool {
	if r.extendsBeyond(o, o.needsNobody()) || o.Review != nil && !sameReview(r.Review, o.Review) {
		return false
	}
	if o.needsNobody() {
		return true
	}
	if r.needsNobody() || r.Approval.AutomaticOnCall != nil && r.onCall() != o.onCall() || o.Approval.Comment == "required" && r.Approval.Comment != "required" {
		return false
	}
	return slices.EqualFunc(r.Approval.stages(), o.Approval.stages(), func(mine, others []Panel) bool {
		return slices.EqualFunc(mine, others, func(p, q Panel) bool { return p.noEasierThan(q, r.weeks, o.weeks) })
	})
}

// extendsBeyond reports whether a use can be extended by more under a rule than under another. Under one that is automatic
// it can be asked for again, so that only all of it together counts.
func (r *Rule) extendsBeyond(o *Rule, automatic bool) bool {
	return r.Extend.Duration > o.Extend.Duration && (!automatic || r.For.Duration+r.Extend.Duration > o.For.Duration+o.Extend.Duration)
}

func (r *Rule) onCall() string {
	if r.Approval == nil || r.Approval.AutomaticOnCall == nil {
		return ""
	}
	return r.Approval.AutomaticOnCall.Schedule.Text
}

func sameReview(a, b *Review) bool {
	if a == nil || b == nil {
		return a == b
	}
	one, err1 := audit.Canonical(a.essence())
	two, err2 := audit.Canonical(b.essence())
	return err1 == nil && err2 == nil && bytes.Equal(one, two)
}

// noEasierThan reports whether a panel asks at least as much as another by its words: see [Needs.noEasierThan].
func (p Panel) noEasierThan(o Panel, weeks, others map[*Hours]*week) bool {
	switch {
	case p.Need < o.Need, p.Owner.Text != "" && p.Owner.Text != o.Owner.Text, !weeks[p.Hours].within(others[o.Hours]):
		return false
	case o.OnCall != nil && (p.OnCall == nil || p.OnCall.Schedule.Text != o.OnCall.Schedule.Text || p.OnCall.WhenDown.Text != "nobody" && o.OnCall.WhenDown.Text == "nobody"):
		return false
	}
	base := o.party().tagged()
	if !subset(p.party().tagged(), base) {
		return false
	}
	for _, r := range p.Ladder {
		for _, word := range r.tagged() {
			sooner := slices.ContainsFunc(o.Ladder, func(s Rung) bool { return s.After.Duration <= r.After.Duration && slices.Contains(s.tagged(), word) })
			if !sooner && !(o.Hours == nil && o.OnCall == nil && slices.Contains(base, word)) {
				return false
			}
		}
	}
	return true
}

// party is who may agree from the beginning, told or not.
func (p Panel) party() Party {
	all := Party{Groups: p.Groups, People: p.People}
	if p.Silent != nil {
		all.Groups, all.People = slices.Concat(all.Groups, p.Silent.Groups), slices.Concat(all.People, p.Silent.People)
	}
	return all
}

func (p Party) tagged() []string {
	var all []string
	for _, g := range p.Groups {
		all = append(all, "group "+g.Text)
	}
	for _, who := range p.People {
		all = append(all, "person "+who.Text)
	}
	return all
}

// unknownHere is what a rule says beyond what is compared word by word.
func (r *Rule) unknownHere() map[string]any {
	e := r.essence()
	for _, key := range []string{"name", "deny", "who", "what", "roles", "where", "minutes", "reason", "stages", "extend", "during", "ticket", "review"} {
		delete(e, key)
	}
	if approval, ok := e["approval"].(map[string]any); ok {
		approval = maps.Clone(approval)
		for _, key := range []string{"need", "groups", "people", "comment", "automaticOnCall"} {
			delete(approval, key)
		}
		e["approval"] = approval
	}
	return e
}

// each calls f with every single word that a rule names, each with the exceptions that go with it, until f says no.
func (r *Rule) each(f func(who *Who, set string, where *Where) bool) bool {
	sets := []string{""} // every permission set
	if r.What != nil {
		sets = r.What.words()
	}
	for _, who := range r.Who.words() {
		for _, where := range r.Where.words() {
			for _, set := range sets {
				if !f(who, set, where) {
					return false
				}
			}
		}
	}
	return true
}

// words lists permission sets and roles.
func (w *What) words() []string {
	words := texts(w.PermissionSets)
	for _, role := range w.Roles {
		words = append(words, org.RolePrefix+role.Text)
	}
	return words
}

// words cuts people into parts that name one group or one person each; nothing said is everyone.
func (w *Who) words() []*Who {
	if w == nil || w.Everyone {
		everyone := &Who{Everyone: true}
		if w != nil {
			everyone.Except = w.Except
		}
		return []*Who{everyone}
	}
	var parts []*Who
	for _, g := range w.Groups {
		parts = append(parts, &Who{Groups: []strict.Word{g}, Except: w.Except})
	}
	for _, p := range w.People {
		parts = append(parts, &Who{People: []strict.Word{p}, Except: w.Except})
	}
	return parts
}

// words cuts places into parts that name one account or one OU each, or every account.
func (w *Where) words() []*Where {
	if w == nil {
		return []*Where{{}}
	}
	if len(w.Accounts)+len(w.OUs) == 0 {
		return []*Where{w}
	}
	var parts []*Where
	for _, a := range w.Accounts {
		parts = append(parts, &Where{Accounts: []strict.Word{a}, Tags: w.Tags, Except: w.Except})
	}
	for _, ou := range w.OUs {
		parts = append(parts, &Where{OUs: []strict.Word{ou}, Tags: w.Tags, Except: w.Except})
	}
	return parts
}

// names reports whether a rule names all of one part, as far as its words show.
func (r *Rule) names(who *Who, set string, where *Where) bool {
	if r.What != nil && (set == "" || !slices.Contains(r.What.words(), set)) {
		return false
	}
	return (r.Who == nil || r.Who.holds(who)) && (r.Where == nil || r.Where.holds(where))
}

func (w *Who) holds(part *Who) bool {
	if w.Except != nil && (part.Except == nil || !part.Except.Everyone && (w.Except.Everyone ||
		!subset(texts(w.Except.Groups), texts(part.Except.Groups)) || !subset(texts(w.Except.People), texts(part.Except.People)))) {
		return false
	}
	return w.Everyone || !part.Everyone && subset(texts(part.Groups), texts(w.Groups)) && subset(texts(part.People), texts(w.People))
}

func (w *Where) holds(part *Where) bool {
	for key, values := range w.Tags {
		if narrower, ok := part.Tags[key]; !ok || !subset(narrower, values) {
			return false
		}
	}
	if w.Except != nil && (part.Except == nil || !part.Except.outdoes(w.Except)) {
		return false
	}
	if len(w.Accounts)+len(w.OUs) == 0 || slices.ContainsFunc(w.OUs, func(ou strict.Word) bool { return strings.Trim(ou.Text, "/") == "" }) {
		return true
	}
	return len(part.Accounts)+len(part.OUs) > 0 && subset(texts(part.Accounts), texts(w.Accounts)) && !slices.ContainsFunc(part.OUs, func(lower strict.Word) bool {
		return !slices.ContainsFunc(w.OUs, func(ou strict.Word) bool { return below(lower.Text, ou.Text) })
	})
}

// outdoes reports whether an exception takes away at least what another does.
func (w *Where) outdoes(o *Where) bool {
	for key, values := range w.Tags {
		if other, ok := o.Tags[key]; !ok || !subset(other, values) {
			return false
		}
	}
	everywhere := len(w.Accounts)+len(w.OUs) == 0
	return everywhere || len(o.Accounts)+len(o.OUs) > 0 && subset(texts(o.Accounts), texts(w.Accounts)) && subset(texts(o.OUs), texts(w.OUs))
}

// below reports whether a path is another or lies below it.
func below(path, ou string) bool {
	path, ou = strings.Trim(path, "/"), strings.Trim(ou, "/")
	return path == ou || strings.HasPrefix(path, ou+"/")
}
