package aws

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/identitystore"
	"github.com/aws/aws-sdk-go-v2/service/organizations"
	"github.com/aws/aws-sdk-go-v2/service/ssoadmin"

	"sparekey/internal/awsconn"
	"sparekey/internal/sandbox"
	"sparekey/org"
)

// backend is an AWS with a small organization in it. The set-up and the behaviours call it as anybody would, through the SDK;
// what no call of AWS does, or not in both, is a function.
type backend struct {
	*account
	pass    func(time.Duration)                  // AWS's time passes
	status  func(org.PersonID, org.Status) error // somebody else changes a person's status
	suspend func(context.Context, org.AccountID) error
	keep    func(org.GroupID) error // an identity provider keeps a group from now on
}

// account is an organization's management account, and what was set up with its credentials.
type account struct {
	config   aws.Config
	admin    *ssoadmin.Client
	store    *identitystore.Client
	orgs     *organizations.Client
	newcomer org.Status // of people who were just made
	want     org.Organization
}

func (a *account) center() *Center { return NewCenter(a.config, "", "") }

func (a *account) assignments() *Assignments { return NewAssignments(a.config, a.center()) }

func (a *account) memberships() *Memberships { return NewMemberships(a.config, a.center()) }

func (a *account) groups() *Groups { return NewGroups(a.config, a.center()) }

func (a *account) sessions() *Sessions { return NewSessions(a.config) }

func (a *account) directory() *Directory {
	return NewDirectory(a.config, a.center(), org.StatusUnknown)
}

// transport is what carries an account's calls, below what awsconn puts around it.
func transport(a *account) *http.Transport {
	client := reflect.ValueOf(a.config.HTTPClient).FieldByName("Client").Interface().(*http.Client)
	return client.Transport.(*http.Transport)
}

// keys writes a credentials file, as an operator would.
func keys(t testing.TB, k sandbox.Credentials) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "keys.json")
	text, err := json.Marshal(k)
	if err == nil {
		err = os.WriteFile(file, text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// connected opens an account of an AWS as Sparekey does, with a key in a file.
func connected(t testing.TB, endpoint string, k sandbox.Credentials) *account {
	t.Helper()
	return opened(t, endpoint, awsconn.Credentials{File: keys(t, k)})
}

func opened(t testing.TB, endpoint string, from awsconn.Credentials) *account {
	t.Helper()
	c, err := awsconn.Open(awsconn.Settings{Region: "us-east-1", Endpoint: endpoint, Credentials: from})
	if err != nil {
		t.Fatal(err)
	}
	a := &account{config: c, admin: ssoadmin.NewFromConfig(c), store: identitystore.NewFromConfig(c), orgs: organizations.NewFromConfig(c)}
	t.Cleanup(transport(a).CloseIdleConnections)
	return a
}

// start is the sandbox's time when a test begins.
var start = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

const management = org.AccountID("100000000001")

// newSandbox makes a sandbox whose clock stands until a test moves it, and without quotas.
func newSandbox(t testing.TB, change ...func(*sandbox.Options)) (*sandbox.Sandbox, *sandbox.ManualClock) {
	t.Helper()
	o, _, err := org.Describe("organization.yaml", []byte(`accounts: [{id: "100000000001", name: management}]`))
	if err != nil {
		t.Fatal(err)
	}
	clock := sandbox.NewManualClock(start)
	options := sandbox.Options{
		Organization: o, Clock: clock, Seed: 1, Roles: []org.Role{
			{Account: management, Path: "/ops/", Name: "Deployer", Trusts: []org.AccountID{management}}, {Account: management, Name: "Closed"},
		}, Behaviour: sandbox.Behaviour{CallsPerSecond: -1, Outstanding: -1, AccountTakes: -1},
	}
	for _, c := range change {
		c(&options)
	}
	return sandbox.New(options), clock
}

// inSandbox is the sandbox as a backend.
func inSandbox(t testing.TB, change ...func(*sandbox.Options)) *backend {
	t.Helper()
	box, clock := newSandbox(t, change...)
	server := httptest.NewServer(box)
	t.Cleanup(server.Close)
	b := &backend{
		account: connected(t, server.URL, box.Key(management, "sparekey")), pass: clock.Advance,
		status: func(p org.PersonID, s org.Status) error {
			return box.Change(func(d *sandbox.Directory) error { return d.SetStatus(p, s) })
		},
		suspend: func(_ context.Context, a org.AccountID) error {
			return box.Change(func(d *sandbox.Directory) error { return d.SetAccountState(a, org.AccountSuspended) })
		},
		keep: func(g org.GroupID) error {
			return box.Change(func(d *sandbox.Directory) error { return d.Provision(g, "https://scim.example.com", "1") })
		},
	}
	b.newcomer = org.StatusEnabled
	if err := b.setUp(t.Context()); err != nil {
		t.Fatalf("setting up the organization: %v", err)
	}
	return b
}

// inMoto is moto as a backend, forgetting what was there before.
func inMoto(t testing.TB, endpoint string) *backend {
	t.Helper()
	answer, err := http.Post(endpoint+"/moto-api/reset", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	b := &backend{
		account: connected(t, endpoint, sandbox.Credentials{AccessKeyID: "AKIAIOSFODNN7EXAMPLE", SecretAccessKey: "any"}), pass: func(time.Duration) {},
		status: func(_ org.PersonID, s org.Status) error { return fmt.Errorf("there is no way to make a person %q", s) },
		keep:   func(org.GroupID) error { return errors.New("there is no way to provision a group") },
	}
	b.suspend = func(ctx context.Context, a org.AccountID) error {
		_, err := b.orgs.CloseAccount(ctx, &organizations.CloseAccountInput{AccountId: aws.String(string(a))})
		return err
	}
	_, err = b.orgs.CreateOrganization(t.Context(), &organizations.CreateOrganizationInput{})
	if err == nil {
		err = b.setUp(t.Context())
	}
	if err != nil {
		t.Fatalf("setting up the organization: %v", err)
	}
	return b
}
