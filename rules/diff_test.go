package rules

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"sparekey/org"
	"sparekey/strict"
)

const diffWorld = `
management-account: "100000000001"
accounts:
  - {id: "100000000001", name: management}
  - {id: "100000000002", name: payments-prod, ou: Workloads/Prod, tags: {env: prod}}
  - {id: "100000000003", name: shop-prod, ou: Workloads/Prod, tags: {env: prod}}
  - {id: "100000000004", name: data-prod, ou: Workloads/Prod, tags: {env: prod}}
  - {id: "100000000005", name: play, ou: Sandbox}
permission-sets: [{name: ReadOnly}, {name: PowerUser}]
groups: [ghosts]
people:
  - {user: dana, groups: [developers, payments]}
  - {user: eli, groups: [developers]}
  - {user: lena, groups: [developers]}
  - {user: max, groups: [developers]}
  - {user: kim, groups: [approvers]}
  - {user: ren, groups: [approvers]}
  - {user: gone, status: disabled, groups: [developers]}
`

// bookOf reads rules, each written as "name | who | sets | where | rest".
func bookOf(t testing.TB, rules ...string) *Book {
	t.Helper()
	var text strings.Builder
	text.WriteString("rules:\n")
	if len(rules) == 0 {
		return &Book{}
	}
	for _, r := range rules {
		f := strings.Split(r, "|")
		fmt.Fprintf(&text, "  - name: %s\n    who: %s\n    what: {permission-sets: %s}\n    where: %s\n    %s\n", f[0], f[1], f[2], f[3], strings.Join(f[4:], "\n    "))
	}
	b, err := Parse([]File{{"rules.yaml", []byte(text.String())}}, DefaultLongest)
	if err != nil {
		t.Fatalf("%v\n%s", err, text.String())
	}
	return b
}

const (
	base   = "prod|{groups: [developers]}|[PowerUser]|{ous: [Workloads/Prod]}|for: 1h|approval: {need: 1, groups: [approvers]}"
	longer = "prod|{groups: [developers]}|[PowerUser]|{ous: [Workloads/Prod]}|for: 2h|approval: {need: 1, groups: [approvers]}"
)

func TestADiffSaysWhoGainsAndLosesWhat(t *testing.T) {
	m := described(t, diffWorld)
	for name, c := range map[string]struct {
		before, after []string
		want          []string
		totals        string
		widens        bool
		latent        string
	}{
		"a rule that is new": {nil, []string{base}, []string{"4 people of developers gain PowerUser in 3 accounts of Workloads/Prod: up to 1h, 1 of approvers"}, "12 gained of people × targets, for 4 people", true, ""},
		"a rule that goes":   {[]string{base}, nil, []string{"4 people of developers lose PowerUser in 3 accounts of Workloads/Prod (before: up to 1h, 1 of approvers)"}, "12 lost of people × targets, for 4 people", false, ""},
		"nothing":            {[]string{base}, []string{base}, nil, "nothing changes for anybody", false, ""},
		"another name":       {[]string{base}, []string{strings.Replace(base, "prod|", "other|", 1)}, nil, "nothing changes for anybody", false, ""},
		"longer":             {[]string{base}, []string{longer}, []string{"4 people of developers get PowerUser in 3 accounts of Workloads/Prod longer: up to 2h, 1 of approvers (before: up to 1h, 1 of approvers)"}, "12 wider of people × targets, for 4 people", true, ""},
		"shorter":            {[]string{longer}, []string{base}, []string{"4 people of developers get PowerUser in 3 accounts of Workloads/Prod shorter: up to 1h, 1 of approvers (before: up to 2h, 1 of approvers)"}, "12 narrower of people × targets, for 4 people", false, ""},
		"automatic": {
			[]string{base}, []string{"prod|{people: [dana]}|[PowerUser]|{accounts: ['100000000002']}|for: 1h|approval: {automatic: true}", strings.Replace(base, "prod|", "rest|", 1)},
			[]string{"dana gets PowerUser in payments-prod with fewer approvals: up to 1h, automatic (before: up to 1h, 1 of approvers)"},
			"1 wider of people × targets, for 1 person", true, "",
		},
		"other approvers": {
			[]string{base}, []string{strings.Replace(base, "[approvers]", "[payments]", 1)},
			[]string{
				"eli, lena and max get PowerUser in 3 accounts of Workloads/Prod with other approvers: up to 1h, 1 of payments (before: up to 1h, 1 of approvers)",
				"dana gets PowerUser in 3 accounts of Workloads/Prod with other approvers: up to 1h, 1 of payments (nobody can approve it now) (before: up to 1h, 1 of approvers)",
			}, "12 wider of people × targets, for 4 people", true, "",
		},
		"more approvals": {
			[]string{base}, []string{strings.Replace(base, "need: 1", "need: 2", 1)},
			[]string{"4 people of developers get PowerUser in 3 accounts of Workloads/Prod with more approvals: up to 1h, 2 of approvers (before: up to 1h, 1 of approvers)"},
			"12 narrower of people × targets, for 4 people", false, "",
		},
		"no reason": {
			[]string{base}, []string{base + "|with: {reason: optional}"},
			[]string{"4 people of developers get PowerUser in 3 accounts of Workloads/Prod with more without a reason: up to 1h, 1 of approvers, no reason needed (before: up to 1h, 1 of approvers)"},
			"12 wider of people × targets, for 4 people", true, "",
		},
		"a group that is empty today": {[]string{base}, []string{base, "z|{groups: [ghosts]}|[PowerUser]|{ous: [/]}|for: 8h|approval: {automatic: true}"}, nil, "nothing changes for anybody", true, `rule "z" (rules.yaml:8) gives what no rule gave before`},
		"two rules become one": {
			[]string{base, strings.Replace(base, "prod|{groups: [developers]}", "more|{groups: [ghosts]}", 1)}, []string{strings.Replace(base, "[developers]", "[developers, ghosts]", 1)},
			nil, "nothing changes for anybody", false, "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			e := Diff(bookOf(t, c.before...).In(m), bookOf(t, c.after...).In(m))
			var got []string
			for _, change := range e.Changes {
				got = append(got, change.String())
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(c.want, "\n"))
			}
			if e.Totals.String() != c.totals || e.Widens() != c.widens || e.Empty() != (len(c.want) == 0) {
				t.Errorf("%s, widens %v", e.Totals, e.Widens())
			}
			if (c.latent == "") != (len(e.Latent) == 0) || len(e.Latent) > 0 && !strings.Contains(e.Latent[0], c.latent) {
				t.Errorf("latent: %q", e.Latent)
			}
		})
	}
}

func TestADenyRuleThatGoesWidensAlsoWhereItDeniedNobodyToday(t *testing.T) {
	m := described(t, diffWorld)
	text := "rules:\n  - {name: d, deny: true, who: {groups: [%s]}, where: {ous: [Workloads%s]}}\n"
	deny := func(group, below string) Set {
		b, err := Parse([]File{{"r", fmt.Appendf(nil, text, group, below)}}, DefaultLongest)
		if err != nil {
			t.Fatal(err)
		}
		return b.In(m)
	}
	if e := Diff(deny("ghosts", ""), deny("ghosts, developers", "")); e.Widens() {
		t.Errorf("it denies more: %+v", e)
	}
	for name, after := range map[string]Set{"another group": deny("developers", ""), "a smaller place": deny("ghosts", "/Prod"), "nothing": (&Book{}).In(m)} {
		if e := Diff(deny("ghosts", ""), after); !e.Widens() || !e.Empty() || !strings.Contains(e.Latent[0], "denied what no rule denies any more") {
			t.Errorf("%s: %+v", name, e)
		}
	}
}

func TestNoRulesAreRulesThatGiveNothing(t *testing.T) {
	s := bookOf(t, base).In(described(t, diffWorld))
	if gained := Diff(Set{}, s).Totals.Gained; gained != 12 {
		t.Errorf("%d gained", gained)
	}
	if lost := Diff(s, Set{}).Totals.Lost; lost != 12 {
		t.Errorf("%d lost", lost)
	}
	if e := Diff(Set{}, Set{}); !e.Empty() || e.Widens() {
		t.Errorf("%+v", e)
	}
}

// plainRule is a rule whose answers are the same in every state of the world; the rest is in richdiff_test.go.
func plainRule(t *rapid.T, name string, deny bool) *Rule {
	r := anyRule(t, name, deny)
	if deny {
		return r
	}
	r.During, r.With.Ticket, r.By, r.Review, r.Extend = nil, nil, strict.Word{}, nil, Duration{}
	if len(r.What.Roles) > 0 {
		r.What = &What{PermissionSets: some(t, "sets", setNames, 1)}
	}
	if r.Approval.Automatic {
		return r
	}
	r.Approval = &Approval{Panel: Panel{Need: rapid.IntRange(1, 3).Draw(t, "need"), Groups: some(t, "approver groups", groupNames, 0), People: some(t, "approvers", userNames, 0)}}
	if r.Approval.nameless() {
		r.Approval.Groups = []strict.Word{{Text: "g1"}}
	}
	return r
}

func plainBook(t *rapid.T) *Book {
	b := &Book{}
	for i := range rapid.IntRange(0, 5).Draw(t, "rules") {
		b.Rules = append(b.Rules, plainRule(t, fmt.Sprintf("r%d", i), rapid.IntRange(0, 3).Draw(t, "deny") == 0))
	}
	return sealed(t, b)
}

// changedBook is a book that is near another one: some rules stay, some change, some go, some come.
func changedBook(t *rapid.T, b *Book) *Book {
	other := &Book{}
	for _, r := range b.Rules {
		switch rapid.IntRange(0, 3).Draw(t, "fate") {
		case 0, 1:
			other.Rules = append(other.Rules, r)
		case 2:
			other.Rules = append(other.Rules, plainRule(t, r.Name, r.Deny))
		}
	}
	if rapid.Bool().Draw(t, "one more") {
		other.Rules = append(other.Rules, plainRule(t, "new", rapid.Bool().Draw(t, "deny")))
	}
	if err := other.seal(); err != nil {
		t.Fatal(err)
	}
	return other
}

func TestADiffOfTheSameIsEmpty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := org.NewMirror(anyOrganization(t))
		b := plainBook(t)
		if e := Diff(b.In(m), b.In(m)); !e.Empty() || e.Widens() || e.Totals != (Totals{}) {
			t.Fatalf("%+v", e)
		}
	})
}

// more says how a person has more at a target after than before, judged question by question; nothing if they have not. Rules
// give whole hours up to four, so who gets something longer is allowed a question that was refused before.
func more(before, after Set, p org.Person, to org.Target) string {
	for hours := range 5 {
		for _, reason := range []string{"", "because"} {
			ask := Ask{Target: to, For: time.Duration(hours) * time.Hour, Reason: reason}
			was, is := before.Judge(p, ask), after.Judge(p, ask)
			switch {
			case is.Allowed && !was.Allowed:
				return fmt.Sprintf("gains %+v", ask)
			case !is.Allowed, is.Nobody != "" && was.Nobody == "": // once somebody can approve it, that rule decided before as well
				continue
			case is.Needs.Approvals < was.Needs.Approvals:
				return fmt.Sprintf("needs fewer approvals for %+v", ask)
			case is.Needs.Approvals == 0 || was.Needs.Approvals == 0:
				continue
			}
			could := before.Approvers(Case{Needs: was.Needs, Requester: p.ID, Sensitive: was.Sensitive})
			for _, a := range after.Approvers(Case{Needs: is.Needs, Requester: p.ID, Sensitive: is.Sensitive}) {
				if !slices.ContainsFunc(could, func(o org.Person) bool { return o.ID == a.ID }) {
					return fmt.Sprintf("%s can approve %+v", a.User, ask)
				}
			}
		}
	}
	return ""
}

// TestADiffMissesNobody compares a diff with the answers to every question: whoever has more is in a line that widens, and
// who gains or loses something is in exactly the lines that say so.
func TestADiffMissesNobody(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := anyOrganization(t)
		m := org.NewMirror(o)
		a := plainBook(t)
		before, after := a.In(m), changedBook(t, a).In(m)
		e := Diff(before, after)
		type pair struct {
			who  org.PersonID
			what string
			in   org.AccountID
		}
		found := map[pair]Change{}
		pairs := 0
		for _, c := range e.Changes {
			pairs += c.Pairs()
			for _, p := range c.People {
				for _, set := range c.Sets {
					for _, at := range c.Accounts {
						if other, twice := found[pair{p.ID, set, at.ID}]; twice {
							t.Fatalf("%s %s %s is in two lines:\n%s\n%s", p.User, set, at.ID, c, other)
						}
						found[pair{p.ID, set, at.ID}] = c
					}
				}
			}
		}
		if sum := e.Totals.Gained + e.Totals.Lost + e.Totals.Wider + e.Totals.Narrower; sum != pairs {
			t.Fatalf("%d pairs, totals %+v", pairs, e.Totals)
		}
		for _, p := range o.People {
			for _, at := range o.Accounts {
				for _, set := range o.PermissionSets {
					to := org.Target{Account: at.ID, PermissionSet: set.ARN}
					c, listed := found[pair{p.ID, set.Name, at.ID}]
					if m := more(before, after, p, to); m != "" && (!listed || !c.Widens() || !e.Widens()) {
						t.Fatalf("%s %s in %s %s, and the diff says %q, widens %v", p.User, set.Name, at.Name, m, c, e.Widens())
					}
					was, is := before.Judge(p, Ask{Target: to, Reason: "r"}).Allowed, after.Judge(p, Ask{Target: to, Reason: "r"}).Allowed
					if (listed && c.Kinds[0] == Gained) != (is && !was) || (listed && c.Kinds[0] == Lost) != (was && !is) {
						t.Fatalf("%s %s in %s: possible %v, then %v, and the diff says %q", p.User, set.Name, at.Name, was, is, c)
					}
				}
			}
		}
	})
}

// TestWhatDoesNotWidenGivesNobodyMoreWhoeverTheyBecome changes the organization after the comparison: what was activated by
// one person alone must not come to give more when people join groups.
func TestWhatDoesNotWidenGivesNobodyMoreWhoeverTheyBecome(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := anyOrganization(t)
		a := plainBook(t)
		b := changedBook(t, a)
		if Diff(a.In(org.NewMirror(o)), b.In(org.NewMirror(o))).Widens() {
			return
		}
		later := org.NewMirror(anyOrganization(t))
		before, after := a.In(later), b.In(later)
		for _, p := range later.Organization().People {
			for _, at := range later.Organization().Accounts {
				for _, set := range later.Organization().PermissionSets {
					to := org.Target{Account: at.ID, PermissionSet: set.ARN}
					for hours := range 5 {
						ask := Ask{Target: to, For: time.Duration(hours) * time.Hour}
						if is := after.Judge(p, ask); is.Allowed && !before.Judge(p, ask).Allowed {
							t.Fatalf("%s gains %+v by %s", p.User, ask, is.Rule)
						}
					}
				}
			}
		}
	})
}
