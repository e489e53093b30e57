package rules

import (
	"slices"
	"strings"
	"testing"
	"time"

	"sparekey/org"
)

func target(t testing.TB, m *org.Mirror, account, set string) org.Target {
	t.Helper()
	accounts := m.AccountsNamed(account)
	s, ok := m.PermissionSet(set)
	if len(accounts) != 1 || !ok {
		t.Fatalf("%d accounts %s, permission set %s: %v", len(accounts), account, set, ok)
	}
	return org.Target{Account: accounts[0].ID, PermissionSet: s.ARN}
}

func person(t testing.TB, m *org.Mirror, user string) org.Person {
	t.Helper()
	p, ok := m.PersonNamed(user)
	if !ok {
		t.Fatalf("no %s", user)
	}
	return p
}

// Requirements partly S1-30, partly S1-35, partly S2-37.
func TestTheRuleThatAsksLeastDecides(t *testing.T) {
	m := described(t, organization)
	s := parsed(t, book).In(m)
	for _, c := range []struct {
		user, account, set string
		long               time.Duration
		reason, want       string
	}{
		{"dana", "payments-prod", "PowerUser", time.Hour, "r", "developers-prod: 1 of prod-approvers"},
		{"dana", "payments-prod", "PowerUser", 2 * time.Hour, "r", "developers-prod-long: 2 of prod-approvers or amy"},
		{"dana", "payments-dev", "PowerUser", time.Hour, "r", "developers-prod: 1 of prod-approvers"},
		{"dana", "shop-prod", "PowerUser", time.Hour, "r", "developers-prod-long: 2 of prod-approvers or amy"},
		{"dana", "payments-prod", "ReadOnly", 8 * time.Hour, "", "developers-read: automatic"},
		{"amy", "play", "Admin", time.Hour, "r", "admins: automatic"},
		{"dana", "payments-prod", "PowerUser", time.Hour, " ", `rule "developers-prod-long" (rules/a.yaml:16) needs a reason; rule "developers-prod" (rules/a.yaml:10) needs a reason`},
		{"dana", "payments-dev", "PowerUser", 2 * time.Hour, "r", `rule "developers-prod" (rules/a.yaml:10) gives at most 1h, not 2h`},
		{"eli", "payments-prod", "PowerUser", time.Hour, "r", `rule "developers-prod-long" (rules/a.yaml:16) leaves out the group contractors, which eli is in`},
		{"ren", "payments-prod", "ReadOnly", time.Hour, "r", `rule "developers-read" (rules/a.yaml:3) needs the group developers; ren is in: prod-approvers`},
		{"dana", "play", "Admin", time.Hour, "r", `rule "admins" (rules/a.yaml:22) needs the group admins; dana is in: developers`},
		{"dana", "management", "ReadOnly", time.Hour, "r", `rule "no-management" (rules/a.yaml:28) denies it: the management account is not lent`},
		{"dana", "play", "PowerUser", time.Hour, "r", "no rule lends PowerUser in play (100000000005 in Sandbox)"},
		{"off", "play", "ReadOnly", time.Hour, "r", "off is disabled in the directory"},
	} {
		d := s.Judge(person(t, m, c.user), Ask{target(t, m, c.account, c.set), c.long, c.reason})
		got := strings.Join(d.Why, "; ")
		if d.Allowed {
			got = d.Rule.Name + ": " + d.Needs.String()
		}
		if !strings.HasPrefix(got, c.want) {
			t.Errorf("%s %s %s %s\n got %s\nwant %s", c.user, c.set, c.account, c.long, got, c.want)
		}
	}
}

func TestWhatIsNotThereIsRefusedWithItsName(t *testing.T) {
	m := described(t, organization)
	s := parsed(t, book).In(m)
	good := target(t, m, "play", "ReadOnly")
	dana := person(t, m, "dana")
	for want, ask := range map[string]Ask{
		"there is no account 123456789012 in the organization": {Target: org.Target{Account: "123456789012", PermissionSet: good.PermissionSet}},
		"there is no permission set arn:x":                     {Target: org.Target{Account: good.Account, PermissionSet: "arn:x"}},
	} {
		if d := s.Judge(dana, ask); d.Allowed || !strings.HasPrefix(d.Why[0], want) {
			t.Errorf("%+v, want %s", d, want)
		}
	}
	o := m.Organization()
	o.Accounts = slices.Clone(o.Accounts)
	o.Accounts[4].State = org.AccountSuspended
	if d := parsed(t, book).In(org.NewMirror(o)).Judge(dana, Ask{Target: good}); d.Allowed || d.Why[0] != "the account play (100000000005) is suspended" {
		t.Errorf("%+v", d)
	}
	var unread Set
	if d := unread.Judge(dana, Ask{Target: good}); d.Allowed || d.Why[0] != "the organization has not been read yet" {
		t.Errorf("%+v", d)
	}
	for range unread.Offers(dana) {
		t.Error("an organization that was not read offers something")
	}
}

// Requirement S2-36.
func TestNobodyApprovesForThemselvesAndOnlyTheEnabledDo(t *testing.T) {
	m := described(t, organization)
	s := parsed(t, book).In(m)
	kim := person(t, m, "kim")
	d := s.Judge(kim, Ask{target(t, m, "payments-prod", "PowerUser"), time.Hour, "r"})
	var able []string
	for _, p := range s.Approvers(d.Needs, kim.ID) {
		able = append(able, p.User)
	}
	if !slices.Equal(able, []string{"ren"}) {
		t.Errorf("for kim these may approve: %v", able)
	}
	unknown := person(t, m, "ren")
	unknown.Status = org.StatusUnknown
	for want, by := range map[string]org.Person{
		"nobody approves what they asked for themselves": kim,
		"off is disabled in the directory":               person(t, m, "off"),
		"AWS does not say whether ren is enabled":        unknown,
		"it needs 1 of prod-approvers; dana is none":     person(t, m, "dana"),
		"": person(t, m, "ren"),
	} {
		if got := d.Needs.MayApprove(by, kim.ID); !strings.HasPrefix(got, want) || want == "" && got != "" {
			t.Errorf("%s: got %q, want %q", by.User, got, want)
		}
	}
}

func TestNobodyCanApproveIsSaidWithTheReason(t *testing.T) {
	m := described(t, organization)
	rule := func(approval string) Set {
		return parsed(t, "rules:\n  - name: a\n    who: {everyone: true}\n    what: {permission-sets: [ReadOnly]}\n    where: {ous: [/]}\n    for: 1h\n    approval: "+approval+"\n").In(m)
	}
	for _, c := range []struct{ user, approval, want string }{
		{"dana", "{need: 1, groups: [ghosts]}", "the group ghosts is empty"},
		{"amy", "{need: 1, groups: [solo]}", "nobody but the requester is in the group solo"},
		{"dana", "{need: 1, groups: [nope]}", `"nope" does not exist`},
		{"dana", "{need: 1, people: [off]}", "off is not enabled"},
		{"dana", "{need: 1, people: [dana]}", "dana asks for it"},
		{"kim", "{need: 2, groups: [prod-approvers]}", "it needs 2 people and only 1 can: the group prod-approvers has 1 who can"},
		{"dana", "{need: 2, groups: [prod-approvers]}", ""},
		{"dana", "{need: 2, groups: [prod-approvers], people: [kim]}", ""},
		{"ren", "{need: 2, groups: [prod-approvers], people: [kim]}", "it needs 2 people and only 1 can: the group prod-approvers has 1 who can"},
	} {
		d := rule(c.approval).Judge(person(t, m, c.user), Ask{target(t, m, "play", "ReadOnly"), time.Hour, "r"})
		if !d.Allowed || d.Nobody != c.want {
			t.Errorf("%s, %s: got %q, want %q (%v)", c.user, c.approval, d.Nobody, c.want, d.Why)
		}
	}
}

func TestOffersListWhatMayBeAskedForAndHow(t *testing.T) {
	m := described(t, organization)
	s := parsed(t, book).In(m)
	var got []string
	for o := range s.Offers(person(t, m, "dana")) {
		line := o.Account.Name + " " + o.Path + " " + o.PermissionSet.Name
		for _, w := range o.Ways {
			line += " | " + Short(w.Longest) + " " + w.Needs.String()
		}
		got = append(got, line)
	}
	want := []string{
		"payments-dev Workloads/Dev PowerUser | 1h 1 of prod-approvers",
		"payments-dev Workloads/Dev ReadOnly | 8h automatic",
		"payments-prod Workloads/Prod PowerUser | 1h 1 of prod-approvers | 8h 2 of prod-approvers or amy",
		"payments-prod Workloads/Prod ReadOnly | 8h automatic",
		"play Sandbox ReadOnly | 8h automatic",
		"shop-prod Workloads/Prod PowerUser | 8h 2 of prod-approvers or amy",
		"shop-prod Workloads/Prod ReadOnly | 8h automatic",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	for range s.Offers(person(t, m, "off")) {
		t.Error("a disabled person is offered something")
	}
}
