package rules

import (
	"slices"

	"sparekey/strict"
)

// Approval says who must agree: nobody (automatic), a panel, several panels that must all agree, or stages of such, one
// after the other. Nobody counts twice.
type Approval struct {
	Panel
	Automatic       bool    `yaml:"automatic"`
	AutomaticOnCall *OnCall `yaml:"automatic-on-call"` // nobody needs to agree while the requester is on call; when the service is down, as below
	Comment         string  `yaml:"comment"`           // of those who approve: required, or optional (default)
	All             []Panel `yaml:"all"`
	Stages          []Stage `yaml:"stages"`
}

// Stage is one step of an approval: a panel, or several that must all agree.
type Stage struct {
	Panel
	All []Panel `yaml:"all"`
}

// Panel is a number of different people out of groups, people and the owner of the account.
type Panel struct {
	At     strict.Position
	Need   int           `yaml:"need"`
	Groups []strict.Word `yaml:"groups"`
	People []strict.Word `yaml:"people"`
	Owner  strict.Word   `yaml:"owner"`   // the tag that holds the name of a group or a person: the account's, or else that of the nearest OU above it that has one
	Silent *Party        `yaml:"silent"`  // may agree too, but are not told
	Hours  *Hours        `yaml:"hours"`   // when they may; the ladder's may at any hour
	OnCall *OnCall       `yaml:"on-call"` // only those who are on call may; the ladder's may all the same
	Ladder []Rung        `yaml:"ladder"`  // who may agree as well after a time
}

// Party is groups and people.
type Party struct {
	At     strict.Position
	Groups []strict.Word `yaml:"groups"`
	People []strict.Word `yaml:"people"`
}

// Rung is who may agree as well when nobody has for a time, counted from when the panel's turn began.
type Rung struct {
	Party
	After Duration `yaml:"after,required"`
}

// OnCall names a schedule of the configuration. It never lets anybody do what they could not do without it.
type OnCall struct {
	At       strict.Position
	Schedule strict.Word `yaml:"schedule,required"`
	WhenDown strict.Word `yaml:"when-down"` // for a panel: everyone (default) or nobody
}

const mostApprovals = 10 // of a rule, all stages together

// stages returns the approval as stages of panels, whichever way it was written.
func (a *Approval) stages() [][]Panel {
	switch {
	case a == nil || a.Automatic:
		return nil
	case len(a.Stages) > 0:
		all := make([][]Panel, len(a.Stages))
		for i, s := range a.Stages {
			all[i] = panels(s.Panel, s.All)
		}
		return all
	}
	return [][]Panel{panels(a.Panel, a.All)}
}

func panels(one Panel, all []Panel) []Panel {
	if len(all) > 0 {
		return all
	}
	return []Panel{one}
}

// empty reports whether nothing is said of a panel.
func (p Panel) empty() bool {
	return p.Need == 0 && p.nameless() && p.Silent == nil && p.Hours == nil && p.OnCall == nil && len(p.Ladder) == 0
}

func (p Panel) nameless() bool {
	return len(p.Groups)+len(p.People) == 0 && p.Owner.Text == ""
}

func (a *Approval) check(say sayer) {
	if a.Comment != "" && a.Comment != "required" && a.Comment != "optional" {
		say(a.At, "says comment: %q", a.Comment).WithHint("a comment is required or optional")
	}
	forms := 0
	for _, used := range []bool{!a.Panel.empty(), len(a.All) > 0, len(a.Stages) > 0} {
		if used {
			forms++
		}
	}
	switch {
	case a.Automatic && (forms > 0 || a.AutomaticOnCall != nil):
		say(a.At, "is automatic and names approvers").WithHint("remove one of the two")
		return
	case a.Automatic:
		return
	case forms > 1:
		say(a.At, "names approvers in more than one way").WithHint("either need with groups, people or owner; or all; or stages")
		return
	case a.AutomaticOnCall != nil && a.AutomaticOnCall.WhenDown.Text != "":
		say(a.AutomaticOnCall.At, "says what holds for automatic-on-call when the service is down").WithHint("then the approvals are needed; remove when-down")
	}
	total := 0
	for i, s := range a.stages() {
		if i < len(a.Stages) && len(a.Stages[i].All) > 0 && !a.Stages[i].Panel.empty() {
			say(a.Stages[i].At, "has a stage that names approvers in more than one way").WithHint("either need with groups, people or owner, or all")
		}
		for _, p := range s {
			p.check(say)
			total += p.Need
		}
	}
	if total > mostApprovals {
		say(a.At, "needs %d approvals", total).WithHint("at most %d, all stages together", mostApprovals)
	}
}

func (p Panel) check(say sayer) {
	if p.nameless() {
		say(p.At, "names nobody who may approve").WithHint("groups, people or owner, or automatic: true")
	} else if p.Need < 1 || p.Need > mostApprovals {
		say(p.At, "needs %d approvals", p.Need).WithHint("need: a number from 1 to %d", mostApprovals)
	}
	if p.Silent != nil && len(p.Silent.Groups)+len(p.Silent.People) == 0 {
		say(p.Silent.At, "names nobody who may approve silently")
	}
	if p.OnCall != nil && !slices.Contains([]string{"", "everyone", "nobody"}, p.OnCall.WhenDown.Text) {
		say(p.OnCall.WhenDown.At, "says when-down: %q", p.OnCall.WhenDown.Text).WithHint("when the service is down, everyone or nobody of the panel may approve")
	}
	last := Duration{}
	for _, r := range p.Ladder {
		if len(r.Groups)+len(r.People) == 0 {
			say(r.At, "has a rung of its ladder that names nobody")
		}
		if r.After.Duration <= last.Duration {
			say(r.At, "has a ladder that does not go up: %s comes after %s", Short(r.After.Duration), Short(last.Duration)).WithHint("order the rungs by their times")
		}
		last = r.After
	}
}

// Review says who looks afterwards at what was done, and by when.
type Review struct {
	Party
	Within Duration `yaml:"within"` // 72h by default, counted from the end of the access
	Ladder []Rung   `yaml:"ladder"` // who may look as well after a time, counted from when it was due
}

// TicketRule says which tickets count as one.
type TicketRule struct {
	At       strict.Position
	Pattern  strict.Word `yaml:"pattern,required"` // RE2, of the whole ticket: INC-[0-9]+
	Check    strict.Word `yaml:"check"`            // the service of the configuration that says whether it exists, is open and is the requester's
	WhenDown strict.Word `yaml:"when-down"`        // when the service does not answer: wait (default), or pass
}

// Sensitive marks targets that want more care: approvers who are new to their group wait a day, and what was given
// automatically is reviewed. Accounts are pinned by id: names and tags change hands.
type Sensitive struct {
	At             strict.Position
	Accounts       []strict.Word `yaml:"accounts"`
	PermissionSets []strict.Word `yaml:"permission-sets"`
	Review         *Review       `yaml:"review"` // of automatic use, where its rule does not say
}

func (s *Sensitive) check(say sayer) {
	for _, a := range s.Accounts {
		if !validAccount(a.Text) {
			say(a.At, "names the sensitive account %q, which is not twelve digits", a.Text).WithHint("names of accounts are not unique and tags change hands; pin it by its id")
		}
	}
	if len(s.Accounts)+len(s.PermissionSets) == 0 {
		say(s.At, "names no sensitive accounts and permission sets")
	}
	if s.Review != nil {
		s.Review.check(say)
	}
}

func (r *Review) check(say sayer) {
	if len(r.Groups)+len(r.People) == 0 {
		say(r.At, "names nobody who reviews").WithHint("groups and people")
	}
	if r.Within.Duration == 0 {
		r.Within = Duration{defaultReview}
	}
	Panel{Need: 1, Groups: r.Groups, People: r.People, Ladder: r.Ladder, At: r.At}.check(say)
}
