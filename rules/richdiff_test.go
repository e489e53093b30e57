package rules

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"sparekey/org"
	"sparekey/strict"
)

// The whole language in the small world: hours, tickets, ways, stages, panels, owners, ladders, on-call, reviews, marks.

func word1(text string) strict.Word { return strict.Word{Text: text} }

var testHours = []*Hours{
	nil, {Zone: word1("UTC"), From: word1("09:00"), To: word1("18:00")}, {Zone: word1("UTC"), From: word1("09:00"), To: word1("18:00"), Holidays: []strict.Word{word1("2026-11-25")}},
	{Zone: word1("UTC"), Days: []strict.Word{word1("sat"), word1("sun")}},
}

func richHours(t *rapid.T) *Hours {
	h := testHours[max(0, rapid.IntRange(-3, len(testHours)-1).Draw(t, "hours"))]
	if h == nil {
		return nil
	}
	copied := *h // hours are told apart by where they stand
	return &copied
}

func richPanel(t *rapid.T) Panel {
	p := Panel{Need: rapid.IntRange(1, 2).Draw(t, "need"), Groups: some(t, "approver groups", groupNames, 0), People: some(t, "approvers", userNames, 0), Hours: richHours(t)}
	if rapid.IntRange(0, 2).Draw(t, "owned") == 0 || p.nameless() {
		p.Owner = word1(rapid.SampledFrom([]string{"owner", "team"}).Draw(t, "owner"))
	}
	if rapid.IntRange(0, 3).Draw(t, "silent") == 0 {
		p.Silent = &Party{Groups: some(t, "silent", groupNames, 1)}
	}
	if rapid.IntRange(0, 3).Draw(t, "on call") == 0 {
		p.OnCall = &OnCall{Schedule: word1(rapid.SampledFrom([]string{"c0", "c1"}).Draw(t, "schedule")), WhenDown: word1(rapid.SampledFrom([]string{"", "nobody"}).Draw(t, "down"))}
	}
	for i := range rapid.IntRange(0, 2).Draw(t, "rungs") {
		after := time.Duration(10*(i+1)*rapid.IntRange(1, 2).Draw(t, "after")) * time.Minute
		p.Ladder = append(p.Ladder, Rung{Party{Groups: some(t, "rung", groupNames, 1)}, Duration{after}})
	}
	return p
}

func richReview(t *rapid.T) *Review {
	if rapid.IntRange(0, 2).Draw(t, "review") > 0 {
		return nil
	}
	return &Review{Party: Party{Groups: some(t, "reviewers", groupNames, 1)}, Within: Duration{time.Duration(rapid.IntRange(1, 2).Draw(t, "within")) * time.Hour}}
}

// aspects are what a rule can have more of, each drawn alone.
var aspects = []func(t *rapid.T, r *Rule){
	func(t *rapid.T, r *Rule) { r.During = richHours(t) },
	func(t *rapid.T, r *Rule) {
		r.With.Ticket = nil
		if rapid.IntRange(0, 2).Draw(t, "ticket") == 0 {
			r.With.Ticket = &TicketRule{
				Pattern: word1(rapid.SampledFrom([]string{"INC-.*", "CHG-.*"}).Draw(t, "pattern")), Check: word1(rapid.SampledFrom([]string{"", "jira"}).Draw(t, "check")),
				WhenDown: word1(rapid.SampledFrom([]string{"wait", "pass"}).Draw(t, "when down")),
			}
		}
	},
	func(t *rapid.T, r *Rule) {
		r.Approval = &Approval{Automatic: rapid.IntRange(0, 3).Draw(t, "automatic") == 0}
		if r.Approval.Automatic {
			return
		}
		for range rapid.SampledFrom([]int{1, 1, 1, 2}).Draw(t, "stages") {
			var s Stage
			for range rapid.SampledFrom([]int{1, 1, 1, 2}).Draw(t, "panels") {
				s.All = append(s.All, richPanel(t))
			}
			r.Approval.Stages = append(r.Approval.Stages, s)
		}
	},
	func(t *rapid.T, r *Rule) { // one panel
		if r.Approval.Automatic {
			return
		}
		stages := slices.Clone(r.Approval.Stages)
		i := rapid.IntRange(0, len(stages)-1).Draw(t, "stage")
		stages[i].All = slices.Clone(stages[i].All)
		j := rapid.IntRange(0, len(stages[i].All)-1).Draw(t, "panel")
		p, other := stages[i].All[j], richPanel(t)
		switch rapid.IntRange(0, 5).Draw(t, "part") {
		case 0:
			p.Need = other.Need
		case 1:
			p.Hours = other.Hours
		case 2:
			p.OnCall = other.OnCall
		case 3:
			p.Ladder = other.Ladder
		case 4:
			p.Silent = other.Silent
		default:
			p.Groups, p.People, p.Owner = other.Groups, other.People, other.Owner
		}
		stages[i].All[j] = p
		a := *r.Approval
		a.Stages = stages
		r.Approval = &a
	},
	func(t *rapid.T, r *Rule) {
		a := *r.Approval
		a.Comment = rapid.SampledFrom([]string{"", "required"}).Draw(t, "comment")
		if a.AutomaticOnCall = nil; !a.Automatic && rapid.IntRange(0, 3).Draw(t, "automatic on call") == 0 {
			a.AutomaticOnCall = &OnCall{Schedule: word1(rapid.SampledFrom([]string{"c0", "c1"}).Draw(t, "schedule"))}
		}
		r.Approval = &a
	},
	func(t *rapid.T, r *Rule) { r.Review = richReview(t) },
	func(t *rapid.T, r *Rule) {
		r.Extend = Duration{time.Duration(rapid.IntRange(0, 1).Draw(t, "extend")) * 30 * time.Minute}
	},
	func(t *rapid.T, r *Rule) {
		if len(r.What.Roles) > 0 { // which go by session only
			return
		}
		r.By = word1(rapid.SampledFrom([]string{"", "", "membership"}).Draw(t, "by"))
	},
	func(t *rapid.T, r *Rule) {
		r.For = Duration{time.Duration(rapid.IntRange(1, 4).Draw(t, "for")) * time.Hour}
	},
	func(t *rapid.T, r *Rule) {
		r.With.Reason = rapid.SampledFrom([]string{"required", "optional"}).Draw(t, "reason")
	},
}

func richRule(t *rapid.T, name string) *Rule {
	r := anyRule(t, name, rapid.IntRange(0, 5).Draw(t, "deny") == 0)
	if r.Deny {
		return r
	}
	aspects[2](t, r)
	for i := range aspects {
		if rapid.IntRange(0, 2).Draw(t, "rich") == 0 {
			aspects[i](t, r)
		}
	}
	return made(r)
}

// made makes the hours and patterns of a rule that was not read.
func made(r *Rule) *Rule {
	r.ready(func(strict.Position, string, ...any) *strict.Error { return &strict.Error{} }, nil)
	return r
}

func richSensitive(t *rapid.T) Sensitive {
	if rapid.Bool().Draw(t, "nothing sensitive") {
		return Sensitive{}
	}
	return Sensitive{Accounts: some(t, "sensitive", accountIDs, 1), PermissionSets: some(t, "sensitive sets", setNames, 0), Review: richReview(t)}
}

func richBook(t *rapid.T) *Book {
	b := &Book{Sensitive: richSensitive(t)}
	for i := range rapid.IntRange(1, 4).Draw(t, "rules") {
		b.Rules = append(b.Rules, richRule(t, fmt.Sprintf("r%d", i)))
	}
	return sealed(t, b)
}

func sealed(t *rapid.T, b *Book) *Book {
	if err := b.seal(); err != nil {
		t.Fatal(err)
	}
	return b
}

// changedRich is a book in which something is another: a rule comes, goes, or has one thing that is another.
func changedRich(t *rapid.T, b *Book) *Book {
	other := &Book{Sensitive: b.Sensitive}
	for _, r := range b.Rules {
		switch rapid.IntRange(0, 4).Draw(t, "fate") {
		case 0:
		case 1:
			copied := *r
			if !r.Deny {
				rapid.SampledFrom(aspects).Draw(t, "aspect")(t, &copied)
				made(&copied)
			}
			other.Rules = append(other.Rules, &copied)
		default:
			other.Rules = append(other.Rules, r)
		}
	}
	if rapid.IntRange(0, 3).Draw(t, "one more") == 0 {
		other.Rules = append(other.Rules, richRule(t, "new"))
	}
	if rapid.IntRange(0, 3).Draw(t, "marks") == 0 {
		other.Sensitive = richSensitive(t)
	}
	return sealed(t, other)
}

func richOrganization(t *rapid.T) org.Organization {
	o := anyOrganization(t)
	for i := range o.Accounts {
		for _, tag := range []string{"owner", "team"} {
			if v := rapid.SampledFrom([]string{"", "g0", "g1", "p0"}).Draw(t, tag); v != "" {
				o.Accounts[i].Tags[tag] = v
			}
		}
	}
	for i, p := range o.People {
		if len(p.Groups) > 0 && rapid.IntRange(0, 3).Draw(t, "new") == 0 {
			o.People[i].Joined = map[org.GroupID]time.Time{p.Groups[0]: moments[0].Add(-time.Hour)}
		}
	}
	return o
}

var moments = []time.Time{
	time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC), time.Date(2026, 11, 24, 22, 0, 0, 0, time.UTC), time.Date(2026, 11, 25, 10, 0, 0, 0, time.UTC), time.Date(2026, 11, 28, 10, 0, 0, 0, time.UTC),
}

// richFacts is some state of the world.
func richFacts(t *rapid.T) Facts {
	f := Facts{Now: rapid.SampledFrom(moments).Draw(t, "now"), Tickets: map[string]Ticket{}, OnCall: map[string]Shift{}}
	switch rapid.IntRange(0, 3).Draw(t, "jira") {
	case 0:
		f.Tickets["jira"] = Ticket{OK: true}
	case 1:
		f.Tickets["jira"] = Ticket{Why: "closed"}
	case 2:
		f.Tickets["jira"] = Ticket{Down: "down"}
	}
	for _, name := range []string{"c0", "c1"} {
		switch rapid.IntRange(0, 3).Draw(t, name) {
		case 0:
			f.OnCall[name] = Shift{Down: "down"}
		case 1, 2:
			var on []org.PersonID
			for _, u := range some(t, "on call", userNames, 0) {
				on = append(on, org.PersonID("id-"+u.Text))
			}
			f.OnCall[name] = Shift{People: on}
		}
	}
	made, lost := rapid.Bool().Draw(t, "groups made"), rapid.SampledFrom([]string{"", "", "assignment", "membership"}).Draw(t, "not lent")
	f.Groups = func(org.Target) org.GroupID { return map[bool]org.GroupID{true: "made"}[made] }
	f.NotLent = func(_ org.Target, way string) string { return map[bool]string{true: "not here"}[way == lost] }
	return f
}

// agreeing lists who may agree to a decision so long after it was asked for: in its first stage, and in any.
func agreeing(s Set, f Facts, d Decision, p org.Person, after time.Duration) (first, any map[string]bool) {
	asked := f.Now
	f.Now = f.Now.Add(after)
	s = s.At(f)
	any = map[string]bool{}
	for i := range d.Needs.Stages {
		left := Needs{Stages: d.Needs.Stages[i:], Approvals: d.Needs.Approvals}
		now := map[string]bool{}
		for _, by := range s.Approvers(Case{Needs: left, Requester: p.ID, Asked: asked, Sensitive: d.Sensitive}) {
			any[by.User], now[by.User] = true, true
		}
		if i == 0 {
			first = now
		}
	}
	return first, any
}

// richMore says how somebody has more under after than under before in a state of the world; nothing if they have not.
func richMore(before, after Set, f Facts, p org.Person, ask Ask) string {
	was, is := before.At(f).Judge(p, ask), after.At(f).Judge(p, ask)
	approved := was.Needs.Approvals > 0 && is.Needs.Approvals > 0
	switch {
	case !is.Allowed:
		return ""
	case !was.Allowed:
		return "gains it"
	case is.Nobody != "" && was.Nobody == "": // once somebody can, it is another state of the world
		return ""
	case is.Needs.Approvals < was.Needs.Approvals:
		return "needs fewer approvals"
	case is.Longest > was.Longest && is.Needs.Approvals == was.Needs.Approvals && is.Rule.Digest != was.Rule.Digest && longest(before.At(f), p, ask) < longest(after.At(f), p, ask):
		return "gets it longer"
	case was.Sensitive && !is.Sensitive:
		return "gets it unmarked"
	case was.Review != nil && (is.Needs.Approvals == 0 || was.Needs.Approvals > 0) && is.Review.text() != was.Review.text():
		return "is reviewed by others or not at all"
	case approved && was.Needs.Comment && !is.Needs.Comment:
		return "needs no comment"
	case is.Extend > was.Extend && (was.Needs.Approvals > 0 || is.Longest+is.Extend > was.Longest+was.Extend):
		return "can extend it by more"
	case !approved:
		return ""
	}
	for _, after2 := range []time.Duration{0, 10 * time.Minute, 20 * time.Minute, time.Hour} {
		couldFirst, could := agreeing(before, f, was, p, after2)
		canFirst, can := agreeing(after, f, is, p, after2)
		for who := range can {
			if !could[who] || canFirst[who] && !couldFirst[who] {
				return fmt.Sprintf("can be helped by %s after %s", who, after2)
			}
		}
	}
	return ""
}

// longest is the longest that is allowed as asked.
func longest(s Set, p org.Person, ask Ask) time.Duration {
	for hours := 4; hours > 0; hours-- {
		if ask.For = time.Duration(hours) * time.Hour; s.Judge(p, ask).Allowed {
			return ask.For
		}
	}
	return 0
}

// richAsks is some of the questions that can be put.
func richAsks(t *rapid.T, o org.Organization, do func(p org.Person, a Ask, account, set string)) {
	for _, p := range o.People {
		for _, a := range o.Accounts {
			for _, set := range o.PermissionSets {
				ask := Ask{Target: org.Target{Account: a.ID, PermissionSet: set.ARN}}
				ask.For = time.Duration(rapid.IntRange(0, 4).Draw(t, "ask for")) * time.Hour
				ask.Reason = rapid.SampledFrom([]string{"", "because"}).Draw(t, "ask reason")
				ask.Ticket = rapid.SampledFrom([]string{"", "INC-1", "CHG-1"}).Draw(t, "ask ticket")
				do(p, ask, string(a.ID), set.Name)
			}
		}
	}
}

// TestADiffOfTheWholeLanguageMissesNobody is the brute force of diffs in states of the world that no diff knows.
func TestADiffOfTheWholeLanguageMissesNobody(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := richOrganization(t)
		m := org.NewMirror(o)
		a := richBook(t)
		before, after := a.In(m), changedRich(t, a).In(m)
		e := Diff(before, after)
		f := richFacts(t)
		richAsks(t, o, func(p org.Person, ask Ask, account, set string) {
			how := richMore(before, after, f, p, ask)
			if how == "" {
				return
			}
			listed := slices.ContainsFunc(e.Changes, func(c Change) bool {
				return c.Widens() && slices.ContainsFunc(c.People, func(n Named) bool { return n.ID == p.ID }) && slices.Contains(c.Sets, set) &&
					slices.ContainsFunc(c.Accounts, func(n NamedPlace) bool { return string(n.ID) == account })
			})
			if !listed || !e.Widens() {
				for _, r := range slices.Concat(before.rules, after.rules) {
					text, _ := json.Marshal(r.essence())
					t.Logf("%s gives %v", text, r.who.includes(p))
				}
				t.Fatalf("%s %s: %+v: %s, and the diff says %s, widens %v\nbefore %+v\nafter  %+v", p.User, account, ask, how, linesOf(e), e.Widens(), before.At(f).Judge(p, ask), after.At(f).Judge(p, ask))
			}
		})
	})
}

// TestWhatDoesNotWidenOfTheWholeLanguageGivesNobodyMore does the same in another organization than the one that was looked at.
func TestWhatDoesNotWidenOfTheWholeLanguageGivesNobodyMore(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := org.NewMirror(richOrganization(t))
		a := richBook(t)
		b := changedRich(t, a)
		if Diff(a.In(m), b.In(m)).Widens() {
			return
		}
		o := richOrganization(t)
		later := org.NewMirror(o)
		before, after, f := a.In(later), b.In(later), richFacts(t)
		richAsks(t, o, func(p org.Person, ask Ask, account, _ string) {
			if how := richMore(before, after, f, p, ask); how != "" {
				t.Fatalf("%s %s: %+v: %s\nbefore %+v\nafter  %+v", p.User, account, ask, how, before.At(f).Judge(p, ask), after.At(f).Judge(p, ask))
			}
		})
	})
}

func linesOf(e Effect) string {
	var lines []string
	for _, c := range e.Changes {
		lines = append(lines, c.String())
	}
	return strings.Join(append(lines, e.Latent...), "\n")
}
