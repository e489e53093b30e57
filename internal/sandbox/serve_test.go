package sandbox

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/identitystore"
	"github.com/aws/aws-sdk-go-v2/service/organizations"

	"sparekey/org"
)

// send sends a request and returns the status, the error's code and the body.
func (f *fixture) send(r *http.Request) (status int, code, body string) {
	f.t.Helper()
	answer, err := http.DefaultClient.Do(r)
	f.must(err)
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	f.must(err)
	var typed struct {
		Type string `json:"__type"`
	}
	if json.Unmarshal(text, &typed) == nil {
		code = typed.Type
	} else if m := regexp.MustCompile(`<Code>(\w+)</Code>`).FindSubmatch(text); m != nil {
		code = string(m[1])
	}
	if answer.Header.Get("x-amzn-RequestId") == "" || answer.Header.Get("Date") != f.clock.Now().Format(http.TimeFormat) {
		f.t.Errorf("headers %v", answer.Header)
	}
	return answer.StatusCode, code, string(text)
}

// signed is a request to a service, with the signature of a key.
func (f *fixture) signed(service string, k Credentials) *http.Request {
	f.t.Helper()
	body := map[string]string{"sts": "Action=GetCallerIdentity&Version=2011-06-15", "sso": `{}`, "organizations": `{}`, "identitystore": `{"IdentityStoreId":"` + *f.storeID() + `"}`}[service]
	r, err := http.NewRequest("POST", f.url+"/", strings.NewReader(body))
	f.must(err)
	if target := map[string]string{
		"sso": "SWBExternalService.ListInstances", "organizations": "AWSOrganizationsV20161128.ListRoots", "identitystore": "AWSIdentityStore.ListUsers",
	}[service]; target != "" {
		r.Header.Set("X-Amz-Target", target)
	}
	sum := sha256.Sum256([]byte(body))
	f.must(v4.NewSigner().SignHTTP(f.ctx, aws.Credentials{AccessKeyID: k.AccessKeyID, SecretAccessKey: k.SecretAccessKey, SessionToken: k.SessionToken}, r, hex.EncodeToString(sum[:]), service, "us-east-1", time.Now()))
	return r
}

func TestABadSignatureHasTheCodeOfItsProtocol(t *testing.T) {
	f := start(t)
	key := f.Key(managementID, "sparekey")
	session, _, err := f.credentials(f.signIn("dana"), "ReadOnly", paymentsID)
	f.must(err)
	with := func(change func(*Credentials)) Credentials {
		k := key
		change(&k)
		return k
	}
	for name, c := range map[string]struct {
		key         Credentials
		alter       func(*http.Request)
		json, query string
		status      int // of the query protocol; the JSON services answer 400
	}{
		"good":            {key, nil, "", "", 200},
		"wrong secret":    {with(func(k *Credentials) { k.SecretAccessKey += "x" }), nil, "InvalidSignatureException", "SignatureDoesNotMatch", 403},
		"unknown key":     {with(func(k *Credentials) { k.AccessKeyID += "X" }), nil, "UnrecognizedClientException", "InvalidClientTokenId", 403},
		"no token":        {Credentials{session.AccessKeyID, session.SecretAccessKey, ""}, nil, "UnrecognizedClientException", "InvalidClientTokenId", 403},
		"no signature":    {key, func(r *http.Request) { r.Header.Del("Authorization") }, "MissingAuthenticationTokenException", "MissingAuthenticationToken", 403},
		"half of one":     {key, func(r *http.Request) { r.Header.Set("Authorization", "AWS4-HMAC-SHA256 x=y") }, "IncompleteSignatureException", "IncompleteSignature", 400},
		"another body":    {key, func(r *http.Request) { r.Body, r.ContentLength = io.NopCloser(strings.NewReader("{} ")), 3 }, "InvalidSignatureException", "InvalidAction", 400},
		"a query added":   {key, func(r *http.Request) { r.URL.RawQuery = "a=b" }, "InvalidSignatureException", "SignatureDoesNotMatch", 403},
		"a header added":  {key, func(r *http.Request) { r.Header.Set("X-Amz-Extra", "x") }, "InvalidSignatureException", "SignatureDoesNotMatch", 403},
		"a day too early": {key, func(r *http.Request) { r.Header.Set("X-Amz-Date", "20200101T000000Z") }, "InvalidSignatureException", "SignatureDoesNotMatch", 403},
	} {
		for _, service := range []string{"sso", "identitystore", "organizations", "sts"} {
			r := f.signed(service, c.key)
			if c.alter != nil {
				c.alter(r)
			}
			status, code, body := f.send(r)
			wantCode, wantStatus := c.json, 400
			if service == "sts" {
				wantCode, wantStatus = c.query, c.status
			} else if wantCode == "" {
				wantStatus = 200
			}
			if code != wantCode || status != wantStatus {
				t.Errorf("%s, %s: %d %s %s; want %d %s", name, service, status, code, body, wantStatus, wantCode)
			}
		}
	}
	f.clock.Advance(3 * time.Hour)
	for service, want := range map[string]string{"sso": "ExpiredTokenException", "sts": "ExpiredToken"} {
		if _, code, _ := f.send(f.signed(service, session)); code != want {
			t.Errorf("%s: %s, want %s", service, code, want)
		}
	}
}

func TestWhatNoServiceTakesIsRefused(t *testing.T) {
	f := start(t)
	long := bytes.Repeat([]byte(" "), largest+1)
	for _, c := range []struct {
		method, path, target string
		body                 []byte
		status               int
		code                 string
	}{
		{"POST", "/", "SWBExternalService.None", nil, 400, "UnknownOperationException"},
		{"POST", "/", "None.ListInstances", nil, 400, "UnknownOperationException"},
		{"GET", "/?x=y", "SWBExternalService.ListInstances", nil, 400, "UnknownOperationException"},
		{"POST", "/", "SWBExternalService.ListInstances", []byte("{"), 400, "MissingAuthenticationTokenException"},
		{"POST", "/", "SWBExternalService.ListInstances", long, 413, "RequestEntityTooLargeException"},
		{"POST", "/token", "", long, 413, "RequestEntityTooLargeException"},
		{"POST", "/", "", long, 413, "RequestEntityTooLargeException"},
		{"POST", "/", "", []byte("Action=AssumeRoleWithSAML&Version=2011-06-15"), 400, "InvalidAction"},
		{"POST", "/", "", []byte("Action=GetCallerIdentity&Version=2000-01-01"), 400, "InvalidAction"},
		{"POST", "/", "", []byte("%zz=%"), 400, "InvalidAction"},
		{"GET", "/none", "", nil, 404, "UnknownOperationException"},
		{"GET", "/token", "", nil, 404, "UnknownOperationException"},
	} {
		r, err := http.NewRequest(c.method, f.url+c.path, bytes.NewReader(c.body))
		f.must(err)
		if c.target != "" {
			r.Header.Set("X-Amz-Target", c.target)
		}
		if status, code, body := f.send(r); status != c.status || code != c.code {
			t.Errorf("%s %s %s: %d %s %s", c.method, c.path, c.target, status, code, body)
		}
	}
}

func TestSDKsFollowAClockThatIsFarAway(t *testing.T) {
	f := start(t, func(o *Options) { o.Clock = NewManualClock(time.Date(2041, 1, 1, 0, 0, 0, 0, time.UTC)) })
	f.clock = f.options.Clock.(*ManualClock)
	for range 3 {
		_, err := f.orgs.ListRoots(f.ctx, &organizations.ListRootsInput{})
		f.must(err)
		f.clock.Advance(24 * time.Hour)
	}
}

func TestIdentityCenterIsInOneRegionOnly(t *testing.T) {
	f := start(t, func(o *Options) { o.Region = "ap-northeast-1" }) // the clients sign for us-east-1
	_, err := f.admin.ListInstances(f.ctx, nil)
	f.wantCode(err, "InvalidSignatureException")
	_, err = f.store.ListUsers(f.ctx, &identitystore.ListUsersInput{IdentityStoreId: f.storeID()})
	f.wantCode(err, "InvalidSignatureException")
	_, err = f.orgs.ListRoots(f.ctx, nil)
	f.must(err)
	_, err = identity(f, f.Key(paymentsID, "x"))
	f.must(err)
}

func TestTheSameSeedMakesTheSameSecrets(t *testing.T) {
	one, two, other := New(Options{Seed: 7}), New(Options{Seed: 7}), New(Options{Seed: 8})
	if one.Control() != two.Control() || one.Key("1", "x") != two.Key("1", "x") {
		t.Error("the same seed gave something else")
	}
	if one.Control() == other.Control() || one.Key("1", "x") == other.Key("1", "x") || one.Key("1", "x") == one.Key("1", "y") || one.Key("1", "x") == one.Key("2", "x") {
		t.Error("something else gave the same")
	}
}

func TestTheRestOfTheOrganizationCannotDoTheImpossible(t *testing.T) {
	f := start(t)
	a := f.of("dana", "Admin", sandboxID)
	nowhere, nobody, nothing := a, a, a
	nowhere.Account, nobody.Principal, nothing.PermissionSet = "999999999999", "x", "x"
	for name, change := range map[string]func(*Directory) error{
		"assign nowhere": func(d *Directory) error { return d.Assign(nowhere) }, "assign nobody": func(d *Directory) error { return d.Assign(nobody) },
		"assign nothing": func(d *Directory) error { return d.Assign(nothing) }, "unassign": func(d *Directory) error { return d.Unassign(a) },
		"join nothing": func(d *Directory) error { return d.Join(f.person("dana").ID, "x") }, "join again": func(d *Directory) error { return d.Join(f.person("dana").ID, f.group("oncall").ID) },
		"leave": func(d *Directory) error { return d.Leave(f.person("lee").ID, f.group("oncall").ID) }, "remove a group": func(d *Directory) error { return d.RemoveGroup("x") },
		"the status of nobody": func(d *Directory) error { return d.SetStatus("x", org.StatusDisabled) }, "remove nobody": func(d *Directory) error { return d.SetStatus("x", org.StatusRemoved) },
		"move nothing": func(d *Directory) error { return d.MoveAccount("999999999999", f.m.Organization().Root) }, "move nowhere": func(d *Directory) error { return d.MoveAccount(sandboxID, "ou-x") },
		"tag nothing": func(d *Directory) error { return d.TagAccount("999999999999", nil) }, "suspend nothing": func(d *Directory) error { return d.SetAccountState("999999999999", org.AccountSuspended) },
		"an account again": func(d *Directory) error { return d.AddAccount(org.Account{ID: sandboxID}) }, "no account": func(d *Directory) error { return d.AddAccount(org.Account{ID: "1"}) },
		"an account nowhere": func(d *Directory) error { return d.AddAccount(org.Account{ID: "200000000000", Parent: "ou-x"}) },
		"a person again":     func(d *Directory) error { _, err := d.AddPerson("dana", "", ""); return err },
	} {
		before := f.fingerprint()
		if err := f.Change(change); err == nil || f.fingerprint() != before {
			t.Errorf("%s: %v", name, err)
		}
	}
	var id org.PersonID
	f.must(f.Change(func(d *Directory) error {
		var err error
		if id, err = d.AddPerson("new", "New", "new@example.com"); err != nil {
			return err
		}
		return d.MoveAccount(sandboxID, f.m.Organization().Root)
	}))
	if u := f.users()["new"]; *u.UserId != string(id) {
		t.Errorf("%+v", u)
	}
	if at, _ := f.world.Account(sandboxID); at.Parent != f.m.Organization().Root {
		t.Errorf("%+v", at)
	}
}
