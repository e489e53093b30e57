package aws

import (
	"errors"
	"net/http"
	"slices"
	"testing"
	"time"

	"sparekey/access"
	"sparekey/org"
)

// believed are the operations whose "not found" is an answer to the method that asks, and no error.
var believed = []string{
	"Assigned/ListAccountAssignments", "Person/DescribeUser", "Membership.Assigned/GetGroupMembershipId", "Groups.Assigned/ListAccountAssignments",
	"PermissionSet/GetPermissionsBoundaryForPermissionSet",
}

func TestWhatAWSDoesNotFindIsMissingUnlessAKeyIsInTheWay(t *testing.T) {
	inBubble(t, func(t *testing.T, w *wired) {
		for _, m := range methods {
			for _, operation := range m.needs {
				name := m.name + "/" + operation
				w.says(operation, refused(400, "ResourceNotFoundException"))
				err := m.call(within(t, time.Minute), w)
				if name == "Groups.Make again/GetGroupId" { // which conflicts with a name, and then finds none of that name
					wantKind(called{t, name}, err, access.ErrConflict, "")
				} else if slices.Contains(believed, name) {
					if err != nil {
						t.Errorf("%s: %v", name, err)
					}
				} else {
					wantKind(called{t, name}, err, access.ErrMissing, words)
				}
				for _, key := range []string{"KMS_NotFoundException", "KMS_KEY_NOT_FOUND"} {
					if slices.Contains(ofOrganizations, operation) {
						continue // it has no such reason
					}
					w.says(operation, refused(400, "ResourceNotFoundException", "Reason", key))
					wantKind(called{t, name + ", " + key}, m.call(within(t, time.Minute), w), access.ErrNotAsked, words)
				}
				w.says(operation, nil)
			}
		}
	})
}

var ofOrganizations = []string{"DescribeOrganization", "ListRoots", "ListOrganizationalUnitsForParent", "ListAccountsForParent", "ListTagsForResource"}

func TestAbsentIsBelievedOnlyWhileTheInstanceIsThere(t *testing.T) {
	gone := refused(400, "ResourceNotFoundException")
	for _, c := range []struct {
		name      string
		instances http.HandlerFunc
		absent    bool
	}{
		{"the instance is there", nil, true},
		{"another instance is there", raw(200, `{"Instances": [{"InstanceArn": "`+otherInstance+`", "IdentityStoreId": "`+otherStore+`"}]}`), false},
		{"no instance is there", raw(200, `{"Instances": []}`), false},
		{"instances cannot be listed", refused(400, "AccessDeniedException"), false},
		{"nobody answers", silent, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, w *wired) {
				a := NewAssignments(w.config, NewCenter(w.config, w.want.Instance, w.want.IdentityStore))
				w.says("ListAccountAssignments", gone)
				w.says("ListInstances", c.instances)
				assigned, err := a.Assigned(within(t, time.Minute), w.key("dana", "payments", "ReadOnly"))
				if assigned || (err == nil) != c.absent {
					t.Errorf("assigned: %t, %v", assigned, err)
				}
				if err != nil {
					wantKind(t, err, access.ErrMissing, words)
				}
			})
		})
	}
}

func TestRemovedIsBelievedOnlyWhenItIsThePersonThatIsMissing(t *testing.T) {
	gone := func(more ...string) http.HandlerFunc { return refused(400, "ResourceNotFoundException", more...) }
	for _, c := range []struct {
		name        string
		user, users http.HandlerFunc
		removed     bool
	}{
		{"the user, it says", gone("ResourceType", "USER"), silent, true},
		{"the store, it says", gone("ResourceType", "IDENTITY_STORE"), nil, false},
		{"a group, it says", gone("ResourceType", "GROUP"), nil, false},
		{"it does not say, and the store is there", gone(), nil, true},
		{"it does not say, and the store is not there", gone(), gone(), false},
		{"it does not say, and the store is closed to us", gone(), refused(400, "AccessDeniedException"), false},
		{"it does not say, and the store does not answer", gone(), silent, false},
		{"the store's key, it says", gone("ResourceType", "USER", "Reason", "KMS_KEY_NOT_FOUND"), nil, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, w *wired) {
				w.says("DescribeUser", c.user)
				w.says("ListUsers", c.users)
				p, err := w.directory().Person(within(t, 20*time.Minute), w.person("dana").ID)
				if (p.Status == org.StatusRemoved) != c.removed || (err == nil) != c.removed {
					t.Errorf("%+v, %v", p, err)
				}
			})
		})
	}
}

// TestAnEmptyListMayBeLeftOut holds because AWS does that: a list of permission sets without any came without the member
// "PermissionSets" (PeterBengtson/AFT-SSO-account-configuration issue 1).
func TestAnEmptyListMayBeLeftOut(t *testing.T) {
	inBubble(t, func(t *testing.T, w *wired) {
		for _, operation := range []string{
			"ListAccountAssignments", "ListAccountAssignmentCreationStatus", "ListOrganizationalUnitsForParent", "ListAccountsForParent", "ListTagsForResource",
			"ListUsers", "ListGroups", "ListGroupMemberships", "ListGroupMembershipsForMember", "ListPermissionSets",
			"ListManagedPoliciesInPermissionSet", "ListCustomerManagedPolicyReferencesInPermissionSet",
		} {
			for _, m := range methods {
				if !slices.Contains(m.needs, operation) {
					continue
				}
				w.says(operation, raw(200, "{}"))
				if err := m.call(t.Context(), w); err != nil {
					t.Errorf("%s, %s: %v", m.name, operation, err)
				}
				w.says(operation, nil)
			}
		}
		w.says("ListAccountAssignments", raw(200, "{}"))
		if assigned, err := w.assignments().Assigned(t.Context(), w.key("dana", "payments", "ReadOnly")); assigned || err != nil {
			t.Errorf("assigned: %t, %v", assigned, err)
		}
	})
}

// TestWhatIsThereIsNotCalledMissing shows the other side of the tests above: neither is said of what is there.
func TestWhatIsThereIsNotCalledMissing(t *testing.T) {
	inBubble(t, func(t *testing.T, w *wired) {
		assigned, err1 := w.assignments().Assigned(t.Context(), w.key("dana", "payments", "ReadOnly"))
		p, err2 := w.directory().Person(t.Context(), w.person("dana").ID)
		if err := errors.Join(err1, err2); err != nil || !assigned || p.Status != org.StatusEnabled {
			t.Errorf("assigned: %t; %+v; %v", assigned, p, err)
		}
	})
}
