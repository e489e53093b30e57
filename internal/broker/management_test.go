package broker_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/aws"

	"sparekey/access"
	"sparekey/internal/aws"
	"sparekey/internal/broker"
	"sparekey/internal/rig"
	"sparekey/org"
)

const managed = rig.Book + `
  - name: management
    who: {groups: [admins]}
    what: {permission-sets: [PowerUser]}
    where: {accounts: ["100000000001"]}
    for: 1h
    approval: {automatic: true}
  - name: management-by-membership
    who: {groups: [developers]}
    what: {permission-sets: [PowerUser]}
    where: {accounts: ["100000000001"]}
    for: 1h
    by: membership
    approval: {automatic: true}
  - name: management-by-session
    who: {groups: [auditors]}
    what: {roles: [ops/Deployer]}
    where: {accounts: ["100000000001"]}
    for: 1h
    by: session
    approval: {automatic: true}
`

// counted is a way that counts what it is asked to change.
type counted struct {
	broker.Way
	creates, deletes atomic.Int32
}

// Create implements broker.Way.
func (c *counted) Create(ctx context.Context, k access.Key) (access.Seen, error) {
	c.creates.Add(1)
	return c.Way.Create(ctx, k)
}

// Delete implements broker.Way.
func (c *counted) Delete(ctx context.Context, k access.Key) (access.Seen, error) {
	c.deletes.Add(1)
	return c.Way.Delete(ctx, k)
}

func (c *counted) is(creates, deletes int32) bool {
	return c.creates.Load() == creates && c.deletes.Load() == deletes
}

// split gives the rig a way of its own into the management account, as a configuration with aws.management does.
func split(r *rig.Rig) (ordinary, management *counted) {
	assignments := func(c sdk.Config) *counted {
		return &counted{Way: aws.NewAssignments(c, aws.NewCenter(c, r.O.Instance, r.O.IdentityStore))}
	}
	ordinary, management = assignments(r.Connection), assignments(r.Connected("sparekey-management"))
	r.Broker.Ways[access.Assignment] = aws.Split(ordinary, management, r.Broker.ManagementAccount)
	r.Broker.Management = true
	return ordinary, management
}

// TestTheManagementAccountIsLentByAWayOfItsOwn: by assignment only, and only where the configuration names credentials for it.
//
// Requirement partly S2-16.
func TestTheManagementAccountIsLentByAWayOfItsOwn(t *testing.T) {
	rig.OnBoth(t, func(t *testing.T, r *rig.Rig) {
		r.Ruled(managed)
		const notHere = "it is the management account, and this server has no way of its own into it (aws.management in the configuration)"
		asks := func(user, set, words string) {
			t.Helper()
			_, err := r.Broker.Ask(r.As(user), wish("management "+set))
			refusedWith(t, err, access.ErrRefused, words)
		}
		asks("amy", "PowerUser", `rule "management" (rules.yaml:17) lends nothing there: `+notHere)
		asks("dana", "PowerUser", notHere)
		asks("ana", "role/ops/Deployer", notHere)

		ordinary, management := split(r)
		const only = " lends nothing there: the management account is lent by assignment only"
		asks("dana", "PowerUser", `rule "management-by-membership" (rules.yaml:23)`+only)
		asks("ana", "role/ops/Deployer", `rule "management-by-session" (rules.yaml:30)`+only)
		_, err := r.Broker.PrepareGroup(r.As("amy"), broker.Names{Account: "management", PermissionSet: "PowerUser"})
		refusedWith(t, err, access.ErrRefused, "the management account is not lent by membership")

		q := r.Ask("amy", "management PowerUser")
		g := r.Become(q.Lines[0].Grant, access.Active, time.Minute)
		there := r.Assignment("amy", "management", "PowerUser")
		if !r.Box.Assigned(there) || !management.is(1, 0) || !ordinary.is(0, 0) || g.Create == nil || !strings.HasPrefix(g.Create.ID, "management/") {
			t.Errorf("it is not given by its own way: %s", rig.Story(g))
		}
		other := r.Become(r.Ask("dana", "play PowerUser").Lines[0].Grant, access.Active, time.Minute)
		if !ordinary.is(1, 0) || !management.is(1, 0) {
			t.Errorf("another account is not given by the ordinary way: %s", rig.Story(other))
		}
		if _, err := r.Broker.End(r.As("amy"), g.ID, ""); err != nil {
			t.Fatal(err)
		}
		if g = r.Become(g.ID, access.Ended, time.Minute); r.Box.Assigned(there) || !management.is(1, 1) || !ordinary.is(1, 0) {
			t.Errorf("it is not taken by its own way: %s", rig.Story(g))
		}
	})
}

// TestWithoutItsWayNothingBeginsInTheManagementAccount: what was approved waits, and says why, once the configuration names no
// credentials for the account any more; nothing is asked of AWS, and it ends as what could not be given in time.
func TestWithoutItsWayNothingBeginsInTheManagementAccount(t *testing.T) {
	rig.OnBoth(t, func(t *testing.T, r *rig.Rig) {
		r.Ruled(managed)
		ordinary, management := split(r)
		q := r.Ask("amy", "management PowerUser")
		r.Broker.Management = false
		r.Broker.Ways[access.Assignment] = aws.Split(ordinary, nil, func() org.AccountID { return r.O.ManagementAccount })
		r.Pass(time.Minute)
		g := r.Grant(q.Lines[0].Grant)
		const words = "AWS rejects it: 100000000001 is the management account, and no adapter with its credentials is configured"
		if g.State != access.Waiting || g.Trouble != words || !ordinary.is(0, 0) || !management.is(0, 0) {
			t.Errorf("%s", rig.Story(g))
		}
		if g = r.Become(g.ID, access.Failed, 24*time.Hour); !ordinary.is(0, 0) || !management.is(0, 0) {
			t.Errorf("%s", rig.Story(g))
		}
	})
}
