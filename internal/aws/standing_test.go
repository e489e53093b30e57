package aws

import (
	"cmp"
	"context"
	"errors"
	"regexp"
	"slices"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/identitystore"
	"github.com/aws/aws-sdk-go-v2/service/organizations"
	"github.com/aws/aws-sdk-go-v2/service/ssoadmin"
	ssotypes "github.com/aws/aws-sdk-go-v2/service/ssoadmin/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"sparekey/access"
	"sparekey/org"
)

var standingBehaviours = []behaviour{
	{"everything that is assigned is read, of people and of groups, whoever gave it", readStanding},
	{"where nothing is assigned, nothing is read", readNothing},
}

// give makes assignments as somebody else would, and returns them.
func (b *backend) give(ctx context.Context) ([]org.Assignment, error) {
	var all []org.Assignment
	for _, g := range []struct{ who, account, set string }{
		{"dana", "payments", "ReadOnly"}, {"kim", "payments", "ReadOnly"}, {"developers", "payments", "ReadOnly"}, {"developers", "play", "Admin"}, {"lee", "management", "Admin"},
	} {
		k := b.key("dana", "payments", g.set)
		a := org.Assignment{Kind: org.User, Target: org.Target{PermissionSet: k.PermissionSet}}
		for _, p := range b.want.People {
			if p.User == g.who {
				a.Principal = string(p.ID)
			}
		}
		for _, group := range b.want.Groups {
			if group.Name == g.who {
				a.Kind, a.Principal = org.GroupOfAWS, string(group.ID)
			}
		}
		for _, account := range b.want.Accounts {
			if account.Name == g.account || g.account == "management" && account.ID == b.want.ManagementAccount {
				a.Account = account.ID
			}
		}
		_, err := b.admin.CreateAccountAssignment(ctx, &ssoadmin.CreateAccountAssignmentInput{
			InstanceArn: &b.want.Instance, PermissionSetArn: &a.PermissionSet, TargetId: aws.String(string(a.Account)), TargetType: ssotypes.TargetTypeAwsAccount,
			PrincipalId: &a.Principal, PrincipalType: ssotypes.PrincipalType(a.Kind),
		})
		if err != nil {
			return nil, err
		}
		all = append(all, a)
	}
	b.pass(60_000_000_000) // a minute, until all of them are done
	return all, nil
}

func inOrder(list []org.Assignment) []org.Assignment {
	slices.SortFunc(list, func(a, b org.Assignment) int {
		return cmp.Or(cmp.Compare(a.Account, b.Account), cmp.Compare(a.PermissionSet, b.PermissionSet), cmp.Compare(a.Principal, b.Principal))
	})
	return list
}

func readStanding(ctx context.Context, b *backend) error {
	want, err := b.give(ctx)
	if err != nil {
		return err
	}
	var one sync.Mutex
	read, known := 0, 0
	d := NewDirectory(Looking(b.config, 1000, func(string) {}), NewCenter(Looking(b.config, 1000, func(string) {}), "", ""), org.StatusUnknown)
	got, err := d.Standing(ctx, b.want.PermissionSets, func(r, k int) {
		one.Lock()
		defer one.Unlock()
		read, known = r, k
	})
	if err != nil || !slices.Equal(inOrder(got), inOrder(want)) {
		return but(err, "read\n%v\nnot\n%v", got, want)
	}
	if read != 3 || known != 3 {
		return but(nil, "it told of %d of %d", read, known)
	}
	return nil
}

func readNothing(ctx context.Context, b *backend) error {
	got, err := b.directory().Standing(ctx, b.want.PermissionSets, func(int, int) {})
	if err != nil || len(got) > 0 {
		return but(err, "read %v", got)
	}
	return nil
}

// TestWhoLooksCannotChangeAnything makes clients of every service and calls what changes something, or is not known to change
// nothing: nothing of it is sent.
func TestWhoLooksCannotChangeAnything(t *testing.T) {
	b := inSandbox(t)
	sent := 0
	c := Looking(b.config, 1000, func(string) { sent++ })
	ctx := t.Context()
	admin, people, accounts := ssoadmin.NewFromConfig(c), identitystore.NewFromConfig(c), organizations.NewFromConfig(c)
	for name, call := range map[string]func() error{
		"create": func() error {
			_, err := NewAssignments(c, b.center()).Create(ctx, b.key("dana", "payments", "ReadOnly"))
			return err
		},
		"delete": func() error {
			_, err := NewAssignments(c, b.center()).Delete(ctx, b.key("dana", "payments", "ReadOnly"))
			return err
		},
		"set": func() error {
			_, err := admin.CreatePermissionSet(ctx, &ssoadmin.CreatePermissionSetInput{InstanceArn: &b.want.Instance, Name: aws.String("x")})
			return err
		},
		"user": func() error {
			_, err := people.CreateUser(ctx, &identitystore.CreateUserInput{IdentityStoreId: &b.want.IdentityStore})
			return err
		},
		"account": func() error {
			_, err := accounts.CreateAccount(ctx, &organizations.CreateAccountInput{AccountName: aws.String("x"), Email: aws.String("x@example.com")})
			return err
		},
		"role": func() error {
			_, err := sts.NewFromConfig(c).AssumeRole(ctx, &sts.AssumeRoleInput{RoleArn: aws.String("arn:aws:iam::100000000001:role/x"), RoleSessionName: aws.String("x")})
			return err
		},
	} {
		if err := call(); !errors.Is(err, access.ErrNotAsked) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if sent != 0 {
		t.Errorf("%d calls were sent", sent)
	}
	if _, err := accounts.DescribeOrganization(ctx, &organizations.DescribeOrganizationInput{}); err != nil || sent != 1 {
		t.Errorf("looking: %v, %d sent", err, sent)
	}
}

func TestEveryLookIsAListingOrADescription(t *testing.T) {
	harmless := regexp.MustCompile(`^(List|Describe|Get)[A-Z]`)
	for service, operations := range looks {
		for _, o := range operations {
			if !harmless.MatchString(o) {
				t.Errorf("%s %s", service, o)
			}
		}
	}
}
