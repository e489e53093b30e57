package rules

import (
	"slices"
	"time"

	"sparekey/strict"
)

// What is digested: what rules say, without positions and descriptions, lists in order. A key that is new to the language
// appears only where it is used, so that old rules keep their digests.

type essence = map[string]any

// set adds a key that says something.
func set(e essence, key string, says bool, value any) {
	if says {
		e[key] = value
	}
}

func (r *Rule) essence() essence {
	e := essence{"name": r.Name, "deny": r.Deny}
	if r.Who != nil {
		e["who"] = r.Who.essence()
	}
	if r.What != nil {
		e["what"] = texts(r.What.PermissionSets)
		set(e, "roles", len(r.What.Roles) > 0, texts(r.What.Roles))
	}
	if r.Where != nil {
		e["where"] = r.Where.essence()
	}
	if r.Deny {
		return e
	}
	e["minutes"], e["reason"], e["approval"] = int(r.For.Minutes()), r.needsReason(), r.Approval.essence()
	set(e, "by", r.way() != byAssignment, r.way())
	set(e, "extend", r.Extend.Duration != 0, int(r.Extend.Minutes()))
	if r.During != nil {
		e["during"] = r.During.essence(r.weeks)
	}
	if t := r.With.Ticket; t != nil {
		e["ticket"] = essence{"pattern": t.Pattern.Text, "check": t.Check.Text, "pass": t.WhenDown.Text == "pass"}
	}
	if r.Review != nil {
		e["review"] = r.Review.essence()
	}
	if stages := r.Approval.stages(); len(stages) > 0 && !r.Approval.simple() {
		e["stages"] = stagesEssence(stages, r.weeks)
	}
	return e
}

// way is how the rule gives access.
func (r *Rule) way() string {
	if r.By.Text == "" {
		return byAssignment
	}
	return r.By.Text
}

// plain reports whether a panel is nothing but a number of groups and people.
func (p Panel) plain() bool {
	return p.Owner.Text == "" && p.Silent == nil && p.Hours == nil && p.OnCall == nil && len(p.Ladder) == 0
}

// simple reports whether it is one plain panel, which is digested as such.
func (a *Approval) simple() bool {
	stages := a.stages()
	return len(stages) == 1 && len(stages[0]) == 1 && stages[0][0].plain()
}

func (a *Approval) essence() essence {
	e := essence{"need": 0, "groups": texts(nil), "people": texts(nil)}
	if p := a.Panel; !a.Automatic {
		if a.simple() { // whichever way it was written
			p = a.stages()[0][0]
		}
		e["need"], e["groups"], e["people"] = p.Need, texts(p.Groups), texts(p.People)
	}
	set(e, "comment", a.Comment == "required", true)
	if a.AutomaticOnCall != nil {
		e["automaticOnCall"] = a.AutomaticOnCall.Schedule.Text
	}
	return e
}

func stagesEssence(stages [][]Panel, weeks map[*Hours]*week) [][]essence {
	all := make([][]essence, len(stages))
	for i, stage := range stages {
		for _, p := range stage {
			e := essence{"need": p.Need, "groups": texts(p.Groups), "people": texts(p.People)}
			set(e, "owner", p.Owner.Text != "", p.Owner.Text)
			if p.Silent != nil {
				e["silent"] = p.Silent.essence()
			}
			if p.Hours != nil {
				e["hours"] = p.Hours.essence(weeks)
			}
			if p.OnCall != nil {
				e["onCall"] = essence{"schedule": p.OnCall.Schedule.Text, "nobody": p.OnCall.WhenDown.Text == "nobody"}
			}
			set(e, "ladder", len(p.Ladder) > 0, ladderEssence(p.Ladder))
			all[i] = append(all[i], e)
		}
	}
	return all
}

func ladderEssence(ladder []Rung) []essence {
	var all []essence
	for _, r := range ladder {
		e := r.Party.essence()
		e["after"] = int(r.After.Minutes())
		all = append(all, e)
	}
	return all
}

func (p Party) essence() essence {
	return essence{"groups": texts(p.Groups), "people": texts(p.People)}
}

func (r *Review) essence() essence {
	e := r.Party.essence()
	e["within"] = int(r.Within.Minutes())
	set(e, "ladder", len(r.Ladder) > 0, ladderEssence(r.Ladder))
	return e
}

// essence of hours holds the dates of their calendars, so that a holiday that is added changes it.
func (h *Hours) essence(weeks map[*Hours]*week) essence {
	var dates []string
	if w := weeks[h]; w != nil {
		for date := range w.off {
			dates = append(dates, date)
		}
	}
	slices.Sort(dates)
	return essence{"days": texts(h.Days), "from": h.From.Text, "to": h.To.Text, "zone": h.Zone.Text, "holidays": dates}
}

func (s Sensitive) empty() bool { return len(s.Accounts)+len(s.PermissionSets) == 0 && s.Review == nil }

func (s Sensitive) essence() essence {
	e := essence{"accounts": texts(s.Accounts), "sets": texts(s.PermissionSets)}
	if s.Review != nil {
		e["review"] = s.Review.essence()
	}
	return e
}

func (r *Rule) needsReason() bool { return r.With.Reason != "optional" }

const defaultReview = 72 * time.Hour

func (w *Who) essence() essence {
	e := essence{"everyone": w.Everyone, "groups": texts(w.Groups), "people": texts(w.People)}
	if w.Except != nil {
		e["except"] = w.Except.essence()
	}
	return e
}

func (w *Where) essence() essence {
	tags := map[string][]string{}
	for k, v := range w.Tags {
		tags[k] = slices.Sorted(slices.Values(v))
	}
	e := essence{"accounts": texts(w.Accounts), "ous": texts(w.OUs), "tags": tags}
	if w.Except != nil {
		e["except"] = w.Except.essence()
	}
	return e
}

func texts(words []strict.Word) []string {
	all := make([]string, len(words))
	for i, w := range words {
		all[i] = w.Text
	}
	slices.Sort(all)
	return all
}
