package sandbox

import (
	"errors"
	"slices"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/identitystore"
	"github.com/aws/aws-sdk-go-v2/service/identitystore/document"
	"github.com/aws/aws-sdk-go-v2/service/identitystore/types"

	"sparekey/org"
)

func (f *fixture) users() map[string]types.User {
	f.t.Helper()
	out, err := f.store.ListUsers(f.ctx, &identitystore.ListUsersInput{IdentityStoreId: f.storeID()})
	f.must(err)
	users := map[string]types.User{}
	for _, u := range out.Users {
		users[*u.UserName] = u
	}
	return users
}

func (f *fixture) groupsOf(user string) []string {
	f.t.Helper()
	out, err := f.store.ListGroupMembershipsForMember(f.ctx, &identitystore.ListGroupMembershipsForMemberInput{
		IdentityStoreId: f.storeID(), MemberId: &types.MemberIdMemberUserId{Value: string(f.person(user).ID)},
	})
	f.must(err)
	var ids []string
	for _, m := range out.GroupMemberships {
		ids = append(ids, *m.GroupId)
	}
	slices.Sort(ids)
	return ids
}

func TestAStatusThatIsNotKnownIsLeftOut(t *testing.T) {
	f := start(t)
	statuses := func() map[string]types.UserStatus {
		found := map[string]types.UserStatus{}
		for name, u := range f.users() {
			found[name] = u.UserStatus
		}
		return found
	}
	got := statuses()
	if got["dana"] != types.UserStatusEnabled || got["kim"] != types.UserStatusDisabled || got["lee"] != "" || len(got) != 3 {
		t.Errorf("%v", got)
	}
	f.must(f.Change(func(d *Directory) error { return d.SetStatus(f.person("dana").ID, org.StatusUnknown) }))
	f.must(f.Change(func(d *Directory) error { return d.SetStatus(f.person("lee").ID, org.StatusRemoved) }))
	if got = statuses(); got["dana"] != "" || len(got) != 2 {
		t.Errorf("%v", got)
	}
	if err := f.Change(func(d *Directory) error { return d.SetStatus(f.person("dana").ID, "gone fishing") }); err == nil {
		t.Error("a status that there is not")
	}
}

func TestPeopleAndGroupsAreFoundByTheirNames(t *testing.T) {
	f := start(t)
	by := func(path, value string) types.AlternateIdentifier {
		return &types.AlternateIdentifierMemberUniqueAttribute{Value: types.UniqueAttribute{AttributePath: &path, AttributeValue: document.NewLazyDocument(value)}}
	}
	for path, value := range map[string]string{"userName": "dana", "emails.value": "dana@example.com"} {
		out, err := f.store.GetUserId(f.ctx, &identitystore.GetUserIdInput{IdentityStoreId: f.storeID(), AlternateIdentifier: by(path, value)})
		f.must(err)
		if *out.UserId != string(f.person("dana").ID) {
			t.Errorf("%s: %s", path, *out.UserId)
		}
	}
	_, err := f.store.GetUserId(f.ctx, &identitystore.GetUserIdInput{IdentityStoreId: f.storeID(), AlternateIdentifier: by("userName", "none")})
	f.wantCode(err, "ResourceNotFoundException")
	_, err = f.store.GetUserId(f.ctx, &identitystore.GetUserIdInput{IdentityStoreId: f.storeID(), AlternateIdentifier: by("title", "dana")})
	f.wantCode(err, "ValidationException")
	group, err := f.store.GetGroupId(f.ctx, &identitystore.GetGroupIdInput{IdentityStoreId: f.storeID(), AlternateIdentifier: by("displayName", "oncall")})
	f.must(err)
	if *group.GroupId != string(f.group("oncall").ID) {
		t.Error(*group.GroupId)
	}
	out, err := f.store.ListUsers(f.ctx, &identitystore.ListUsersInput{
		IdentityStoreId: f.storeID(),
		//lint:ignore SA1019 AWS still answers it, and so does the sandbox
		Filters: []types.Filter{{AttributePath: aws.String("UserName"), AttributeValue: aws.String("kim")}},
	})
	f.must(err)
	if len(out.Users) != 1 || *out.Users[0].UserId != string(f.person("kim").ID) {
		t.Errorf("%+v", out.Users)
	}
}

func TestMembershipsComeAndGo(t *testing.T) {
	f := start(t)
	developers, oncall := string(f.group("developers").ID), string(f.group("oncall").ID)
	if got := f.groupsOf("kim"); !slices.Equal(got, []string{developers}) {
		t.Errorf("kim is in %v", got)
	}
	kim := &types.MemberIdMemberUserId{Value: string(f.person("kim").ID)}
	made, err := f.store.CreateGroupMembership(f.ctx, &identitystore.CreateGroupMembershipInput{IdentityStoreId: f.storeID(), GroupId: &oncall, MemberId: kim})
	f.must(err)
	_, err = f.store.CreateGroupMembership(f.ctx, &identitystore.CreateGroupMembershipInput{IdentityStoreId: f.storeID(), GroupId: &oncall, MemberId: kim})
	f.wantCode(err, "ConflictException")
	is := func() []bool {
		out, err := f.store.IsMemberInGroups(f.ctx, &identitystore.IsMemberInGroupsInput{IdentityStoreId: f.storeID(), MemberId: kim, GroupIds: []string{oncall, developers}})
		f.must(err)
		return []bool{out.Results[0].MembershipExists, out.Results[1].MembershipExists}
	}
	if got := is(); !got[0] || !got[1] {
		t.Error(got)
	}
	_, err = f.store.DeleteGroupMembership(f.ctx, &identitystore.DeleteGroupMembershipInput{IdentityStoreId: f.storeID(), MembershipId: made.MembershipId})
	f.must(err)
	f.must(f.Change(func(d *Directory) error { return d.Leave(f.person("kim").ID, f.group("developers").ID) }))
	if got := is(); got[0] || got[1] {
		t.Error(got)
	}
	members := func() int {
		out, err := f.store.ListGroupMemberships(f.ctx, &identitystore.ListGroupMembershipsInput{IdentityStoreId: f.storeID(), GroupId: &developers})
		f.must(err)
		return len(out.GroupMemberships)
	}
	if got := members(); got != 1 {
		t.Errorf("%d members", got)
	}
	f.must(f.Change(func(d *Directory) error { return d.SetStatus(f.person("dana").ID, org.StatusRemoved) }))
	if got := members(); got != 0 {
		t.Errorf("%d members after the last was removed", got)
	}
}

func TestUsersAndGroupsAreMadeAndRemoved(t *testing.T) {
	f := start(t)
	made, err := f.store.CreateUser(f.ctx, &identitystore.CreateUserInput{
		IdentityStoreId: f.storeID(), UserName: aws.String("new"), DisplayName: aws.String("New One"), Name: &types.Name{GivenName: aws.String("New"), FamilyName: aws.String("One")},
	})
	f.must(err)
	if u := f.users()["new"]; *u.UserId != *made.UserId || u.UserStatus != types.UserStatusEnabled || *u.Name.FamilyName != "One" {
		t.Errorf("%+v", u)
	}
	for name, in := range map[string]*identitystore.CreateUserInput{
		"no names":   {IdentityStoreId: f.storeID(), UserName: aws.String("x")},
		"reserved":   {IdentityStoreId: f.storeID(), UserName: aws.String("Administrator"), DisplayName: aws.String("x"), Name: &types.Name{GivenName: aws.String("x"), FamilyName: aws.String("x")}},
		"with space": {IdentityStoreId: f.storeID(), UserName: aws.String("a b"), DisplayName: aws.String("x"), Name: &types.Name{GivenName: aws.String("x"), FamilyName: aws.String("x")}},
	} {
		if _, err := f.store.CreateUser(f.ctx, in); code(err) != "ValidationException" {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err = f.store.DeleteUser(f.ctx, &identitystore.DeleteUserInput{IdentityStoreId: f.storeID(), UserId: made.UserId})
	f.must(err)
	_, err = f.store.DescribeUser(f.ctx, &identitystore.DescribeUserInput{IdentityStoreId: f.storeID(), UserId: made.UserId})
	var missing *types.ResourceNotFoundException
	if !errors.As(err, &missing) || missing.ResourceType != types.ResourceTypeUser || *missing.ResourceId != *made.UserId || missing.RequestId == nil {
		t.Errorf("%+v", missing)
	}
	group, err := f.store.CreateGroup(f.ctx, &identitystore.CreateGroupInput{IdentityStoreId: f.storeID(), DisplayName: aws.String("fresh"), Description: aws.String("d")})
	f.must(err)
	got, err := f.store.DescribeGroup(f.ctx, &identitystore.DescribeGroupInput{IdentityStoreId: f.storeID(), GroupId: group.GroupId})
	f.must(err)
	if *got.DisplayName != "fresh" || *got.Description != "d" {
		t.Errorf("%+v", got)
	}
	_, err = f.store.DeleteGroup(f.ctx, &identitystore.DeleteGroupInput{IdentityStoreId: f.storeID(), GroupId: group.GroupId})
	f.must(err)
	groups, err := f.store.ListGroups(f.ctx, &identitystore.ListGroupsInput{IdentityStoreId: f.storeID()})
	f.must(err)
	if len(groups.Groups) != 3 {
		t.Errorf("%+v", groups.Groups)
	}
}

func TestAMembershipIsFoundByGroupAndMember(t *testing.T) {
	f := start(t)
	find := func(group, person string) (string, error) {
		out, err := f.store.GetGroupMembershipId(f.ctx, &identitystore.GetGroupMembershipIdInput{IdentityStoreId: f.storeID(), GroupId: &group, MemberId: &types.MemberIdMemberUserId{Value: person}})
		if err != nil {
			return "", err
		}
		return *out.MembershipId, nil
	}
	oncall, dana, kim := string(f.group("oncall").ID), string(f.person("dana").ID), string(f.person("kim").ID)
	out, err := f.store.ListGroupMemberships(f.ctx, &identitystore.ListGroupMembershipsInput{IdentityStoreId: f.storeID(), GroupId: &oncall})
	f.must(err)
	if id, err := find(oncall, dana); err != nil || id != *out.GroupMemberships[0].MembershipId {
		t.Errorf("%s, %v", id, err)
	}
	const nobody = "00000000-0000-4000-8000-000000000000"
	for kind, ids := range map[types.ResourceType][2]string{
		types.ResourceTypeGroupMembership: {oncall, kim}, types.ResourceTypeGroup: {nobody, dana}, types.ResourceTypeUser: {oncall, nobody},
	} {
		_, err := find(ids[0], ids[1])
		var missing *types.ResourceNotFoundException
		if !errors.As(err, &missing) || missing.ResourceType != kind {
			t.Errorf("%s: %v", kind, err)
		}
	}
}

func TestAGroupOfAnIdentityProviderSaysSo(t *testing.T) {
	f := start(t)
	oncall := string(f.group("oncall").ID)
	f.must(f.Change(func(d *Directory) error { return d.Provision(f.group("oncall").ID, "https://scim.example.com", "7") }))
	f.must(f.Change(func(d *Directory) error { return d.DescribeGroup(f.group("oncall").ID, "who is woken") }))
	out, err := f.store.DescribeGroup(f.ctx, &identitystore.DescribeGroupInput{IdentityStoreId: f.storeID(), GroupId: &oncall})
	f.must(err)
	if len(out.ExternalIds) != 1 || *out.ExternalIds[0].Issuer != "https://scim.example.com" || *out.ExternalIds[0].Id != "7" || *out.Description != "who is woken" {
		t.Errorf("%+v", out)
	}
	by := func(id string) error {
		out, err := f.store.GetGroupId(f.ctx, &identitystore.GetGroupIdInput{IdentityStoreId: f.storeID(), AlternateIdentifier: &types.AlternateIdentifierMemberExternalId{
			Value: types.ExternalId{Issuer: aws.String("https://scim.example.com"), Id: &id},
		}})
		if err == nil && *out.GroupId != oncall {
			t.Error(*out.GroupId)
		}
		return err
	}
	f.must(by("7"))
	f.wantCode(by("8"), "ResourceNotFoundException")
	if err := f.Change(func(d *Directory) error { return d.Provision("none", "i", "x") }); err == nil {
		t.Error("a group that there is not")
	}
}
