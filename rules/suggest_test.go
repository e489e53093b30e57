package rules

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"sparekey/org"
)

const standingWorld = `
management-account: "100000000001"
accounts:
  - {id: "100000000001", name: management}
  - {id: "100000000002", name: payments-prod, ou: Workloads/Prod}
  - {id: "100000000003", name: shop-prod, ou: Workloads/Prod}
  - {id: "100000000004", name: payments-dev, ou: Workloads/Dev}
permission-sets: [{name: ReadOnly}, {name: PowerUser}, {name: Admin}]
people:
  - {user: dana, groups: [developers]}
  - {user: eli, groups: [developers]}
  - {user: kim, groups: [prod-approvers]}
  - {user: ren, groups: [prod-approvers]}
  - {user: mori, groups: [prod-approvers]}
  - {user: "max o'neil"}
  - {user: gone, status: disabled, groups: [leavers]}
assignments:
  - {group: developers, permission-set: PowerUser, account: payments-prod}
  - {group: developers, permission-set: PowerUser, account: shop-prod}
  - {group: developers, permission-set: ReadOnly, account: payments-prod}
  - {group: developers, permission-set: ReadOnly, account: shop-prod}
  - {group: developers, permission-set: ReadOnly, account: payments-dev}
  - {user: kim, permission-set: Admin, account: management}
  - {user: "max o'neil", permission-set: Admin, account: management}
  - {group: leavers, permission-set: Admin, account: management}
`

func TestSuggestedRulesReadLikeThis(t *testing.T) {
	o, given, err := org.Describe("organization.yaml", []byte(standingWorld))
	if err != nil {
		t.Fatal(err)
	}
	files := Suggest(o, given)
	if len(files) != 1 || files[0].Name != "standing.yaml" {
		t.Fatalf("%d files", len(files))
	}
	_, text, _ := strings.Cut(string(files[0].Text), "rules:\n")
	const want = `  # it may change things in what looks like a sensitive place.
  # by its name, prod-approvers could approve.
  - name: developers-poweruser
    who: {groups: [developers]}
    what: {permission-sets: [PowerUser]}
    where: {ous: [Workloads/Prod]}
    for: 4h
    approval: {need: 1, groups: [prod-approvers]}

  # it looks as if it only reads.
  - name: developers-readonly
    who: {groups: [developers]}
    what: {permission-sets: [ReadOnly]}
    where: {ous: [Workloads]}
    for: 8h
    approval: {automatic: true}

  # the management account: everything depends on it.
  # by its name, prod-approvers could approve.
  - name: kim-admin
    who: {people: [kim, "max o'neil"]}
    what: {permission-sets: [Admin]}
    where: {accounts: ["100000000001"]}
    for: 1h
    approval: {need: 2, groups: [prod-approvers]}

tests:
  - "dana may have PowerUser in 100000000002 for 4h"
  - "kim may not have PowerUser in 100000000002"
  - "dana may have ReadOnly in 100000000002 for 8h"
  - "kim may not have ReadOnly in 100000000002"
  - "kim may have Admin in 100000000001 for 1h"
  - "dana may not have Admin in 100000000001"
`
	if text != want {
		t.Errorf("got\n%s\nwant\n%s", text, want)
	}
	if none := Suggest(o, nil); len(none) != 0 {
		t.Errorf("nobody has anything: %q", none)
	}
}

// anyAssignments is who has what now, also what is not there.
func anyAssignments(t *rapid.T, o org.Organization) []org.Assignment {
	var all []org.Assignment
	for range rapid.IntRange(0, 12).Draw(t, "assignments") {
		a := org.Assignment{Kind: org.User, Principal: "id-" + rapid.SampledFrom(append(userNames, "nobody")).Draw(t, "user")}
		if rapid.Bool().Draw(t, "of a group") {
			a.Kind, a.Principal = org.GroupOfAWS, "id-"+rapid.SampledFrom(append(groupNames, "none")).Draw(t, "group")
		}
		a.Account = org.AccountID(rapid.SampledFrom(append(accountIDs, "999999999999")).Draw(t, "account"))
		a.PermissionSet = "arn:" + rapid.SampledFrom(append(setNames, "none")).Draw(t, "set")
		all = append(all, a)
	}
	if rapid.Bool().Draw(t, "a whole OU") {
		for _, account := range o.Accounts {
			if account.Parent == "ou-b" {
				all = append(all, org.Assignment{Kind: org.GroupOfAWS, Principal: "id-g0", Target: org.Target{Account: account.ID, PermissionSet: "arn:S0"}})
			}
		}
	}
	return all
}

// TestSuggestedRulesGiveToExactlyThoseWhoHaveItNow holds for names of any sort, also such as two things share.
func TestSuggestedRulesGiveToExactlyThoseWhoHaveItNow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := anyOrganization(t)
		name := rapid.SampledFrom([]string{"", "same", "x y", `q"q`, "yes", "é\u2028", "approvers", "[a]: {b}", "# no", "Admin", "Prod"})
		for i := range o.Groups {
			if n := name.Draw(t, "group name"); n != "" {
				o.Groups[i].Name = n
			}
		}
		for i := range o.PermissionSets {
			if n := name.Draw(t, "set name"); n != "" {
				o.PermissionSets[i].Name = n
			}
		}
		for i := range o.People {
			if n := name.Draw(t, "user name"); n != "" {
				o.People[i].User = n
			}
		}
		for i := range o.OUs {
			if n := name.Draw(t, "OU name"); n != "" {
				o.OUs[i].Name = n
			}
		}
		given := anyAssignments(t, o)
		files := Suggest(o, given)
		have := standing(o, given)
		if len(files) == 0 {
			if len(have) > 0 {
				t.Fatalf("nothing is suggested for %v", have)
			}
			return
		}
		b, err := Parse(files, DefaultLongest)
		if err != nil {
			t.Fatalf("%v\n%s", err, files[0].Text)
		}
		m := org.NewMirror(o)
		if wrong := b.Check(m); len(wrong) > 0 {
			t.Fatalf("%v\n%s", wrong, files[0].Text)
		}
		s := b.In(m)
		for _, r := range s.Try() {
			if !r.OK {
				t.Fatalf("%s\n%s", r, files[0].Text)
			}
		}
		if len(b.Tests) == 0 {
			t.Fatal("no tests")
		}
		for _, p := range o.People {
			may := map[string]bool{}
			for offer := range s.Offers(p) {
				may[fmt.Sprint(p.ID, offer.Account.ID, offer.PermissionSet.ARN)] = true
			}
			for key := range may {
				if !have[key] {
					t.Fatalf("%s may have %s and has it not\n%s", p.User, key, files[0].Text)
				}
			}
			for key := range have {
				if strings.HasPrefix(key, string(p.ID)) && !may[key] {
					t.Fatalf("%s has %s and may not have it\n%s", p.User, key, files[0].Text)
				}
			}
		}
	})
}

// standing is who has what by assignments: people who are not gone, in active accounts.
func standing(o org.Organization, given []org.Assignment) map[string]bool {
	have := map[string]bool{}
	for _, p := range o.People {
		for _, a := range given {
			account := slices.IndexFunc(o.Accounts, func(c org.Account) bool { return c.ID == a.Account && c.State == org.AccountActive })
			set := slices.ContainsFunc(o.PermissionSets, func(s org.PermissionSet) bool { return s.ARN == a.PermissionSet })
			theirs := a.Kind == org.User && a.Principal == string(p.ID) || a.Kind == org.GroupOfAWS && p.In(org.GroupID(a.Principal))
			if account >= 0 && set && theirs && !p.Status.Gone() {
				have[fmt.Sprint(p.ID, a.Account, a.PermissionSet)] = true
			}
		}
	}
	return have
}

func TestManyRulesStandInSeveralFiles(t *testing.T) {
	o := org.Organization{Root: "r-0", PermissionSets: []org.PermissionSet{{ARN: "arn:1", Name: "ReadOnly"}}}
	var given []org.Assignment
	for i := range perFile + 1 {
		id := org.AccountID(fmt.Sprintf("%012d", i))
		o.Accounts = append(o.Accounts, org.Account{ID: id, Name: "a", Parent: "r-0", State: org.AccountActive})
		p := org.PersonID(fmt.Sprintf("p-%d", i))
		o.People = append(o.People, org.Person{ID: p, User: "user", Status: org.StatusEnabled}) // all have the same name
		given = append(given, org.Assignment{Kind: org.User, Principal: string(p), Target: org.Target{Account: id, PermissionSet: "arn:1"}})
	}
	files := Suggest(o, given)
	if len(files) != 2 || files[0].Name != "standing-01.yaml" || files[1].Name != "standing-02.yaml" {
		t.Fatalf("%d files", len(files))
	}
	if b, err := Parse(files, DefaultLongest); err != nil || len(b.Rules) != perFile+1 || len(b.Check(org.NewMirror(o))) > 0 {
		t.Errorf("%v", err)
	}
}
