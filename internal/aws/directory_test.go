package aws

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/identitystore"

	"sparekey/access"
	"sparekey/org"
)

var centerBehaviours = []behaviour{
	{"the one instance that is visible is found", findTheOne},
	{"the instance that is named is found, and its store", findTheNamed},
	{"an instance that is named and not visible is not used", findTheInvisible},
	{"an instance that is not ours has no say in what is assigned", foreignInstance},
}

var personBehaviours = []behaviour{
	{"a person is read with their address and groups", readPeople},
	{"a person's groups are read from every page", groupsOnEveryPage},
	{"a person who is enabled, disabled or neither is so", statuses},
	{"a status that AWS leaves out is what the configuration says", missingStatus},
	{"somebody whom the store does not know is removed", removed},
	{"a store that is not ours has no say in who is there", foreignStore},
}

func findTheOne(ctx context.Context, b *backend) error {
	c := b.center()
	for range 2 {
		instance, store, err := c.Find(ctx)
		if err != nil || instance != b.want.Instance || store != b.want.IdentityStore {
			return but(err, "found %s with %s, not %s with %s", instance, store, b.want.Instance, b.want.IdentityStore)
		}
	}
	return nil
}

func findTheNamed(ctx context.Context, b *backend) error {
	instance, store, err := NewCenter(b.config, b.want.Instance, "").Find(ctx)
	if err != nil || instance != b.want.Instance || store != b.want.IdentityStore {
		return but(err, "found %s with %s, not %s with %s", instance, store, b.want.Instance, b.want.IdentityStore)
	}
	return nil
}

func findTheInvisible(ctx context.Context, b *backend) error {
	if instance, store, err := NewCenter(b.config, otherInstance, "").Find(ctx); !errors.Is(err, access.ErrNotAsked) {
		return but(err, "found %s with %s", instance, store)
	}
	return nil
}

const (
	otherInstance = "arn:aws:sso:::instance/ssoins-0000000000000000"
	otherStore    = "d-0000000000"
)

// foreignInstance names an instance and a store in full, as a configuration may, so that nothing is looked up before.
func foreignInstance(ctx context.Context, b *backend) error {
	k := b.key("dana", "payments", "ReadOnly")
	if _, err := b.created(ctx, k); err != nil {
		return err
	}
	k.PermissionSet = org.PermissionSetARN(org.ARN{Partition: "aws", Service: "sso", Resource: "instance/ssoins-0000000000000000"}, "ps-0000000000000000")
	for _, set := range []string{k.PermissionSet, b.target("payments", "ReadOnly").PermissionSet} {
		k.PermissionSet = set
		assigned, err := NewAssignments(b.config, NewCenter(b.config, otherInstance, b.want.IdentityStore)).Assigned(ctx, k)
		if err == nil {
			return fmt.Errorf("Assigned believed it: %t", assigned)
		}
	}
	return nil
}

func readPeople(ctx context.Context, b *backend) error {
	for _, want := range b.want.People {
		got, err := b.directory().Person(ctx, want.ID)
		if err != nil || !reflect.DeepEqual(got, want) {
			return but(err, "got %+v, not %+v", got, want)
		}
	}
	return nil
}

func groupsOnEveryPage(ctx context.Context, b *backend) error {
	lee := b.person("lee").ID
	for i := range 105 { // a page has at most 100
		g, err := b.addGroup(ctx, fmt.Sprintf("group-%03d", i))
		if err == nil {
			err = b.join(ctx, lee, g)
		}
		if err != nil {
			return err
		}
	}
	got, err := b.directory().Person(ctx, lee)
	if err != nil || !slices.Equal(got.Groups, b.person("lee").Groups) {
		return but(err, "got %d groups, not %d, or others", len(got.Groups), len(b.person("lee").Groups))
	}
	return nil
}

func statuses(ctx context.Context, b *backend) error {
	dana := b.person("dana").ID
	for _, s := range []org.Status{org.StatusDisabled, org.StatusUnknown, org.StatusEnabled} {
		if err := b.status(dana, s); err != nil {
			return err
		}
		got, err := b.directory().Person(ctx, dana)
		if err != nil || got.Status != s {
			return but(err, "a person who is %q is read as %q", s, got.Status)
		}
		o, err := b.directory().Organization(ctx)
		if err != nil {
			return err
		}
		if i := slices.IndexFunc(o.People, func(p org.Person) bool { return p.ID == dana }); o.People[i].Status != s {
			return fmt.Errorf("a person who is %q is %q in the organization", s, o.People[i].Status)
		}
	}
	return nil
}

func missingStatus(ctx context.Context, b *backend) error {
	dana := b.person("dana").ID
	if b.newcomer != org.StatusUnknown {
		if err := b.status(dana, org.StatusUnknown); err != nil {
			return err
		}
	}
	for _, missing := range []org.Status{org.StatusUnknown, org.StatusEnabled} {
		got, err := NewDirectory(b.config, b.center(), missing).Person(ctx, dana)
		if err != nil || got.Status != missing {
			return but(err, "where left out is %q, a person is %q", missing, got.Status)
		}
	}
	return nil
}

func removed(ctx context.Context, b *backend) error {
	kim := b.person("kim").ID
	if _, err := b.store.DeleteUser(ctx, &identitystore.DeleteUserInput{IdentityStoreId: &b.want.IdentityStore, UserId: aws.String(string(kim))}); err != nil {
		return err
	}
	for _, id := range []org.PersonID{kim, nobodyKnows} {
		got, err := b.directory().Person(ctx, id)
		if want := (org.Person{ID: id, Status: org.StatusRemoved}); err != nil || !reflect.DeepEqual(got, want) {
			return but(err, "somebody who is not there is %+v", got)
		}
	}
	return nil
}

func foreignStore(ctx context.Context, b *backend) error {
	d := NewDirectory(b.config, NewCenter(b.config, b.want.Instance, otherStore), org.StatusUnknown)
	for _, id := range []org.PersonID{b.person("dana").ID, nobodyKnows} {
		if got, err := d.Person(ctx, id); err == nil {
			return fmt.Errorf("Person believed it: %+v", got)
		}
	}
	return nil
}

var (
	organizationIsReadWhole = behaviour{"the organization is read whole, as it was set up", readOrganization}

	organizationIsReadFromEveryPage = behaviour{"the organization is read from every page", organizationOnEveryPage}

	organizationBehaviours = []behaviour{
		organizationIsReadWhole,
		organizationIsReadFromEveryPage,
		{"an account that is suspended says so", suspended},
		{"a permission set that was made without a session lasts an hour", sessionByDefault},
	}
)

func readOrganization(ctx context.Context, b *backend) error {
	got, err := b.directory().Organization(ctx)
	if err != nil {
		return err
	}
	if got, want := sorted(got), sorted(b.want); !reflect.DeepEqual(got, want) {
		return fmt.Errorf("it was read as\n%+v\nnot\n%+v", got, want)
	}
	return nil
}

// organizationOnEveryPage makes more of everything than a page has: 20 in Organizations, 100 elsewhere.
func organizationOnEveryPage(ctx context.Context, b *backend) error {
	for i := range 25 {
		parent, name := b.ou("Dev"), fmt.Sprintf("more-%03d", i)
		if _, err := b.addOU(ctx, parent, name); err != nil {
			return err
		}
		if _, err := b.addAccount(ctx, parent, name, map[string]string{"number": name}); err != nil {
			return err
		}
	}
	for i := range 105 {
		name := fmt.Sprintf("more-%03d", i)
		p, err1 := b.addPerson(ctx, name, name, name+"@example.com")
		_, err2 := b.addGroup(ctx, name)
		err3 := b.addSet(ctx, name, "", "PT1H30M", 90*time.Minute)
		if err := errors.Join(err1, err2, err3, b.join(ctx, p, b.group("oncall"))); err != nil {
			return err
		}
	}
	return readOrganization(ctx, b)
}

func suspended(ctx context.Context, b *backend) error {
	for i, a := range b.want.Accounts {
		if a.Name == "play" {
			b.want.Accounts[i].State = org.AccountSuspended
			if err := b.suspend(ctx, a.ID); err != nil {
				return err
			}
		}
	}
	return readOrganization(ctx, b)
}

func sessionByDefault(ctx context.Context, b *backend) error {
	if err := b.addSet(ctx, "Plain", "", "", time.Hour); err != nil {
		return err
	}
	return readOrganization(ctx, b)
}
