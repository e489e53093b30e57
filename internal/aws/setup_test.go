package aws

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/identitystore"
	peopletypes "github.com/aws/aws-sdk-go-v2/service/identitystore/types"
	"github.com/aws/aws-sdk-go-v2/service/organizations"
	orgtypes "github.com/aws/aws-sdk-go-v2/service/organizations/types"
	"github.com/aws/aws-sdk-go-v2/service/ssoadmin"
	ssotypes "github.com/aws/aws-sdk-go-v2/service/ssoadmin/types"

	"sparekey/access"
	"sparekey/org"
)

// setUp makes the small organization of all behaviours:
//
//	root ── management, loose
//	 ├── Core ── identity
//	 └── Workloads
//	      ├── Prod (tier=live) ── payments (env=prod, owner=pay)
//	      └── Dev ── play
//
// with the permission sets ReadOnly (2 h) and Admin (1 h); dana, who is a developer and on call, kim, who is a developer,
// and lee, who is in no group and has no address; and a group of nobody.
func (a *account) setUp(ctx context.Context) error {
	if err := a.lookAround(ctx); err != nil {
		return err
	}
	root := string(a.want.Root)
	core, err1 := a.addOU(ctx, root, "Core")
	workloads, err2 := a.addOU(ctx, root, "Workloads")
	prod, err3 := a.addOU(ctx, workloads, "Prod")
	dev, err4 := a.addOU(ctx, workloads, "Dev")
	if err := errors.Join(err1, err2, err3, err4, a.tagOU(ctx, prod, "tier", "live")); err != nil {
		return err
	}
	_, err1 = a.addAccount(ctx, root, "loose", nil)
	_, err2 = a.addAccount(ctx, core, "identity", nil)
	_, err3 = a.addAccount(ctx, prod, "payments", map[string]string{"env": "prod", "owner": "pay"})
	_, err4 = a.addAccount(ctx, dev, "play", nil)
	err5 := a.addSet(ctx, "ReadOnly", "Look but do not touch", "PT2H", 2*time.Hour)
	err6 := a.addSet(ctx, "Admin", "", "PT1H", time.Hour)
	if err := errors.Join(err1, err2, err3, err4, err5, err6); err != nil {
		return err
	}
	return a.addEverybody(ctx)
}

func (a *account) addEverybody(ctx context.Context) error {
	ids := map[string]org.GroupID{}
	for _, name := range []string{"developers", "oncall", "nobody"} {
		id, err := a.addGroup(ctx, name)
		if err != nil {
			return err
		}
		ids[name] = id
	}
	for _, p := range []struct {
		user, name, mail string
		groups           []string
	}{
		{"dana", "Dana Ito", "dana@example.com", []string{"developers", "oncall"}},
		{"kim", "Kim Ahn", "kim@example.com", []string{"developers"}},
		{"lee", "Lee Doe", "", nil},
	} {
		id, err := a.addPerson(ctx, p.user, p.name, p.mail)
		if err != nil {
			return err
		}
		for _, g := range p.groups {
			if err := a.join(ctx, id, ids[g]); err != nil {
				return err
			}
		}
	}
	return nil
}

// lookAround notes what is there before anything is set up: the organization, its root, the management account, the instance.
func (a *account) lookAround(ctx context.Context) error {
	about, err1 := a.orgs.DescribeOrganization(ctx, &organizations.DescribeOrganizationInput{})
	instances, err2 := a.admin.ListInstances(ctx, &ssoadmin.ListInstancesInput{})
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	a.want = org.Organization{
		ID: *about.Organization.Id, ManagementAccount: org.AccountID(*about.Organization.MasterAccountId),
		Instance: *instances.Instances[0].InstanceArn, IdentityStore: *instances.Instances[0].IdentityStoreId,
	}
	for roots := organizations.NewListRootsPaginator(a.orgs, &organizations.ListRootsInput{}); roots.HasMorePages(); {
		page, err := roots.NextPage(ctx)
		if err != nil {
			return err
		}
		for _, r := range page.Roots {
			a.want.Root = org.OUID(*r.Id)
		}
	}
	for all := organizations.NewListAccountsPaginator(a.orgs, &organizations.ListAccountsInput{}); all.HasMorePages(); {
		page, err := all.NextPage(ctx)
		if err != nil {
			return err
		}
		for _, o := range page.Accounts {
			a.want.Accounts = append(a.want.Accounts, org.Account{ID: org.AccountID(*o.Id), Name: *o.Name, Parent: a.want.Root, State: org.AccountActive})
		}
	}
	return nil
}

func (a *account) addOU(ctx context.Context, parent, name string) (string, error) {
	out, err := a.orgs.CreateOrganizationalUnit(ctx, &organizations.CreateOrganizationalUnitInput{ParentId: &parent, Name: &name})
	if err != nil {
		return "", err
	}
	id := *out.OrganizationalUnit.Id
	a.want.OUs = append(a.want.OUs, org.OU{ID: org.OUID(id), Name: name, Parent: org.OUID(parent)})
	return id, nil
}

func (a *account) tagOU(ctx context.Context, id, key, value string) error {
	a.want.OUs[slices.IndexFunc(a.want.OUs, func(ou org.OU) bool { return string(ou.ID) == id })].Tags = map[string]string{key: value}
	_, err := a.orgs.TagResource(ctx, &organizations.TagResourceInput{ResourceId: &id, Tags: []orgtypes.Tag{{Key: &key, Value: &value}}})
	return err
}

func (a *account) addAccount(ctx context.Context, parent, name string, tags map[string]string) (org.AccountID, error) {
	out, err := a.orgs.CreateAccount(ctx, &organizations.CreateAccountInput{AccountName: &name, Email: aws.String(name + "@example.com")})
	if err != nil {
		return "", err
	}
	made, err := a.orgs.DescribeCreateAccountStatus(ctx, &organizations.DescribeCreateAccountStatusInput{CreateAccountRequestId: out.CreateAccountStatus.Id})
	if err != nil {
		return "", err
	}
	id := made.CreateAccountStatus.AccountId
	if root := string(a.want.Root); parent != root {
		if _, err := a.orgs.MoveAccount(ctx, &organizations.MoveAccountInput{AccountId: id, SourceParentId: &root, DestinationParentId: &parent}); err != nil {
			return "", err
		}
	}
	var given []orgtypes.Tag
	for key, value := range tags {
		given = append(given, orgtypes.Tag{Key: &key, Value: &value})
	}
	if given != nil {
		if _, err := a.orgs.TagResource(ctx, &organizations.TagResourceInput{ResourceId: id, Tags: given}); err != nil {
			return "", err
		}
	}
	a.want.Accounts = append(a.want.Accounts, org.Account{ID: org.AccountID(*id), Name: name, Parent: org.OUID(parent), State: org.AccountActive, Tags: tags})
	return org.AccountID(*id), nil
}

func (a *account) addSet(ctx context.Context, name, description, session string, lasts time.Duration) error {
	in := &ssoadmin.CreatePermissionSetInput{InstanceArn: &a.want.Instance, Name: &name}
	if description != "" {
		in.Description = &description
	}
	if session != "" {
		in.SessionDuration = &session
	}
	out, err := a.admin.CreatePermissionSet(ctx, in)
	if err != nil {
		return err
	}
	a.want.PermissionSets = append(a.want.PermissionSets, org.PermissionSet{ARN: *out.PermissionSet.PermissionSetArn, Name: name, Description: description, Session: lasts})
	return nil
}

func (a *account) addGroup(ctx context.Context, name string) (org.GroupID, error) {
	out, err := a.store.CreateGroup(ctx, &identitystore.CreateGroupInput{IdentityStoreId: &a.want.IdentityStore, DisplayName: &name})
	if err != nil {
		return "", err
	}
	a.want.Groups = append(a.want.Groups, org.Group{ID: org.GroupID(*out.GroupId), Name: name})
	return org.GroupID(*out.GroupId), nil
}

func (a *account) addPerson(ctx context.Context, user, name, mail string) (org.PersonID, error) {
	in := &identitystore.CreateUserInput{
		IdentityStoreId: &a.want.IdentityStore, UserName: &user, DisplayName: &name, Name: &peopletypes.Name{GivenName: &name, FamilyName: &name},
	}
	if mail != "" {
		in.Emails = []peopletypes.Email{{Value: &mail, Type: aws.String("work"), Primary: true}}
	}
	out, err := a.store.CreateUser(ctx, in)
	if err != nil {
		return "", err
	}
	a.want.People = append(a.want.People, org.Person{ID: org.PersonID(*out.UserId), User: user, Name: name, Email: mail, Status: a.newcomer})
	return org.PersonID(*out.UserId), nil
}

func (a *account) join(ctx context.Context, p org.PersonID, g org.GroupID) error {
	for i := range a.want.People {
		if a.want.People[i].ID == p {
			a.want.People[i].Groups = append(a.want.People[i].Groups, g)
			slices.Sort(a.want.People[i].Groups)
		}
	}
	_, err := a.store.CreateGroupMembership(ctx, &identitystore.CreateGroupMembershipInput{
		IdentityStoreId: &a.want.IdentityStore, GroupId: aws.String(string(g)), MemberId: &peopletypes.MemberIdMemberUserId{Value: string(p)},
	})
	return err
}

// assign asks for an assignment as another administrator would.
func (a *account) assign(ctx context.Context, kind ssotypes.PrincipalType, principal string, t org.Target) error {
	_, err := a.admin.CreateAccountAssignment(ctx, &ssoadmin.CreateAccountAssignmentInput{
		InstanceArn: &a.want.Instance, TargetId: aws.String(string(t.Account)), TargetType: ssotypes.TargetTypeAwsAccount, PermissionSetArn: &t.PermissionSet,
		PrincipalType: kind, PrincipalId: &principal,
	})
	return err
}

// person, group, ou, target and key find what was set up by its name.
func (a *account) person(user string) org.Person {
	return a.want.People[slices.IndexFunc(a.want.People, func(p org.Person) bool { return p.User == user })]
}

func (a *account) group(name string) org.GroupID {
	return a.want.Groups[slices.IndexFunc(a.want.Groups, func(g org.Group) bool { return g.Name == name })].ID
}

func (a *account) ou(name string) string {
	return string(a.want.OUs[slices.IndexFunc(a.want.OUs, func(ou org.OU) bool { return ou.Name == name })].ID)
}

func (a *account) target(account, set string) org.Target {
	return org.Target{
		Account:       a.want.Accounts[slices.IndexFunc(a.want.Accounts, func(o org.Account) bool { return o.Name == account })].ID,
		PermissionSet: a.want.PermissionSets[slices.IndexFunc(a.want.PermissionSets, func(p org.PermissionSet) bool { return p.Name == set })].ARN,
	}
}

func (a *account) key(user, account, set string) access.Key {
	return access.Key{Way: access.Assignment, Person: a.person(user).ID, Target: a.target(account, set)}
}

// sorted puts an organization in one order: AWS promises none.
func sorted(o org.Organization) org.Organization {
	slices.SortFunc(o.OUs, func(a, b org.OU) int { return cmp.Compare(a.ID, b.ID) })
	slices.SortFunc(o.Accounts, func(a, b org.Account) int { return cmp.Compare(a.ID, b.ID) })
	slices.SortFunc(o.PermissionSets, func(a, b org.PermissionSet) int { return cmp.Compare(a.ARN, b.ARN) })
	slices.SortFunc(o.Groups, func(a, b org.Group) int { return cmp.Compare(a.ID, b.ID) })
	slices.SortFunc(o.People, func(a, b org.Person) int { return cmp.Compare(a.ID, b.ID) })
	return o
}
