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
