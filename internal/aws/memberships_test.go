package aws

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/identitystore"

	"sparekey/access"
	"sparekey/internal/sandbox"
	"sparekey/org"
)

var membershipBehaviours = []behaviour{
	{"a membership lives from absent to absent", lifeOfAMembership},
	{"a person is put into Sparekey's own group, at once", createMembership},
	{"somebody who is a member already is created with success", createMembershipTwice},
	{"deleting a membership that is not there is missing", deleteNoMembership},
	{"a group or a person that is not there has no memberships", memberNowhere},
	{"a group that somebody else made is never written to", foreignGroup},
	{"a group that Sparekey made for another target is never written to", otherTargetsGroup},
	{"a group that an identity provider keeps is never written to", keptGroup},
	{"a group that is not there is missing, and so is a person", createMembershipNowhere},
}

var groupBehaviours = []behaviour{
	{"a group is made once, and found again", makeGroup},
	{"a group of that name that somebody else made is not found again", makeForeignGroup},
	{"a group that an identity provider keeps is not found again", makeKeptGroup},
	{"a group is assigned to its target", assignGroup},
	{"an assignment of a group whose answer was lost is found again", lostGroupAssignment},
}

// own makes Sparekey's group for a target, and returns the key of a person's membership there.
func (a *account) own(ctx context.Context, user, account, set string) (access.Key, error) {
	k := a.key(user, account, set)
	group, err := a.groups().Make(ctx, access.GroupName(k.Account, set), access.GroupDescription(k.Target))
	k.Way, k.Group = access.Membership, group
	return k, err
}

// member checks what the adapter says of a membership.
func (b *backend) member(ctx context.Context, k access.Key, want bool, when string) error {
	got, err := b.memberships().Assigned(ctx, k)
	if err == nil && got != want {
		err = fmt.Errorf("%s a member: %t", when, got)
	}
	return err
}

// members lists who is in a group, as anybody would.
func (a *account) members(ctx context.Context, group org.GroupID) (int, error) {
	out, err := a.store.ListGroupMemberships(ctx, &identitystore.ListGroupMembershipsInput{IdentityStoreId: &a.want.IdentityStore, GroupId: aws.String(string(group))})
	if err != nil {
		return 0, err
	}
	return len(out.GroupMemberships), nil
}

func lifeOfAMembership(ctx context.Context, b *backend) error {
	m := b.memberships()
	k, err := b.own(ctx, "dana", "payments", "ReadOnly")
	if err == nil {
		err = b.member(ctx, k, false, "before the create")
	}
	if err != nil {
		return err
	}
	made, err := m.Create(ctx, k)
	if err != nil || made.ID == "" || made.Outcome != access.Succeeded {
		return but(err, "created: %+v", made)
	}
	other := b.key("kim", "payments", "ReadOnly")
	other.Group = k.Group
	if err := errors.Join(b.member(ctx, k, true, "after the create"), b.member(ctx, other, false, "of kim")); err != nil {
		return err
	}
	taken, err := m.Delete(ctx, k)
	if err != nil || taken.ID != made.ID || taken.Outcome != access.Succeeded {
		return but(err, "deleted: %+v", taken)
	}
	if creates, err := m.Creations(ctx, k, start.AddDate(-1, 0, 0)); err != nil || len(creates) > 0 {
		return but(err, "creates: %+v", creates)
	}
	if _, err := m.Creation(ctx, made.ID); !errors.Is(err, access.ErrMissing) {
		return but(err, "a create goes on")
	}
	if _, err := m.Deletion(ctx, taken.ID); !errors.Is(err, access.ErrMissing) {
		return but(err, "a delete goes on")
	}
	return b.member(ctx, k, false, "after the delete")
}

func createMembership(ctx context.Context, b *backend) error {
	k, err := b.own(ctx, "dana", "payments", "ReadOnly")
	if err != nil {
		return err
	}
	made, err := b.memberships().Create(ctx, k)
	if err != nil || made.ID == "" || made.Outcome != access.Succeeded || made.Reason != "" {
		return but(err, "created: %+v", made)
	}
	p, err := b.directory().Person(ctx, k.Person)
	if err != nil || !slices.Contains(p.Groups, k.Group) {
		return but(err, "dana is in %v", p.Groups)
	}
	return nil
}

func createMembershipTwice(ctx context.Context, b *backend) error {
	k, err := b.own(ctx, "dana", "payments", "ReadOnly")
	if err != nil {
		return err
	}
	var made [2]access.Seen
	for i := range made {
		if made[i], err = b.memberships().Create(ctx, k); err != nil {
			return err
		}
	}
	if made[0] != made[1] {
		return fmt.Errorf("%+v, and then %+v", made[0], made[1])
	}
	if _, err := b.memberships().Delete(ctx, k); err != nil {
		return err
	}
	return b.member(ctx, k, false, "after one delete")
}

func deleteNoMembership(ctx context.Context, b *backend) error {
	k, err := b.own(ctx, "dana", "payments", "ReadOnly")
	if err != nil {
		return err
	}
	if s, err := b.memberships().Delete(ctx, k); !errors.Is(err, access.ErrMissing) {
		return but(err, "deleting nothing is %+v", s)
	}
	return nil
}

func memberNowhere(ctx context.Context, b *backend) error {
	k, err := b.own(ctx, "dana", "payments", "ReadOnly")
	if err != nil {
		return err
	}
	group, person := k, k
	group.Group, person.Person = nobodyKnows, nobodyKnows
	if err := errors.Join(b.member(ctx, group, false, "of no group"), b.member(ctx, person, false, "nobody is")); err != nil {
		return err
	}
	other := NewMemberships(b.config, NewCenter(b.config, b.want.Instance, otherStore))
	if is, err := other.Assigned(ctx, k); err == nil {
		return fmt.Errorf("a store that is not ours is believed: %t", is)
	}
	return nil
}

// unwritten checks that a create is rejected, and that nobody is in the group then.
func (b *backend) unwritten(ctx context.Context, k access.Key) error {
	if s, err := b.memberships().Create(ctx, k); !errors.Is(err, access.ErrRejected) || !strings.Contains(err.Error(), "does not write to the group") {
		return but(err, "created: %+v", s)
	}
	if n, err := b.members(ctx, k.Group); err != nil || n > 0 {
		return but(err, "%d members", n)
	}
	return nil
}

func foreignGroup(ctx context.Context, b *backend) error {
	k := b.key("dana", "payments", "ReadOnly")
	k.Group = b.group("nobody")
	if err := b.unwritten(ctx, k); err != nil {
		return err
	}
	for name, description := range map[string]string{"close": access.GroupDescription(k.Target) + " ", "closer": access.GroupMark, "closest": "Made" + access.GroupDescription(k.Target)[4:]} {
		out, err := b.store.CreateGroup(ctx, &identitystore.CreateGroupInput{IdentityStoreId: &b.want.IdentityStore, DisplayName: &name, Description: &description})
		if err != nil {
			return err
		}
		k.Group = org.GroupID(*out.GroupId)
		if err := b.unwritten(ctx, k); err != nil {
			return err
		}
	}
	return nil
}

func otherTargetsGroup(ctx context.Context, b *backend) error {
	k, err := b.own(ctx, "dana", "play", "ReadOnly")
	if err != nil {
		return err
	}
	k.Target = b.target("payments", "ReadOnly")
	return b.unwritten(ctx, k)
}

func keptGroup(ctx context.Context, b *backend) error {
	k, err := b.own(ctx, "dana", "payments", "ReadOnly")
	if err == nil {
		err = b.keep(k.Group)
	}
	if err != nil {
		return err
	}
	return b.unwritten(ctx, k)
}

func createMembershipNowhere(ctx context.Context, b *backend) error {
	k, err := b.own(ctx, "dana", "payments", "ReadOnly")
	if err != nil {
		return err
	}
	group, person := k, k
	group.Group, person.Person = nobodyKnows, nobodyKnows
	for _, k := range []access.Key{group, person} {
		if s, err := b.memberships().Create(ctx, k); !errors.Is(err, access.ErrMissing) {
			return but(err, "nothing was refused as missing: %+v", s)
		}
	}
	return nil
}

func makeGroup(ctx context.Context, b *backend) error {
	first, err1 := b.own(ctx, "dana", "payments", "ReadOnly")
	again, err2 := b.own(ctx, "kim", "payments", "ReadOnly")
	other, err3 := b.own(ctx, "dana", "play", "ReadOnly")
	if err := errors.Join(err1, err2, err3); err != nil || first.Group == "" || first.Group != again.Group || first.Group == other.Group {
		return but(err, "made %s, %s and %s", first.Group, again.Group, other.Group)
	}
	out, err := b.store.DescribeGroup(ctx, &identitystore.DescribeGroupInput{IdentityStoreId: &b.want.IdentityStore, GroupId: aws.String(string(first.Group))})
	if err != nil || *out.DisplayName != access.GroupName(first.Account, "ReadOnly") || *out.Description != access.GroupDescription(first.Target) {
		return but(err, "made %+v", out)
	}
	return nil
}

func makeForeignGroup(ctx context.Context, b *backend) error {
	k := b.key("dana", "payments", "ReadOnly")
	name := access.GroupName(k.Account, "ReadOnly")
	if _, err := b.addGroup(ctx, name); err != nil {
		return err
	}
	for name, description := range map[string]string{name: access.GroupDescription(k.Target), name + "s": "Made by me"} {
		if id, err := b.groups().Make(ctx, name, description); !errors.Is(err, access.ErrRejected) {
			return but(err, "made %s", id)
		}
	}
	return nil
}

func makeKeptGroup(ctx context.Context, b *backend) error {
	k, err := b.own(ctx, "dana", "payments", "ReadOnly")
	if err == nil {
		err = b.keep(k.Group)
	}
	if err != nil {
		return err
	}
	if again, err := b.own(ctx, "dana", "payments", "ReadOnly"); !errors.Is(err, access.ErrRejected) {
		return but(err, "found %s", again.Group)
	}
	return nil
}

func assignGroup(ctx context.Context, b *backend) error {
	g := b.groups()
	k, err := b.own(ctx, "dana", "payments", "ReadOnly")
	if err != nil {
		return err
	}
	if is, err := g.Assigned(ctx, k.Group, k.Target); err != nil || is {
		return but(err, "before it is assigned: %t", is)
	}
	s, err := g.Assign(ctx, k.Group, k.Target)
	if err == nil {
		s, err = b.ended(ctx, s.ID, g.Assigning)
	}
	if err != nil || s.Outcome != access.Succeeded {
		return but(err, "assigning %s: %s", s.Outcome, s.Reason)
	}
	if is, err := g.Assigned(ctx, k.Group, k.Target); err != nil || !is {
		return but(err, "after it was assigned: %t", is)
	}
	for _, other := range []org.Target{b.target("play", "ReadOnly"), b.target("payments", "Admin")} {
		if is, err := g.Assigned(ctx, k.Group, other); err != nil || is {
			return but(err, "to another target: %t", is)
		}
	}
	return b.is(ctx, k, false, "of the person")
}

func lostGroupAssignment(ctx context.Context, b *backend) error {
	k, err := b.own(ctx, "dana", "payments", "ReadOnly")
	if err != nil {
		return err
	}
	s, err1 := b.groups().Assign(ctx, k.Group, k.Target)
	_, err2 := b.assignments().Create(ctx, b.key("dana", "payments", "ReadOnly"))
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	found, err := b.groups().Assignings(ctx, k.Group, k.Target, start)
	if err != nil || len(found) != 1 || found[0] != s {
		return but(err, "found %+v", found)
	}
	return nil
}

// pairs are the faults of calls that fail, or fail but happened.
var pairs = map[sandbox.FaultKind]bool{sandbox.Drop: false, sandbox.DropAfter: true, sandbox.ServerError: false, sandbox.ServerErrorAfter: true}

// TestALostMembershipIsFoundByLookingAndByDoingItAgain pairs "it failed" with "it failed, but it happened".
func TestALostMembershipIsFoundByLookingAndByDoingItAgain(t *testing.T) {
	for kind, happened := range pairs {
		t.Run(string(kind), func(t *testing.T) {
			inBubble(t, func(t *testing.T, w *wired) {
				m, k := w.memberships(), w.lent
				k.Person = w.person("kim").ID
				for _, operation := range []string{"CreateGroup", "CreateGroupMembership", "DeleteGroupMembership"} {
					w.box.Script(sandbox.Fault{Operation: operation, Kind: kind, Times: 1})
				}
				_, err := m.Create(t.Context(), k)
				wantKind(t, err, access.ErrLost, "")
				if is, err := m.Assigned(t.Context(), k); err != nil || is != happened {
					t.Errorf("after the create that was lost: %t, %v", is, err)
				}
				if again, err := m.Create(t.Context(), k); err != nil || again.Outcome != access.Succeeded || again.ID == "" {
					t.Errorf("created again: %+v, %v", again, err)
				}
				_, err = m.Delete(t.Context(), k)
				wantKind(t, err, access.ErrLost, "")
				if is, err := m.Assigned(t.Context(), k); err != nil || is == happened {
					t.Errorf("after the delete that was lost: %t, %v", is, err)
				}
				if _, err = m.Delete(t.Context(), k); happened {
					wantKind(t, err, access.ErrMissing, "")
				} else if err != nil {
					t.Error(err)
				}
				_, err = w.own(t.Context(), "dana", "play", "Admin")
				wantKind(t, err, access.ErrLost, "")
				first, err1 := w.own(t.Context(), "dana", "play", "Admin")
				second, err2 := w.own(t.Context(), "dana", "play", "Admin")
				if err1 != nil || err2 != nil || first != second {
					t.Errorf("made again: %+v, %v; %+v, %v", first, err1, second, err2)
				}
			})
		})
	}
}

func TestAGroupsAssignmentThatWasLostIsFoundByLooking(t *testing.T) {
	for kind, happened := range pairs {
		t.Run(string(kind), func(t *testing.T) {
			inBubble(t, func(t *testing.T, w *wired) {
				g, k := w.groups(), w.lent
				w.box.Script(sandbox.Fault{Operation: "CreateAccountAssignment", Kind: kind, Times: 1})
				_, err := g.Assign(t.Context(), k.Group, k.Target)
				wantKind(t, err, access.ErrLost, "")
				found, err1 := g.Assignings(t.Context(), k.Group, k.Target, time.Now().Add(-time.Minute))
				is, err2 := g.Assigned(t.Context(), k.Group, k.Target)
				if err := errors.Join(err1, err2); err != nil || is != happened || (len(found) == 1) != happened {
					t.Errorf("assigned: %t, found %+v, %v", is, found, err)
				}
			})
		})
	}
}

// TestAConflictWithWhatIsThereIsNeverACertainNo: the membership may be an earlier call's whose answer was lost.
func TestAConflictWithWhatIsThereIsNeverACertainNo(t *testing.T) {
	inBubble(t, func(t *testing.T, w *wired) {
		for _, kind := range []sandbox.FaultKind{sandbox.Throttle, sandbox.Denied, sandbox.ServerError, sandbox.Drop, sandbox.Hang} {
			w.box.Script(sandbox.Fault{Operation: "GetGroupMembershipId", Kind: kind})
			_, err := w.memberships().Create(within(t, time.Second), w.lent)
			wantKind(called{t, string(kind)}, err, access.ErrLost, "it may be there already")
			w.box.ClearFaults()
		}
		w.says("CreateGroupMembership", refused(400, "ConflictException", "Reason", "CONCURRENT_MODIFICATION"))
		_, err := w.memberships().Create(t.Context(), w.lent)
		wantKind(t, err, access.ErrConflict, words)
		if n := w.calls("GetGroupMembershipId"); n > 0 {
			t.Errorf("a change that goes on was looked for %d times", n)
		}
	})
}

func TestNotAMemberIsBelievedOnlyWhileTheInstanceHasTheStore(t *testing.T) {
	inBubble(t, func(t *testing.T, w *wired) {
		m := NewMemberships(w.config, NewCenter(w.config, w.want.Instance, w.want.IdentityStore))
		w.says("GetGroupMembershipId", refused(400, "ResourceNotFoundException"))
		for instances, believed := range map[string]bool{
			`{"Instances": [{"InstanceArn": "` + w.want.Instance + `", "IdentityStoreId": "` + w.want.IdentityStore + `"}]}`: true,
			`{"Instances": [{"InstanceArn": "` + w.want.Instance + `", "IdentityStoreId": "` + otherStore + `"}]}`:           false,
			`{"Instances": []}`: false,
		} {
			w.says("ListInstances", raw(200, instances))
			is, err := m.Assigned(t.Context(), w.lent)
			if is || (err == nil) != believed {
				t.Errorf("%s: %t, %v", instances, is, err)
			}
			if err != nil {
				wantKind(t, err, access.ErrMissing, words)
			}
		}
	})
}
