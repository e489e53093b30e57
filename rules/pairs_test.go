package rules

import (
	"fmt"
	"testing"
	"time"

	"sparekey/org"
)

func TestTheTargetsThatAreLentInAWay(t *testing.T) {
	o, _, err := org.Describe("o.yaml", []byte(`
management-account: "100000000001"
accounts:
  - {id: "100000000001", name: management}
  - {id: "100000000002", name: prod, ou: Prod}
  - {id: "100000000003", name: play, ou: Play}
  - {id: "100000000004", name: closed, ou: Play}
permission-sets: [{name: Admin}, {name: ReadOnly}]
groups: [nobody]
people: [{user: dana, groups: [developers]}]
`))
	if err != nil {
		t.Fatal(err)
	}
	for i := range o.Accounts {
		if o.Accounts[i].Name == "closed" {
			o.Accounts[i].State = org.AccountSuspended
		}
	}
	book, err := Parse([]File{{"r.yaml", []byte(`
rules:
  - {name: a, who: {everyone: true}, what: {permission-sets: [ReadOnly, Admin, Gone]}, where: {ous: [/]}, for: 1h, approval: {automatic: true}}
  - {name: b, who: {groups: [nobody]}, what: {permission-sets: [ReadOnly]}, where: {accounts: ["100000000001"]}, for: 1h, approval: {automatic: true}}
  - {name: c, by: membership, who: {groups: [developers]}, what: {permission-sets: [ReadOnly]}, where: {ous: [Play]}, for: 1h, approval: {automatic: true}}
  - {name: d, deny: true, who: {everyone: true}, what: {permission-sets: [Admin]}, where: {ous: [Prod]}}
  - {name: e, deny: true, who: {groups: [developers]}, where: {ous: [Play]}}
`)}}, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	m := org.NewMirror(o)
	set := book.In(m).At(Facts{NotLent: func(t org.Target, _ string) string {
		if t.Account == "100000000001" {
			return "it is the management account"
		}
		return ""
	}})
	names := func(way string) (all []string) {
		for _, t := range set.Targets(way) {
			s, _ := m.PermissionSet(t.PermissionSet)
			all = append(all, string(t.Account[11:])+" "+s.Name)
		}
		return all
	}
	a, r := m.Names(), fmt.Sprint(names("assignment"))
	if want := map[string]bool{"[2 ReadOnly 3 Admin 3 ReadOnly]": true, "[2 ReadOnly 3 ReadOnly 3 Admin]": true}; !want[r] {
		t.Errorf("%s of %v", r, a)
	}
	if got := fmt.Sprint(names("membership")); got != "[3 ReadOnly]" {
		t.Error(got)
	}
	if got := book.In(org.NewMirror(org.Organization{})).Targets("session"); len(got) != 0 {
		t.Error(got)
	}
	if got := (Set{}).Targets("assignment"); got != nil {
		t.Error(got)
	}
}
