package aws

import (
	"context"
	"fmt"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssoadmin"
	"github.com/aws/aws-sdk-go-v2/service/ssoadmin/types"
	"golang.org/x/sync/errgroup"

	"sparekey/access"
	"sparekey/org"
)

// Standing reads every account assignment of the instance. Identity Center lists them by account and permission set only, so
// the accounts in which each set is provisioned are listed first: a call for each set, and one for each account that it is in
// ("ListAccountsForProvisionedPermissionSet", "ListAccountAssignments", IAM Identity Center API Reference). progress is told
// how many of those pairs were read, of how many that are known so far.
func (d *Directory) Standing(ctx context.Context, sets []org.PermissionSet, progress func(read, known int)) ([]org.Assignment, error) {
	instance, _, err := d.center.Find(ctx)
	if err != nil {
		return nil, err
	}
	targets, err := d.provisioned(ctx, instance, sets, progress)
	if err != nil {
		return nil, err
	}
	found := make([][]org.Assignment, len(targets))
	var one sync.Mutex
	read := 0
	calls, ctx := errgroup.WithContext(ctx)
	calls.SetLimit(atOnce)
	for i, t := range targets {
		calls.Go(func() (err error) {
			if found[i], err = d.standingAt(ctx, instance, t); err != nil {
				return err
			}
			one.Lock()
			defer one.Unlock()
			read++
			progress(read, len(targets))
			return nil
		})
	}
	if err := calls.Wait(); err != nil {
		return nil, err
	}
	var all []org.Assignment
	for _, some := range found {
		all = append(all, some...)
	}
	return all, nil
}

// provisioned lists the accounts in which each permission set is.
func (d *Directory) provisioned(ctx context.Context, instance string, sets []org.PermissionSet, progress func(read, known int)) ([]org.Target, error) {
	found := make([][]org.Target, len(sets))
	var one sync.Mutex
	known := 0
	calls, ctx := errgroup.WithContext(ctx)
	calls.SetLimit(atOnce)
	for i, set := range sets {
		calls.Go(func() error {
			pages := ssoadmin.NewListAccountsForProvisionedPermissionSetPaginator(d.sets, &ssoadmin.ListAccountsForProvisionedPermissionSetInput{
				InstanceArn: &instance, PermissionSetArn: aws.String(set.ARN), MaxResults: aws.Int32(100),
			})
			for pages.HasMorePages() {
				page, err := pages.NextPage(ctx)
				if err != nil {
					return told("listing the accounts of the permission set "+set.Name, err)
				}
				for _, id := range page.AccountIds {
					found[i] = append(found[i], org.Target{Account: org.AccountID(id), PermissionSet: set.ARN})
				}
			}
			one.Lock()
			defer one.Unlock()
			known += len(found[i])
			progress(0, known)
			return nil
		})
	}
	if err := calls.Wait(); err != nil {
		return nil, err
	}
	var targets []org.Target
	for _, some := range found {
		targets = append(targets, some...)
	}
	return targets, nil
}

func (d *Directory) standingAt(ctx context.Context, instance string, t org.Target) ([]org.Assignment, error) {
	var found []org.Assignment
	pages := ssoadmin.NewListAccountAssignmentsPaginator(d.sets, &ssoadmin.ListAccountAssignmentsInput{
		InstanceArn: &instance, AccountId: aws.String(string(t.Account)), PermissionSetArn: &t.PermissionSet, MaxResults: aws.Int32(100),
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, told("listing the assignments of account "+string(t.Account), err)
		}
		for _, a := range page.AccountAssignments {
			given := org.Assignment{Principal: aws.ToString(a.PrincipalId), Target: t}
			switch a.PrincipalType {
			case types.PrincipalTypeUser:
				given.Kind = org.User
			case types.PrincipalTypeGroup:
				given.Kind = org.GroupOfAWS
			default:
				return nil, fmt.Errorf("listing the assignments of account %s: %w: a principal is a %q", t.Account, access.ErrLost, a.PrincipalType)
			}
			found = append(found, given)
		}
	}
	return found, nil
}
