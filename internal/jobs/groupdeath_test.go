package jobs

import (
	"slices"
	"strings"
	"testing"
	"time"

	"sparekey/access"
	"sparekey/internal/broker"
	"sparekey/internal/rig"
	"sparekey/internal/store"
	"sparekey/org"
)

// TestAProcessKilledWhileItMakesAGroup dies before and after each call with which a group is made that lends by membership.
// Another process goes on: in the end there is one group, it is assigned, and it can be lent.
func TestAProcessKilledWhileItMakesAGroup(t *testing.T) {
	for name, address := range rig.Engines {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var died []string
			for n := 0; ; n++ {
				where := makeWhileDying(t, address(t), n, false)
				if where == "" {
					break // there is no such call
				}
				died = append(died, where)
				makeWhileDying(t, address(t), n, true)
			}
			for _, operation := range []string{"CreateGroup", "CreateAccountAssignment", "DescribeAccountAssignmentCreationStatus"} {
				if !slices.Contains(died, operation) {
					t.Errorf("no process died at %s: %v", operation, died)
				}
			}
		})
	}
}

// makeWhileDying has a group made with one death at the n-th call, and says at which call that was.
func makeWhileDying(t *testing.T, address string, n int, after bool) string {
	m := newMortals(t, address, access.Assignment)
	m.does.Groups = true
	if _, err := m.Broker.PrepareGroup(m.As("amy"), broker.Names{Account: "play", PermissionSet: "ReadOnly"}); err != nil {
		t.Fatal(err)
	}
	target := m.Target("play", "ReadOnly")
	group := func() (g access.LentGroup) {
		if err := m.Store.View(t.Context(), func(tx *store.Tx) (err error) { g, err = tx.LentGroup(target); return err }); err != nil {
			t.Fatal(err)
		}
		return g
	}
	ready := func() bool { return group().Ready }
	m.reaper.at, m.reaper.after, m.reaper.passed = n, after, 0
	m.born()
	died := !m.live(time.Hour, ready)
	m.reaper.at = -1
	if died {
		m.Clock.Advance(time.Second)
		m.born()
		m.live(time.Hour, ready)
	}
	m.reaper.kill()
	g, made := group(), 0
	o, err := m.Broker.Directory.Organization(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, other := range o.Groups {
		if other.Name == g.Name {
			made++
		}
	}
	if made != 1 || !m.Box.Assigned(org.Assignment{Target: target, Kind: org.GroupOfAWS, Principal: string(g.Group)}) {
		t.Errorf("killed at %s (after: %v): %d groups: %s", m.reaper.operation, after, made, strings.Join(m.Calls(), " "))
	}
	return m.reaper.operation
}
