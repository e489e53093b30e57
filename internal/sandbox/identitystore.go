package sandbox

import (
	"slices"
	"strings"

	"sparekey/internal/sandbox/wire"
	"sparekey/internal/sandbox/world"
	"sparekey/org"
)

// identityStoreService is the directory of Identity Center. Reading is open to member accounts, as it is in AWS unless an
// administrator closes it (IAM Identity Center User Guide, "Limiting access to the identity store from member accounts").
var identityStoreService = service{
	name: "identitystore", target: "AWSIdentityStore", signing: "identitystore", regional: true, protocol: wire.JSON, shapes: identityStoreShapes,
	invalid:   func(v wire.Violations) *wire.Error { return modelled("ValidationException", v.String()) },
	badToken:  refusal(400, "ValidationException", "The pagination token is not valid."),
	throttled: refusal(400, "ThrottlingException", "Rate exceeded"),
	broken:    refusal(500, "InternalServerException", "An internal error occurred."),
	conflict: func() *wire.Error {
		return storeConflict("CONCURRENT_MODIFICATION", "The resource is being changed by another request.")
	},
	denied:     func(why string) *wire.Error { return modelled("AccessDeniedException", why) },
	idInErrors: true,
	operations: []operation{
		{name: "ListUsers", may: members, run: handle((*call).listUsers)},
		{name: "DescribeUser", may: members, run: handle((*call).describeUser)},
		{name: "GetUserId", may: members, run: handle((*call).getUserID)},
		{name: "CreateUser", may: delegated, run: handle((*call).createUser)},
		{name: "DeleteUser", may: delegated, run: handle((*call).deleteUser)},
		{name: "ListGroups", may: members, run: handle((*call).listGroups)},
		{name: "DescribeGroup", may: members, run: handle((*call).describeGroup)},
		{name: "GetGroupId", may: members, run: handle((*call).getGroupID)},
		{name: "CreateGroup", may: delegated, run: handle((*call).createGroup)},
		{name: "DeleteGroup", may: delegated, run: handle((*call).deleteGroup)},
		{name: "ListGroupMemberships", may: members, run: handle((*call).listGroupMemberships)},
		{name: "ListGroupMembershipsForMember", may: members, run: handle((*call).listMembershipsForMember)},
		{name: "GetGroupMembershipId", may: members, run: handle((*call).getMembershipID)},
		{name: "IsMemberInGroups", may: members, run: handle((*call).isMemberInGroups)},
		{name: "CreateGroupMembership", may: delegated, run: handle((*call).createGroupMembership)},
		{name: "DeleteGroupMembership", may: delegated, run: handle((*call).deleteGroupMembership)},
	},
}

// sensitive is the pattern of SensitiveStringType.
const sensitive = `[\p{L}\p{M}\p{S}\p{N}\p{P}\t\n\r \x{00a0}\x{3000}]+`

// identityStoreShapes are those of the model identitystore-2020-06-15. Its IdentityStoreId has alternatives that are anchored
// by halves; what they mean is written here.
var identityStoreShapes = wire.NewShapes(wire.Shapes{
	"AttributePath":    {Min: 1, Max: 255, Pattern: `\p{L}+:\p{L}+:\p{L}+(?:\.\p{L}+){0,3}|\p{L}+(?:\.\p{L}+){0,2}`},
	"Emails":           {Min: 1, Max: 1},
	"ExternalId":       {Min: 1, Max: 256, Pattern: `[\p{L}\p{M}\p{S}\p{N}\p{P}]+`},
	"Filters":          {Max: 1},
	"GroupDisplayName": {Min: 1, Max: 1024, Pattern: `[\p{L}\p{M}\p{S}\p{N}\p{P}\t\n\r \x{00a0}]+`},
	"GroupIds":         {Min: 1, Max: 100},
	"IdentityStoreId":  {Min: 1, Max: 36, Pattern: `d-[0-9a-f]{10}|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`},
	"MaxResults":       {Min: 1, Max: 100},
	"NextToken":        {Min: 1, Max: 65535, Pattern: `[-a-zA-Z0-9+=/:_]*`},
	"ResourceId":       {Min: 1, Max: 47, Pattern: principalID},
	"SensitiveString":  {Min: 1, Max: 1024, Pattern: sensitive},
	"UserName":         {Min: 1, Max: 128, Pattern: `[\p{L}\p{M}\p{S}\p{N}\p{P}]+`},
})

const storePage = 100 // items of a page, unless the caller wants fewer

// missing says that the identity store has no such thing. Kind is a ResourceType of the model.
func missing(kind, id string) *wire.Error {
	e := notFound("%s not found.", kind).With("ResourceType", kind)
	if kind == "IDENTITY_STORE" { // a store's id does not fit the shape ResourceId
		return e
	}
	return e.With("ResourceId", id)
}

func storeConflict(reason, message string) *wire.Error {
	return modelled("ConflictException", message).With("Reason", reason)
}

func (c *call) store(id string) error {
	if id != c.w.Store {
		return missing("IDENTITY_STORE", id)
	}
	return nil
}

func (c *call) person(store, id string) (*world.Person, error) {
	if err := c.store(store); err != nil {
		return nil, err
	}
	p, ok := c.w.Person(org.PersonID(id))
	if !ok {
		return nil, missing("USER", id)
	}
	return p, nil
}

type filterInput struct {
	AttributePath  string `aws:"AttributePath,required"`
	AttributeValue string `aws:"SensitiveString,required"`
}

type listStoreInput struct {
	IdentityStoreId string        `aws:"IdentityStoreId,required"`
	Filters         []filterInput `aws:"Filters"`
	MaxResults      int           `aws:"MaxResults"`
	NextToken       string        `aws:"NextToken"`
}

// filter returns the name that the one supported filter asks for, or "" if there is none.
func (in *listStoreInput) filter(path string) (string, error) {
	if len(in.Filters) == 0 {
		return "", nil
	}
	f := in.Filters[0] // the model takes one at most
	if f.AttributePath != path {
		return "", invalid("The attribute path %s is not supported for filtering.", f.AttributePath)
	}
	return f.AttributeValue, nil
}

type (
	nameAnswer  struct{ Formatted, FamilyName, GivenName string }
	emailAnswer struct {
		Value, Type string
		Primary     bool
	}
)

type userAnswer struct {
	IdentityStoreId      string
	UserId               org.PersonID
	UserName             string
	Name                 nameAnswer
	DisplayName          string
	Emails               []emailAnswer `json:",omitempty"`
	UserStatus           string        `json:",omitempty"` // left out where the store does not say
	CreatedAt, UpdatedAt wire.Timestamp
}

func (u userAnswer) key() string { return string(u.UserId) }

func (c *call) describedUser(p *world.Person) userAnswer {
	u := userAnswer{
		IdentityStoreId: c.w.Store, UserId: p.ID, UserName: p.User, Name: nameAnswer{p.Name, p.LastName, p.GivenName}, DisplayName: p.Name,
		UserStatus: strings.ToUpper(string(p.Status)), CreatedAt: wire.Timestamp(p.Created), UpdatedAt: wire.Timestamp(p.Updated),
	}
	if p.Email != "" {
		u.Emails = []emailAnswer{{p.Email, "work", true}}
	}
	return u
}

func (c *call) listUsers(in *listStoreInput) (any, error) {
	if err := c.store(in.IdentityStoreId); err != nil {
		return nil, err
	}
	name, err := in.filter("UserName")
	if err != nil {
		return nil, err
	}
	var all []userAnswer
	for _, p := range c.w.People() {
		if name == "" || p.User == name {
			all = append(all, c.describedUser(p))
		}
	}
	part, next, err := page(c, all, userAnswer.key, storePage, in.MaxResults, in.NextToken)
	return listing("Users", part, next), err
}

type userInput struct {
	IdentityStoreId string `aws:"IdentityStoreId,required"`
	UserId          string `aws:"ResourceId,required"`
}

func (c *call) describeUser(in *userInput) (any, error) {
	p, err := c.person(in.IdentityStoreId, in.UserId)
	if err != nil {
		return nil, err
	}
	return c.describedUser(p), nil
}

type externalID struct {
	Issuer string `aws:"ExternalId,required"`
	Id     string `aws:"ExternalId,required"`
}

type uniqueAttribute struct {
	AttributePath  string `aws:"AttributePath,required"`
	AttributeValue any    `aws:"-,required"`
}

type alternateIdentifier struct {
	ExternalId      *externalID      `aws:"-"`
	UniqueAttribute *uniqueAttribute `aws:"-"`
}

type getIDInput struct {
	IdentityStoreId     string               `aws:"IdentityStoreId,required"`
	AlternateIdentifier *alternateIdentifier `aws:"-,required"`
}

// names reports whether the identifier is an external id of the group's.
func (a *alternateIdentifier) names(g *world.Group) bool {
	return a.ExternalId != nil && slices.Contains(g.External, world.ExternalID{Issuer: a.ExternalId.Issuer, ID: a.ExternalId.Id})
}

// attribute returns which attribute, one of paths, must have which value. For an external id the value is "": only groups
// come from an identity provider here; see [Directory.Provision]. Exactly one member of the union must be set.
func (in *getIDInput) attribute(paths ...string) (path, value string, err error) {
	a := in.AlternateIdentifier
	if (a.ExternalId == nil) == (a.UniqueAttribute == nil) {
		return "", "", invalid("Exactly one of ExternalId and UniqueAttribute must be given.")
	}
	if a.UniqueAttribute == nil {
		return paths[0], "", nil
	}
	path = a.UniqueAttribute.AttributePath
	value, ok := a.UniqueAttribute.AttributeValue.(string)
	if !ok || value == "" || !slices.ContainsFunc(paths, func(p string) bool { return strings.EqualFold(p, path) }) {
		return "", "", invalid("The unique attribute %s is not supported, or its value is not a string.", path)
	}
	return strings.ToLower(path), value, nil
}

func (c *call) getUserID(in *getIDInput) (any, error) {
	if err := c.store(in.IdentityStoreId); err != nil {
		return nil, err
	}
	path, value, err := in.attribute("userName", "emails.value")
	if err != nil {
		return nil, err
	}
	for _, p := range c.w.People() {
		has := p.User
		if path == "emails.value" {
			has = p.Email
		}
		if has == value && value != "" {
			c.subject.Principal = string(p.ID)
			return map[string]any{"IdentityStoreId": c.w.Store, "UserId": p.ID}, nil
		}
	}
	return nil, notFound("USER not found.").With("ResourceType", "USER")
}

type nameInput struct {
	Formatted  string `aws:"SensitiveString"`
	FamilyName string `aws:"SensitiveString"`
	GivenName  string `aws:"SensitiveString"`
}

type emailInput struct {
	Value   string `aws:"SensitiveString"`
	Type    string `aws:"SensitiveString"`
	Primary bool   `aws:"-"`
}

type createUserInput struct {
	IdentityStoreId string       `aws:"IdentityStoreId,required"`
	UserName        string       `aws:"UserName"`
	Name            *nameInput   `aws:"-"`
	DisplayName     string       `aws:"SensitiveString"`
	Emails          []emailInput `aws:"Emails"`
}

// createUser demands what the API reference calls required "when used in IAM Identity Center". Of a user's other attributes
// the sandbox keeps nothing.
func (c *call) createUser(in *createUserInput) (any, error) {
	if err := c.store(in.IdentityStoreId); err != nil {
		return nil, err
	}
	if in.UserName == "" || in.DisplayName == "" || in.Name == nil || in.Name.FamilyName == "" || in.Name.GivenName == "" {
		return nil, invalid("UserName, DisplayName, Name.FamilyName and Name.GivenName are required.")
	}
	if err := notReserved(in.UserName); err != nil {
		return nil, err
	}
	p := world.NewPerson(org.Person{User: in.UserName, Name: in.DisplayName, Status: org.StatusEnabled}, c.now)
	p.GivenName, p.LastName = in.Name.GivenName, in.Name.FamilyName
	if len(in.Emails) > 0 {
		p.Email = in.Emails[0].Value
	}
	if c.w.AddPerson(p) != nil {
		return nil, storeConflict("UNIQUENESS_CONSTRAINT_VIOLATION", "Duplicate UserName.")
	}
	c.changed, c.subject.Principal = true, string(p.ID)
	return map[string]any{"IdentityStoreId": c.w.Store, "UserId": p.ID}, nil
}

// notReserved refuses the names that the API reference reserves.
func notReserved(name string) error {
	if name == "Administrator" || name == "AWSAdministrators" {
		return invalid("%s is a reserved name.", name)
	}
	return nil
}

func (c *call) deleteUser(in *userInput) (any, error) {
	p, err := c.person(in.IdentityStoreId, in.UserId)
	if err != nil {
		return nil, err
	}
	c.changed = true
	return struct{}{}, c.w.RemovePerson(p.ID)
}
