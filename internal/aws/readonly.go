package aws

import (
	"context"
	"fmt"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/smithy-go/middleware"
	"golang.org/x/time/rate"

	"sparekey/access"
)

// looks are the operations that tell and change nothing, by service and name: all that [Looking] lets through.
var looks = map[string][]string{
	"SSO Admin": {
		"ListInstances", "ListPermissionSets", "DescribePermissionSet", "ListAccountsForProvisionedPermissionSet", "ListAccountAssignments",
	},
	"identitystore": {"ListUsers", "DescribeUser", "ListGroups", "ListGroupMemberships", "ListGroupMembershipsForMember"},
	"Organizations": {"DescribeOrganization", "ListRoots", "ListOrganizationalUnitsForParent", "ListAccountsForParent", "ListTagsForResource"},
}

// serves are the operations that whoever faces people needs: a person, what a permission set permits, the policy of session
// kills, and, for those who hold a grant of it, credentials of a role. None of them changes anything in AWS.
var serves = map[string][]string{
	"SSO Admin": {
		"ListInstances", "DescribePermissionSet", "GetInlinePolicyForPermissionSet", "ListManagedPoliciesInPermissionSet", "ListCustomerManagedPolicyReferencesInPermissionSet",
		"GetPermissionsBoundaryForPermissionSet",
	},
	"identitystore": {"DescribeUser", "ListGroupMembershipsForMember", "ListGroupMemberships"},
	"Organizations": {"DescribePolicy", "ListTargetsForPolicy"},
	"STS":           {"AssumeRole"},
}

// Serving returns a configuration whose clients change nothing in AWS, whoever calls: any other operation than those that
// serving people needs is refused before anything is signed or sent (design rule 9).
func Serving(c aws.Config) aws.Config { return only(c, serves) }

// only lets through the operations that are allowed, by service and name.
func only(c aws.Config, allowed map[string][]string) aws.Config {
	c.APIOptions = append(slices.Clone(c.APIOptions), func(s *middleware.Stack) error {
		return s.Initialize.Add(middleware.InitializeMiddlewareFunc("OnlyLook", func(
			ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler,
		) (middleware.InitializeOutput, middleware.Metadata, error) {
			service, operation := middleware.GetServiceID(ctx), middleware.GetOperationName(ctx)
			if !slices.Contains(allowed[service], operation) {
				return middleware.InitializeOutput{}, middleware.Metadata{}, fmt.Errorf("%w: %s %s was not asked for, since here AWS is only looked at", access.ErrNotAsked, service, operation)
			}
			return next.HandleInitialize(ctx, in)
		}), middleware.Before)
	})
	return c
}

// Looking returns a configuration whose clients only look: any other operation is refused before anything is signed or sent,
// whichever client is made of it and whoever calls. At most perSecond calls are sent in a second, also those that are tried
// again; sent is told of each.
func Looking(c aws.Config, perSecond float64, sent func(operation string)) aws.Config {
	limit := rate.NewLimiter(rate.Limit(perSecond), 1)
	c = only(c, looks)
	c.APIOptions = append(slices.Clone(c.APIOptions), func(s *middleware.Stack) error {
		return s.Finalize.Insert(middleware.FinalizeMiddlewareFunc("Slowly", func(
			ctx context.Context, in middleware.FinalizeInput, next middleware.FinalizeHandler,
		) (middleware.FinalizeOutput, middleware.Metadata, error) {
			if err := limit.Wait(ctx); err != nil {
				return middleware.FinalizeOutput{}, middleware.Metadata{}, err
			}
			sent(middleware.GetOperationName(ctx))
			return next.HandleFinalize(ctx, in)
		}), "Retry", middleware.After)
	})
	return c
}
