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

// Looking returns a configuration whose clients only look: any other operation is refused before anything is signed or sent,
// whichever client is made of it and whoever calls. At most perSecond calls are sent in a second, also those that are tried
// again; sent is told of each.
func Looking(c aws.Config, perSecond float64, sent func(operation string)) aws.Config {
	limit := rate.NewLimiter(rate.Limit(perSecond), 1)
	c.APIOptions = append(slices.Clone(c.APIOptions), func(s *middleware.Stack) error {
		err := s.Initialize.Add(middleware.InitializeMiddlewareFunc("OnlyLook", func(
			ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler,
		) (middleware.InitializeOutput, middleware.Metadata, error) {
			service, operation := middleware.GetServiceID(ctx), middleware.GetOperationName(ctx)
			if !slices.Contains(looks[service], operation) {
				return middleware.InitializeOutput{}, middleware.Metadata{}, fmt.Errorf("%w: %s %s was not asked for, since here AWS is only looked at", access.ErrNotAsked, service, operation)
			}
			return next.HandleInitialize(ctx, in)
		}), middleware.Before)
		if err != nil {
			return err
		}
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
