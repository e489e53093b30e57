package aws

import (
	"cmp"
	"context"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssoadmin"

	"sparekey/access"
	"sparekey/internal/awsconn"
	"sparekey/org"
)

// Center is an Identity Center instance and its identity store. What the configuration does not name is looked up when it is
// first needed, so that a server starts while AWS is away.
type Center struct {
	client          *ssoadmin.Client
	region          string
	looking         chan struct{} // holds one who looks, or nothing
	instance, store string
}

// NewCenter makes the instance of an ARN and a store's id. Either may be empty.
func NewCenter(c aws.Config, instance, store string) *Center {
	return &Center{client: ssoadmin.NewFromConfig(awsconn.Reading(spoken(c))), region: c.Region, looking: make(chan struct{}, 1), instance: instance, store: store}
}

// Find returns the instance's ARN and the id of its identity store. Where the account sees several instances, and none is
// named, it is an error.
func (c *Center) Find(ctx context.Context) (instance, store string, err error) {
	select {
	case c.looking <- struct{}{}:
		defer func() { <-c.looking }()
	case <-ctx.Done(): // whoever looks may have more time than we
		return "", "", fmt.Errorf("finding the Identity Center instance: %w: %w", access.ErrNotAsked, ctx.Err())
	}
	if c.instance != "" && c.store != "" {
		return c.instance, c.store, nil
	}
	seen, err := c.instances(ctx)
	if err != nil {
		return "", "", err
	}
	for arn, id := range seen {
		if arn == c.instance || c.instance == "" && len(seen) == 1 {
			if _, err := org.ParseARN(arn); err != nil {
				return "", "", fmt.Errorf("%w: %w", access.ErrNotAsked, err)
			}
			c.instance, c.store = arn, cmp.Or(c.store, id)
			return c.instance, c.store, nil
		}
	}
	if c.instance != "" {
		return "", "", fmt.Errorf("%w: the instance %s is not visible in %s", access.ErrNotAsked, c.instance, c.region)
	}
	return "", "", fmt.Errorf("%w: %d Identity Center instances are visible in %s; name the one to use in the configuration", access.ErrNotAsked, len(seen), c.region)
}

// instances lists the visible instances, by ARN, with their identity stores.
func (c *Center) instances(ctx context.Context) (map[string]string, error) {
	seen := map[string]string{}
	pages := ssoadmin.NewListInstancesPaginator(c.client, &ssoadmin.ListInstancesInput{})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, told("listing Identity Center instances", err)
		}
		for _, i := range page.Instances {
			seen[aws.ToString(i.InstanceArn)] = aws.ToString(i.IdentityStoreId)
		}
	}
	return seen, nil
}

// exists reports whether Identity Center, asked now, knows our instance.
func (c *Center) exists(ctx context.Context) bool {
	instance, _, err := c.Find(ctx)
	if err != nil {
		return false
	}
	seen, err := c.instances(ctx)
	_, ok := seen[instance]
	return err == nil && ok
}

// holds reports whether Identity Center, asked now, knows our instance, and our identity store as the instance's.
func (c *Center) holds(ctx context.Context) bool {
	instance, store, err := c.Find(ctx)
	if err != nil {
		return false
	}
	seen, err := c.instances(ctx)
	return err == nil && seen[instance] == store
}
