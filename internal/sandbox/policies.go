package sandbox

import (
	"cmp"
	"encoding/json"
	"slices"
	"strings"

	"sparekey/internal/sandbox/world"
)

// The policies of permission sets: inline, of AWS, of the customer, and the boundary. That policies exist is not checked; in
// AWS a customer's policy that an account does not have makes provisioning fail there.

func (c *call) getInlinePolicy(in *permissionSetInput) (any, error) {
	set, err := c.permissionSet(in.InstanceArn, in.PermissionSetArn, false)
	if err != nil {
		return nil, err
	}
	answer := map[string]any{}
	if set.InlinePolicy != "" {
		answer["InlinePolicy"] = set.InlinePolicy
	}
	return answer, nil
}

type putInlinePolicyInput struct {
	InstanceArn      string `aws:"InstanceArn,required"`
	PermissionSetArn string `aws:"PermissionSetArn,required"`
	InlinePolicy     string `aws:"PolicyDocument,required"`
}

// putInlinePolicy checks that the policy is JSON, not that it is a policy.
func (c *call) putInlinePolicy(in *putInlinePolicyInput) (any, error) {
	if !json.Valid([]byte(in.InlinePolicy)) {
		return nil, invalid("The policy document is not valid JSON.")
	}
	return c.changeSet(permissionSetInput{in.InstanceArn, in.PermissionSetArn}, func(set *world.PermissionSet) error {
		set.InlinePolicy = in.InlinePolicy
		return nil
	})
}

// deleteInlinePolicy succeeds also where there is none; the API reference does not say.
func (c *call) deleteInlinePolicy(in *permissionSetInput) (any, error) {
	return c.changeSet(*in, func(set *world.PermissionSet) error { set.InlinePolicy = ""; return nil })
}

// changeSet changes a permission set for who may.
func (c *call) changeSet(in permissionSetInput, change func(*world.PermissionSet) error) (any, error) {
	set, err := c.permissionSet(in.InstanceArn, in.PermissionSetArn, true)
	if err == nil {
		err = change(set)
	}
	if err != nil {
		return nil, err
	}
	c.changed = true
	return struct{}{}, nil
}

type listOfSetInput struct {
	InstanceArn      string `aws:"InstanceArn,required"`
	PermissionSetArn string `aws:"PermissionSetArn,required"`
	MaxResults       int    `aws:"MaxResults"`
	NextToken        string `aws:"Token"`
}

type managedAnswer struct{ Name, Arn string }

func (m managedAnswer) key() string { return m.Arn }

func (c *call) listManagedPolicies(in *listOfSetInput) (any, error) {
	set, err := c.permissionSet(in.InstanceArn, in.PermissionSetArn, false)
	if err != nil {
		return nil, err
	}
	all := []managedAnswer{}
	for _, arn := range set.Managed {
		all = append(all, managedAnswer{arn[strings.LastIndexByte(arn, '/')+1:], arn})
	}
	part, next, err := page(c, all, managedAnswer.key, ssoPage, in.MaxResults, in.NextToken)
	return listing("AttachedManagedPolicies", part, next), err
}

type managedPolicyInput struct {
	InstanceArn      string `aws:"InstanceArn,required"`
	PermissionSetArn string `aws:"PermissionSetArn,required"`
	ManagedPolicyArn string `aws:"ManagedPolicyArn,required"`
}

func (c *call) attachManagedPolicy(in *managedPolicyInput) (any, error) {
	return c.changeSet(permissionSetInput{in.InstanceArn, in.PermissionSetArn}, func(set *world.PermissionSet) error {
		if slices.Contains(set.Managed, in.ManagedPolicyArn) {
			return modelled("ConflictException", "The policy is already attached to the PermissionSet.")
		}
		set.Managed = append(set.Managed, in.ManagedPolicyArn)
		return nil
	})
}

func (c *call) detachManagedPolicy(in *managedPolicyInput) (any, error) {
	return c.changeSet(permissionSetInput{in.InstanceArn, in.PermissionSetArn}, func(set *world.PermissionSet) error {
		i := slices.Index(set.Managed, in.ManagedPolicyArn)
		if i < 0 {
			return notFound("The policy %s is not attached to the PermissionSet.", in.ManagedPolicyArn)
		}
		set.Managed = slices.Delete(set.Managed, i, i+1)
		return nil
	})
}

type policyRef struct {
	Name string `aws:"ManagedPolicyName,required"`
	Path string `aws:"ManagedPolicyPath"`
}

func (r policyRef) kept() world.PolicyRef {
	return world.PolicyRef{Path: cmp.Or(r.Path, "/"), Name: r.Name}
}

type customerAnswer struct{ Name, Path string }

func (r customerAnswer) key() string { return r.Path + r.Name }

func (c *call) listCustomerPolicies(in *listOfSetInput) (any, error) {
	set, err := c.permissionSet(in.InstanceArn, in.PermissionSetArn, false)
	if err != nil {
		return nil, err
	}
	all := []customerAnswer{}
	for _, r := range set.Customers {
		all = append(all, customerAnswer{r.Name, r.Path})
	}
	part, next, err := page(c, all, customerAnswer.key, ssoPage, in.MaxResults, in.NextToken)
	return listing("CustomerManagedPolicyReferences", part, next), err
}

type customerPolicyInput struct {
	InstanceArn                    string     `aws:"InstanceArn,required"`
	PermissionSetArn               string     `aws:"PermissionSetArn,required"`
	CustomerManagedPolicyReference *policyRef `aws:"-,required"`
}

func (c *call) attachCustomerPolicy(in *customerPolicyInput) (any, error) {
	return c.changeSet(permissionSetInput{in.InstanceArn, in.PermissionSetArn}, func(set *world.PermissionSet) error {
		ref := in.CustomerManagedPolicyReference.kept()
		if slices.Contains(set.Customers, ref) {
			return modelled("ConflictException", "The policy is already attached to the PermissionSet.")
		}
		set.Customers = append(set.Customers, ref)
		return nil
	})
}

func (c *call) detachCustomerPolicy(in *customerPolicyInput) (any, error) {
	return c.changeSet(permissionSetInput{in.InstanceArn, in.PermissionSetArn}, func(set *world.PermissionSet) error {
		i := slices.Index(set.Customers, in.CustomerManagedPolicyReference.kept())
		if i < 0 {
			return notFound("The policy %s is not attached to the PermissionSet.", in.CustomerManagedPolicyReference.Name)
		}
		set.Customers = slices.Delete(set.Customers, i, i+1)
		return nil
	})
}

type boundaryInput struct {
	CustomerManagedPolicyReference *policyRef `aws:"-"`
	ManagedPolicyArn               string     `aws:"ManagedPolicyArn"`
}

type putBoundaryInput struct {
	InstanceArn         string         `aws:"InstanceArn,required"`
	PermissionSetArn    string         `aws:"PermissionSetArn,required"`
	PermissionsBoundary *boundaryInput `aws:"-,required"`
}

func (c *call) putBoundary(in *putBoundaryInput) (any, error) {
	b := in.PermissionsBoundary
	if (b.CustomerManagedPolicyReference == nil) == (b.ManagedPolicyArn == "") {
		return nil, invalid("Exactly one of CustomerManagedPolicyReference and ManagedPolicyArn must be given.")
	}
	return c.changeSet(permissionSetInput{in.InstanceArn, in.PermissionSetArn}, func(set *world.PermissionSet) error {
		set.Boundary = &world.Boundary{Managed: b.ManagedPolicyArn}
		if b.CustomerManagedPolicyReference != nil {
			ref := b.CustomerManagedPolicyReference.kept()
			set.Boundary.Customer = &ref
		}
		return nil
	})
}

func noBoundary() error { return notFound("PermissionsBoundary was not found.") }

// getBoundary says of a set without one that it is not found (terraform-provider-aws, aws_ssoadmin_permissions_boundary_attachment).
func (c *call) getBoundary(in *permissionSetInput) (any, error) {
	set, err := c.permissionSet(in.InstanceArn, in.PermissionSetArn, false)
	if err != nil {
		return nil, err
	}
	if set.Boundary == nil {
		return nil, noBoundary()
	}
	boundary := map[string]any{}
	if ref := set.Boundary.Customer; ref != nil {
		boundary["CustomerManagedPolicyReference"] = customerAnswer{ref.Name, ref.Path}
	} else {
		boundary["ManagedPolicyArn"] = set.Boundary.Managed
	}
	return map[string]any{"PermissionsBoundary": boundary}, nil
}

func (c *call) deleteBoundary(in *permissionSetInput) (any, error) {
	return c.changeSet(*in, func(set *world.PermissionSet) error {
		if set.Boundary == nil {
			return noBoundary()
		}
		set.Boundary = nil
		return nil
	})
}
