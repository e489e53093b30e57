package sandbox

import (
	"crypto/subtle"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"sparekey/internal/sandbox/wire"
	"sparekey/org"
)

// oidcService is Identity Center's OIDC service, with the device authorization grant of RFC 8628 and refresh tokens.
var oidcService = service{
	name: "sso-oidc", protocol: wire.OIDC, shapes: wire.NewShapes(wire.Shapes{}),
	invalid: func(v wire.Violations) *wire.Error {
		return oidcError("InvalidRequestException", "Invalid request: "+v.String())
	},
	badToken:  func() *wire.Error { return oidcError("InvalidRequestException", "Invalid request") },
	throttled: func() *wire.Error { return oidcError("SlowDownException", "Rate exceeded") },
	broken:    func() *wire.Error { return oidcError("InternalServerException", "An internal error occurred.") },
	denied:    func(string) *wire.Error { return oidcError("AccessDeniedException", "Access denied") },
	operations: []operation{
		{name: "RegisterClient", method: "POST", path: "/client/register", run: handle((*call).registerClient)},
		{name: "StartDeviceAuthorization", method: "POST", path: "/device_authorization", run: handle((*call).startDevice)},
		{name: "CreateToken", method: "POST", path: "/token", run: handle((*call).createToken)},
	},
}

// oidcCodes are the codes of RFC 6749, RFC 7591 and RFC 8628 for the errors of the model sso-oidc-2019-06-10.
var oidcCodes = map[string]struct {
	status int
	code   string
}{
	"AccessDeniedException":          {400, "access_denied"},
	"AuthorizationPendingException":  {400, "authorization_pending"},
	"ExpiredTokenException":          {400, "expired_token"},
	"InternalServerException":        {500, "server_error"},
	"InvalidClientException":         {401, "invalid_client"},
	"InvalidClientMetadataException": {400, "invalid_client_metadata"},
	"InvalidGrantException":          {400, "invalid_grant"},
	"InvalidRedirectUriException":    {400, "invalid_redirect_uri"},
	"InvalidRequestException":        {400, "invalid_request"},
	"InvalidScopeException":          {400, "invalid_scope"},
	"SlowDownException":              {400, "slow_down"},
	"UnauthorizedClientException":    {400, "unauthorized_client"},
	"UnsupportedGrantTypeException":  {400, "unsupported_grant_type"},
}

func oidcError(name, description string) *wire.Error {
	c := oidcCodes[name]
	e := wire.Error{Status: c.status, Code: name, Message: description}
	return e.With("error", c.code)
}

const (
	grantCode    = "authorization_code"
	grantDevice  = "urn:ietf:params:oauth:grant-type:device_code"
	grantRefresh = "refresh_token"

	clientLives = 90 * 24 * time.Hour // as AWS's clientSecretExpiresAt says
	deviceLives = 10 * time.Minute    // as AWS's expiresIn says
	pollEvery   = time.Second         // as AWS's interval says
	tokenLives  = time.Hour           // of an access token that can be refreshed
)

type registerInput struct {
	ClientName   string   `aws:"-,required,name=clientName"`
	ClientType   string   `aws:"-,required,name=clientType"`
	Scopes       []string `aws:"-,name=scopes"`
	GrantTypes   []string `aws:"-,name=grantTypes"`
	RedirectURIs []string `aws:"-,name=redirectUris"`
}

var scopePattern = regexp.MustCompile(`^[a-z0-9_-]+(:[a-z0-9_-]+)+$|^(openid|aws)$`)

func (c *call) registerClient(in *registerInput) (any, error) {
	sessions := &c.s.sessions
	sessions.prune(c.now)
	switch {
	case in.ClientName == "" || in.ClientType != "public":
		return nil, oidcError("InvalidClientMetadataException", "The client must have a name and be public")
	case slices.ContainsFunc(in.Scopes, func(text string) bool { return !scopePattern.MatchString(text) }):
		return nil, oidcError("InvalidScopeException", "Invalid scope requested")
	case slices.ContainsFunc(in.GrantTypes, func(g string) bool { return !slices.Contains([]string{grantCode, grantDevice, grantRefresh}, g) }):
		return nil, oidcError("UnsupportedGrantTypeException", "Grant type is not supported")
	case slices.ContainsFunc(in.RedirectURIs, func(text string) bool { return !loopback(text) }):
		return nil, oidcError("InvalidRedirectUriException", "Redirect URIs must be on loopback")
	case len(sessions.clients) >= crowd:
		return nil, oidcError("SlowDownException", "Too many clients")
	}
	made := &client{
		id: c.s.source.Secret("client")[:22], secret: c.s.source.Secret("client secret"), expires: c.now.Add(clientLives), grants: in.GrantTypes,
		// A client of the days before refresh tokens asks for neither, and gets an access token for the whole session.
		refreshes: slices.Contains(in.GrantTypes, grantRefresh) || slices.Contains(in.Scopes, "sso:account:access"),
	}
	sessions.clients[made.id] = made
	c.changed = true
	return map[string]any{
		"clientId": made.id, "clientSecret": made.secret, "clientIdIssuedAt": c.now.Unix(), "clientSecretExpiresAt": made.expires.Unix(),
	}, nil
}

func loopback(text string) bool {
	u, err := url.Parse(text)
	return err == nil && u.Scheme == "http" && slices.Contains([]string{"127.0.0.1", "::1", "localhost"}, u.Hostname())
}

func (c *call) client(id, secret string) (*client, error) {
	known, ok := c.s.sessions.clients[id]
	if !ok || subtle.ConstantTimeCompare([]byte(secret), []byte(known.secret)) != 1 || !c.now.Before(known.expires) {
		return nil, oidcError("InvalidClientException", "Invalid client provided")
	}
	return known, nil
}

type startDeviceInput struct {
	ClientID     string `aws:"-,required,name=clientId"`
	ClientSecret string `aws:"-,required,name=clientSecret"`
	StartURL     string `aws:"-,required,name=startUrl"`
}

func (c *call) startDevice(in *startDeviceInput) (any, error) {
	sessions := &c.s.sessions
	sessions.prune(c.now)
	known, err := c.client(in.ClientID, in.ClientSecret)
	switch {
	case err != nil:
		return nil, err
	case len(known.grants) > 0 && !slices.Contains(known.grants, grantDevice):
		return nil, oidcError("UnauthorizedClientException", "The client is not authorized for the device grant")
	case strings.TrimRight(in.StartURL, "/#") != strings.TrimRight(c.s.startURL, "/#"):
		return nil, oidcError("InvalidRequestException", "Invalid start url provided")
	case len(sessions.devices) >= crowd:
		return nil, oidcError("SlowDownException", "Too many devices")
	}
	code := strings.ToUpper(c.s.source.Hex(8, "user code"))
	d := &device{
		code: c.s.source.Secret("device code"), userCode: code[:4] + "-" + code[4:], client: known.id, expires: c.now.Add(deviceLives),
	}
	sessions.devices[d.code] = d
	c.changed = true
	page := strings.TrimRight(c.s.startURL, "/#") + "/#/device"
	return map[string]any{
		"deviceCode": d.code, "userCode": d.userCode, "verificationUri": page, "verificationUriComplete": page + "?user_code=" + d.userCode,
		"expiresIn": int(deviceLives.Seconds()), "interval": int(pollEvery.Seconds()),
	}, nil
}

type tokenInput struct {
	ClientID     string `aws:"-,required,name=clientId"`
	ClientSecret string `aws:"-,required,name=clientSecret"`
	GrantType    string `aws:"-,required,name=grantType"`
	DeviceCode   string `aws:"-,name=deviceCode"`
	RefreshToken string `aws:"-,name=refreshToken"`
}

func (c *call) createToken(in *tokenInput) (any, error) {
	known, err := c.client(in.ClientID, in.ClientSecret)
	if err != nil {
		return nil, err
	}
	switch in.GrantType {
	case grantDevice:
		return c.tokenForDevice(known, in.DeviceCode)
	case grantRefresh:
		return c.tokenForRefresh(known, in.RefreshToken)
	}
	return nil, oidcError("UnsupportedGrantTypeException", "Grant type is not supported")
}

func (c *call) tokenForDevice(known *client, code string) (any, error) {
	d, ok := c.s.sessions.devices[code]
	switch {
	case code == "":
		return nil, oidcError("InvalidRequestException", "Invalid request")
	case !ok || d.client != known.id:
		return nil, oidcError("InvalidGrantException", "Invalid grant provided")
	case !c.now.Before(d.expires):
		return nil, oidcError("ExpiredTokenException", "Device code has expired")
	case d.denied:
		return nil, oidcError("AccessDeniedException", "Access denied")
	case d.person == "":
		early := c.now.Sub(d.polled) < pollEvery
		d.polled = c.now
		if early {
			return nil, oidcError("SlowDownException", "Slow down")
		}
		return nil, oidcError("AuthorizationPendingException", "Authorization is still pending")
	}
	delete(c.s.sessions.devices, code) // a device code gives one token
	return c.grant(known, &signIn{person: d.person, ends: c.now.Add(c.s.options.Behaviour.PortalSession)})
}

// tokenForRefresh gives another refresh token with the access token; the one that was used is no longer good. Whether AWS
// does so is not documented.
func (c *call) tokenForRefresh(known *client, text string) (any, error) {
	t, ok := c.s.sessions.refresh[text]
	if text == "" {
		return nil, oidcError("InvalidRequestException", "Invalid request")
	}
	if !ok || t.client != known.id || !c.signedIn(t.signIn) {
		return nil, oidcError("InvalidGrantException", "Invalid refresh token provided")
	}
	delete(c.s.sessions.refresh, text)
	return c.grant(known, t.signIn)
}

// grant gives tokens for a session.
func (c *call) grant(known *client, in *signIn) (any, error) {
	c.s.sessions.prune(c.now)
	expires := in.ends
	answer := map[string]any{"tokenType": "Bearer"}
	if known.refreshes {
		if next := c.now.Add(tokenLives); next.Before(expires) {
			expires = next
		}
		refresh := c.s.source.Secret("refresh token")
		c.s.sessions.refresh[refresh] = &refreshToken{in, known.id}
		answer["refreshToken"] = refresh
	}
	access := c.s.source.Secret("access token")
	c.s.sessions.tokens[access] = &portalToken{in, expires}
	answer["accessToken"], answer["expiresIn"] = access, int(expires.Sub(c.now).Seconds())
	c.subject.Principal, c.changed = string(in.person), true
	return answer, nil
}

// signedIn reports whether a session is still good. Disabling or removing a person ends it.
func (c *call) signedIn(in *signIn) bool {
	p, ok := c.w.Person(org.PersonID(in.person))
	return ok && !p.Status.Gone() && !in.over && c.now.Before(in.ends)
}
