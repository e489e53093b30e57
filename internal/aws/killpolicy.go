package aws

import (
	"context"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/organizations"
	orgtypes "github.com/aws/aws-sdk-go-v2/service/organizations/types"

	"sparekey/access"
	"sparekey/internal/awsconn"
)

// KillPolicy reads and writes the one service control policy that holds session kills. It has credentials of its own, of a role
// that can do nothing else; it neither makes, attaches nor detaches policies.
type KillPolicy struct {
	read, write *organizations.Client // write never retries: whoever calls reads again
	id          string
}

// NewKillPolicy makes the adapter for the policy of an id.
func NewKillPolicy(c aws.Config, id string) *KillPolicy {
	return &KillPolicy{organizations.NewFromConfig(awsconn.Reading(spoken(c))), organizations.NewFromConfig(spoken(c)), id}
}

// Read returns the policy's content.
func (k *KillPolicy) Read(ctx context.Context) (string, error) {
	out, err := k.read.DescribePolicy(ctx, &organizations.DescribePolicyInput{PolicyId: &k.id})
	if err != nil {
		return "", told("describing the policy "+k.id, err)
	}
	return k.content("describing", out.Policy)
}

// content takes an answer's word only if it is about our policy, and that is a service control policy.
func (k *KillPolicy) content(doing string, p *orgtypes.Policy) (string, error) {
	switch {
	case p == nil || p.PolicySummary == nil || aws.ToString(p.PolicySummary.Id) != k.id || aws.ToString(p.Content) == "":
		return "", fmt.Errorf("%s the policy %s: %w: its answer is about another, or empty", doing, k.id, access.ErrLost)
	case p.PolicySummary.Type != orgtypes.PolicyTypeServiceControlPolicy:
		return "", fmt.Errorf("%s the policy %s: %w: it is a %s, not a service control policy", doing, k.id, access.ErrRejected, p.PolicySummary.Type)
	}
	return *p.Content, nil
}

// Write replaces the policy's content. What is not a policy of session kills is [access.ErrRejected], and AWS is not asked.
func (k *KillPolicy) Write(ctx context.Context, text string) error {
	if _, err := access.ReadKillPolicy(text); err != nil {
		return err
	}
	out, err := k.write.UpdatePolicy(ctx, &organizations.UpdatePolicyInput{PolicyId: &k.id, Content: &text})
	if err != nil {
		return told("updating the policy "+k.id, err)
	}
	has, err := k.content("updating", out.Policy)
	if err == nil && !access.SamePolicy(has, text) {
		err = fmt.Errorf("updating the policy %s: %w: it is not what was sent", k.id, access.ErrLost)
	}
	return err
}

// Targets lists the ids of what the policy is attached to: the root, organizational units, accounts.
func (k *KillPolicy) Targets(ctx context.Context) ([]string, error) {
	var all []string
	pages := organizations.NewListTargetsForPolicyPaginator(k.read, &organizations.ListTargetsForPolicyInput{PolicyId: &k.id})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, told("listing what the policy "+k.id+" is attached to", err)
		}
		for _, t := range page.Targets {
			all = append(all, aws.ToString(t.TargetId))
		}
	}
	return all, nil
}
