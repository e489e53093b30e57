package sandbox

import (
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssoadmin"
	"github.com/aws/aws-sdk-go-v2/service/ssoadmin/types"
)

func TestAPermissionSetLivesAndDies(t *testing.T) {
	f := start(t)
	in := &ssoadmin.CreatePermissionSetInput{
		InstanceArn: f.instance(), Name: aws.String("Fresh"), SessionDuration: aws.String("PT90M"), Tags: []types.Tag{{Key: aws.String("lendable"), Value: aws.String("yes")}},
	}
	made, err := f.admin.CreatePermissionSet(f.ctx, in)
	f.must(err)
	arn := made.PermissionSet.PermissionSetArn
	if *made.PermissionSet.SessionDuration != "PT1H30M" || made.PermissionSet.Description != nil {
		t.Errorf("%+v", made.PermissionSet)
	}
	_, err = f.admin.CreatePermissionSet(f.ctx, in)
	f.wantCode(err, "ConflictException")
	tags, err := f.admin.ListTagsForResource(f.ctx, &ssoadmin.ListTagsForResourceInput{InstanceArn: f.instance(), ResourceArn: arn})
	f.must(err)
	if len(tags.Tags) != 1 || *tags.Tags[0].Key != "lendable" {
		t.Errorf("%+v", tags.Tags)
	}
	_, err = f.admin.UpdatePermissionSet(f.ctx, &ssoadmin.UpdatePermissionSetInput{InstanceArn: f.instance(), PermissionSetArn: arn, Description: aws.String("new")})
	f.must(err)
	_, err = f.admin.PutInlinePolicyToPermissionSet(f.ctx, &ssoadmin.PutInlinePolicyToPermissionSetInput{InstanceArn: f.instance(), PermissionSetArn: arn, InlinePolicy: aws.String("{}")})
	f.must(err)
	policy, err := f.admin.GetInlinePolicyForPermissionSet(f.ctx, &ssoadmin.GetInlinePolicyForPermissionSetInput{InstanceArn: f.instance(), PermissionSetArn: arn})
	f.must(err)
	got, err := f.admin.DescribePermissionSet(f.ctx, &ssoadmin.DescribePermissionSetInput{InstanceArn: f.instance(), PermissionSetArn: arn})
	f.must(err)
	if *policy.InlinePolicy != "{}" || *got.PermissionSet.Description != "new" || *got.PermissionSet.SessionDuration != "PT1H30M" {
		t.Errorf("%s, %+v", *policy.InlinePolicy, got.PermissionSet)
	}
	a := f.of("dana", "Admin", sandboxID)
	a.PermissionSet = *arn
	_, err = f.create(a)
	f.must(err)
	remove := func() error {
		_, err := f.admin.DeletePermissionSet(f.ctx, &ssoadmin.DeletePermissionSetInput{InstanceArn: f.instance(), PermissionSetArn: arn})
		return err
	}
	f.wantCode(remove(), "ConflictException") // it is being assigned
	f.clock.Advance(2 * time.Second)
	f.wantCode(remove(), "ConflictException") // it is assigned
	f.must(f.Change(func(d *Directory) error { return d.Unassign(a) }))
	f.must(remove())
	f.wantCode(remove(), "ResourceNotFoundException")
}

func TestSessionsLastFromOneToTwelveHours(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"PT1H": time.Hour, "PT12H": 12 * time.Hour, "PT60M": time.Hour, "PT3600S": time.Hour, "PT1H30M": 90 * time.Minute, "P0DT2H": 2 * time.Hour,
		"PT59M": 0, "PT12H1S": 0, "P1D": 0, "P": 0, "PT": 0, "1H": 0, "PT1H ": 0, "P1Y": 0, "-PT1H": 0, "PT99999H": 0, "": 0,
	} {
		if got, err := sessionDuration(text); got != want || (err == nil) != (want > 0) {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
}

func TestProvisionedSetsAndAccountsFollowTheAssignments(t *testing.T) {
	f := start(t)
	accounts := func(set string, status types.ProvisioningStatus) []string {
		out, err := f.admin.ListAccountsForProvisionedPermissionSet(f.ctx, &ssoadmin.ListAccountsForProvisionedPermissionSetInput{
			InstanceArn: f.instance(), PermissionSetArn: aws.String(f.set(set)), ProvisioningStatus: status,
		})
		f.must(err)
		return out.AccountIds
	}
	sets := func(account string) []string {
		out, err := f.admin.ListPermissionSetsProvisionedToAccount(f.ctx, &ssoadmin.ListPermissionSetsProvisionedToAccountInput{InstanceArn: f.instance(), AccountId: &account})
		f.must(err)
		return out.PermissionSets
	}
	f.must(f.Change(func(d *Directory) error { return d.Assign(f.of("dana", "ReadOnly", sandboxID)) }))
	f.must(f.Change(func(d *Directory) error { return d.Assign(f.of("kim", "ReadOnly", sandboxID)) }))
	if got := accounts("ReadOnly", ""); !slices.Equal(got, []string{paymentsID, sandboxID}) {
		t.Error(got)
	}
	if got := accounts("ReadOnly", types.ProvisioningStatusLatestPermissionSetNotProvisioned); len(got) != 0 {
		t.Error(got)
	}
	if got := sets(sandboxID); !slices.Equal(got, []string{f.set("ReadOnly")}) {
		t.Error(got)
	}
	if got := accounts("Admin", ""); len(got) != 0 {
		t.Error(got)
	}
}

func TestEveryPolicyOfAPermissionSetIsKept(t *testing.T) {
	f := start(t)
	arn := aws.String(f.set("Admin"))
	policy, ref := aws.String("arn:aws:iam::aws:policy/ReadOnlyAccess"), &types.CustomerManagedPolicyReference{Name: aws.String("house"), Path: aws.String("/ops/")}
	attach := func() error {
		_, err := f.admin.AttachManagedPolicyToPermissionSet(f.ctx, &ssoadmin.AttachManagedPolicyToPermissionSetInput{InstanceArn: f.instance(), PermissionSetArn: arn, ManagedPolicyArn: policy})
		return err
	}
	refer := func() error {
		_, err := f.admin.AttachCustomerManagedPolicyReferenceToPermissionSet(f.ctx, &ssoadmin.AttachCustomerManagedPolicyReferenceToPermissionSetInput{InstanceArn: f.instance(), PermissionSetArn: arn, CustomerManagedPolicyReference: ref})
		return err
	}
	f.must(attach())
	f.wantCode(attach(), "ConflictException")
	f.must(refer())
	f.wantCode(refer(), "ConflictException")
	boundary := func(b *types.PermissionsBoundary) error {
		_, err := f.admin.PutPermissionsBoundaryToPermissionSet(f.ctx, &ssoadmin.PutPermissionsBoundaryToPermissionSetInput{InstanceArn: f.instance(), PermissionSetArn: arn, PermissionsBoundary: b})
		return err
	}
	bounded := func() (*types.PermissionsBoundary, error) {
		out, err := f.admin.GetPermissionsBoundaryForPermissionSet(f.ctx, &ssoadmin.GetPermissionsBoundaryForPermissionSetInput{InstanceArn: f.instance(), PermissionSetArn: arn})
		if err != nil {
			return nil, err
		}
		return out.PermissionsBoundary, nil
	}
	_, err := bounded()
	f.wantCode(err, "ResourceNotFoundException")
	f.wantCode(boundary(&types.PermissionsBoundary{}), "ValidationException")
	f.wantCode(boundary(&types.PermissionsBoundary{ManagedPolicyArn: policy, CustomerManagedPolicyReference: ref}), "ValidationException")
	f.must(boundary(&types.PermissionsBoundary{CustomerManagedPolicyReference: &types.CustomerManagedPolicyReference{Name: aws.String("fence")}}))
	if b, err := bounded(); err != nil || *b.CustomerManagedPolicyReference.Name != "fence" || *b.CustomerManagedPolicyReference.Path != "/" || b.ManagedPolicyArn != nil {
		t.Errorf("%+v, %v", b, err)
	}
	managed, err := f.admin.ListManagedPoliciesInPermissionSet(f.ctx, &ssoadmin.ListManagedPoliciesInPermissionSetInput{InstanceArn: f.instance(), PermissionSetArn: arn})
	f.must(err)
	own, err := f.admin.ListCustomerManagedPolicyReferencesInPermissionSet(f.ctx, &ssoadmin.ListCustomerManagedPolicyReferencesInPermissionSetInput{InstanceArn: f.instance(), PermissionSetArn: arn})
	f.must(err)
	if len(managed.AttachedManagedPolicies) != 1 || *managed.AttachedManagedPolicies[0].Name != "ReadOnlyAccess" || len(own.CustomerManagedPolicyReferences) != 1 || *own.CustomerManagedPolicyReferences[0].Path != "/ops/" {
		t.Errorf("%+v, %+v", managed, own)
	}
	f.must(f.Change(func(d *Directory) error { return d.Assign(f.of("dana", "Admin", managementID)) }))
	f.rewire(f.Key(delegatedID, "x")) // who may not touch a set that the management account uses
	f.wantCode(boundary(&types.PermissionsBoundary{ManagedPolicyArn: policy}), "AccessDeniedException")
	if b, err := bounded(); err != nil || b.ManagedPolicyArn != nil {
		t.Errorf("%+v, %v", b, err)
	}
}
