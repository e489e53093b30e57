package broker_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	"sparekey/access"
	"sparekey/internal/broker"
	"sparekey/internal/rig"
	"sparekey/internal/store"
	"sparekey/org"
)

// unwilling are groups whose assignment AWS takes and then does not make, until it is willing.
type unwilling struct {
	mu       sync.Mutex
	willing  bool
	assigned bool
	asked    int
}

// Make implements broker.Groups.
func (u *unwilling) Make(context.Context, string, string) (org.GroupID, error) { return "group", nil }

// Assigned implements broker.Groups.
func (u *unwilling) Assigned(context.Context, org.GroupID, org.Target) (bool, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.assigned, nil
}

// Assign implements broker.Groups.
func (u *unwilling) Assign(context.Context, org.GroupID, org.Target) (access.Seen, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.asked++
	u.assigned = u.willing
	return access.Seen{ID: "op"}, nil
}

// Assigning implements broker.Groups.
func (u *unwilling) Assigning(context.Context, string) (access.Seen, error) {
	return access.Seen{ID: "op", Outcome: access.FailedOp, Reason: strings.Repeat("a conflict of AWS\n", 100)}, nil
}

func TestAGroupThatAWSDidNotAssignIsAskedForAgain(t *testing.T) {
	rig.OnBoth(t, func(t *testing.T, r *rig.Rig) {
		groups := &unwilling{}
		r.Broker.Groups = groups
		if _, err := r.Broker.PrepareGroup(r.As("amy"), broker.Names{Account: "play", PermissionSet: "ReadOnly"}); err != nil {
			t.Fatal(err)
		}
		look := func() (g access.LentGroup) {
			if err := r.Store.View(t.Context(), func(tx *store.Tx) (err error) { g, err = tx.LentGroup(r.Target("play", "ReadOnly")); return err }); err != nil {
				t.Fatal(err)
			}
			return g
		}
		for round := range 2 {
			if err := r.Broker.MakeGroups(r.As("sparekey")); err == nil || !strings.Contains(err.Error(), "AWS did not assign it") {
				t.Errorf("round %d: %v", round, err)
			}
			if g := look(); g.Ready || g.Operation != "" || !strings.Contains(g.Trouble, "a conflict of AWS") || len(g.Trouble) > 500 || groups.asked != round+1 {
				t.Errorf("round %d, asked %d times: %+v", round, groups.asked, g)
			}
		}
		groups.willing = true
		if err := errors.Join(r.Broker.MakeGroups(r.As("sparekey")), r.Broker.MakeGroups(r.As("sparekey"))); err != nil {
			t.Error(err)
		}
		if g := look(); !g.Ready || g.Trouble != "" || g.Operation != "" || groups.asked != 3 {
			t.Errorf("asked %d times: %+v", groups.asked, g)
		}
	})
}
