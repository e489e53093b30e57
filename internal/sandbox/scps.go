package sandbox

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"sparekey/internal/sandbox/wire"
	"sparekey/internal/sandbox/world"
	"sparekey/org"
)

// largestSCP is how many characters a service control policy may have ("Quotas for AWS Organizations"; it was raised since for
// some organizations).
const largestSCP = 5120

// scpOperations are those of service control policies; there is no other kind of policy here.
var scpOperations = []operation{
	{name: "CreatePolicy", may: management, run: handle((*call).createSCP)},
	{name: "DescribePolicy", may: delegated, run: handle((*call).describeSCP)},
	{name: "UpdatePolicy", may: management, run: handle((*call).updateSCP)},
	{name: "AttachPolicy", may: management, run: handle((*call).attachSCP)},
	{name: "DetachPolicy", may: management, run: handle((*call).detachSCP)},
	{name: "ListTargetsForPolicy", may: delegated, run: handle((*call).listSCPTargets)},
}

type createSCPInput struct {
	Content     string     `aws:"PolicyContent,required"`
	Description string     `aws:"PolicyDescription,required"`
	Name        string     `aws:"PolicyName,required"`
	Type        string     `aws:"PolicyType,required"`
	Tags        []tagInput `aws:"-"`
}

func (c *call) createSCP(in *createSCPInput) (any, error) {
	switch {
	case in.Type != "SERVICE_CONTROL_POLICY":
		return nil, modelled("PolicyTypeNotAvailableForOrganizationException", "You can't use the specified policy type with the feature set currently enabled for this organization.")
	case slices.ContainsFunc(c.w.SCPs(), func(p *world.SCP) bool { return p.Name == in.Name }):
		return nil, modelled("DuplicatePolicyException", "A policy with the same name already exists.")
	}
	if err := checkSCP(in.Content); err != nil {
		return nil, err
	}
	c.changed = true
	return c.describedSCP(c.w.AddSCP(in.Name, in.Description, in.Content)), nil
}

// checkSCP checks that a policy is a JSON object of the size that AWS takes, with statements, not that it is a policy.
func checkSCP(content string) error {
	var policy struct{ Statement []json.RawMessage }
	switch {
	case len([]rune(content)) > largestSCP:
		return tooMany("POLICY_CONTENT_LIMIT_EXCEEDED", "You have exceeded the content limit of a policy.")
	case json.Unmarshal([]byte(content), &policy) != nil || len(policy.Statement) == 0:
		return modelled("MalformedPolicyDocumentException", "The provided policy document does not meet the requirements of the specified policy type.")
	}
	return nil
}

func (c *call) scp(id string) (*world.SCP, error) {
	p, ok := c.w.SCP(id)
	if !ok {
		return nil, modelled("PolicyNotFoundException", "You specified a policy that doesn't exist.")
	}
	return p, nil
}

func (c *call) describedSCP(p *world.SCP) any {
	return map[string]any{"Policy": map[string]any{"Content": p.Content, "PolicySummary": map[string]any{
		"Id": p.ID, "Arn": c.w.ARN("policy", "service_control_policy/"+p.ID), "Name": p.Name, "Description": p.Description,
		"Type": "SERVICE_CONTROL_POLICY", "AwsManaged": false,
	}}}
}

type scpInput struct {
	PolicyId string `aws:"PolicyId,required"`
}

func (c *call) describeSCP(in *scpInput) (any, error) {
	p, err := c.scp(in.PolicyId)
	if err != nil {
		return nil, err
	}
	return c.describedSCP(p), nil
}

type updateSCPInput struct {
	PolicyId    string `aws:"PolicyId,required"`
	Name        string `aws:"PolicyName"`
	Description string `aws:"PolicyDescription"`
	Content     string `aws:"PolicyContent"`
}

func (c *call) updateSCP(in *updateSCPInput) (any, error) {
	p, err := c.scp(in.PolicyId)
	if err == nil && in.Content != "" {
		err = checkSCP(in.Content)
	}
	if err != nil {
		return nil, err
	}
	if in.Name != "" && slices.ContainsFunc(c.w.SCPs(), func(o *world.SCP) bool { return o != p && o.Name == in.Name }) {
		return nil, modelled("DuplicatePolicyException", "A policy with the same name already exists.")
	}
	for field, value := range map[*string]string{&p.Name: in.Name, &p.Description: in.Description, &p.Content: in.Content} {
		if value != "" {
			*field = value
		}
	}
	c.changed = true
	return c.describedSCP(p), nil
}

type scpTargetInput struct {
	PolicyId string `aws:"PolicyId,required"`
	TargetId string `aws:"PolicyTargetId,required"`
}

func (c *call) scpTarget(in *scpTargetInput) (*world.SCP, error) {
	p, err := c.scp(in.PolicyId)
	if err != nil {
		return nil, err
	}
	if _, account := c.w.Account(org.AccountID(in.TargetId)); !account && !c.w.IsParent(org.OUID(in.TargetId)) {
		return nil, modelled("TargetNotFoundException", "You specified a target that doesn't exist.")
	}
	return p, nil
}

func (c *call) attachSCP(in *scpTargetInput) (any, error) {
	p, err := c.scpTarget(in)
	if err != nil {
		return nil, err
	}
	if err := c.w.AttachSCP(p.ID, in.TargetId); errors.Is(err, world.ErrExists) {
		return nil, modelled("DuplicatePolicyAttachmentException", "The selected policy is already attached to the specified target.")
	} else if err != nil {
		return nil, err
	}
	c.changed = true
	return nil, nil
}

func (c *call) detachSCP(in *scpTargetInput) (any, error) {
	p, err := c.scpTarget(in)
	if err != nil {
		return nil, err
	}
	i := slices.Index(p.Targets, in.TargetId)
	if i < 0 {
		return nil, modelled("PolicyNotAttachedException", "The policy isn't attached to the specified target in the specified root.")
	}
	p.Targets = slices.Delete(p.Targets, i, i+1)
	c.changed = true
	return nil, nil
}

type scpTargetsInput struct {
	PolicyId   string `aws:"PolicyId,required"`
	MaxResults int    `aws:"MaxResults"`
	NextToken  string `aws:"NextToken"`
}

type scpTargetAnswer struct{ TargetId, Arn, Name, Type string }

func (t scpTargetAnswer) key() string { return t.TargetId }

func (c *call) listSCPTargets(in *scpTargetsInput) (any, error) {
	p, err := c.scp(in.PolicyId)
	if err != nil {
		return nil, err
	}
	all := make([]scpTargetAnswer, 0, len(p.Targets))
	for _, id := range p.Targets {
		if a, ok := c.w.Account(org.AccountID(id)); ok {
			all = append(all, scpTargetAnswer{id, c.w.ARN("account", id), a.Name, "ACCOUNT"})
		} else if ou, ok := c.w.OU(org.OUID(id)); ok {
			all = append(all, scpTargetAnswer{id, c.w.ARN("ou", id), ou.Name, "ORGANIZATIONAL_UNIT"})
		} else {
			all = append(all, scpTargetAnswer{id, c.w.ARN("root", id), "Root", "ROOT"})
		}
	}
	part, next, err := page(c, all, scpTargetAnswer.key, orgPage, in.MaxResults, in.NextToken)
	return listing("Targets", part, next), err
}

// refusedBySCP reports whether a service control policy denies the call to a session of a role that a person opened through
// Identity Center. Only statements that deny everything, under conditions on who, in which role and since when, are judged;
// every other is taken as one that does not match. The person is known in that session, and no more in one that it goes on to.
func (c *call) refusedBySCP() bool {
	if c.caller.person == "" {
		return false
	}
	for _, p := range c.w.SCPsOf(c.caller.account) {
		var policy struct {
			Statement []struct {
				Effect, Action, Resource string
				Condition                map[string]map[string]string
			}
		}
		if json.Unmarshal([]byte(p.Content), &policy) != nil {
			continue
		}
		for _, s := range policy.Statement {
			if s.Effect == "Deny" && s.Action == "*" && s.Resource == "*" && c.caller.meets(s.Condition) {
				return true
			}
		}
	}
	return false
}

// meets reports whether a session meets all conditions of a statement.
func (c caller) meets(conditions map[string]map[string]string) bool {
	for operator, of := range conditions {
		for key, value := range of {
			switch strings.ToLower(operator + " " + key) {
			case "stringequals identitystore:userid":
				if value != string(c.person) {
					return false
				}
			case "arnlike aws:principalarn":
				if !matches(value, c.role) {
					return false
				}
			case "datelessthan aws:tokenissuetime":
				if at, err := time.Parse(time.RFC3339, value); err != nil || !c.issued.Before(at) {
					return false
				}
			default:
				return false
			}
		}
	}
	return true
}

// matches reports whether a text is what a pattern with * and ? says.
func matches(pattern, text string) bool {
	if pattern == "" {
		return text == ""
	}
	switch pattern[0] {
	case '*':
		for i := 0; i <= len(text); i++ {
			if matches(pattern[1:], text[i:]) {
				return true
			}
		}
		return false
	case '?':
		return text != "" && matches(pattern[1:], text[1:])
	}
	return text != "" && text[0] == pattern[0] && matches(pattern[1:], text[1:])
}

// deniedBySCP refuses in IAM's words.
func (c *call) deniedBySCP() *wire.Error {
	return c.op.service.denied("User: " + c.caller.arn + " is not authorized to perform: " + c.op.service.signing + ":" + c.op.name + " with an explicit deny in a service control policy")
}
