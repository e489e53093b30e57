package org

import (
	"reflect"
	"strings"
	"testing"
	"time"
)

const small = `
management-account: "100000000001"
accounts:
  - {id: "100000000001", name: management}
  - {id: "100000000002", name: payments, ou: Workloads/Prod, tags: {env: prod}}
  - {id: "100000000003", name: payments, ou: Workloads/Dev}
permission-sets:
  - {name: ReadOnly, session: 2h}
  - {name: Admin}
groups: [nobody]
people:
  - {user: dana, name: Dana Ito, groups: [developers, oncall]}
  - {user: kim, status: disabled, groups: [developers]}
  - {user: lee, status: unknown}
assignments:
  - {user: dana, permission-set: ReadOnly, account: "100000000002"}
  - {group: developers, permission-set: Admin, account: "100000000003"}
`

func mirror(t *testing.T) (*Mirror, []Assignment) {
	t.Helper()
	o, given, err := Describe("small.yaml", []byte(small))
	if err != nil {
		t.Fatal(err)
	}
	return NewMirror(o), given
}

func TestMirrorFindsByIDAndByName(t *testing.T) {
	m, given := mirror(t)
	pay, ok := m.Account("100000000002")
	if !ok || pay.Name != "payments" || pay.Tags["env"] != "prod" {
		t.Errorf("account: %+v", pay)
	}
	if both := m.AccountsNamed("payments"); len(both) != 2 || both[0].ID != "100000000002" {
		t.Errorf("two accounts share a name, found %+v", both)
	}
	prod, ok := m.OU("Workloads/Prod")
	if !ok || prod != pay.Parent || m.Path(prod) != "Workloads/Prod" {
		t.Errorf("OU %q at %q", prod, m.Path(prod))
	}
	workloads, _ := m.OU("/Workloads/")
	if above := m.Above(pay); !reflect.DeepEqual(above, []OUID{prod, workloads, m.Organization().Root}) {
		t.Errorf("above: %v", above)
	}
	if root, ok := m.OU("/"); !ok || root != m.Organization().Root {
		t.Errorf("root: %q", root)
	}
	for _, none := range []string{"", "workloads", "Prod"} {
		if id, ok := m.OU(none); ok {
			t.Errorf("OU %q found as %q", none, id)
		}
	}
	set, ok := m.PermissionSet("ReadOnly")
	if bySet, _ := m.PermissionSet(set.ARN); !ok || set.Session != 2*time.Hour || bySet != set {
		t.Errorf("permission set: %+v", set)
	}
	dana, _ := m.PersonNamed("dana")
	devs, _ := m.Group("developers")
	if byID, _ := m.PersonNamed(string(dana.ID)); byID.User != "dana" || !dana.In(devs.ID) || !reflect.DeepEqual(m.GroupNames(dana), []string{"developers", "oncall"}) {
		t.Errorf("person: %+v", dana)
	}
	if len(m.Members(devs.ID)) != 2 {
		t.Errorf("members: %v", m.Members(devs.ID))
	}
	if nobody, ok := m.Group("nobody"); !ok || len(m.Members(nobody.ID)) != 0 {
		t.Error("the empty group is missing")
	}
	if given[0].Principal != string(dana.ID) || given[0].Kind != User || given[1].Kind != GroupOfAWS || given[1].Principal != string(devs.ID) {
		t.Errorf("assignments: %+v", given)
	}
}

func TestANameThatTwoThingsShareFindsNeither(t *testing.T) {
	m := NewMirror(Organization{
		Root:   "r-1",
		OUs:    []OU{{ID: "ou-1", Name: "a", Parent: "r-1"}, {ID: "ou-2", Name: "b", Parent: "ou-1"}, {ID: "ou-3", Name: "a/b", Parent: "r-1"}},
		Groups: []Group{{"g1", "ops"}, {"g2", "ops"}},
	})
	if id, ok := m.OU("a/b"); ok {
		t.Errorf("a/b found %s", id)
	}
	if _, ok := m.OU("ou-3"); !ok {
		t.Error("the id must still find it")
	}
	if g, ok := m.Group("ops"); ok {
		t.Errorf("ops found %s", g.ID)
	}
}

func TestALoopInBadDataEnds(t *testing.T) {
	m := NewMirror(Organization{Root: "r-1", OUs: []OU{{ID: "ou-1", Name: "a", Parent: "ou-2"}, {ID: "ou-2", Name: "b", Parent: "ou-1"}}})
	if above := m.Above(Account{Parent: "ou-1"}); len(above) != deepest {
		t.Errorf("%d above", len(above))
	}
}

func TestStatusUnknownIsNeitherGoneNorEnabled(t *testing.T) {
	m, _ := mirror(t)
	kim, _ := m.PersonNamed("kim")
	lee, _ := m.PersonNamed("lee")
	if !kim.Status.Gone() || lee.Status.Gone() || lee.Status == StatusEnabled {
		t.Errorf("kim %q, lee %q", kim.Status, lee.Status)
	}
}

func TestDescribeNamesWhatIsWrong(t *testing.T) {
	for text, want := range map[string]string{
		"accounts: [{id: 12, name: a}]":                                                           `the account id "12" is not twelve digits`,
		"accounts: [{id: 100000000001, name: a}, {id: 100000000001, name: b}]":                    `"100000000001" is here twice`,
		"permission-sets: [{name: A, session: 30m}]":                                              "sessions last from 1h to 12h",
		"permission-sets: [{name: A}, {name: A}]":                                                 `the permission set "A" is here twice`,
		"people: [{user: a, status: gone}]":                                                       "it may be enabled, disabled or unknown",
		"people: [{user: a}, {user: a}]":                                                          `the user "a" is here twice`,
		"management-account: 100000000009\naccounts: [{id: 100000000001, name: a}]":               "is not among the accounts",
		"accounts: [{id: 100000000001, name: a}]\nassignments: [{permission-set: X, account: a}]": `there is no permission set "X" here`,
		"acounts: []": `did you mean "accounts"?`,
	} {
		_, _, err := Describe("o.yaml", []byte(text))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s\n got %v\nwant %s", text, err, want)
		}
	}
}

func TestARNsOfAnyPartition(t *testing.T) {
	for _, text := range []string{
		"arn:aws:sso:::instance/ssoins-1", "arn:aws-cn:iam::123456789012:role/a:b", "arn:aws-us-gov:sts::123456789012:assumed-role/x/y",
	} {
		a, err := ParseARN(text)
		if err != nil || a.String() != text {
			t.Errorf("%s: %+v, %v", text, a, err)
		}
	}
	for _, bad := range []string{"", "arn", "arn:aws:sso::x", "arn::sso:::x", "arn:aws:sso:::", "nra:aws:sso:::x", strings.Repeat("x", 3000)} {
		if a, err := ParseARN(bad); err == nil {
			t.Errorf("accepted %q as %+v", bad, a)
		}
	}
	instance, _ := ParseARN("arn:aws-cn:sso:::instance/ssoins-1")
	if got := PermissionSetARN(instance, "ps-2"); got != "arn:aws-cn:sso:::permissionSet/ssoins-1/ps-2" {
		t.Error(got)
	}
}

func FuzzParseARN(f *testing.F) {
	f.Add("arn:aws:iam::123456789012:role/x")
	f.Fuzz(func(t *testing.T, text string) {
		if a, err := ParseARN(text); err == nil && a.String() != text {
			t.Errorf("%q came back as %q", text, a)
		}
	})
}
