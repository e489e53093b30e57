package sandbox

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssooidc"
)

// fingerprint is everything in a sandbox that a call may change, but for sign-ins, which take no signature.
func (f *fixture) fingerprint() string {
	state := f.State()
	state.Devices = nil
	text, err := json.Marshal([]any{state, f.world.Accounts(), f.world.OUs(), f.world.PermissionSets(), f.world.Groups(), len(f.keys)})
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// FuzzDispatch sends any request. Nothing may panic, and without a valid signature nothing may change.
func FuzzDispatch(f *testing.F) {
	f.Add("POST", "/", "SWBExternalService.CreateAccountAssignment", "AWS4-HMAC-SHA256 Credential=a/b/c/d/e, SignedHeaders=host, Signature=00", "application/x-amz-json-1.1", []byte(`{}`))
	f.Add("POST", "/", "AWSOrganizationsV20161128.CreateAccount", "", "", []byte(`{"Email":"a@b.c","AccountName":"x"}`))
	f.Add("POST", "/?Action=GetCallerIdentity&Version=2011-06-15", "", "x", "application/x-www-form-urlencoded", []byte(`Action=GetCallerIdentity`))
	f.Add("POST", "/", "", "x", "application/x-www-form-urlencoded", []byte(`Action=AssumeRole&Version=2011-06-15&RoleArn=x&Tags.member.1.Key=a&Tags.member.1.Value=b&TransitiveTagKeys.member.1=a`))
	f.Add("POST", "/client/register", "", "", "application/json", []byte(`{"clientName":"x","clientType":"public"}`))
	f.Add("POST", "/token", "", "", "application/json", []byte(`{"clientId":"x","clientSecret":"y","grantType":"refresh_token","refreshToken":"z"}`))
	f.Add("GET", "/federation/credentials?role_name=x&account_id=y", "", "", "", []byte(nil))
	f.Add("POST", "/_sandbox/assignments", "", "Bearer x", "application/json", []byte(`{"add":[]}`))
	f.Add("POST", "/logout", "", "", "", []byte(nil))
	sandbox := start(f)
	before := sandbox.fingerprint()
	f.Fuzz(func(t *testing.T, method, target, amzTarget, authorization, contentType string, body []byte) {
		r, err := http.NewRequest(method, "http://127.0.0.1", strings.NewReader(string(body)))
		if err != nil || !strings.HasPrefix(target, "/") {
			return
		}
		if r.URL, err = r.URL.Parse("http://127.0.0.1" + target); err != nil {
			return
		}
		r.Header = http.Header{
			"X-Amz-Target": {amzTarget}, "Authorization": {authorization}, "Content-Type": {contentType}, "X-Amz-Date": {sandbox.clock.Now().Format("20060102T150405Z")},
			"X-Amz-Sso_bearer_token": {authorization},
		}
		if authorization == "" {
			delete(r.Header, "Authorization")
		}
		w := httptest.NewRecorder()
		sandbox.ServeHTTP(w, r)
		if w.Code >= 500 {
			t.Errorf("%d %s", w.Code, w.Body)
		}
		if calls := sandbox.Calls(); len(calls) > 0 {
			if last := calls[len(calls)-1]; last.Changed && last.Service != "sso-oidc" {
				t.Errorf("it changed something: %+v", last)
			}
		}
		sandbox.log = log{}
		if sandbox.fingerprint() != before {
			t.Error("something is different now")
		}
	})
}

func TestManyCallersAtOnce(t *testing.T) {
	f := start(t, func(o *Options) { o.Clock, o.Behaviour.AssignmentTakes = nil, time.Nanosecond })
	done := make(chan bool)
	for _, user := range []string{"dana", "kim", "lee"} {
		for _, account := range []string{paymentsID, sandboxID} {
			go func() {
				defer func() { done <- true }()
				for range 20 {
					_, _ = f.create(f.of(user, "Admin", account)) // refused or not: all must stay whole
					_, _ = f.delete(f.of(user, "Admin", account))
					f.State()
					f.Calls()
					f.Script(Fault{Kind: Throttle, Times: 1, Operation: "CreateAccountAssignment"})
					_, _ = f.oidc.RegisterClient(f.ctx, &ssooidc.RegisterClientInput{ClientName: aws.String("x"), ClientType: aws.String("public")})
					_ = f.Change(func(d *Directory) error { return d.Join(f.person("lee").ID, f.group("oncall").ID) })
				}
			}()
		}
	}
	for range 6 {
		<-done
	}
	if n, unlanded := f.Outstanding(); n != 0 || unlanded {
		t.Errorf("%d, %v", n, unlanded)
	}
}
