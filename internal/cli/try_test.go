package cli

import (
	"reflect"
	"testing"

	"sparekey/internal/demo"
	"sparekey/org"
)

// Ids that a description leaves out are made of names, so what was described and described again is the same.
func TestAnOrganizationIsDescribedAsItWas(t *testing.T) {
	want, given, err := org.Describe("demo", demo.Organization)
	if err != nil {
		t.Fatal(err)
	}
	for i := range want.People { // names and addresses of people are nobody's business in a folder of rules
		want.People[i].Name, want.People[i].Email = "", ""
	}
	for i := range want.PermissionSets {
		want.PermissionSets[i].Description = ""
	}
	text := describeAll(want, given)
	got, again, err := org.Describe("written", text)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	for what, pair := range map[string][2]any{
		"accounts": {got.Accounts, want.Accounts}, "people": {got.People, want.People}, "sets": {got.PermissionSets, want.PermissionSets},
		"assignments": {again, given}, "the management account": {got.ManagementAccount, want.ManagementAccount}, "groups": {len(got.Groups), len(want.Groups)},
	} {
		if !reflect.DeepEqual(pair[0], pair[1]) {
			t.Errorf("%s\n%v\nwant\n%v", what, pair[0], pair[1])
		}
	}
}

func TestTheGroupsThatSparekeyLendsByAreNoStandingAccess(t *testing.T) {
	const text = `
management-account: "100000000001"
accounts: [{id: "100000000001", name: management}, {id: "100000000002", name: play}]
permission-sets: [{name: ReadOnly}]
groups: [sparekey 100000000002 ReadOnly, sparekey admins, sparekey anchor 100000000002 ReadOnly]
people: [{user: "sparekey 100000000002"}, {user: dana, groups: [sparekey anchor 100000000002 Admin]}]
`
	o, _, err := org.Describe("o.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	left := lent(o)
	given := func(kind org.PrincipalKind, principal, account string) org.Assignment {
		return org.Assignment{Kind: kind, Principal: principal, Target: org.Target{Account: org.AccountID(account), PermissionSet: o.PermissionSets[0].ARN}}
	}
	id := func(name string) string {
		g, ok := org.NewMirror(o).Group(name)
		if !ok {
			t.Fatalf("no group %s", name)
		}
		return string(g.ID)
	}
	ours, others := id("sparekey 100000000002 ReadOnly"), id("sparekey admins")
	for _, c := range []struct {
		given org.Assignment
		want  bool
	}{
		{given(org.GroupOfAWS, ours, "100000000002"), true},
		{given(org.GroupOfAWS, ours, "100000000001"), false}, // for another account it is somebody else's doing
		{given(org.GroupOfAWS, others, "100000000002"), false},
		{given(org.GroupOfAWS, id("sparekey anchor 100000000002 ReadOnly"), "100000000002"), true},
		{given(org.GroupOfAWS, id("sparekey anchor 100000000002 Admin"), "100000000002"), false}, // somebody was put into it
		{given(org.User, string(o.People[0].ID), "100000000002"), false},
	} {
		if got := left(c.given); got != c.want {
			t.Errorf("%+v: %v", c.given, got)
		}
	}
}
