package aws

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/identitystore"
	"github.com/aws/aws-sdk-go-v2/service/identitystore/document"
	peopletypes "github.com/aws/aws-sdk-go-v2/service/identitystore/types"

	"sparekey/access"
	"sparekey/org"
)

// Groups makes the groups that [Memberships] puts people into, one a target, and assigns them there. It never takes one away:
// an empty group that stays assigned keeps the role of the permission set in the account, which would come back under another
// name ("Referencing permission sets in resource policies", IAM Identity Center User Guide).
type Groups struct {
	people *identitystore.Client // as in [Memberships]
	given  *Assignments
	center *Center
}

// NewGroups makes the groups of one Identity Center instance and its identity store.
func NewGroups(c aws.Config, center *Center) *Groups {
	return &Groups{identitystore.NewFromConfig(spoken(c)), NewAssignments(c, center), center}
}

// Make makes the group, or finds the one that it made before: the same name, and the same description. The two are those of
// [access.GroupName] and [access.GroupDescription]. A group of that name that somebody else made, or that an identity
// provider keeps, is [access.ErrRejected], and so is a description without Sparekey's mark.
func (g *Groups) Make(ctx context.Context, name, description string) (org.GroupID, error) {
	if !strings.HasPrefix(description, access.GroupMark) {
		return "", fmt.Errorf("%w: the description %q does not begin with %q", access.ErrRejected, description, access.GroupMark)
	}
	_, store, err := g.center.Find(ctx)
	if err != nil {
		return "", err
	}
	out, err := g.people.CreateGroup(ctx, &identitystore.CreateGroupInput{IdentityStoreId: &store, DisplayName: &name, Description: &description})
	if err != nil {
		conflict := told("creating the group "+name, err)
		if !errors.Is(conflict, access.ErrConflict) || beingChanged(err) {
			return "", conflict
		}
		return g.made(ctx, store, name, description, conflict)
	}
	id, err := named(out.GroupId, "creating the group "+name)
	return org.GroupID(id), err
}

// made finds the group that a create conflicts with.
func (g *Groups) made(ctx context.Context, store, name, description string, conflict error) (org.GroupID, error) {
	out, err := g.people.GetGroupId(ctx, &identitystore.GetGroupIdInput{
		IdentityStoreId: &store, AlternateIdentifier: &peopletypes.AlternateIdentifierMemberUniqueAttribute{
			Value: peopletypes.UniqueAttribute{AttributePath: aws.String("displayName"), AttributeValue: document.NewLazyDocument(name)},
		},
	})
	if err != nil {
		if err = told("looking up the group "+name, err); errors.Is(err, access.ErrMissing) {
			return "", conflict
		}
		return "", err
	}
	id, err := named(out.GroupId, "looking up the group "+name)
	if err != nil {
		return "", err
	}
	return org.GroupID(id), ours(ctx, g.people, store, id, description)
}

// ours checks that a group is one that Sparekey made, for the target that its description names. The error is
// [access.ErrRejected] if it is not.
func ours(ctx context.Context, people *identitystore.Client, store, group, description string) error {
	out, err := people.DescribeGroup(ctx, &identitystore.DescribeGroupInput{IdentityStoreId: &store, GroupId: &group})
	switch {
	case err != nil:
		return told("describing a group", err)
	case aws.ToString(out.GroupId) != group:
		return fmt.Errorf("describing a group: %w: its answer is about %q", access.ErrLost, aws.ToString(out.GroupId))
	case len(out.ExternalIds) > 0:
		return fmt.Errorf("%w: Sparekey does not write to the group %q: an identity provider keeps it", access.ErrRejected, aws.ToString(out.DisplayName))
	case aws.ToString(out.Description) != description:
		return fmt.Errorf("%w: Sparekey does not write to the group %q: its description is not %q", access.ErrRejected, aws.ToString(out.DisplayName), description)
	}
	return nil
}

func ofGroup(group org.GroupID, t org.Target) org.Assignment {
	return org.Assignment{Kind: org.GroupOfAWS, Principal: string(group), Target: t}
}

// Assigned reports whether AWS lists the assignment of the group to the target.
func (g *Groups) Assigned(ctx context.Context, group org.GroupID, t org.Target) (bool, error) {
	return g.given.assigned(ctx, ofGroup(group, t))
}

// Assign asks AWS to assign the group to the target. AWS does so later; see [Groups.Assigning].
func (g *Groups) Assign(ctx context.Context, group org.GroupID, t org.Target) (access.Seen, error) {
	return g.given.create(ctx, ofGroup(group, t))
}

// Assigning says how an assignment goes on; [access.ErrMissing] when AWS does not know it any more.
func (g *Groups) Assigning(ctx context.Context, id string) (access.Seen, error) {
	return g.given.Creation(ctx, id)
}

// Assignings lists assignments of the group to the target by anybody, those that began since a time or are still under way.
func (g *Groups) Assignings(ctx context.Context, group org.GroupID, t org.Target, since time.Time) ([]access.Seen, error) {
	return g.given.creations(ctx, ofGroup(group, t), since)
}
