package aws

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/identitystore"
	peopletypes "github.com/aws/aws-sdk-go-v2/service/identitystore/types"

	"sparekey/access"
)

// Memberships gives access by memberships of groups that Sparekey made and that are assigned to the target; [Groups] makes
// them ("Identity Store API Reference"). AWS does it at once: there are no operations that go on.
type Memberships struct {
	client *identitystore.Client // it never retries: whoever calls decides, and a lost answer is found by looking
	center *Center
}

// NewMemberships makes the way for the identity store of one Identity Center instance.
func NewMemberships(c aws.Config, center *Center) *Memberships {
	return &Memberships{identitystore.NewFromConfig(spoken(c)), center}
}

// Assigned reports whether the person is in the group. A group or a person that is not there has no membership; before that
// is believed, the instance is asked for its store, since a wrong store "has none" either.
func (m *Memberships) Assigned(ctx context.Context, k access.Key) (bool, error) {
	_, err := m.find(ctx, k)
	if errors.Is(err, access.ErrMissing) && m.center.holds(ctx) {
		return false, nil
	}
	return err == nil, err
}

// find returns the membership's id; [access.ErrMissing] when there is none.
func (m *Memberships) find(ctx context.Context, k access.Key) (string, error) {
	_, store, err := m.center.Find(ctx)
	if err != nil {
		return "", err
	}
	out, err := m.client.GetGroupMembershipId(ctx, &identitystore.GetGroupMembershipIdInput{
		IdentityStoreId: &store, GroupId: aws.String(string(k.Group)), MemberId: &peopletypes.MemberIdMemberUserId{Value: string(k.Person)},
	})
	if err != nil {
		return "", told("looking up a group membership", err)
	}
	return named(out.MembershipId, "looking up a group membership")
}

// named returns an id that AWS answered; an answer without one is a lost answer.
func named(id *string, doing string) (string, error) {
	if aws.ToString(id) == "" {
		return "", fmt.Errorf("%s: %w: its answer names none", doing, access.ErrLost)
	}
	return *id, nil
}

// Create puts the person into the group, if Sparekey made the group for this very target and no identity provider keeps it;
// any other group is [access.ErrRejected] and never written to.
//
// Somebody who is a member already is a success, and no conflict that is "certainly not done". The one who put them there is
// most likely an earlier call of ours whose answer was lost: taking it for not done would leave the membership standing when
// the grant ends before the next look. Whoever else writes into Sparekey's own group writes what Sparekey takes away.
func (m *Memberships) Create(ctx context.Context, k access.Key) (access.Seen, error) {
	_, store, err := m.center.Find(ctx)
	if err != nil {
		return access.Seen{}, err
	}
	if err := ours(ctx, m.client, store, string(k.Group), access.GroupDescription(k.Target)); err != nil {
		return access.Seen{}, err
	}
	out, err := m.client.CreateGroupMembership(ctx, &identitystore.CreateGroupMembershipInput{
		IdentityStoreId: &store, GroupId: aws.String(string(k.Group)), MemberId: &peopletypes.MemberIdMemberUserId{Value: string(k.Person)},
	})
	if err != nil {
		refused := told("creating a group membership", err)
		if !errors.Is(refused, access.ErrConflict) || beingChanged(err) {
			return access.Seen{}, refused
		}
		return m.already(ctx, k, refused)
	}
	id, err := named(out.MembershipId, "creating a group membership")
	if err != nil {
		return access.Seen{}, err
	}
	return access.Seen{ID: id, Outcome: access.Succeeded}, nil
}

// beingChanged reports whether a conflict is with another change, and not with what is there.
func beingChanged(err error) bool {
	var conflict *peopletypes.ConflictException
	return errors.As(err, &conflict) && conflict.Reason == peopletypes.ConflictExceptionReasonConcurrentModification
}

// already finds the membership that a create conflicts with. That it is not there makes the conflict one with something else.
// Whatever else is in the way of looking, the membership may be there, so that none of it is a certain no.
func (m *Memberships) already(ctx context.Context, k access.Key, conflict error) (access.Seen, error) {
	switch id, err := m.find(ctx, k); {
	case err == nil:
		return access.Seen{ID: id, Outcome: access.Succeeded}, nil
	case errors.Is(err, access.ErrMissing):
		return access.Seen{}, conflict
	default:
		return access.Seen{}, fmt.Errorf("creating a group membership: %w: it may be there already: %v", access.ErrLost, err)
	}
}

// Creation knows no create that goes on: each was over when it was answered. Whoever asks for one finds out by looking.
func (m *Memberships) Creation(context.Context, string) (access.Seen, error) {
	return access.Seen{}, fmt.Errorf("%w: group memberships are created at once, and no operation is kept", access.ErrMissing)
}

// Creations lists none. None can be under way, and there is nobody whose creates would have to be told from ours: the group
// is Sparekey's own, so that whoever is in it is there for a grant, or is to be taken out.
func (m *Memberships) Creations(context.Context, access.Key, time.Time) ([]access.Seen, error) {
	return nil, nil
}

// Delete takes the person out of the group; [access.ErrMissing] when they are not in it. It does not look at whose group it
// is: what Sparekey gave it takes away, whatever has become of the group's description since.
func (m *Memberships) Delete(ctx context.Context, k access.Key) (access.Seen, error) {
	id, err := m.find(ctx, k)
	if err != nil {
		return access.Seen{}, err
	}
	_, store, err := m.center.Find(ctx)
	if err != nil {
		return access.Seen{}, err
	}
	if _, err := m.client.DeleteGroupMembership(ctx, &identitystore.DeleteGroupMembershipInput{IdentityStoreId: &store, MembershipId: &id}); err != nil {
		return access.Seen{}, told("deleting a group membership", err)
	}
	return access.Seen{ID: id, Outcome: access.Succeeded}, nil
}

// Deletion knows no delete that goes on, as [Memberships.Creation] knows no create.
func (m *Memberships) Deletion(context.Context, string) (access.Seen, error) {
	return access.Seen{}, fmt.Errorf("%w: group memberships are deleted at once, and no operation is kept", access.ErrMissing)
}
