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
	roleNames  = []string{"ops/R0", "R1"}
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
		if v := rapid.SampledFrom([]string{"", "g2", "p3", "nobody"}).Draw(t, "owner"); v != "" {
			a.Tags["owner"] = v
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
		anyApproval(t, r.Approval)
	}
	if rapid.IntRange(0, 4).Draw(t, "during") == 0 {
		r.During = anyHours(t)
	}
	if rapid.IntRange(0, 4).Draw(t, "ticket") == 0 {
		r.With.Ticket = &TicketRule{Pattern: strict.Word{Text: "INC-[0-9]+"}, Check: strict.Word{Text: rapid.SampledFrom([]string{"", "jira"}).Draw(t, "check")}}
		if r.With.Ticket.Check.Text != "" {
			r.With.Ticket.WhenDown = strict.Word{Text: rapid.SampledFrom([]string{"", "wait", "pass"}).Draw(t, "ticket when down")}
		}
	}
	r.By = strict.Word{Text: rapid.SampledFrom([]string{"", "", byAssignment, byMembership, bySession}).Draw(t, "by")}
	if r.By.Text == bySession {
		r.What = &What{Roles: some(t, "roles", roleNames, 1)}
	}
	r.Extend = Duration{time.Duration(rapid.IntRange(0, 2).Draw(t, "extend")) * 30 * time.Minute}
	if rapid.IntRange(0, 4).Draw(t, "review") == 0 {
		r.Review = anyReview(t)
	}
	if wrong := r.check(DefaultLongest, nil); len(wrong) > 0 {
		for _, w := range wrong {
			if !strings.Contains(w.Problem, "can match nothing") {
				t.Fatal(w)
			}
		}
	}
	return r
}

func anyApproval(t *rapid.T, a *Approval) {
	switch rapid.IntRange(0, 4).Draw(t, "form") {
	case 0:
		a.Stages = []Stage{{Panel: anyPanel(t)}, {All: []Panel{anyPanel(t), anyPanel(t)}}}
	case 1:
		a.All = []Panel{anyPanel(t), anyPanel(t)}
	default:
		a.Panel = anyPanel(t)
	}
	if rapid.IntRange(0, 4).Draw(t, "on call") == 0 {
		a.AutomaticOnCall = &OnCall{Schedule: strict.Word{Text: "shift"}}
	}
	a.Comment = rapid.SampledFrom([]string{"", "optional", "required"}).Draw(t, "comment")
}

func anyPanel(t *rapid.T) Panel {
	p := Panel{Need: rapid.IntRange(1, 3).Draw(t, "need"), Groups: some(t, "approver groups", groupNames, 0), People: some(t, "approvers", userNames, 0)}
	if rapid.IntRange(0, 4).Draw(t, "owner") == 0 {
		p.Owner = strict.Word{Text: "owner"}
	}
	if p.nameless() {
		p.Groups = []strict.Word{{Text: "g1"}}
	}
	if rapid.IntRange(0, 4).Draw(t, "hours") == 0 {
		p.Hours = anyHours(t)
	}
	if rapid.IntRange(0, 4).Draw(t, "on call") == 0 {
		p.OnCall = &OnCall{Schedule: strict.Word{Text: "shift"}, WhenDown: strict.Word{Text: rapid.SampledFrom([]string{"", "everyone", "nobody"}).Draw(t, "rota when down")}}
	}
	if rapid.IntRange(0, 3).Draw(t, "silent") == 0 {
		p.Silent = &Party{Groups: some(t, "silent groups", groupNames, 1)}
	}
	if rapid.IntRange(0, 3).Draw(t, "ladder") == 0 {
		p.Ladder = []Rung{{Party{Groups: some(t, "rung", groupNames, 1)}, Duration{15 * time.Minute}}}
	}
	return p
}

func anyHours(t *rapid.T) *Hours {
	return &Hours{
		From: strict.Word{Text: rapid.SampledFrom([]string{"00:00", "09:00", "22:00"}).Draw(t, "from")}, To: strict.Word{Text: rapid.SampledFrom([]string{"06:00", "12:00", "24:00"}).Draw(t, "to")},
		Zone: strict.Word{Text: "UTC"},
	}
}

func anyBook(t *rapid.T) *Book {
	b := &Book{}
	if rapid.IntRange(0, 2).Draw(t, "sensitive") == 0 {
		b.Sensitive = anySensitive(t)
	}
	for i := range rapid.IntRange(0, 5).Draw(t, "rules") {
		b.Rules = append(b.Rules, anyRule(t, fmt.Sprintf("r%d", i), rapid.IntRange(0, 3).Draw(t, "deny") == 0))
	}
	if err := b.seal(); err != nil {
		t.Fatal(err)
	}
	return b
}

// lendable is what the small world has: permission sets, and roles that a rule may name.
func lendable(o org.Organization) []string {
	var all []string
	for _, s := range o.PermissionSets {
		all = append(all, s.ARN)
	}
	for _, r := range roleNames {
		all = append(all, org.RolePrefix+r)
	}
	return all
}

var tickets = []string{"INC-1", ""}

// asks is every question that can be put in the small world.
func asks(o org.Organization, do func(p org.Person, a Ask)) {
	for _, p := range o.People {
		for _, a := range o.Accounts {
			for _, arn := range lendable(o) {
				for hours := range 5 {
					for _, reason := range []string{"", "because"} {
						do(p, Ask{Target: org.Target{Account: a.ID, PermissionSet: arn}, For: time.Duration(hours) * time.Hour, Reason: reason, Ticket: tickets[hours%2]})
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
		more := &Book{Sensitive: b.Sensitive, Rules: append(slices.Clone(b.Rules), anyRule(t, rapid.SampledFrom([]string{"a", "z"}).Draw(t, "name"), false))}
		f := anyFacts(t, o)
		before, after := b.In(m).At(f), more.In(m).At(f)
		asks(o, func(p org.Person, a Ask) {
			d, e := before.Judge(p, a), after.Judge(p, a)
			if !d.Allowed {
				return
			}
			if !e.Allowed || e.Longest < a.For {
				t.Fatalf("%s lost %+v: %v", p.User, a, e.Why)
			}
			if d.Waits == "" && e.Waits != "" && d.Nobody == "" {
				t.Fatalf("%s now waits for %s: %+v", p.User, e.Waits, a)
			}
			if d.Waits != e.Waits {
				return // it no longer waits, which may cost approvals
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
		with := &Book{Sensitive: b.Sensitive, Rules: append(slices.Clone(b.Rules), deny)}
		f := anyFacts(t, o)
		before, after := b.In(m).At(f), with.In(m).At(f)
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
		other := &Book{Sensitive: b.Sensitive, Rules: rapid.Permutation(b.Rules).Draw(t, "order")}
		f := anyFacts(t, o)
		one, two := b.In(m).At(f), other.In(m).At(f)
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
		b := anyBook(t)
		for _, r := range b.Rules {
			r.During = nil // offers name the hours, and do not judge by them
		}
		facts := anyFacts(t, o)
		facts.Tickets = map[string]Ticket{"jira": {OK: true}}
		s := b.In(org.NewMirror(o)).At(facts)
		for _, p := range o.People {
			offers := map[org.Target]Offer{}
			for offer := range s.Offers(p) {
				offers[org.Target{Account: offer.Account.ID, PermissionSet: offer.PermissionSet.ARN}] = offer
			}
			for _, a := range o.Accounts {
				for _, arn := range lendable(o) {
					to := org.Target{Account: a.ID, PermissionSet: arn}
					offer, ok := offers[to]
					d := s.Judge(p, Ask{Target: to, For: 0, Reason: "because", Ticket: "INC-1"})
					if d.Allowed != ok {
						t.Fatalf("%s %+v: offered %v, judged %+v", p.User, to, ok, d)
					}
					for i, w := range offer.Ways {
						d := s.Judge(p, Ask{Target: to, For: w.Longest, Reason: "because", Ticket: "INC-1"})
						if !d.Allowed || d.Needs.Approvals > w.Needs.Approvals || d.Longest < w.Longest {
							t.Fatalf("%s %+v: way %d says %s for %s, judged %+v", p.User, to, i, w.Needs, w.Longest, d)
						}
					}
					longest := time.Duration(0)
					for _, w := range offer.Ways {
						longest = max(longest, w.Longest)
					}
					if ok {
						if d := s.Judge(p, Ask{Target: to, For: longest + time.Minute, Reason: "because", Ticket: "INC-1"}); d.Allowed {
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
		f := anyFacts(t, o)
		before, after := b.In(org.NewMirror(o)).At(f), b.In(org.NewMirror(renamed)).At(f)
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
		s := anyBook(t).In(org.NewMirror(o)).At(anyFacts(t, o))
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
				if d.Needs.Approvals > 0 && !s.away(by.ID) && may(by) && !slices.ContainsFunc(able, func(q org.Person) bool { return q.ID == by.ID }) {
					t.Fatalf("%s may approve for %s and is not listed", by.User, p.User)
				}
			}
			if d.Nobody != "" && finishes(s, about, o) {
				t.Fatalf("people can approve %s, and it says %q", d.Needs, d.Nobody)
			}
			if len(d.Needs.Stages) == 1 && len(d.Needs.Stages[0]) == 1 && d.Nobody == "" && !finishes(s, about, o) {
				t.Fatalf("nobody can approve %s, and it says nothing", d.Needs)
			}
		})
	})
}

// finishes reports whether a case is agreed to when everybody says yes who may, whatever the hour and whoever is on call.
func finishes(s Set, c Case, o org.Organization) bool {
	c.Needs.Stages = slices.Clone(c.Needs.Stages)
	for i, stage := range c.Needs.Stages {
		c.Needs.Stages[i] = slices.Clone(stage)
		for j := range stage {
			c.Needs.Stages[i][j].Hours, c.Needs.Stages[i][j].OnCall = "", ""
		}
	}
	s = s.At(Facts{Now: c.Asked.Add(time.Hour)})
	for range c.Needs.Approvals {
		for _, p := range o.People {
			if v, why := s.MayApprove(c, p); why == "" {
				v.At = c.Asked
				c.Votes = append(c.Votes, v)
			}
		}
	}
	return s.Progress(c).Done(c.Needs)
}

// What a decision says is what the rule that it names says by itself, whatever else the book holds; and what it gives is
// what was asked for. With the reasons of refusals above, every decision is explained.
func TestADecisionIsThatOfTheRuleItNames(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := anyOrganization(t)
		book, facts := anyBook(t), anyFacts(t, o)
		m := org.NewMirror(o)
		s := book.In(m).At(facts)
		asks(o, func(p org.Person, a Ask) {
			d := s.Judge(p, a)
			if !d.Allowed {
				return
			}
			i := slices.IndexFunc(book.Rules, func(r *Rule) bool { return r.Name == d.Rule.Name })
			if i < 0 {
				t.Fatalf("%s gets %+v by %q, which is no rule", p.User, a, d.Rule)
			}
			one := *book
			one.Rules = []*Rule{book.Rules[i]}
			alone := one.In(m).At(facts).Judge(p, a)
			if !alone.Allowed || alone.Rule != d.Rule || alone.Needs.String() != d.Needs.String() || alone.Way != d.Way || alone.Longest != d.Longest || d.Longest < a.For {
				t.Fatalf("%s gets %+v, and by the rule alone\n%+v\n%+v", p.User, a, d, alone)
			}
		})
	})
}
