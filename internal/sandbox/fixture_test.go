package sandbox

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/identitystore"
	"github.com/aws/aws-sdk-go-v2/service/organizations"
	"github.com/aws/aws-sdk-go-v2/service/sso"
	"github.com/aws/aws-sdk-go-v2/service/ssoadmin"
	admin "github.com/aws/aws-sdk-go-v2/service/ssoadmin/types"
	"github.com/aws/aws-sdk-go-v2/service/ssooidc"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"

	"sparekey/org"
)

const described = `
management-account: "100000000001"
ous: [{path: Workloads/Prod, tags: {tier: live}}]
accounts:
  - {id: "100000000001", name: management}
  - {id: "100000000002", name: identity, ou: Core}
  - {id: "100000000003", name: payments, ou: Workloads/Prod, tags: {env: prod, owner: pay}}
  - {id: "100000000004", name: sandbox-7, ou: Workloads/Dev}
permission-sets:
  - {name: ReadOnly, session: 2h, description: Look but do not touch}
  - {name: Admin}
  - {name: ManagementOnly}
groups: [nobody]
people:
  - {user: dana, name: Dana Ito, email: dana@example.com, groups: [developers, oncall]}
  - {user: kim, name: Kim, status: disabled, groups: [developers]}
  - {user: lee, status: unknown}
assignments:
  - {group: oncall, permission-set: ReadOnly, account: "100000000003"}
  - {group: developers, permission-set: ManagementOnly, account: "100000000001"}
roles:
  - {name: Deployer, path: /ops/, accounts: [payments], max-session: 2h, trusts: ["100000000001", "100000000003"]}
  - {name: Closed, ous: [Workloads/Dev], trusts: ["100000000002"]}
`

const (
	managementID = "100000000001"
	delegatedID  = "100000000002"
	paymentsID   = "100000000003"
	sandboxID    = "100000000004"
)

// fixture is a sandbox on loopback with SDK clients of its management account.
type fixture struct {
	*Sandbox
	t     testing.TB
	clock *ManualClock
	url   string
	m     *org.Mirror
	ctx   context.Context

	admin *ssoadmin.Client
	store *identitystore.Client
	orgs  *organizations.Client
	oidc  *ssooidc.Client
	sso   *sso.Client
	http  aws.HTTPClient // nil is the SDK's own
	from  string         // the account that calls, where a test says so
}

func start(t testing.TB, change ...func(*Options)) *fixture {
	t.Helper()
	o, given, err := org.Describe("sandbox.yaml", []byte(described))
	if err != nil {
		t.Fatal(err)
	}
	clock := NewManualClock(time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC))
	roles, err := org.DescribeRoles("sandbox.yaml", []byte(described))
	if err != nil {
		t.Fatal(err)
	}
	options := Options{
		Organization: o, Assignments: given, Roles: roles, Clock: clock, DelegatedAdministrator: delegatedID, Seed: 1, Behaviour: Behaviour{CallsPerSecond: -1},
	}
	for _, c := range change {
		c(&options)
	}
	s := New(options)
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	f := &fixture{Sandbox: s, t: t, clock: clock, url: server.URL, m: org.NewMirror(o), ctx: t.Context()}
	f.rewire(f.Key(managementID, "sparekey"))
	return f
}

// rewire makes the clients anew, with other credentials.
func (f *fixture) rewire(k Credentials) {
	config := f.with(k)
	f.admin, f.store, f.orgs = ssoadmin.NewFromConfig(config), identitystore.NewFromConfig(config), organizations.NewFromConfig(config)
	f.oidc, f.sso = ssooidc.NewFromConfig(config), sso.NewFromConfig(config)
}

// inProcess lets the clients call the handler without a socket. A connection that is closed without an answer is an error.
func (f *fixture) inProcess() {
	f.http = roundTripper(func(r *http.Request) (answer *http.Response, err error) {
		arrived := httptest.NewRequest(r.Method, r.URL.String(), r.Body).WithContext(r.Context())
		arrived.Host, arrived.Header, arrived.ContentLength = r.URL.Host, r.Header, r.ContentLength
		w := httptest.NewRecorder()
		defer func() {
			if recover() != nil {
				err = io.ErrUnexpectedEOF
			}
		}()
		f.ServeHTTP(w, arrived)
		return w.Result(), nil
	})
	f.rewire(f.Key(managementID, "sparekey"))
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) Do(r *http.Request) (*http.Response, error) { return f(r) }

func (f *fixture) with(k Credentials) aws.Config {
	return aws.Config{
		Region: "us-east-1", BaseEndpoint: aws.String(f.url), HTTPClient: f.http, Retryer: func() aws.Retryer { return aws.NopRetryer{} },
		Credentials: credentials.NewStaticCredentialsProvider(k.AccessKeyID, k.SecretAccessKey, k.SessionToken),
	}
}

func (f *fixture) set(name string) string {
	f.t.Helper()
	set, ok := f.m.PermissionSet(name)
	if !ok {
		f.t.Fatalf("no permission set %s", name)
	}
	return set.ARN
}

func (f *fixture) person(user string) org.Person {
	f.t.Helper()
	p, ok := f.m.PersonNamed(user)
	if !ok {
		f.t.Fatalf("no person %s", user)
	}
	return p
}

func (f *fixture) group(name string) org.Group {
	f.t.Helper()
	g, ok := f.m.Group(name)
	if !ok {
		f.t.Fatalf("no group %s", name)
	}
	return g
}

func (f *fixture) instance() *string { return aws.String(f.m.Organization().Instance) }

func (f *fixture) storeID() *string { return aws.String(f.m.Organization().IdentityStore) }

// of is a person's assignment.
func (f *fixture) of(user, set, account string) org.Assignment {
	return org.Assignment{
		Kind: org.User, Principal: string(f.person(user).ID), Target: org.Target{Account: org.AccountID(account), PermissionSet: f.set(set)},
	}
}

func (f *fixture) create(a org.Assignment) (*admin.AccountAssignmentOperationStatus, error) {
	out, err := f.admin.CreateAccountAssignment(f.ctx, &ssoadmin.CreateAccountAssignmentInput{
		InstanceArn: f.instance(), TargetId: aws.String(string(a.Account)), TargetType: admin.TargetTypeAwsAccount, PermissionSetArn: aws.String(a.PermissionSet),
		PrincipalType: admin.PrincipalType(a.Kind), PrincipalId: aws.String(a.Principal),
	})
	if err != nil {
		return nil, err
	}
	return out.AccountAssignmentCreationStatus, nil
}

func (f *fixture) delete(a org.Assignment) (*admin.AccountAssignmentOperationStatus, error) {
	out, err := f.admin.DeleteAccountAssignment(f.ctx, &ssoadmin.DeleteAccountAssignmentInput{
		InstanceArn: f.instance(), TargetId: aws.String(string(a.Account)), TargetType: admin.TargetTypeAwsAccount, PermissionSetArn: aws.String(a.PermissionSet),
		PrincipalType: admin.PrincipalType(a.Kind), PrincipalId: aws.String(a.Principal),
	})
	if err != nil {
		return nil, err
	}
	return out.AccountAssignmentDeletionStatus, nil
}

func (f *fixture) creation(id *string) *admin.AccountAssignmentOperationStatus {
	f.t.Helper()
	out, err := f.admin.DescribeAccountAssignmentCreationStatus(f.ctx, &ssoadmin.DescribeAccountAssignmentCreationStatusInput{
		InstanceArn: f.instance(), AccountAssignmentCreationRequestId: id,
	})
	if err != nil {
		f.t.Fatal(err)
	}
	return out.AccountAssignmentCreationStatus
}

func (f *fixture) deletion(id *string) *admin.AccountAssignmentOperationStatus {
	f.t.Helper()
	out, err := f.admin.DescribeAccountAssignmentDeletionStatus(f.ctx, &ssoadmin.DescribeAccountAssignmentDeletionStatusInput{
		InstanceArn: f.instance(), AccountAssignmentDeletionRequestId: id,
	})
	if err != nil {
		f.t.Fatal(err)
	}
	return out.AccountAssignmentDeletionStatus
}

// listed lists the assignments of a target as the API shows them.
func (f *fixture) listed(t org.Target) []admin.AccountAssignment {
	f.t.Helper()
	out, err := f.admin.ListAccountAssignments(f.ctx, &ssoadmin.ListAccountAssignmentsInput{
		InstanceArn: f.instance(), AccountId: aws.String(string(t.Account)), PermissionSetArn: aws.String(t.PermissionSet),
	})
	if err != nil {
		f.t.Fatal(err)
	}
	return out.AccountAssignments
}

// code is the error code of an API error, "" for none, "?" for another error.
func code(err error) string {
	var api smithy.APIError
	switch {
	case err == nil:
		return ""
	case errors.As(err, &api):
		return api.ErrorCode()
	}
	return "?"
}

func (f *fixture) wantCode(err error, want string) {
	f.t.Helper()
	if got := code(err); got != want {
		f.t.Errorf("got %q (%v), want %q", got, err, want)
	}
}

func (f *fixture) must(err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
}

func identity(f *fixture, k Credentials) (*sts.GetCallerIdentityOutput, error) {
	return sts.NewFromConfig(f.with(k)).GetCallerIdentity(f.ctx, &sts.GetCallerIdentityInput{})
}
