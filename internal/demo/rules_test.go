package demo

import (
	"testing"

	"sparekey/internal/config"
	"sparekey/org"
	"sparekey/rules"
)

// Requirements partly S2-35, partly S2-37, S2-39.
func TestTheExampleRulesHoldInTheDemosOrganization(t *testing.T) {
	o, _, err := org.Describe("organization.yaml", Organization)
	if err != nil {
		t.Fatal(err)
	}
	if len(o.Accounts) != 60 || len(o.PermissionSets) != 12 || len(o.People) != 80 {
		t.Errorf("%d accounts, %d permission sets, %d people", len(o.Accounts), len(o.PermissionSets), len(o.People))
	}
	b, err := config.ReadRules("rules", rules.DefaultLongest)
	if err != nil {
		t.Fatal(err)
	}
	m := org.NewMirror(o)
	for _, wrong := range b.Check(m) {
		t.Error(wrong)
	}
	for _, r := range b.In(m).Try() {
		if !r.OK {
			t.Error(r)
		}
	}
}
