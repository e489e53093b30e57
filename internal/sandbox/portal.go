package sandbox

import (
	"slices"

	"sparekey/internal/sandbox/wire"
	"sparekey/internal/sandbox/world"
	"sparekey/org"
)

// portalService is the access portal's API, by which people get the credentials of roles.
var portalService = service{
	name: "sso", protocol: wire.Portal,
	shapes: wire.NewShapes(wire.Shapes{"MaxResult": {Min: 1, Max: 100}}),
	invalid: func(v wire.Violations) *wire.Error {
		return &wire.Error{Status: 400, Code: "InvalidRequestException", Message: v.String()}
	},
	badToken:  refusal(400, "InvalidRequestException", "Invalid next token"),
	throttled: refusal(429, "TooManyRequestsException", "Too many requests"),
	broken:    func() *wire.Error { return common(500, "InternalFailure", "An internal error occurred.") },
	denied:    func(string) *wire.Error { return noAccess() },
	operations: []operation{
		{name: "ListAccounts", method: "GET", path: "/assignment/accounts", run: handle((*call).portalAccounts)},
		{name: "ListAccountRoles", method: "GET", path: "/assignment/roles", run: handle((*call).portalRoles)},
		{name: "GetRoleCredentials", method: "GET", path: "/federation/credentials", run: handle((*call).getRoleCredentials)},
		{name: "Logout", method: "POST", path: "/logout", run: handle((*call).logout)},
	},
}

const portalPage = 100 // items of a page, unless the caller wants fewer

// noAccess is what the portal says to a person who may not have a role. The model has no such error (aws-cli issue 6316).
func noAccess() *wire.Error {
	return &wire.Error{Status: 403, Code: "ForbiddenException", Message: "No access"}
}

// signer returns whose token the call carries.
func (c *call) signer() (*world.Person, error) {
	t, ok := c.s.sessions.tokens[c.bearer]
	if !ok || !c.signedIn(t.signIn) || !c.now.Before(t.expires) {
		return nil, &wire.Error{Status: 401, Code: "UnauthorizedException", Message: "Session token not found or invalid"}
	}
	p, _ := c.w.Person(t.person)
	c.entry.Caller = p.User
	return p, nil
}

// reached lists what the caller may open: the accounts are active, and the reserved roles are there.
func (c *call) reached() ([]org.Target, error) {
	p, err := c.signer()
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(c.w.Reached(p.ID), func(t org.Target) bool {
		account, ok := c.w.Account(t.Account)
		_, role := c.w.Role(t)
		return !ok || account.State != org.AccountActive || !role
	}), nil
}

type portalListInput struct {
	NextToken  string `aws:"-,name=next_token"`
	MaxResults int    `aws:"MaxResult,name=max_result"`
}

type portalAccount struct {
	AccountID    org.AccountID `json:"accountId"`
	AccountName  string        `json:"accountName"`
	EmailAddress string        `json:"emailAddress"`
}

func (a portalAccount) key() string { return string(a.AccountID) }

func (c *call) portalAccounts(in *portalListInput) (any, error) {
	targets, err := c.reached()
	if err != nil {
		return nil, err
	}
	var all []portalAccount
	for _, t := range targets {
		account, _ := c.w.Account(t.Account)
		all = append(all, portalAccount{account.ID, account.Name, account.Email})
	}
	part, next, err := page(c, slices.Compact(all), portalAccount.key, portalPage, in.MaxResults, in.NextToken)
	return portalListing("accountList", part, next), err
}

// portalListing is the answer of a list operation, with the small letters of this service.
func portalListing[T any](name string, items []T, next string) map[string]any {
	answer := listing(name, items, "")
	if next != "" {
		answer["nextToken"] = next
	}
	return answer
}

type portalRolesInput struct {
	NextToken  string `aws:"-,name=next_token"`
	MaxResults int    `aws:"MaxResult,name=max_result"`
	AccountID  string `aws:"-,required,name=account_id"`
}

type portalRole struct {
	RoleName  string        `json:"roleName"`
	AccountID org.AccountID `json:"accountId"`
}

func (r portalRole) key() string { return r.RoleName }

func (c *call) portalRoles(in *portalRolesInput) (any, error) {
	targets, err := c.reached()
	if err != nil {
		return nil, err
	}
	var all []portalRole
	for _, t := range targets {
		if set, ok := c.w.PermissionSet(t.PermissionSet); ok && string(t.Account) == in.AccountID {
			all = append(all, portalRole{set.Name, t.Account})
		}
	}
	part, next, err := page(c, all, portalRole.key, portalPage, in.MaxResults, in.NextToken)
	return portalListing("roleList", part, next), err
}

type roleCredentialsInput struct {
	RoleName  string `aws:"-,required,name=role_name"`
	AccountID string `aws:"-,required,name=account_id"`
}

func (c *call) getRoleCredentials(in *roleCredentialsInput) (any, error) {
	targets, err := c.reached()
	if err != nil {
		return nil, err
	}
	p, _ := c.signer()
	for _, t := range targets {
		set, ok := c.w.PermissionSet(t.PermissionSet)
		role, there := c.w.Role(t)
		if !ok || !there || set.Name != in.RoleName || string(t.Account) != in.AccountID {
			continue
		}
		made, expires := c.s.vend(c.now, role, set, p)
		c.subject = Subject{t.Account, set.ARN, string(p.ID)}
		return map[string]any{"roleCredentials": map[string]any{
			"accessKeyId": made.AccessKeyID, "secretAccessKey": made.SecretAccessKey, "sessionToken": made.SessionToken, "expiration": expires.UnixMilli(),
		}}, nil
	}
	return nil, noAccess()
}

func (c *call) logout(*struct{}) (any, error) {
	if _, err := c.signer(); err != nil {
		return nil, err
	}
	c.s.sessions.tokens[c.bearer].over = true
	c.s.sessions.prune(c.now)
	c.changed = true
	return nil, nil
}
