package sandbox

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sso"
	"github.com/aws/aws-sdk-go-v2/service/ssooidc"

	"sparekey/org"
)

// client registers a program, with or without refresh tokens.
func (f *fixture) client(scopes ...string) *ssooidc.RegisterClientOutput {
	f.t.Helper()
	out, err := f.oidc.RegisterClient(f.ctx, &ssooidc.RegisterClientInput{ClientName: aws.String("test"), ClientType: aws.String("public"), Scopes: scopes})
	f.must(err)
	return out
}

func (f *fixture) device(c *ssooidc.RegisterClientOutput) *ssooidc.StartDeviceAuthorizationOutput {
	f.t.Helper()
	out, err := f.oidc.StartDeviceAuthorization(f.ctx, &ssooidc.StartDeviceAuthorizationInput{ClientId: c.ClientId, ClientSecret: c.ClientSecret, StartUrl: aws.String(f.StartURL())})
	f.must(err)
	return out
}

func (f *fixture) token(c *ssooidc.RegisterClientOutput, d *ssooidc.StartDeviceAuthorizationOutput) (*ssooidc.CreateTokenOutput, error) {
	return f.oidc.CreateToken(f.ctx, &ssooidc.CreateTokenInput{ClientId: c.ClientId, ClientSecret: c.ClientSecret, GrantType: aws.String(grantDevice), DeviceCode: d.DeviceCode})
}

func (f *fixture) refresh(c *ssooidc.RegisterClientOutput, token *string) (*ssooidc.CreateTokenOutput, error) {
	return f.oidc.CreateToken(f.ctx, &ssooidc.CreateTokenInput{ClientId: c.ClientId, ClientSecret: c.ClientSecret, GrantType: aws.String(grantRefresh), RefreshToken: token})
}

// signIn is the whole of the device flow; it returns an access token that lasts as long as the session.
func (f *fixture) signIn(user string) string {
	f.t.Helper()
	c := f.client()
	d := f.device(c)
	f.must(f.Confirm(*d.UserCode, f.person(user).ID))
	t, err := f.token(c, d)
	f.must(err)
	return *t.AccessToken
}

func (f *fixture) credentials(token, set, account string) (Credentials, time.Time, error) {
	out, err := f.sso.GetRoleCredentials(f.ctx, &sso.GetRoleCredentialsInput{AccessToken: &token, RoleName: &set, AccountId: &account})
	if err != nil {
		return Credentials{}, time.Time{}, err
	}
	r := out.RoleCredentials
	return Credentials{*r.AccessKeyId, *r.SecretAccessKey, *r.SessionToken}, time.UnixMilli(r.Expiration), nil
}

func TestADeviceIsConfirmedAndOpensARole(t *testing.T) {
	f := start(t)
	c := f.client()
	d := f.device(c)
	if d.ExpiresIn != 600 || d.Interval != 1 || !strings.Contains(*d.VerificationUriComplete, *d.UserCode) {
		t.Errorf("%+v", d)
	}
	_, err := f.token(c, d)
	f.wantCode(err, "AuthorizationPendingException")
	_, err = f.token(c, d)
	f.wantCode(err, "SlowDownException")
	f.clock.Advance(time.Second)
	_, err = f.token(c, d)
	f.wantCode(err, "AuthorizationPendingException")
	f.must(f.Confirm(*d.UserCode, f.person("dana").ID))
	token, err := f.token(c, d)
	f.must(err)
	if *token.TokenType != "Bearer" || token.RefreshToken != nil || token.ExpiresIn != 8*3600 {
		t.Errorf("%+v", token)
	}
	_, err = f.token(c, d)
	f.wantCode(err, "InvalidGrantException") // a code gives one token

	accounts, err := f.sso.ListAccounts(f.ctx, &sso.ListAccountsInput{AccessToken: token.AccessToken})
	f.must(err)
	var names []string
	for _, a := range accounts.AccountList {
		names = append(names, *a.AccountName)
	}
	if !slices.Equal(names, []string{"management", "payments"}) {
		t.Error(names)
	}
	roles, err := f.sso.ListAccountRoles(f.ctx, &sso.ListAccountRolesInput{AccessToken: token.AccessToken, AccountId: aws.String(paymentsID)})
	f.must(err)
	if len(roles.RoleList) != 1 || *roles.RoleList[0].RoleName != "ReadOnly" {
		t.Errorf("%+v", roles.RoleList)
	}
	made, expires, err := f.credentials(*token.AccessToken, "ReadOnly", paymentsID)
	f.must(err)
	if want := f.clock.Now().Add(2 * time.Hour); !expires.Equal(want) {
		t.Errorf("expires %s, want %s", expires, want)
	}
	who, err := identity(f, made)
	f.must(err)
	if want := "arn:aws:sts::100000000003:assumed-role/" + f.Roles(paymentsID)[0].Name + "/dana"; *who.Arn != want || *who.Account != paymentsID || !strings.HasSuffix(*who.UserId, ":dana") {
		t.Errorf("%s %s %s, want %s", *who.Arn, *who.Account, *who.UserId, want)
	}
}

func TestCredentialsOutliveTheAssignmentButAreNotGivenAgain(t *testing.T) {
	f := start(t)
	a := f.of("dana", "Admin", sandboxID)
	f.must(f.Change(func(d *Directory) error { return d.Assign(a) }))
	token := f.signIn("dana")
	made, expires, err := f.credentials(token, "Admin", sandboxID)
	f.must(err)
	_, err = f.delete(a)
	f.must(err)
	f.clock.Advance(2 * time.Second)
	_, _, err = f.credentials(token, "Admin", sandboxID)
	f.wantCode(err, "ForbiddenException")
	f.clock.Advance(expires.Sub(f.clock.Now()) - time.Second)
	_, err = identity(f, made)
	f.must(err)
	f.clock.Advance(time.Second)
	_, err = identity(f, made)
	f.wantCode(err, "ExpiredToken")
}

func TestRoleCredentialsMayOnlyAskWhoTheyAre(t *testing.T) {
	f := start(t)
	made, _, err := f.credentials(f.signIn("dana"), "ReadOnly", paymentsID)
	f.must(err)
	g := *f
	g.rewire(made)
	_, err = g.create(f.of("dana", "Admin", paymentsID))
	f.wantCode(err, "AccessDeniedException")
	made.SessionToken = ""
	_, err = identity(f, made)
	f.wantCode(err, "InvalidClientTokenId")
}

func TestWhoMayNotOpenARole(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*fixture, *Directory) error
		want   string
	}{
		"nothing changed":       {func(*fixture, *Directory) error { return nil }, ""},
		"the status unknown":    {func(f *fixture, d *Directory) error { return d.SetStatus(f.person("dana").ID, org.StatusUnknown) }, ""},
		"disabled":              {func(f *fixture, d *Directory) error { return d.SetStatus(f.person("dana").ID, org.StatusDisabled) }, "UnauthorizedException"},
		"removed":               {func(f *fixture, d *Directory) error { return d.SetStatus(f.person("dana").ID, org.StatusRemoved) }, "UnauthorizedException"},
		"out of the group":      {func(f *fixture, d *Directory) error { return d.Leave(f.person("dana").ID, f.group("oncall").ID) }, "ForbiddenException"},
		"the group removed":     {func(f *fixture, d *Directory) error { return d.RemoveGroup(f.group("oncall").ID) }, "ForbiddenException"},
		"the account suspended": {func(_ *fixture, d *Directory) error { return d.SetAccountState(paymentsID, org.AccountSuspended) }, "ForbiddenException"},
		"unassigned": {func(f *fixture, d *Directory) error {
			return d.Unassign(org.Assignment{Kind: org.GroupOfAWS, Principal: string(f.group("oncall").ID), Target: org.Target{Account: paymentsID, PermissionSet: f.set("ReadOnly")}})
		}, "ForbiddenException"},
	} {
		t.Run(name, func(t *testing.T) {
			f := start(t)
			token := f.signIn("dana")
			f.must(f.Change(func(d *Directory) error { return c.change(f, d) }))
			_, _, err := f.credentials(token, "ReadOnly", paymentsID)
			f.wantCode(err, c.want)
		})
	}
}

func TestTheDisabledCannotSignIn(t *testing.T) {
	f := start(t)
	d := f.device(f.client())
	if err := f.Confirm(*d.UserCode, f.person("kim").ID); err == nil {
		t.Error("kim is disabled and signed in")
	}
	if err := f.Confirm("NONE", f.person("dana").ID); err == nil {
		t.Error("there is no such code")
	}
}

func TestADeviceThatNobodyConfirmsExpires(t *testing.T) {
	f := start(t)
	c := f.client()
	late, denied := f.device(c), f.device(c)
	f.must(f.Deny(*denied.UserCode))
	_, err := f.token(c, denied)
	f.wantCode(err, "AccessDeniedException")
	f.clock.Advance(10 * time.Minute)
	if err := f.Confirm(*late.UserCode, f.person("dana").ID); err == nil {
		t.Error("confirmed too late")
	}
	_, err = f.token(c, late)
	f.wantCode(err, "ExpiredTokenException")
	_, err = f.token(f.client(), late)
	f.wantCode(err, "InvalidGrantException") // of another client
}

func TestAccessTokensAreRefreshedUntilTheSessionEnds(t *testing.T) {
	f := start(t)
	c := f.client("sso:account:access")
	d := f.device(c)
	f.must(f.Confirm(*d.UserCode, f.person("dana").ID))
	first, err := f.token(c, d)
	f.must(err)
	if first.ExpiresIn != 3600 || first.RefreshToken == nil {
		t.Fatalf("%+v", first)
	}
	f.clock.Advance(time.Hour)
	_, _, err = f.credentials(*first.AccessToken, "ReadOnly", paymentsID)
	f.wantCode(err, "UnauthorizedException")
	second, err := f.refresh(c, first.RefreshToken)
	f.must(err)
	_, _, err = f.credentials(*second.AccessToken, "ReadOnly", paymentsID)
	f.must(err)
	_, err = f.refresh(c, first.RefreshToken)
	f.wantCode(err, "InvalidGrantException") // it was used
	f.clock.Advance(7 * time.Hour)
	_, err = f.refresh(c, second.RefreshToken)
	f.wantCode(err, "InvalidGrantException") // the session is over
}

func TestLoggingOutEndsTheWholeSession(t *testing.T) {
	f := start(t)
	c := f.client("sso:account:access")
	d := f.device(c)
	f.must(f.Confirm(*d.UserCode, f.person("dana").ID))
	first, err := f.token(c, d)
	f.must(err)
	second, err := f.refresh(c, first.RefreshToken)
	f.must(err)
	other := f.signIn("dana")
	_, err = f.sso.Logout(f.ctx, &sso.LogoutInput{AccessToken: second.AccessToken})
	f.must(err)
	for _, token := range []*string{first.AccessToken, second.AccessToken} {
		_, _, err = f.credentials(*token, "ReadOnly", paymentsID)
		f.wantCode(err, "UnauthorizedException")
	}
	_, err = f.refresh(c, second.RefreshToken)
	f.wantCode(err, "InvalidGrantException")
	_, _, err = f.credentials(other, "ReadOnly", paymentsID)
	f.must(err)
}

func TestOnlyGETOpensARole(t *testing.T) {
	f := start(t)
	r, err := http.Post(f.url+"/federation/credentials?account_id="+paymentsID+"&role_name=ReadOnly", "application/json", nil)
	f.must(err)
	r.Body.Close()
	if r.StatusCode != http.StatusNotFound {
		t.Error(r.Status)
	}
}

func TestNobodyCanRegisterWithoutEnd(t *testing.T) {
	f := start(t)
	for range crowd {
		f.sessions.clients[f.source.Secret("client")] = &client{expires: f.clock.Now().Add(time.Hour)}
	}
	in := &ssooidc.RegisterClientInput{ClientName: aws.String("test"), ClientType: aws.String("public")}
	_, err := f.oidc.RegisterClient(f.ctx, in)
	f.wantCode(err, "SlowDownException")
	f.clock.Advance(time.Hour)
	_, err = f.oidc.RegisterClient(f.ctx, in)
	f.must(err)
}
