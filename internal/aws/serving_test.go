package aws_test

import (
	"errors"
	"testing"

	"sparekey/access"
	"sparekey/internal/aws"
	"sparekey/internal/rig"
	"sparekey/internal/sandbox"
)

// TestWhoeverServesChangesNothing asks for every change that there is, over a connection that only serves.
func TestWhoeverServesChangesNothing(t *testing.T) {
	r := rig.New(t, rig.Engines["SQLite"](t), sandbox.Behaviour{})
	before := len(r.Box.Calls())
	c := aws.Serving(r.Connection)
	center := aws.NewCenter(c, r.O.Instance, r.O.IdentityStore)
	assignments, memberships, groups, policy := aws.NewAssignments(c, center), aws.NewMemberships(c, center), aws.NewGroups(c, center), aws.NewKillPolicy(c, "p-examplekills")
	k := access.Key{Way: access.Assignment, Person: r.Person("dana").ID, Target: r.Target("play", "PowerUser"), Group: r.Group("sparekey 100000000003 PowerUser")}
	for name, change := range map[string]func() error{
		"an assignment":   func() error { _, err := assignments.Create(t.Context(), k); return err },
		"its end":         func() error { _, err := assignments.Delete(t.Context(), k); return err },
		"a membership":    func() error { _, err := memberships.Create(t.Context(), k); return err },
		"its end as well": func() error { _, err := memberships.Delete(t.Context(), k); return err },
		"a group": func() error {
			_, err := groups.Make(t.Context(), "sparekey x", access.GroupDescription(k.Target))
			return err
		},
		"its assignment":    func() error { _, err := groups.Assign(t.Context(), k.Group, k.Target); return err },
		"a policy":          func() error { return policy.Write(t.Context(), access.EmptyKillPolicy()) },
		"the organization,": func() error { _, err := aws.NewDirectory(c, center, "").Organization(t.Context()); return err }, // which others read
	} {
		if err := change(); !errors.Is(err, access.ErrNotAsked) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, call := range r.Box.Calls()[before:] {
		if call.Changed {
			t.Errorf("%s changed something", call.Operation)
		}
	}
	if p, err := aws.NewDirectory(c, center, "").Person(t.Context(), r.Person("dana").ID); err != nil || p.User != "dana" {
		t.Errorf("a person: %+v, %v", p, err)
	}
	if _, err := aws.NewDirectory(c, center, "").PermissionSet(t.Context(), k.PermissionSet); err != nil {
		t.Errorf("what a permission set permits: %v", err)
	}
}
