package aws

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssoadmin"
	"github.com/aws/aws-sdk-go-v2/service/ssoadmin/types"

	"sparekey/access"
	"sparekey/org"
)

// Assignments gives access by account assignments of IAM Identity Center ("IAM Identity Center API Reference").
type Assignments struct {
	client *ssoadmin.Client // it never retries: whoever calls decides, and a lost answer is found by looking
	center *Center
}

// NewAssignments makes the way for one Identity Center instance.
func NewAssignments(c aws.Config, center *Center) *Assignments {
	return &Assignments{ssoadmin.NewFromConfig(spoken(c)), center}
}

// ofPerson is what a key of [access.Assignment] stands for.
func ofPerson(k access.Key) org.Assignment {
	return org.Assignment{Kind: org.User, Principal: string(k.Person), Target: k.Target}
}

// Assigned reports whether AWS lists the assignment. An account or a permission set that is not there has none; before that
// is believed, the instance is asked for, since a wrong instance "has none" either.
func (a *Assignments) Assigned(ctx context.Context, k access.Key) (bool, error) {
	return a.assigned(ctx, ofPerson(k))
}

func (a *Assignments) assigned(ctx context.Context, want org.Assignment) (bool, error) {
	instance, _, err := a.center.Find(ctx)
	if err != nil {
		return false, err
	}
	pages := ssoadmin.NewListAccountAssignmentsPaginator(a.client, &ssoadmin.ListAccountAssignmentsInput{
		InstanceArn: &instance, AccountId: aws.String(string(want.Account)), PermissionSetArn: &want.PermissionSet, MaxResults: aws.Int32(100),
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			err = told("listing account assignments", err)
			if errors.Is(err, access.ErrMissing) && a.center.exists(ctx) {
				return false, nil
			}
			return false, err
		}
		for _, given := range page.AccountAssignments {
			if given.PrincipalType == types.PrincipalType(want.Kind) && aws.ToString(given.PrincipalId) == want.Principal {
				return true, nil
			}
		}
	}
	return false, nil
}

// Create asks AWS for the assignment.
func (a *Assignments) Create(ctx context.Context, k access.Key) (access.Seen, error) {
	return a.create(ctx, ofPerson(k))
}

func (a *Assignments) create(ctx context.Context, want org.Assignment) (access.Seen, error) {
	instance, _, err := a.center.Find(ctx)
	if err != nil {
		return access.Seen{}, err
	}
	out, err := a.client.CreateAccountAssignment(ctx, &ssoadmin.CreateAccountAssignmentInput{
		InstanceArn: &instance, TargetId: aws.String(string(want.Account)), TargetType: types.TargetTypeAwsAccount,
		PermissionSetArn: &want.PermissionSet, PrincipalType: types.PrincipalType(want.Kind), PrincipalId: &want.Principal,
	})
	if err != nil {
		return access.Seen{}, told("creating an account assignment", err)
	}
	return seen(out.AccountAssignmentCreationStatus)
}

// Creation says how a create goes on.
func (a *Assignments) Creation(ctx context.Context, id string) (access.Seen, error) {
	instance, _, err := a.center.Find(ctx)
	if err != nil {
		return access.Seen{}, err
	}
	out, err := a.client.DescribeAccountAssignmentCreationStatus(ctx, &ssoadmin.DescribeAccountAssignmentCreationStatusInput{
		InstanceArn: &instance, AccountAssignmentCreationRequestId: &id,
	})
	if err != nil {
		return access.Seen{}, told("describing a create", err)
	}
	return seen(out.AccountAssignmentCreationStatus)
}

// Creations lists creates of the assignment by anybody, those since a time and those under way. AWS's list says only ids and
// times, so each is described.
func (a *Assignments) Creations(ctx context.Context, k access.Key, since time.Time) ([]access.Seen, error) {
	return a.creations(ctx, ofPerson(k), since)
}

func (a *Assignments) creations(ctx context.Context, want org.Assignment, since time.Time) ([]access.Seen, error) {
	instance, _, err := a.center.Find(ctx)
	if err != nil {
		return nil, err
	}
	var found []access.Seen
	pages := ssoadmin.NewListAccountAssignmentCreationStatusPaginator(a.client, &ssoadmin.ListAccountAssignmentCreationStatusInput{
		InstanceArn: &instance, MaxResults: aws.Int32(100),
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, told("listing creates", err)
		}
		for _, item := range page.AccountAssignmentsCreationStatus {
			if item.Status != types.StatusValuesInProgress && aws.ToTime(item.CreatedDate).Before(since) {
				continue
			}
			out, err := a.client.DescribeAccountAssignmentCreationStatus(ctx, &ssoadmin.DescribeAccountAssignmentCreationStatusInput{
				InstanceArn: &instance, AccountAssignmentCreationRequestId: item.RequestId,
			})
			if err != nil {
				return nil, told("describing a create", err)
			}
			if s := out.AccountAssignmentCreationStatus; of(s, want) {
				one, err := seen(s)
				if err != nil {
					return nil, err
				}
				found = append(found, one)
			}
		}
	}
	return found, nil
}

// Outstanding lists the operations that AWS has under way, by their ids, whoever began them: creates and deletes count against
// the same quota of ten ("Quotas", IAM Identity Center User Guide).
func (a *Assignments) Outstanding(ctx context.Context) ([]string, error) {
	instance, _, err := a.center.Find(ctx)
	if err != nil {
		return nil, err
	}
	var ids []string
	keep := func(items []types.AccountAssignmentOperationStatusMetadata) {
		for _, item := range items {
			if item.Status == types.StatusValuesInProgress {
				ids = append(ids, aws.ToString(item.RequestId))
			}
		}
	}
	underWay := &types.OperationStatusFilter{Status: types.StatusValuesInProgress}
	creates := ssoadmin.NewListAccountAssignmentCreationStatusPaginator(a.client, &ssoadmin.ListAccountAssignmentCreationStatusInput{
		InstanceArn: &instance, MaxResults: aws.Int32(100), Filter: underWay,
	})
	for creates.HasMorePages() {
		page, err := creates.NextPage(ctx)
		if err != nil {
			return nil, told("listing creates", err)
		}
		keep(page.AccountAssignmentsCreationStatus)
	}
	deletes := ssoadmin.NewListAccountAssignmentDeletionStatusPaginator(a.client, &ssoadmin.ListAccountAssignmentDeletionStatusInput{
		InstanceArn: &instance, MaxResults: aws.Int32(100), Filter: underWay,
	})
	for deletes.HasMorePages() {
		page, err := deletes.NextPage(ctx)
		if err != nil {
			return nil, told("listing deletes", err)
		}
		keep(page.AccountAssignmentsDeletionStatus)
	}
	return ids, nil
}

func of(s *types.AccountAssignmentOperationStatus, want org.Assignment) bool {
	return s != nil && s.PrincipalType == types.PrincipalType(want.Kind) && aws.ToString(s.PrincipalId) == want.Principal &&
		aws.ToString(s.TargetId) == string(want.Account) && aws.ToString(s.PermissionSetArn) == want.PermissionSet
}

// Delete asks AWS to take the assignment away.
func (a *Assignments) Delete(ctx context.Context, k access.Key) (access.Seen, error) {
	instance, _, err := a.center.Find(ctx)
	if err != nil {
		return access.Seen{}, err
	}
	out, err := a.client.DeleteAccountAssignment(ctx, &ssoadmin.DeleteAccountAssignmentInput{
		InstanceArn: &instance, TargetId: aws.String(string(k.Account)), TargetType: types.TargetTypeAwsAccount,
		PermissionSetArn: &k.PermissionSet, PrincipalType: types.PrincipalTypeUser, PrincipalId: aws.String(string(k.Person)),
	})
	if err != nil {
		return access.Seen{}, told("deleting an account assignment", err)
	}
	return seen(out.AccountAssignmentDeletionStatus)
}

// Deletion says how a delete goes on.
func (a *Assignments) Deletion(ctx context.Context, id string) (access.Seen, error) {
	instance, _, err := a.center.Find(ctx)
	if err != nil {
		return access.Seen{}, err
	}
	out, err := a.client.DescribeAccountAssignmentDeletionStatus(ctx, &ssoadmin.DescribeAccountAssignmentDeletionStatusInput{
		InstanceArn: &instance, AccountAssignmentDeletionRequestId: &id,
	})
	if err != nil {
		return access.Seen{}, told("describing a delete", err)
	}
	return seen(out.AccountAssignmentDeletionStatus)
}

// seen turns AWS's status into ours. An answer without an id, or with a status that nobody knows, is a lost answer.
func seen(s *types.AccountAssignmentOperationStatus) (access.Seen, error) {
	if s == nil || aws.ToString(s.RequestId) == "" {
		return access.Seen{}, fmt.Errorf("%w: its answer names no operation", access.ErrLost)
	}
	v := access.Seen{ID: *s.RequestId, Reason: aws.ToString(s.FailureReason), At: aws.ToTime(s.CreatedDate)}
	switch s.Status {
	case types.StatusValuesInProgress:
	case types.StatusValuesSucceeded:
		v.Outcome = access.Succeeded
	case types.StatusValuesFailed:
		v.Outcome = access.FailedOp
	default:
		return access.Seen{}, fmt.Errorf("%w: the status %q is not known", access.ErrLost, s.Status)
	}
	return v, nil
}
