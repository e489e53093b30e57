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

// A small world in which everything meets everything: four groups, six people, five OUs, eight accounts, three sets.
var (
	groupNames = []string{"g0", "g1", "g2", "g3"}
	userNames  = []string{"p0", "p1", "p2", "p3", "p4", "p5"}
	ouPaths    = []string{"A", "A/B", "A/B/C", "D", "/"}
	setNames   = []string{"S0", "S1", "S2"}
	accountIDs = []string{"100000000000", "100000000001", "100000000002", "100000000003", "100000000004", "100000000005", "100000000006", "100000000007"}
)

func some(t *rapid.T, name string, of []string, least int) []strict.Word {
	n := rapid.IntRange(least, min(3, len(of))).Draw(t, name+" count")
	var ws []strict.Word
	for _, w := range rapid.Permutation(of).Draw(t, name)[:n] {
		ws = append(ws, strict.Word{Text: w})
	}
	return ws
}

func anyOrganization(t *rapid.T) org.Organization {
	o := org.Organization{Root: "r-0", OUs: []org.OU{{ID: "ou-a", Name: "A", Parent: "r-0"}, {ID: "ou-b", Name: "B", Parent: "ou-a"}, {ID: "ou-c", Name: "C", Parent: "ou-b"}, {ID: "ou-d", Name: "D", Parent: "r-0"}}}
	for _, g := range groupNames {
		o.Groups = append(o.Groups, org.Group{ID: org.GroupID("id-" + g), Name: g})
	}
	for i, u := range userNames {
		p := org.Person{ID: org.PersonID("id-" + u), User: u, Status: rapid.SampledFrom([]org.Status{org.StatusEnabled, org.StatusEnabled, org.StatusEnabled, org.StatusDisabled, org.StatusUnknown}).Draw(t, u)}
		for _, g := range some(t, fmt.Sprintf("groups of %d", i), groupNames, 0) {
			p.Groups = append(p.Groups, org.GroupID("id-"+g.Text))
		}
		o.People = append(o.People, p)
	}
	for _, s := range setNames {
		o.PermissionSets = append(o.PermissionSets, org.PermissionSet{ARN: "arn:" + s, Name: s, Session: time.Hour})
	}
	for i, id := range accountIDs {
		a := org.Account{ID: org.AccountID(id), Name: fmt.Sprintf("a%d", i), State: org.AccountActive, Tags: map[string]string{}}
		a.Parent = rapid.SampledFrom([]org.OUID{"r-0", "ou-a", "ou-b", "ou-c", "ou-d"}).Draw(t, "parent")
		if v := rapid.SampledFrom([]string{"", "prod", "dev"}).Draw(t, "env"); v != "" {
			a.Tags["env"] = v
		}
		if rapid.IntRange(0, 7).Draw(t, "suspended") == 0 {
			a.State = org.AccountSuspended
		}
		o.Accounts = append(o.Accounts, a)
	}
	return o
}

func anyWho(t *rapid.T, inner bool) *Who {
	w := &Who{Everyone: !inner && rapid.IntRange(0, 4).Draw(t, "everyone") == 0}
	if !w.Everyone {
		w.Groups = some(t, "who groups", groupNames, 0)
		w.People = some(t, "who people", userNames, 0)
		if len(w.Groups)+len(w.People) == 0 {
			w.Groups = []strict.Word{{Text: "g0"}}
		}
	}
	if !inner && rapid.Bool().Draw(t, "who except") {
		w.Except = anyWho(t, true)
	}
	return w
}

func anyWhere(t *rapid.T, inner bool) *Where {
	w := &Where{Accounts: some(t, "where accounts", accountIDs, 0), OUs: some(t, "where ous", ouPaths, 0)}
	if rapid.Bool().Draw(t, "tags") || len(w.Accounts)+len(w.OUs) == 0 {
		w.Tags = map[string][]string{"env": {rapid.SampledFrom([]string{"prod", "dev", "none"}).Draw(t, "tag")}}
	}
	if !inner && rapid.Bool().Draw(t, "where except") {
		w.Except = anyWhere(t, true)
	}
	return w
}

func anyRule(t *rapid.T, name string, deny bool) *Rule {
	r := &Rule{Name: name, Deny: deny, Who: anyWho(t, false), What: &What{PermissionSets: some(t, "sets", setNames, 1)}, Where: anyWhere(t, false)}
	if deny {
		if rapid.Bool().Draw(t, "any set") {
			r.What = nil
		}
		return r
	}
	r.For = Duration{time.Duration(rapid.IntRange(1, 4).Draw(t, "hours")) * time.Hour}
	r.With.Reason = rapid.SampledFrom([]string{"required", "optional"}).Draw(t, "reason")
	r.Approval = &Approval{Automatic: rapid.IntRange(0, 3).Draw(t, "automatic") == 0}
	if !r.Approval.Automatic {
		r.Approval.Need = rapid.IntRange(1, 3).Draw(t, "need")
		r.Approval.Groups = some(t, "approver groups", groupNames, 0)
		r.Approval.People = some(t, "approvers", userNames, 0)
		if len(r.Approval.Groups)+len(r.Approval.People) == 0 {
			r.Approval.Groups = []strict.Word{{Text: "g1"}}
		}
	}
	return r
}

func anyBook(t *rapid.T) *Book {
	b := &Book{}
	for i := range rapid.IntRange(0, 5).Draw(t, "rules") {
		b.Rules = append(b.Rules, anyRule(t, fmt.Sprintf("r%d", i), rapid.IntRange(0, 3).Draw(t, "deny") == 0))
	}
	if err := b.seal(); err != nil {
		t.Fatal(err)
	}
	return b
}

// asks is every question that can be put in the small world.
func asks(o org.Organization, do func(p org.Person, a Ask)) {
	for _, p := range o.People {
		for _, a := range o.Accounts {
			for _, s := range o.PermissionSets {
				for hours := range 5 {
					for _, reason := range []string{"", "because"} {
						do(p, Ask{Target: org.Target{Account: a.ID, PermissionSet: s.ARN}, For: time.Duration(hours) * time.Hour, Reason: reason})
					}
				}
			}
		}
	}
}

func TestAddingAnAllowRuleNeverTakesAnythingAway(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := anyOrganization(t)
		m := org.NewMirror(o)
		b := anyBook(t)
		more := &Book{Rules: append(slices.Clone(b.Rules), anyRule(t, rapid.SampledFrom([]string{"a", "z"}).Draw(t, "name"), false))}
		before, after := b.In(m), more.In(m)
		asks(o, func(p org.Person, a Ask) {
			d, e := before.Judge(p, a), after.Judge(p, a)
			if !d.Allowed {
				return
			}
			if !e.Allowed || e.Longest < a.For {
				t.Fatalf("%s lost %+v: %v", p.User, a, e.Why)
			}
			if d.Nobody == "" && (e.Nobody != "" || e.Needs.Approvals > d.Needs.Approvals) {
				t.Fatalf("%s now needs %s (%s) for %+v, before %s", p.User, e.Needs, e.Nobody, a, d.Needs)
			}
			if d.Nobody == "" && e.Needs.Approvals == d.Needs.Approvals && e.Longest < d.Longest {
				t.Fatalf("%s gets %s for %+v, before %s", p.User, e.Longest, a, d.Longest)
			}
		})
	})
}

func TestADenyRuleWins(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := anyOrganization(t)
		m := org.NewMirror(o)
		b := anyBook(t)
		deny := anyRule(t, "d", true)
		with := &Book{Rules: append(slices.Clone(b.Rules), deny)}
		before, after := b.In(m), with.In(m)
		covered := bindOne(after, deny)
		asks(o, func(p org.Person, a Ask) {
			d, e := before.Judge(p, a), after.Judge(p, a)
			denied := covered.who.includes(p) && covered.accounts.has(after.place[a.Target.Account]) && (covered.sets == nil || covered.sets[a.Target.PermissionSet])
			if denied && e.Allowed {
				t.Fatalf("%s has %+v in spite of the deny rule", p.User, a)
			}
			if !denied && d.Allowed != e.Allowed {
				t.Fatalf("%s: the deny rule does not cover %+v and changed it", p.User, a)
			}
		})
	})
}

func bindOne(s Set, r *Rule) *bound {
	for i := range s.rules {
		if s.rules[i].Rule == r {
			return &s.rules[i]
		}
	}
	return nil
}

func TestADecisionDoesNotDependOnTheOrderOfTheRules(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := anyOrganization(t)
		m := org.NewMirror(o)
		b := anyBook(t)
		other := &Book{Rules: rapid.Permutation(b.Rules).Draw(t, "order")}
		one, two := b.In(m), other.In(m)
		asks(o, func(p org.Person, a Ask) {
			d, e := one.Judge(p, a), two.Judge(p, a)
			if d.Allowed != e.Allowed || d.Allowed && (d.Rule != e.Rule || d.Longest != e.Longest) {
				t.Fatalf("%s %+v: %+v or %+v", p.User, a, d, e)
			}
		})
	})
}

func TestOffersAreExactlyWhatTheJudgeAllows(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := anyOrganization(t)
		s := anyBook(t).In(org.NewMirror(o))
		for _, p := range o.People {
			offered := map[org.Target]Offer{}
			for offer := range s.Offers(p) {
				offered[org.Target{Account: offer.Account.ID, PermissionSet: offer.PermissionSet.ARN}] = offer
			}
			for _, a := range o.Accounts {
				for _, set := range o.PermissionSets {
					to := org.Target{Account: a.ID, PermissionSet: set.ARN}
					offer, ok := offered[to]
					d := s.Judge(p, Ask{Target: to, For: 0, Reason: "because"})
					if d.Allowed != ok {
						t.Fatalf("%s %+v: offered %v, judged %+v", p.User, to, ok, d)
					}
					for i, w := range offer.Ways {
						d := s.Judge(p, Ask{Target: to, For: w.Longest, Reason: "because"})
						if !d.Allowed || d.Needs.Approvals > w.Needs.Approvals || d.Longest < w.Longest {
							t.Fatalf("%s %+v: way %d says %s for %s, judged %+v", p.User, to, i, w.Needs, w.Longest, d)
						}
					}
					longest := time.Duration(0)
					for _, w := range offer.Ways {
						longest = max(longest, w.Longest)
					}
					if ok {
						if d := s.Judge(p, Ask{Target: to, For: longest + time.Minute, Reason: "because"}); d.Allowed {
							t.Fatalf("%s %+v: more than the longest way is allowed by %s", p.User, to, d.Rule)
						}
					}
				}
			}
		}
	})
}

func TestRenamingAGroupOrAnOUNeverGivesAnything(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := anyOrganization(t)
		b := anyBook(t)
		renamed := o
		renamed.Groups, renamed.OUs = slices.Clone(o.Groups), slices.Clone(o.OUs)
		if i := rapid.IntRange(0, len(o.Groups)+len(o.OUs)-1).Draw(t, "renamed"); i < len(o.Groups) {
			renamed.Groups[i].Name = "other"
		} else {
			renamed.OUs[i-len(o.Groups)].Name = "other"
		}
		before, after := b.In(org.NewMirror(o)), b.In(org.NewMirror(renamed))
		asks(o, func(p org.Person, a Ask) {
			if d, e := before.Judge(p, a), after.Judge(p, a); e.Allowed && !d.Allowed {
				t.Fatalf("%s gained %+v by %s", p.User, a, e.Rule)
			}
		})
	})
}

func TestEveryRefusalHasAReasonAndNoApproverIsTheRequester(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := anyOrganization(t)
		s := anyBook(t).In(org.NewMirror(o))
		asks(o, func(p org.Person, a Ask) {
			d := s.Judge(p, a)
			if !d.Allowed && (len(d.Why) == 0 || slices.ContainsFunc(d.Why, func(w string) bool { return strings.TrimSpace(w) == "" })) {
				t.Fatalf("%s is refused %+v without a reason", p.User, a)
			}
			if !d.Allowed {
				return
			}
			about := Case{Needs: d.Needs, Requester: p.ID}
			may := func(by org.Person) bool { _, why := s.MayApprove(about, by); return why == "" }
			able := s.Approvers(about)
			for _, by := range able {
				if by.ID == p.ID || by.Status != org.StatusEnabled || !may(by) {
					t.Fatalf("%s is listed as approver for %s", by.User, p.User)
				}
			}
			for _, by := range o.People {
				if d.Needs.Approvals > 0 && may(by) && !slices.ContainsFunc(able, func(q org.Person) bool { return q.ID == by.ID }) {
					t.Fatalf("%s may approve for %s and is not listed", by.User, p.User)
				}
			}
			if (d.Nobody != "") != (len(able) < d.Needs.Approvals) {
				t.Fatalf("%d can approve %s, and it says %q", len(able), d.Needs, d.Nobody)
			}
		})
	})
}
