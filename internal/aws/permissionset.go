package aws

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssoadmin"
	ssotypes "github.com/aws/aws-sdk-go-v2/service/ssoadmin/types"
	"github.com/go-json-experiment/json/jsontext"

	"sparekey/access"
	"sparekey/audit"
	"sparekey/org"
)

// content is all that decides what a permission set permits. Its JSON is digested, so that a member that is renamed, or comes
// to be written another way, changes the digest of every set: approvals are asked for anew.
type content struct {
	Session    string   `json:"session"`
	RelayState string   `json:"relayState,omitempty"`
	Inline     any      `json:"inline,omitempty"`
	Managed    []string `json:"managed,omitempty"`   // ARNs of AWS's policies
	Customers  []string `json:"customers,omitempty"` // paths and names of the customer's policies
	Boundary   string   `json:"boundary,omitempty"`
}

// PermissionSet reads one permission set with the digest of its content, in five calls and the pages of two of them. Two sets
// have one digest if they have the same session duration, relay state, policies and boundary; how the inline policy is laid
// out, and the order of lists, make no difference. What the policies that it names say is not looked at: AWS and the accounts
// change those.
func (d *Directory) PermissionSet(ctx context.Context, arn string) (org.PermissionSet, error) {
	instance, _, err := d.center.Find(ctx)
	if err != nil {
		return org.PermissionSet{}, err
	}
	set, relayState, err := d.describeSet(ctx, instance, arn)
	if err != nil {
		return org.PermissionSet{}, err
	}
	c := content{Session: set.Session.String(), RelayState: relayState}
	inline, err := d.sets.GetInlinePolicyForPermissionSet(ctx, &ssoadmin.GetInlinePolicyForPermissionSetInput{InstanceArn: &instance, PermissionSetArn: &arn})
	if err != nil {
		return org.PermissionSet{}, told("reading the inline policy of "+arn, err)
	}
	c.Inline = canonicalPolicy(aws.ToString(inline.InlinePolicy))
	if c.Managed, err = d.managedPolicies(ctx, instance, arn); err != nil {
		return org.PermissionSet{}, err
	}
	if c.Customers, err = d.customerPolicies(ctx, instance, arn); err != nil {
		return org.PermissionSet{}, err
	}
	if c.Boundary, err = d.boundary(ctx, instance, arn); err != nil {
		return org.PermissionSet{}, err
	}
	if set.Content, err = audit.Digest(c); err != nil {
		return org.PermissionSet{}, fmt.Errorf("digesting the permission set %s: %w: %w", arn, access.ErrLost, err)
	}
	return set, nil
}

// describeSet reads a permission set without its content, and its relay state.
func (d *Directory) describeSet(ctx context.Context, instance, arn string) (set org.PermissionSet, relayState string, err error) {
	out, err := d.sets.DescribePermissionSet(ctx, &ssoadmin.DescribePermissionSetInput{InstanceArn: &instance, PermissionSetArn: &arn})
	if err != nil {
		return set, "", told("describing the permission set "+arn, err)
	}
	s := out.PermissionSet
	if s == nil {
		return set, "", fmt.Errorf("describing the permission set %s: %w: its answer names none", arn, access.ErrLost)
	}
	session, err := isoDuration(aws.ToString(s.SessionDuration))
	if err != nil {
		return set, "", fmt.Errorf("describing the permission set %s: %w: %w", arn, access.ErrLost, err)
	}
	return org.PermissionSet{ARN: arn, Name: aws.ToString(s.Name), Description: aws.ToString(s.Description), Session: session}, aws.ToString(s.RelayState), nil
}

func (d *Directory) managedPolicies(ctx context.Context, instance, arn string) ([]string, error) {
	var all []string
	pages := ssoadmin.NewListManagedPoliciesInPermissionSetPaginator(d.sets, &ssoadmin.ListManagedPoliciesInPermissionSetInput{
		InstanceArn: &instance, PermissionSetArn: &arn, MaxResults: aws.Int32(100),
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, told("listing the managed policies of "+arn, err)
		}
		for _, p := range page.AttachedManagedPolicies {
			all = append(all, aws.ToString(p.Arn))
		}
	}
	slices.Sort(all)
	return all, nil
}

func (d *Directory) customerPolicies(ctx context.Context, instance, arn string) ([]string, error) {
	var all []string
	pages := ssoadmin.NewListCustomerManagedPolicyReferencesInPermissionSetPaginator(d.sets, &ssoadmin.ListCustomerManagedPolicyReferencesInPermissionSetInput{
		InstanceArn: &instance, PermissionSetArn: &arn, MaxResults: aws.Int32(100),
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, told("listing the customer managed policies of "+arn, err)
		}
		for _, p := range page.CustomerManagedPolicyReferences {
			all = append(all, customerPolicy(p))
		}
	}
	slices.Sort(all)
	return all, nil
}

// customerPolicy is a policy's path and name; without a path it is "/" ("CustomerManagedPolicyReference", IAM Identity Center
// API Reference).
func customerPolicy(p ssotypes.CustomerManagedPolicyReference) string {
	return cmp.Or(aws.ToString(p.Path), "/") + aws.ToString(p.Name)
}

// boundary reads a permission set's boundary. One that is not found is none: the set itself was there a moment ago.
func (d *Directory) boundary(ctx context.Context, instance, arn string) (string, error) {
	out, err := d.sets.GetPermissionsBoundaryForPermissionSet(ctx, &ssoadmin.GetPermissionsBoundaryForPermissionSetInput{InstanceArn: &instance, PermissionSetArn: &arn})
	if err != nil {
		if err = told("reading the boundary of "+arn, err); errors.Is(err, access.ErrMissing) {
			return "", nil
		}
		return "", err
	}
	switch b := out.PermissionsBoundary; {
	case b == nil:
		return "", nil
	case b.CustomerManagedPolicyReference != nil:
		return customerPolicy(*b.CustomerManagedPolicyReference), nil
	case aws.ToString(b.ManagedPolicyArn) != "":
		return *b.ManagedPolicyArn, nil
	}
	return "", fmt.Errorf("reading the boundary of %s: %w: its answer names no policy", arn, access.ErrLost)
}

// canonicalPolicy returns a policy as a value whose canonical JSON is the same for every way to lay it out: in policies the
// order of a list never matters ("Grammar of the IAM JSON policy language"). A text that is no policy stays as it is, and so
// does one that has a name twice in one object, of which the meaning is not known.
func canonicalPolicy(text string) any {
	if text == "" {
		return nil
	}
	var value any
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber() // as it is written: 1 and 1.0 differ, and nothing is rounded
	if !jsontext.Value(text).IsValid() || d.Decode(&value) != nil {
		return []string{"text", text}
	}
	return ordered(value)
}

// ordered sorts every list by what its items look like. Numbers become texts: the digest's form would round them.
func ordered(value any) any {
	switch v := value.(type) {
	case map[string]any:
		for name, inner := range v {
			v[name] = ordered(inner)
		}
	case []any:
		looks := make([]string, len(v))
		for i := range v {
			text, _ := json.Marshal(ordered(v[i])) // of what JSON was decoded to
			looks[i] = string(text)
		}
		slices.Sort(looks)
		for i := range v {
			v[i] = looks[i]
		}
	case json.Number:
		return []string{"number", v.String()}
	}
	return value
}
