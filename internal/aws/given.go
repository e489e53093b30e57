package aws

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssoadmin"

	"sparekey/org"
)

// Given reads every assignment in one account: a call for the permission sets that are provisioned there, and one for each of
// them ("ListPermissionSetsProvisionedToAccount", "ListAccountAssignments", IAM Identity Center API Reference). pace is
// waited for before each call.
func (d *Directory) Given(ctx context.Context, account org.AccountID, pace func(context.Context) error) ([]org.Assignment, error) {
	instance, _, err := d.center.Find(ctx)
	if err != nil {
		return nil, err
	}
	var sets []string
	pages := ssoadmin.NewListPermissionSetsProvisionedToAccountPaginator(d.sets, &ssoadmin.ListPermissionSetsProvisionedToAccountInput{
		InstanceArn: &instance, AccountId: aws.String(string(account)), MaxResults: aws.Int32(100),
	})
	for pages.HasMorePages() {
		if err := pace(ctx); err != nil {
			return nil, err
		}
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, told("listing the permission sets of account "+string(account), err)
		}
		sets = append(sets, page.PermissionSets...)
	}
	var all []org.Assignment
	for _, set := range sets {
		if err := pace(ctx); err != nil {
			return nil, err
		}
		some, err := d.standingAt(ctx, instance, org.Target{Account: account, PermissionSet: set})
		if err != nil {
			return nil, err
		}
		all = append(all, some...)
	}
	return all, nil
}

// GivenAt reads every assignment of one permission set in one account.
func (d *Directory) GivenAt(ctx context.Context, t org.Target) ([]org.Assignment, error) {
	instance, _, err := d.center.Find(ctx)
	if err != nil {
		return nil, err
	}
	return d.standingAt(ctx, instance, t)
}
