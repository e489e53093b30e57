package aws

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/identitystore"
	peopletypes "github.com/aws/aws-sdk-go-v2/service/identitystore/types"
	"github.com/aws/aws-sdk-go-v2/service/organizations"
	orgtypes "github.com/aws/aws-sdk-go-v2/service/organizations/types"
	"github.com/aws/aws-sdk-go-v2/service/ssoadmin"
	"golang.org/x/sync/errgroup"

	"sparekey/access"
	"sparekey/internal/awsconn"
	"sparekey/org"
)

// Directory reads people from the identity store, and the organization from Organizations and Identity Center.
type Directory struct {
	people   *identitystore.Client
	accounts *organizations.Client
	sets     *ssoadmin.Client
	center   *Center
	missing  org.Status
}

// NewDirectory makes the directory of one Identity Center instance and its identity store. missing is what a person is whose
// UserStatus AWS leaves out: unknown, or enabled where the identity source never sets it.
func NewDirectory(c aws.Config, center *Center, missing org.Status) *Directory {
	c = awsconn.Reading(spoken(c))
	return &Directory{identitystore.NewFromConfig(c), organizations.NewFromConfig(c), ssoadmin.NewFromConfig(c), center, missing}
}

// Person reads one person live, with the groups they are in now. Whoever the store does not know is removed; that is believed
// only when AWS says that it is the user that is missing, and not the store.
func (d *Directory) Person(ctx context.Context, id org.PersonID) (org.Person, error) {
	_, store, err := d.center.Find(ctx)
	if err != nil {
		return org.Person{}, err
	}
	u, err := d.people.DescribeUser(ctx, &identitystore.DescribeUserInput{IdentityStoreId: &store, UserId: aws.String(string(id))})
	if err != nil {
		told := told("describing a user", err)
		if errors.Is(told, access.ErrMissing) && d.onlyTheUser(ctx, store, err) {
			return org.Person{ID: id, Status: org.StatusRemoved}, nil
		}
		return org.Person{}, told
	}
	if aws.ToString(u.UserId) != string(id) {
		return org.Person{}, fmt.Errorf("describing a user: %w: its answer is about %q", access.ErrLost, aws.ToString(u.UserId))
	}
	p := org.Person{ID: id, User: aws.ToString(u.UserName), Name: aws.ToString(u.DisplayName), Email: mail(u.Emails), Status: d.status(u.UserStatus)}
	pages := identitystore.NewListGroupMembershipsForMemberPaginator(d.people, &identitystore.ListGroupMembershipsForMemberInput{
		IdentityStoreId: &store, MemberId: &peopletypes.MemberIdMemberUserId{Value: string(id)},
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return org.Person{}, told("listing a user's groups", err)
		}
		for _, m := range page.GroupMemberships {
			p.Groups = append(p.Groups, org.GroupID(aws.ToString(m.GroupId)))
		}
	}
	slices.Sort(p.Groups)
	return p, nil
}

// onlyTheUser reports whether "not found" is about the user, and not about the store.
func (d *Directory) onlyTheUser(ctx context.Context, store string, err error) bool {
	var missing *peopletypes.ResourceNotFoundException
	if errors.As(err, &missing) && missing.ResourceType != "" {
		return missing.ResourceType == peopletypes.ResourceTypeUser
	}
	_, err = d.people.ListUsers(ctx, &identitystore.ListUsersInput{IdentityStoreId: &store, MaxResults: aws.Int32(1)})
	return err == nil
}

func (d *Directory) status(s peopletypes.UserStatus) org.Status {
	switch s {
	case peopletypes.UserStatusEnabled:
		return org.StatusEnabled
	case peopletypes.UserStatusDisabled:
		return org.StatusDisabled
	case "":
		return d.missing
	}
	return org.StatusUnknown
}

func mail(all []peopletypes.Email) string {
	for _, e := range all {
		if e.Primary {
			return aws.ToString(e.Value)
		}
	}
	if len(all) > 0 {
		return aws.ToString(all[0].Value)
	}
	return ""
}

// atOnce is how many calls are under way together while the organization is read. Throttling slows them down by itself.
const atOnce = 4

// Organization reads everything, and leaves it to the caller to say when: accounts and OUs with their tags, permission sets
// without their content, groups and people. Tags cost a call an account and a call an OU, groups a call a group, so in a large
// organization this takes minutes.
func (d *Directory) Organization(ctx context.Context) (org.Organization, error) {
	instance, store, err := d.center.Find(ctx)
	if err != nil {
		return org.Organization{}, err
	}
	o := org.Organization{Instance: instance, IdentityStore: store}
	parts, ctx := errgroup.WithContext(ctx)
	var accounts, people, sets org.Organization
	parts.Go(func() (err error) { accounts, err = d.readAccounts(ctx); return err })
	parts.Go(func() (err error) { people, err = d.readPeople(ctx, store); return err })
	parts.Go(func() (err error) { sets, err = d.readSets(ctx, instance); return err })
	if err := parts.Wait(); err != nil {
		return org.Organization{}, err
	}
	o.ID, o.ManagementAccount, o.Root, o.OUs, o.Accounts = accounts.ID, accounts.ManagementAccount, accounts.Root, accounts.OUs, accounts.Accounts
	o.Groups, o.People, o.PermissionSets = people.Groups, people.People, sets.PermissionSets
	return o, nil
}

func (d *Directory) readAccounts(ctx context.Context) (org.Organization, error) {
	var o org.Organization
	about, err := d.accounts.DescribeOrganization(ctx, &organizations.DescribeOrganizationInput{})
	if err != nil {
		return o, told("describing the organization", err)
	}
	if about.Organization == nil {
		return o, fmt.Errorf("describing the organization: %w: its answer names none", access.ErrLost)
	}
	o.ID, o.ManagementAccount = aws.ToString(about.Organization.Id), org.AccountID(aws.ToString(about.Organization.MasterAccountId))
	if o.Root, err = d.readRoot(ctx); err != nil {
		return o, err
	}
	for parents := []org.OUID{o.Root}; len(parents) > 0; parents = parents[1:] {
		ous, err := d.readOUs(ctx, parents[0])
		if err != nil {
			return o, err
		}
		o.OUs = append(o.OUs, ous...)
		for _, ou := range ous {
			parents = append(parents, ou.ID)
		}
		if err := d.readAccountsOf(ctx, parents[0], &o); err != nil {
			return o, err
		}
	}
	return o, d.readTags(ctx, &o)
}

func (d *Directory) readRoot(ctx context.Context) (org.OUID, error) {
	var roots []org.OUID
	pages := organizations.NewListRootsPaginator(d.accounts, &organizations.ListRootsInput{})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return "", told("listing roots", err)
		}
		for _, r := range page.Roots {
			roots = append(roots, org.OUID(aws.ToString(r.Id)))
		}
	}
	if len(roots) != 1 {
		return "", fmt.Errorf("listing roots: %w: there are %d of them, not one", access.ErrLost, len(roots))
	}
	return roots[0], nil
}

func (d *Directory) readOUs(ctx context.Context, parent org.OUID) ([]org.OU, error) {
	var ous []org.OU
	pages := organizations.NewListOrganizationalUnitsForParentPaginator(d.accounts, &organizations.ListOrganizationalUnitsForParentInput{ParentId: aws.String(string(parent))})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, told("listing OUs", err)
		}
		for _, ou := range page.OrganizationalUnits {
			ous = append(ous, org.OU{ID: org.OUID(aws.ToString(ou.Id)), Name: aws.ToString(ou.Name), Parent: parent})
		}
	}
	return ous, nil
}

func (d *Directory) readAccountsOf(ctx context.Context, parent org.OUID, o *org.Organization) error {
	pages := organizations.NewListAccountsForParentPaginator(d.accounts, &organizations.ListAccountsForParentInput{ParentId: aws.String(string(parent))})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return told("listing accounts", err)
		}
		for _, a := range page.Accounts {
			o.Accounts = append(o.Accounts, org.Account{ID: org.AccountID(aws.ToString(a.Id)), Name: aws.ToString(a.Name), Parent: parent, State: stateOf(a)})
		}
	}
	return nil
}

// stateOf reads an account's State, or where AWS has not filled it the Status that it replaces ("Account", Organizations API
// Reference: Status is retired in September 2026).
func stateOf(a orgtypes.Account) org.AccountState {
	if a.State != "" {
		return org.AccountState(a.State)
	}
	return org.AccountState(a.Status)
}

// readTags reads the tags of all accounts and OUs, a few at a time: each is a call, and Organizations lets few of them pass in
// a second ("Quotas for AWS Organizations"), which it gives to everybody in the organization together.
func (d *Directory) readTags(ctx context.Context, o *org.Organization) error {
	calls, ctx := errgroup.WithContext(ctx)
	calls.SetLimit(atOnce)
	read := func(kind, id string, into *map[string]string) {
		calls.Go(func() (err error) {
			*into, err = d.tagsOf(ctx, kind, id)
			return err
		})
	}
	for i := range o.OUs {
		read("OU", string(o.OUs[i].ID), &o.OUs[i].Tags)
	}
	for i := range o.Accounts {
		read("account", string(o.Accounts[i].ID), &o.Accounts[i].Tags)
	}
	return calls.Wait()
}

func (d *Directory) tagsOf(ctx context.Context, kind, id string) (map[string]string, error) {
	var tags map[string]string
	pages := organizations.NewListTagsForResourcePaginator(d.accounts, &organizations.ListTagsForResourceInput{ResourceId: &id})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, told("listing the tags of "+kind+" "+id, err)
		}
		for _, t := range page.Tags {
			if tags == nil {
				tags = map[string]string{}
			}
			tags[aws.ToString(t.Key)] = aws.ToString(t.Value)
		}
	}
	return tags, nil
}

func (d *Directory) readPeople(ctx context.Context, store string) (org.Organization, error) {
	var o org.Organization
	users := identitystore.NewListUsersPaginator(d.people, &identitystore.ListUsersInput{IdentityStoreId: &store})
	for users.HasMorePages() {
		page, err := users.NextPage(ctx)
		if err != nil {
			return o, told("listing users", err)
		}
		for _, u := range page.Users {
			o.People = append(o.People, org.Person{
				ID: org.PersonID(aws.ToString(u.UserId)), User: aws.ToString(u.UserName), Name: aws.ToString(u.DisplayName), Email: mail(u.Emails), Status: d.status(u.UserStatus),
			})
		}
	}
	groups := identitystore.NewListGroupsPaginator(d.people, &identitystore.ListGroupsInput{IdentityStoreId: &store})
	for groups.HasMorePages() {
		page, err := groups.NextPage(ctx)
		if err != nil {
			return o, told("listing groups", err)
		}
		for _, g := range page.Groups {
			o.Groups = append(o.Groups, org.Group{ID: org.GroupID(aws.ToString(g.GroupId)), Name: aws.ToString(g.DisplayName)})
		}
	}
	return o, d.readMembers(ctx, store, &o)
}

func (d *Directory) readMembers(ctx context.Context, store string, o *org.Organization) error {
	place := make(map[org.PersonID]int, len(o.People))
	for i, p := range o.People {
		place[p.ID] = i
	}
	var one sync.Mutex
	calls, ctx := errgroup.WithContext(ctx)
	calls.SetLimit(atOnce)
	for _, g := range o.Groups {
		calls.Go(func() error {
			pages := identitystore.NewListGroupMembershipsPaginator(d.people, &identitystore.ListGroupMembershipsInput{IdentityStoreId: &store, GroupId: aws.String(string(g.ID))})
			for pages.HasMorePages() {
				page, err := pages.NextPage(ctx)
				if err != nil {
					return told("listing the members of "+g.Name, err)
				}
				one.Lock()
				for _, m := range page.GroupMemberships {
					user, _ := m.MemberId.(*peopletypes.MemberIdMemberUserId)
					if user == nil {
						continue
					}
					if i, ok := place[org.PersonID(user.Value)]; ok {
						o.People[i].Groups = append(o.People[i].Groups, g.ID)
					}
				}
				one.Unlock()
			}
			return nil
		})
	}
	if err := calls.Wait(); err != nil {
		return err
	}
	for i := range o.People {
		slices.Sort(o.People[i].Groups)
	}
	return nil
}

func (d *Directory) readSets(ctx context.Context, instance string) (org.Organization, error) {
	var o org.Organization
	var arns []string
	pages := ssoadmin.NewListPermissionSetsPaginator(d.sets, &ssoadmin.ListPermissionSetsInput{InstanceArn: &instance, MaxResults: aws.Int32(100)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return o, told("listing permission sets", err)
		}
		arns = append(arns, page.PermissionSets...)
	}
	o.PermissionSets = make([]org.PermissionSet, len(arns))
	calls, ctx := errgroup.WithContext(ctx)
	calls.SetLimit(atOnce)
	for i, arn := range arns {
		calls.Go(func() error {
			set, _, err := d.describeSet(ctx, instance, arn)
			o.PermissionSets[i] = set
			return err
		})
	}
	return o, calls.Wait()
}

var isoPattern = regexp.MustCompile(`^PT(\d+H)?(\d+M)?(\d+(\.\d+)?S)?$`)

// isoDuration reads the durations that Identity Center writes, such as PT1H30M. Without one, sessions last an hour
// ("CreatePermissionSet", IAM Identity Center API Reference).
func isoDuration(text string) (time.Duration, error) {
	if text == "" {
		return time.Hour, nil
	}
	d, err := time.ParseDuration(strings.ToLower(strings.TrimPrefix(text, "PT")))
	if err != nil || d <= 0 || !isoPattern.MatchString(text) {
		return 0, fmt.Errorf("the session duration %q is not of the form PT1H", text)
	}
	return d, nil
}
