package sandbox

import (
	"sparekey/internal/sandbox/wire"
	"sparekey/internal/sandbox/world"
	"sparekey/org"
)

func (c *call) group(store, id string) (*world.Group, error) {
	if err := c.store(store); err != nil {
		return nil, err
	}
	g, ok := c.w.Group(org.GroupID(id))
	if !ok {
		return nil, missing("GROUP", id)
	}
	return g, nil
}

type externalAnswer struct{ Issuer, Id string }

type groupAnswer struct {
	GroupId              org.GroupID
	DisplayName          string
	ExternalIds          []externalAnswer `json:",omitempty"`
	Description          string           `json:",omitempty"`
	CreatedAt, UpdatedAt wire.Timestamp
	IdentityStoreId      string
}

func (g groupAnswer) key() string { return string(g.GroupId) }

func (c *call) describedGroup(g *world.Group) groupAnswer {
	var external []externalAnswer
	for _, id := range g.External {
		external = append(external, externalAnswer{id.Issuer, id.ID})
	}
	return groupAnswer{g.ID, g.Name, external, g.Description, wire.Timestamp(g.Created), wire.Timestamp(g.Created), c.w.Store}
}

func (c *call) listGroups(in *listStoreInput) (any, error) {
	if err := c.store(in.IdentityStoreId); err != nil {
		return nil, err
	}
	name, err := in.filter("DisplayName")
	if err != nil {
		return nil, err
	}
	var all []groupAnswer
	for _, g := range c.w.Groups() {
		if name == "" || g.Name == name {
			all = append(all, c.describedGroup(g))
		}
	}
	part, next, err := page(c, all, groupAnswer.key, storePage, in.MaxResults, in.NextToken)
	return listing("Groups", part, next), err
}

type groupInput struct {
	IdentityStoreId string `aws:"IdentityStoreId,required"`
	GroupId         string `aws:"ResourceId,required"`
}

func (c *call) describeGroup(in *groupInput) (any, error) {
	g, err := c.group(in.IdentityStoreId, in.GroupId)
	if err != nil {
		return nil, err
	}
	return c.describedGroup(g), nil
}

func (c *call) getGroupID(in *getIDInput) (any, error) {
	if err := c.store(in.IdentityStoreId); err != nil {
		return nil, err
	}
	_, name, err := in.attribute("displayName")
	if err != nil {
		return nil, err
	}
	for _, g := range c.w.Groups() {
		if in.AlternateIdentifier.names(g) || name != "" && g.Name == name {
			c.subject.Principal = string(g.ID)
			return map[string]any{"IdentityStoreId": c.w.Store, "GroupId": g.ID}, nil
		}
	}
	return nil, notFound("GROUP not found.").With("ResourceType", "GROUP")
}

type createGroupInput struct {
	IdentityStoreId string `aws:"IdentityStoreId,required"`
	DisplayName     string `aws:"GroupDisplayName"`
	Description     string `aws:"SensitiveString"`
}

func (c *call) createGroup(in *createGroupInput) (any, error) {
	if err := c.store(in.IdentityStoreId); err != nil {
		return nil, err
	}
	if in.DisplayName == "" {
		return nil, invalid("DisplayName is required.")
	}
	if err := notReserved(in.DisplayName); err != nil {
		return nil, err
	}
	g, err := c.w.AddGroup(c.now, in.DisplayName, in.Description)
	if err != nil {
		return nil, storeConflict("UNIQUENESS_CONSTRAINT_VIOLATION", "Duplicate GroupDisplayName.")
	}
	c.changed, c.subject.Principal = true, string(g.ID)
	return map[string]any{"IdentityStoreId": c.w.Store, "GroupId": g.ID}, nil
}

func (c *call) deleteGroup(in *groupInput) (any, error) {
	g, err := c.group(in.IdentityStoreId, in.GroupId)
	if err != nil {
		return nil, err
	}
	c.changed = true
	return struct{}{}, c.w.RemoveGroup(g.ID)
}

type memberID struct {
	UserId string `aws:"ResourceId,required"`
}

type membershipAnswer struct {
	IdentityStoreId      string
	MembershipId         string
	GroupId              org.GroupID
	MemberId             map[string]org.PersonID
	CreatedAt, UpdatedAt wire.Timestamp
}

func (m membershipAnswer) key() string { return m.MembershipId }

func (c *call) memberships(of []world.Membership) []membershipAnswer {
	var all []membershipAnswer
	for _, m := range of {
		at := wire.Timestamp(m.Created)
		all = append(all, membershipAnswer{c.w.Store, m.ID, m.Group, map[string]org.PersonID{"UserId": m.Person}, at, at})
	}
	return all
}

type listMembershipsInput struct {
	IdentityStoreId string `aws:"IdentityStoreId,required"`
	GroupId         string `aws:"ResourceId,required"`
	MaxResults      int    `aws:"MaxResults"`
	NextToken       string `aws:"NextToken"`
}

func (c *call) listGroupMemberships(in *listMembershipsInput) (any, error) {
	g, err := c.group(in.IdentityStoreId, in.GroupId)
	if err != nil {
		return nil, err
	}
	part, next, err := page(c, c.memberships(c.w.Members(g.ID)), membershipAnswer.key, storePage, in.MaxResults, in.NextToken)
	return listing("GroupMemberships", part, next), err
}

type forMemberInput struct {
	IdentityStoreId string    `aws:"IdentityStoreId,required"`
	MemberId        *memberID `aws:"-,required"`
	MaxResults      int       `aws:"MaxResults"`
	NextToken       string    `aws:"NextToken"`
}

func (c *call) listMembershipsForMember(in *forMemberInput) (any, error) {
	p, err := c.person(in.IdentityStoreId, in.MemberId.UserId)
	if err != nil {
		return nil, err
	}
	part, next, err := page(c, c.memberships(c.w.GroupsOf(p.ID)), membershipAnswer.key, storePage, in.MaxResults, in.NextToken)
	return listing("GroupMemberships", part, next), err
}

type getMembershipInput struct {
	IdentityStoreId string    `aws:"IdentityStoreId,required"`
	GroupId         string    `aws:"ResourceId,required"`
	MemberId        *memberID `aws:"-,required"`
}

// getMembershipID says which of the three is missing; the API reference has the types, and not when each is answered.
func (c *call) getMembershipID(in *getMembershipInput) (any, error) {
	g, err := c.group(in.IdentityStoreId, in.GroupId)
	if err != nil {
		return nil, err
	}
	p, err := c.person(in.IdentityStoreId, in.MemberId.UserId)
	if err != nil {
		return nil, err
	}
	for _, m := range c.w.GroupsOf(p.ID) {
		if m.Group == g.ID {
			return map[string]any{"IdentityStoreId": c.w.Store, "MembershipId": m.ID}, nil
		}
	}
	return nil, notFound("GROUP_MEMBERSHIP not found.").With("ResourceType", "GROUP_MEMBERSHIP")
}

type isMemberInput struct {
	IdentityStoreId string    `aws:"IdentityStoreId,required"`
	MemberId        *memberID `aws:"-,required"`
	GroupIds        []string  `aws:"GroupIds,required,each=ResourceId"`
}

type existenceAnswer struct {
	GroupId          string
	MemberId         map[string]org.PersonID
	MembershipExists bool
}

// isMemberInGroups answers for each group in the order asked. A group that is not there is a ResourceNotFoundException, as
// the model allows; the API reference does not say which groups it means.
func (c *call) isMemberInGroups(in *isMemberInput) (any, error) {
	p, err := c.person(in.IdentityStoreId, in.MemberId.UserId)
	if err != nil {
		return nil, err
	}
	results := make([]existenceAnswer, len(in.GroupIds))
	for i, id := range in.GroupIds {
		g, err := c.group(in.IdentityStoreId, id)
		if err != nil {
			return nil, err
		}
		results[i] = existenceAnswer{id, map[string]org.PersonID{"UserId": p.ID}, c.w.Member(p.ID, g.ID)}
	}
	return map[string]any{"Results": results}, nil
}

type createMembershipInput struct {
	IdentityStoreId string    `aws:"IdentityStoreId,required"`
	GroupId         string    `aws:"ResourceId,required"`
	MemberId        *memberID `aws:"-,required"`
}

func (c *call) createGroupMembership(in *createMembershipInput) (any, error) {
	g, err := c.group(in.IdentityStoreId, in.GroupId)
	if err != nil {
		return nil, err
	}
	p, err := c.person(in.IdentityStoreId, in.MemberId.UserId)
	if err != nil {
		return nil, err
	}
	m, err := c.w.Join(c.now, p.ID, g.ID)
	if err != nil {
		return nil, storeConflict("UNIQUENESS_CONSTRAINT_VIOLATION", "Member and Group relationship already exists.")
	}
	c.changed = true
	return map[string]any{"IdentityStoreId": c.w.Store, "MembershipId": m.ID}, nil
}

type membershipInput struct {
	IdentityStoreId string `aws:"IdentityStoreId,required"`
	MembershipId    string `aws:"ResourceId,required"`
}

func (c *call) deleteGroupMembership(in *membershipInput) (any, error) {
	if err := c.store(in.IdentityStoreId); err != nil {
		return nil, err
	}
	m, ok := c.w.Membership(in.MembershipId)
	if !ok {
		return nil, missing("GROUP_MEMBERSHIP", in.MembershipId)
	}
	c.w.RemoveMembership(m.ID)
	c.changed, c.subject.Principal = true, string(m.Person)
	return struct{}{}, nil
}
