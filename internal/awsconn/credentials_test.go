package awsconn

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

func TestACredentialsFileIsReadOnlyWhereItIsSecretAndWhole(t *testing.T) {
	for _, c := range []struct {
		name, text string
		mode       os.FileMode
		says       string // of the error
		id, token  string
	}{
		{"a key", key("AKIA1", ""), 0o600, "", "AKIA1", ""},
		{"a key that nobody may change", key("AKIA1", ""), 0o400, "", "AKIA1", ""},
		{"a key with a session", key("ASIA1", "TOKEN-MARKER"), 0o600, "", "ASIA1", "TOKEN-MARKER"},
		{"a key as the AWS CLI prints it", `{"Version": 1, "AccessKeyId": "AKIA1", "SecretAccessKey": "SECRET-MARKER"}`, 0o600, "", "AKIA1", ""},
		{"readable by the group", key("AKIA1", ""), 0o640, "chmod 600", "", ""},
		{"readable by others", key("AKIA1", ""), 0o604, "chmod 600", "", ""},
		{"readable by all", key("AKIA1", ""), 0o644, "chmod 600", "", ""},
		{"writable by others", key("AKIA1", ""), 0o602, "chmod 600", "", ""},
		{"empty", "", 0o600, "does not hold accessKeyId and secretAccessKey as JSON", "", ""},
		{"no JSON", "[default]\naws_secret_access_key = SECRET-MARKER", 0o600, "does not hold", "", ""},
		{"broken JSON", `{"accessKeyId": "AKIA1", "secretAccessKey": "SECRET-MARKER" "x"}`, 0o600, "does not hold", "", ""},
		{"JSON of another kind", `["SECRET-MARKER"]`, 0o600, "does not hold", "", ""},
		{"values of another kind", `{"accessKeyId": "AKIA1", "secretAccessKey": {"SECRET-MARKER": 1}}`, 0o600, "does not hold", "", ""},
		{"no id", `{"secretAccessKey": "SECRET-MARKER"}`, 0o600, "does not hold", "", ""},
		{"no secret", `{"accessKeyId": "AKIA-MARKER"}`, 0o600, "does not hold", "", ""},
		{"an empty secret", `{"accessKeyId": "AKIA-MARKER", "secretAccessKey": ""}`, 0o600, "does not hold", "", ""},
		{"more than there can be", key("AKIA1", strings.Repeat("TOKEN-MARKER", 8000)), 0o600, "does not hold", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := listen(t)
			file := write(t, "keys.json", c.text, c.mode)
			err := whoAmI(t.Context(), open(t, Settings{Endpoint: e.URL, Credentials: Credentials{File: file}}))
			if c.says == "" {
				if q := e.last(t, "GetCallerIdentity", 1); err != nil || q.key != c.id || q.header.Get("X-Amz-Security-Token") != c.token {
					t.Errorf("%v; heard %+v", err, q)
				}
				return
			}
			wantError(t, err, c.says)
			wantError(t, err, file)
			if !errors.Is(err, ErrCredentials) || len(e.heard) > 0 {
				t.Errorf("%v; heard %+v", err, e.heard)
			}
		})
	}
}

func TestAKeyIsRotatedUnderARunningServer(t *testing.T) {
	e := listen(t)
	file := write(t, "keys.json", key("AKIA1", ""), 0o600)
	c := open(t, Settings{Endpoint: e.URL, Credentials: Credentials{File: file}})
	for i, id := range []string{"AKIA1", "AKIA2", "AKIA3"} {
		rewrite(t, file, key(id, ""))
		if err := whoAmI(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		if q := e.last(t, "GetCallerIdentity", i+1); q.key != id {
			t.Errorf("the file holds %s; %s was used", id, q.key)
		}
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if err := whoAmI(t.Context(), c); !errors.Is(err, ErrCredentials) || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("without a file: %v", err)
	}
}

func TestARoleIsAssumedWithTheKeyOfTheFile(t *testing.T) {
	for session, want := range map[string]string{"": "sparekey", "night": "night"} {
		e := listen(t)
		file := write(t, "keys.json", key("AKIA1", ""), 0o600)
		c := open(t, Settings{Endpoint: e.URL, Credentials: Credentials{File: file, Role: "arn:aws:iam::1:role/x", RoleSession: session}})
		for range 3 {
			if err := whoAmI(t.Context(), c); err != nil {
				t.Fatal(err)
			}
		}
		q := e.last(t, "AssumeRole", 1) // and then it is remembered
		if q.key != "AKIA1" || q.form.Get("RoleArn") != "arn:aws:iam::1:role/x" || q.form.Get("RoleSessionName") != want {
			t.Errorf("heard %+v", q)
		}
		if q := e.last(t, "GetCallerIdentity", 3); q.key != "ASIA1" || q.header.Get("X-Amz-Security-Token") != "T1" {
			t.Errorf("heard %+v", q)
		}
	}
}

func TestARoleIsAssumedAgainBeforeItExpiresAndWithTheKeyOfThatTime(t *testing.T) {
	e := listen(t)
	e.lasts = time.Minute // less than what is kept in hand
	file := write(t, "keys.json", key("AKIA1", ""), 0o600)
	c := open(t, Settings{Endpoint: e.URL, Credentials: Credentials{File: file, Role: "arn:aws:iam::1:role/x"}})
	for i, id := range []string{"AKIA1", "AKIA2"} {
		rewrite(t, file, key(id, ""))
		if err := whoAmI(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		if q := e.last(t, "AssumeRole", i+1); q.key != id {
			t.Errorf("the file holds %s; the role was assumed with %s", id, q.key)
		}
	}
}

func TestATokenIsExchangedForARole(t *testing.T) {
	e := listen(t)
	e.lasts = time.Minute
	token := write(t, "token", "JWT-1-MARKER", 0o600)
	web := &WebIdentity{TokenFile: token, Role: "arn:aws:iam::1:role/pod"}
	c := open(t, Settings{Endpoint: e.URL, Credentials: Credentials{WebIdentity: web}})
	for i, jwt := range []string{"JWT-1-MARKER", "JWT-2-MARKER"} {
		rewrite(t, token, jwt)
		if err := whoAmI(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		q := e.last(t, "AssumeRoleWithWebIdentity", i+1)
		if q.key != "" || q.form.Get("WebIdentityToken") != jwt || q.form.Get("RoleArn") != web.Role || q.form.Get("RoleSessionName") != "sparekey" {
			t.Errorf("heard %+v", q)
		}
	}
	if q := e.last(t, "GetCallerIdentity", 2); q.key != "ASIA3" || q.header.Get("X-Amz-Security-Token") != "T3" {
		t.Errorf("heard %+v", q)
	}
	if err := os.Remove(token); err != nil {
		t.Fatal(err)
	}
	if err := whoAmI(t.Context(), c); !errors.Is(err, ErrCredentials) {
		t.Errorf("without a token: %v", err)
	}
}

func TestATokensRoleAssumesAnother(t *testing.T) {
	e := listen(t)
	web := &WebIdentity{TokenFile: write(t, "token", "JWT", 0o600), Role: "arn:aws:iam::1:role/pod"}
	c := open(t, Settings{Endpoint: e.URL, Credentials: Credentials{WebIdentity: web, Role: "arn:aws:iam::2:role/x"}})
	if err := whoAmI(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	e.last(t, "AssumeRoleWithWebIdentity", 1)
	if q := e.last(t, "AssumeRole", 1); q.key != "ASIA1" || q.form.Get("RoleArn") != "arn:aws:iam::2:role/x" {
		t.Errorf("heard %+v", q)
	}
	if q := e.last(t, "GetCallerIdentity", 1); q.key != "ASIA2" {
		t.Errorf("heard %+v", q)
	}
}

func TestAContainerIsAskedWithTheTokenOfItsFile(t *testing.T) {
	e, endpoint := listen(t), listen(t)
	endpoint.lasts = time.Minute
	token := write(t, "token", "TOKEN-1", 0o600)
	c := open(t, Settings{Endpoint: e.URL, Credentials: Credentials{Container: &Container{URI: endpoint.URL + "/v1/credentials", TokenFile: token}}})
	for i, text := range []string{"TOKEN-1", "TOKEN-2"} {
		rewrite(t, token, text)
		if err := whoAmI(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		if q := endpoint.last(t, "", i+1); q.header.Get("Authorization") != text || q.to != "/v1/credentials" {
			t.Errorf("heard %+v", q)
		}
	}
	if q := e.last(t, "GetCallerIdentity", 2); q.key != "ASIA2" || q.header.Get("X-Amz-Security-Token") != "T2" {
		t.Errorf("heard %+v", q)
	}
	if err := os.Remove(token); err != nil {
		t.Fatal(err)
	}
	if err := whoAmI(t.Context(), c); !errors.Is(err, ErrCredentials) {
		t.Errorf("without a token: %v", err)
	}
}

func TestAContainerWithoutATokenFileIsAskedWithoutOne(t *testing.T) {
	e, endpoint := listen(t), listen(t)
	c := open(t, Settings{Endpoint: e.URL, Credentials: Credentials{Container: &Container{URI: endpoint.URL}}})
	if err := whoAmI(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if q := endpoint.last(t, "", 1); q.header.Get("Authorization") != "" {
		t.Errorf("heard %+v", q)
	}
}

// TestWhatSTSSaysOfASignatureIsToldWithoutTheToken lets STS quote the request, as AWS does (aws/aws-sdk-js issue 2372).
func TestWhatSTSSaysOfASignatureIsToldWithoutTheToken(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusForbidden)
		_, _ = w.Write([]byte("<ErrorResponse><Error><Code>SignatureDoesNotMatch</Code><Message>The request signature we calculated does not match.\n\n" +
			"The Canonical String for this request should have been\n'POST\n/\nx-amz-security-token:" + r.Header.Get("X-Amz-Security-Token") + "\n'</Message></Error></ErrorResponse>"))
	}))
	defer server.Close()
	file := write(t, "keys.json", key("ASIA1", "TOKEN-MARKER"), 0o600)
	err := whoAmI(t.Context(), open(t, Settings{Endpoint: server.URL, Credentials: Credentials{File: file, Role: "arn:aws:iam::1:role/x"}}))
	wantError(t, err, "SignatureDoesNotMatch: The request signature we calculated does not match.")
	if !errors.Is(err, ErrCredentials) {
		t.Error(err)
	}
}

// metadata is the EC2 instance's metadata service, as far as credentials go.
func metadata(heard *[]string) smithyhttp.ClientDoFunc {
	return func(r *http.Request) (*http.Response, error) {
		*heard = append(*heard, r.Method+" "+r.URL.String())
		w := httptest.NewRecorder()
		switch r.URL.Path {
		case "/latest/api/token":
			w.Header().Set("X-Aws-Ec2-Metadata-Token-Ttl-Seconds", "21600")
			_, _ = w.WriteString("IMDS-TOKEN")
		case "/latest/meta-data/iam/security-credentials/":
			_, _ = w.WriteString("sparekey-role")
		default:
			_, _ = w.WriteString(`{"Code": "Success", "AccessKeyId": "ASIA1", "SecretAccessKey": "s", "Token": "T1", "Expiration": "` +
				time.Now().Add(time.Hour).UTC().Format(time.RFC3339) + `"}`)
		}
		return w.Result(), nil
	}
}

func TestAnInstanceIsAskedAtItsOwnAddress(t *testing.T) {
	var heard []string
	refuse := smithyhttp.ClientDoFunc(func(r *http.Request) (*http.Response, error) {
		t.Errorf("%s went the way of AWS's calls", r.URL)
		return nil, os.ErrPermission
	})
	p, err := Credentials{Instance: true}.open(aws.Config{HTTPClient: refuse}, metadata(&heard))
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if c, err := p.Retrieve(t.Context()); err != nil || c.AccessKeyID != "ASIA1" || c.SessionToken != "T1" {
			t.Errorf("%+v: %v", c.AccessKeyID, err)
		}
	}
	want := "PUT http://169.254.169.254/latest/api/token GET http://169.254.169.254/latest/meta-data/iam/security-credentials/ " +
		"GET http://169.254.169.254/latest/meta-data/iam/security-credentials/sparekey-role"
	if got := strings.Join(heard, " "); got != want {
		t.Errorf("heard %s", got)
	}
}

func TestAProxyIsUsedWhereOneIsSetAndOnlyForAWS(t *testing.T) {
	e, proxy, endpoint := listen(t), listen(t), listen(t)
	container := Credentials{Container: &Container{URI: endpoint.URL}}
	if err := whoAmI(t.Context(), open(t, Settings{Endpoint: "http://aws.test", Proxy: proxy.URL, Credentials: container})); err != nil {
		t.Fatal(err)
	}
	if q := proxy.last(t, "GetCallerIdentity", 1); q.to != "http://aws.test/" {
		t.Errorf("the proxy heard %+v", q)
	}
	endpoint.last(t, "", 1)
	proxy.last(t, "", 0) // the container's credentials, and its token, are none of its business
	if err := whoAmI(t.Context(), open(t, Settings{Endpoint: e.URL, Credentials: container})); err != nil {
		t.Fatal(err)
	}
	e.last(t, "GetCallerIdentity", 1)
	proxy.last(t, "GetCallerIdentity", 1)
	role := Credentials{File: write(t, "keys.json", key("AKIA1", ""), 0o600), Role: "arn:aws:iam::1:role/x"}
	if err := whoAmI(t.Context(), open(t, Settings{Endpoint: "http://aws.test", Proxy: proxy.URL, Credentials: role})); err != nil {
		t.Fatal(err)
	}
	proxy.last(t, "AssumeRole", 1) // STS is AWS
}

func TestACredentialsFileMayBeALink(t *testing.T) {
	e := listen(t)
	link := filepath.Join(t.TempDir(), "keys.json") // as Kubernetes mounts secrets
	if err := os.Symlink(write(t, "real.json", key("AKIA1", ""), 0o600), link); err != nil {
		t.Fatal(err)
	}
	if err := whoAmI(t.Context(), open(t, Settings{Endpoint: e.URL, Credentials: Credentials{File: link}})); err != nil {
		t.Error(err)
	}
}
