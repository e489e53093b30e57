package rules

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"sparekey/org"
)

// TestWhichChangesOfTheWholeLanguageWiden names each change of a rule in both directions: from without to with, and back.
func TestWhichChangesOfTheWholeLanguageWiden(t *testing.T) {
	m := described(t, diffWorld)
	const plain = "rules:\n  - name: a\n    who: {groups: [developers]}\n    what: {permission-sets: [PowerUser]}\n    where: {ous: [Workloads]}\n    for: 1h\n    %s\n"
	const one = "approval: {need: 1, groups: [approvers]%s}"
	with := func(more string) string { return fmt.Sprintf(plain, fmt.Sprintf(one, "")+"\n    "+more) }
	panel := func(more string) string { return fmt.Sprintf(plain, fmt.Sprintf(one, ", "+more)) }
	bare, automatic := with("description: nothing"), fmt.Sprintf(plain, "approval: {automatic: true}")
	marked := func(more, review string) string {
		return more + "sensitive: {accounts: ['100000000002']" + review + "}\n"
	}
	for name, c := range map[string]struct {
		without, with string
		there, back   []Kind
	}{
		"hours":              {bare, with("during: {zone: UTC, days: [mon]}"), []Kind{LessOften}, []Kind{MoreOften}},
		"other hours":        {with("during: {zone: UTC, days: [tue]}"), with("during: {zone: UTC, days: [mon]}"), []Kind{MoreOften, LessOften}, []Kind{MoreOften, LessOften}},
		"a holiday":          {with("during: {zone: UTC}"), with("during: {zone: UTC, holidays: [2026-12-31]}"), []Kind{LessOften}, []Kind{MoreOften}},
		"other holidays":     {with("during: {zone: UTC, holidays: [2026-12-30]}"), with("during: {zone: UTC, holidays: [2026-12-31]}"), []Kind{MoreOften, LessOften}, []Kind{MoreOften, LessOften}},
		"shorter hours":      {with("during: {zone: Asia/Tokyo, from: '20:00', to: '06:00'}"), with("during: {zone: Asia/Tokyo, from: '22:00', to: '04:00', days: [fri]}"), []Kind{LessOften}, []Kind{MoreOften}},
		"hours elsewhere":    {with("during: {zone: Asia/Tokyo, from: '20:00', to: '06:00'}"), with("during: {zone: UTC, from: '22:00', to: '04:00'}"), []Kind{MoreOften, LessOften}, []Kind{MoreOften, LessOften}},
		"a check":            {with("with: {ticket: {pattern: 'INC-[0-9]+'}}"), with("with: {ticket: {pattern: 'INC-[0-9]+', check: jira}}"), []Kind{LessOften}, []Kind{MoreOften}},
		"a ticket":           {bare, with("with: {ticket: {pattern: 'INC-[0-9]+'}}"), []Kind{LessOften}, []Kind{MoreOften}},
		"a looser ticket":    {with("with: {ticket: {pattern: 'INC-[0-9]+', check: jira}}"), with("with: {ticket: {pattern: 'INC-[0-9]+', check: jira, when-down: pass}}"), []Kind{MoreOften}, []Kind{LessOften}},
		"a comment":          {bare, panel("comment: required"), []Kind{MoreCare}, []Kind{LessCare}},
		"a review":           {bare, with("review: {people: [kim]}"), []Kind{MoreCare}, []Kind{LessCare}},
		"an extension":       {bare, with("extend: 30m"), []Kind{Longer}, []Kind{Shorter}},
		"another way":        {bare, with("by: membership"), []Kind{MoreOften, LessOften}, []Kind{MoreOften, LessOften}},
		"silent approvers":   {bare, panel("silent: {people: [lena]}"), []Kind{OtherApprovers}, []Kind{FewerApprovers}},
		"an owner":           {bare, panel("owner: env"), []Kind{OtherApprovers}, []Kind{FewerApprovers}},
		"approvers' hours":   {bare, panel("hours: {zone: UTC, days: [mon]}"), []Kind{FewerApprovers}, []Kind{OtherApprovers}},
		"fewer of them":      {panel("hours: {zone: UTC, days: [mon, tue]}"), panel("hours: {zone: UTC, days: [mon], from: '08:00', holidays: [2026-12-28]}"), []Kind{FewerApprovers}, []Kind{OtherApprovers}},
		"approvers on call":  {bare, panel("on-call: {schedule: p}"), []Kind{FewerApprovers}, []Kind{OtherApprovers}},
		"nobody when down":   {panel("on-call: {schedule: p}"), panel("on-call: {schedule: p, when-down: nobody}"), []Kind{FewerApprovers}, []Kind{OtherApprovers}},
		"a ladder":           {bare, panel("ladder: {after: 15m, people: [lena]}"), []Kind{OtherApprovers}, []Kind{FewerApprovers}},
		"a later ladder":     {panel("ladder: {after: 15m, people: [lena]}"), panel("ladder: {after: 30m, people: [lena]}"), []Kind{FewerApprovers}, []Kind{OtherApprovers}},
		"a second stage":     {bare, fmt.Sprintf(plain, "approval: {stages: [{need: 1, groups: [approvers]}, {need: 1, people: [lena]}]}"), []Kind{OtherApprovers, MoreApprovals}, []Kind{FewerApprovals, OtherApprovers}},
		"automatic on call":  {bare, panel("automatic-on-call: {schedule: p}"), []Kind{FewerApprovals}, []Kind{MoreApprovals}},
		"one stage is a way": {bare, fmt.Sprintf(plain, "approval: {stages: [{need: 1, groups: [approvers]}]}"), nil, nil},
		"an approval":        {automatic, bare, []Kind{MoreApprovals}, []Kind{FewerApprovals}},
		"a mark":             {bare, marked(bare, ""), []Kind{MoreCare}, []Kind{LessCare}},
		"a reviewed mark":    {automatic, marked(automatic, ", review: {people: [kim]}"), []Kind{MoreCare}, []Kind{LessCare}},
		"a mark that stops":  {automatic, marked(automatic, ""), []Kind{Lost}, []Kind{Gained}},
		"its review":         {marked(automatic, ""), marked(automatic, ", review: {people: [kim]}"), []Kind{Gained}, []Kind{Lost}},
		"other reviewers":    {marked(automatic, ", review: {people: [ren]}"), marked(automatic, ", review: {people: [kim]}"), []Kind{LessCare, MoreCare}, []Kind{LessCare, MoreCare}},
	} {
		t.Run(name, func(t *testing.T) {
			a, b := parsed(t, c.without).In(m), parsed(t, c.with).In(m)
			for i, want := range [][]Kind{c.there, c.back} {
				e := Diff([]Set{a, b}[i], []Set{b, a}[i])
				var got []Kind
				for _, change := range e.Changes {
					got = append(got, change.Kinds...)
				}
				slices.SortFunc(got, func(a, b Kind) int { return slices.Index(Kinds, a) - slices.Index(Kinds, b) })
				if got = slices.Compact(got); !slices.Equal(got, want) || e.widensNow() != slices.ContainsFunc(want, Kind.Widens) {
					t.Errorf("%d: %v, want %v\n%s", i, got, want, linesOf(e))
				}
				if !e.widensNow() && e.Widens() && name != "its review" {
					t.Errorf("%d: nobody gains, and yet: %s", i, strings.Join(e.Latent, "\n"))
				}
			}
		})
	}
}

// TestARuleThatIsGoneMayLetOthersDecide shows what only turns up once somebody comes into a group.
func TestARuleThatIsGoneMayLetOthersDecide(t *testing.T) {
	m := described(t, diffWorld)
	const ghosts = "|{groups: [ghosts]}|[PowerUser]|{ous: [Workloads/Prod]}|for: 1h|approval: "
	one, two := "a"+ghosts+"{need: 1, groups: [approvers]}", "b"+ghosts+"{need: 2, groups: [payments]}"
	e := Diff(bookOf(t, one, two).In(m), bookOf(t, two).In(m))
	if !e.Widens() || !e.Empty() || !strings.Contains(strings.Join(e.Latent, "\n"), "with other approvers or less care") {
		t.Errorf("%+v", e)
	}
	for name, other := range map[string]string{
		"another place": strings.Replace(two, "Workloads/Prod", "Sandbox", 1), "another permission set": strings.Replace(two, "PowerUser", "ReadOnly", 1),
		"the same approvers": strings.Replace(two, "payments", "approvers", 1), "fewer approvals": "b" + ghosts + "{automatic: true}",
	} {
		if e := Diff(bookOf(t, one, other).In(m), bookOf(t, other).In(m)); e.Widens() {
			t.Errorf("%s: %+v", name, e)
		}
	}
}

// TestWhatCannotBeLentNowIsLostAndWidensAllTheSame has rules lend by membership where no group was made, and in an account that
// the server has no way into.
func TestWhatCannotBeLentNowIsLostAndWidensAllTheSame(t *testing.T) {
	m := described(t, diffWorld)
	made := map[org.Target]org.GroupID{}
	shut := org.AccountID("")
	facts := Facts{Groups: func(to org.Target) org.GroupID { return made[to] }, NotLent: func(to org.Target, _ string) string {
		if to.Account == shut {
			return "no way leads into it"
		}
		return ""
	}}
	const rule = "rules:\n  - name: a\n    who: {groups: [developers]}\n    what: {permission-sets: [PowerUser]}\n    where: {ous: [Workloads/Prod]}\n    for: 1h\n    approval: {need: 1, groups: [approvers]}\n"
	before, after := parsed(t, rule).In(m).At(facts), parsed(t, rule+"    by: membership\n").In(m).At(facts)
	e := Diff(before, after)
	if e.Totals.Lost == 0 || e.Totals.Gained+e.Totals.Wider+e.Totals.Narrower > 0 || !strings.Contains(linesOf(e), "by membership only once `sparekey groups prepare` has made a group for it (before: ") {
		t.Errorf("%+v\n%s", e.Totals, linesOf(e))
	}
	if !e.Widens() {
		t.Error("once a group is made somebody has what no rule gave, and nobody else need agree")
	}
	for _, a := range m.Organization().Accounts {
		for _, set := range m.Organization().PermissionSets {
			made[org.Target{Account: a.ID, PermissionSet: set.ARN}] = "g-1"
		}
	}
	if e := Diff(before, after); e.Totals.Lost > 0 || e.Totals.Wider == 0 {
		t.Errorf("with groups: %s", linesOf(e))
	}
	nothing := (&Book{}).In(m).At(facts)
	clear(made)
	if e := Diff(nothing, after); e.Totals.Gained == 0 || !strings.Contains(linesOf(e), "by membership; by membership only once `sparekey groups prepare` has made a group for it") {
		t.Errorf("what is to come: %s", linesOf(e))
	}
	all := Diff(nothing, before)
	shut = all.Changes[0].Accounts[0].ID
	if some := Diff(nothing, before); some.Totals.Gained == 0 || some.Totals.Gained >= all.Totals.Gained {
		t.Errorf("%d gained where nothing leads into one account, %d otherwise", some.Totals.Gained, all.Totals.Gained)
	}
}
