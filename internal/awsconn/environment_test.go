package awsconn

import (
	"context"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/identitystore"
	"github.com/aws/aws-sdk-go-v2/service/organizations"
	"github.com/aws/aws-sdk-go-v2/service/ssoadmin"

	"sparekey/internal/sandbox"
)

// inTrap says that this process is the one whose environment is full of traps.
const inTrap = "SPAREKEY_TEST_IN_TRAP"

// TestNothingComesFromTheEnvironment runs the tests below once more, in a process whose environment wants all calls for
// itself: net/http and the SDK look there once, and at the start. Whoever follows it is heard by a trap.
func TestNothingComesFromTheEnvironment(t *testing.T) {
	if os.Getenv(inTrap) != "" {
		t.Skip("this is the process in the trap")
	}
	var heard atomic.Int64
	trap := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		heard.Add(1)
		t.Errorf("the trap heard %s %s %s %s", r.Method, r.Host, r.URL, r.Header)
	}))
	defer trap.Close()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command(program, "-test.run=^(TestInTheTrap.*|TestARoleIs.*|TestAToken.*|TestAContainer.*|TestAnInstance.*|TestAProxy.*|TestAKey.*|TestOnlyReading.*)$", "-test.v")
	c.Env = traps(t, trap.URL)
	said, err := c.CombinedOutput()
	if err != nil || heard.Load() > 0 || strings.Count(string(said), "--- PASS") < 12 || strings.Contains(string(said), "--- SKIP") {
		t.Errorf("%v\n%s", err, said)
	}
}

// traps is an environment that steers the SDK, the AWS CLI and net/http wherever they let it.
func traps(t *testing.T, url string) []string {
	t.Helper()
	home := t.TempDir()
	profile := "[default]\nregion = eu-trap-1\nendpoint_url = " + url + "\naws_access_key_id = AKIATRAP\naws_secret_access_key = trap\n"
	for _, file := range []string{"config", "credentials"} {
		if err := os.MkdirAll(filepath.Join(home, ".aws"), 0o700); err != nil {
			t.Fatal(err)
		}
		text := profile + strings.ReplaceAll(profile, "default", map[string]string{"config": "profile trap", "credentials": "trap"}[file])
		if err := os.WriteFile(filepath.Join(home, ".aws", file), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	config, shared, token := filepath.Join(home, ".aws", "config"), filepath.Join(home, ".aws", "credentials"), write(t, "token", "TRAP", 0o600)
	env := []string{
		inTrap + "=" + url, "PATH=" + os.Getenv("PATH"), "HOME=" + home, "TMPDIR=" + os.TempDir(), "AWS_CONFIG_FILE=" + config, "AWS_SHARED_CREDENTIALS_FILE=" + shared,
		"AWS_PROFILE=trap", "AWS_DEFAULT_PROFILE=trap", "AWS_SDK_LOAD_CONFIG=1", "AWS_REGION=eu-trap-1", "AWS_DEFAULT_REGION=eu-trap-1",
		"AWS_ACCESS_KEY_ID=AKIATRAP", "AWS_SECRET_ACCESS_KEY=trap", "AWS_SESSION_TOKEN=trap", "AWS_CA_BUNDLE=" + filepath.Join(home, "ca.pem"),
		"AWS_ROLE_ARN=arn:aws:iam::666666666666:role/trap", "AWS_WEB_IDENTITY_TOKEN_FILE=" + token, "AWS_ROLE_SESSION_NAME=trap",
		"AWS_CONTAINER_CREDENTIALS_FULL_URI=" + url, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI=/trap", "AWS_CONTAINER_AUTHORIZATION_TOKEN=TRAP",
		"AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE=" + token, "AWS_EC2_METADATA_SERVICE_ENDPOINT=" + url, "AWS_EC2_METADATA_DISABLED=true",
		"AWS_USE_DUALSTACK_ENDPOINT=true", "AWS_USE_FIPS_ENDPOINT=true", "AWS_STS_REGIONAL_ENDPOINTS=legacy", "AWS_MAX_ATTEMPTS=9", "AWS_RETRY_MODE=adaptive",
		"AWS_ACCOUNT_ID_ENDPOINT_MODE=required", "AWS_DEFAULTS_MODE=auto", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS=true",
	}
	for _, service := range []string{"", "_STS", "_SSO", "_SSO_ADMIN", "_SSO_OIDC", "_IDENTITYSTORE", "_ORGANIZATIONS", "_IAM"} {
		env = append(env, "AWS_ENDPOINT_URL"+service+"="+url)
	}
	for _, proxy := range []string{"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"} {
		env = append(env, proxy+"="+url)
	}
	return append(env, "NO_PROXY=", "no_proxy=")
}

// TestInTheTrapCallsGoToTheEndpointThatIsSet looks at the log of who was called, and as whom.
func TestInTheTrapCallsGoToTheEndpointThatIsSet(t *testing.T) {
	box := sandbox.New(sandbox.Options{Seed: 1})
	server := httptest.NewServer(box)
	defer server.Close()
	k := box.Key("100000000001", "sparekey")
	file := write(t, "keys.json", `{"accessKeyId": "`+k.AccessKeyID+`", "secretAccessKey": "`+k.SecretAccessKey+`"}`, 0o600)
	c := open(t, Settings{Endpoint: server.URL, Credentials: Credentials{File: file}})
	if err := errors.Join(callEverything(t.Context(), c)...); err != nil {
		t.Error(err)
	}
	var called []string
	for _, call := range box.Calls() {
		called = append(called, call.Service)
		if call.AccessKeyID != k.AccessKeyID || call.Status != http.StatusOK {
			t.Errorf("%+v", call)
		}
	}
	if want := []string{"sso-admin", "identitystore", "organizations", "sts"}; !slices.Equal(called, want) {
		t.Errorf("called were %v", called)
	}
}

// callEverything makes one call of each service.
func callEverything(ctx context.Context, c aws.Config) []error {
	store := "d-0000000000"
	instances, err1 := ssoadmin.NewFromConfig(c).ListInstances(ctx, &ssoadmin.ListInstancesInput{})
	if err1 == nil {
		store = *instances.Instances[0].IdentityStoreId
	}
	_, err2 := identitystore.NewFromConfig(c).ListUsers(ctx, &identitystore.ListUsersInput{IdentityStoreId: &store})
	_, err3 := organizations.NewFromConfig(c).ListRoots(ctx, &organizations.ListRootsInput{})
	return []error{err1, err2, err3, whoAmI(ctx, c)}
}

// watched refuses every connection, and notes where it would have gone.
func watched(c aws.Config) *[]string {
	var dialled []string
	c.HTTPClient.(plain).Transport.(*http.Transport).DialContext = func(_ context.Context, _, address string) (net.Conn, error) {
		dialled = append(dialled, address)
		return nil, os.ErrPermission
	}
	return &dialled
}

func TestInTheTrapCallsGoToAWSWhereNoEndpointIsSet(t *testing.T) {
	file := write(t, "keys.json", key("AKIA1", ""), 0o600)
	for region, want := range map[string][]string{
		"us-east-1": {
			"sso.us-east-1.amazonaws.com:443", "identitystore.us-east-1.amazonaws.com:443", "organizations.us-east-1.amazonaws.com:443", "sts.us-east-1.amazonaws.com:443",
		},
		"eu-central-1": {
			"sso.eu-central-1.amazonaws.com:443", "identitystore.eu-central-1.amazonaws.com:443", "organizations.us-east-1.amazonaws.com:443", "sts.eu-central-1.amazonaws.com:443",
		},
	} {
		c := open(t, Settings{Region: region, Credentials: Credentials{File: file}})
		dialled := watched(c)
		for _, err := range callEverything(t.Context(), c) {
			if err == nil {
				t.Error("a call was answered")
			}
		}
		if !slices.Equal(*dialled, want) {
			t.Errorf("in %s, called were %v", region, *dialled)
		}
	}
}

// TestInTheTrapNoProxyIsUsed takes an endpoint that is not on this machine: net/http asks no proxy for one that is.
func TestInTheTrapNoProxyIsUsed(t *testing.T) {
	file := write(t, "keys.json", key("AKIA1", ""), 0o600)
	for endpoint, want := range map[string]string{"http://aws.test": "aws.test:80", "https://aws.test": "aws.test:443", "http://192.0.2.1:8080": "192.0.2.1:8080"} {
		c := open(t, Settings{Endpoint: endpoint, Credentials: Credentials{File: file}})
		dialled := watched(c)
		if err := whoAmI(t.Context(), c); err == nil || len(*dialled) != 1 || (*dialled)[0] != want {
			t.Errorf("%s: called were %v: %v", endpoint, *dialled, err)
		}
	}
}

func TestInTheTrapCredentialsOfTheEnvironmentAreNoSource(t *testing.T) {
	_, err := Open(Settings{Region: "us-east-1"})
	wantError(t, err, "0 sources")
	_, err = Open(Settings{Credentials: Credentials{File: "f"}})
	wantError(t, err, "no AWS Region is set")
}

// TestInTheTrapACertificateOfTheEnvironmentIsNotTrusted calls a server whose certificate AWS_CA_BUNDLE vouches for.
func TestInTheTrapACertificateOfTheEnvironmentIsNotTrusted(t *testing.T) {
	heard := 0
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { heard++ }))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	defer server.Close()
	bundle := os.Getenv("AWS_CA_BUNDLE")
	if os.Getenv(inTrap) == "" {
		bundle = filepath.Join(t.TempDir(), "ca.pem")
		t.Setenv("AWS_CA_BUNDLE", bundle)
	}
	rewrite(t, bundle, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})))
	c := open(t, Settings{Endpoint: server.URL, Credentials: Credentials{File: write(t, "keys.json", key("AKIA1", ""), 0o600)}})
	wantError(t, whoAmI(t.Context(), c), "certificate")
	if heard > 0 {
		t.Errorf("%d calls arrived", heard)
	}
}
