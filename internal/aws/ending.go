package aws

import (
	"context"
	"fmt"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/smithy-go/middleware"

	"sparekey/access"
)

// ends are the operations that tell or take away, by service and name: all that [Ending] lets through.
var ends = map[string][]string{
	"SSO Admin":     {"ListInstances", "ListAccountAssignments", "DeleteAccountAssignment", "DescribeAccountAssignmentDeletionStatus"},
	"identitystore": {"GetGroupMembershipId", "DeleteGroupMembership"},
}

// Ending returns a configuration whose clients only end: any other operation is refused before anything is signed or sent,
// whichever client is made of it and whoever calls.
func Ending(c aws.Config) aws.Config {
	c.APIOptions = append(slices.Clone(c.APIOptions), func(s *middleware.Stack) error {
		return s.Initialize.Add(middleware.InitializeMiddlewareFunc("OnlyEnd", func(
			ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler,
		) (middleware.InitializeOutput, middleware.Metadata, error) {
			service, operation := middleware.GetServiceID(ctx), middleware.GetOperationName(ctx)
			if !slices.Contains(ends[service], operation) {
				return middleware.InitializeOutput{}, middleware.Metadata{}, fmt.Errorf("%w: %s %s was not asked for, since here access is only ended", access.ErrNotAsked, service, operation)
			}
			return next.HandleInitialize(ctx, in)
		}), middleware.Before)
	})
	return c
}
