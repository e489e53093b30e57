package sandbox

import (
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/identitystore"
	"github.com/aws/aws-sdk-go-v2/service/organizations"
	"github.com/aws/aws-sdk-go-v2/service/ssoadmin"
	admin "github.com/aws/aws-sdk-go-v2/service/ssoadmin/types"

	"sparekey/org"
)

func TestWhoMayCallWhatDependsOnTheAccount(t *testing.T) {
	calls := map[string]func(*fixture) error{
		"sso-admin read": func(f *fixture) error {
			_, err := f.admin.ListPermissionSets(f.ctx, &ssoadmin.ListPermissionSetsInput{InstanceArn: f.instance()})
			return err
		},
		"sso-admin for a principal": func(f *fixture) error {
			_, err := f.admin.ListAccountAssignmentsForPrincipal(f.ctx, &ssoadmin.ListAccountAssignmentsForPrincipalInput{
				InstanceArn: f.instance(), PrincipalId: aws.String(string(f.person("dana").ID)), PrincipalType: admin.PrincipalTypeUser,
			})
			return err
		},
		"store read": func(f *fixture) error {
			_, err := f.store.ListUsers(f.ctx, &identitystore.ListUsersInput{IdentityStoreId: f.storeID()})
			return err
		},
		"store write": func(f *fixture) error {
			_, err := f.store.CreateGroup(f.ctx, &identitystore.CreateGroupInput{IdentityStoreId: f.storeID(), DisplayName: aws.String("g")})
			return err
		},
		"describe the organization": func(f *fixture) error {
			_, err := f.orgs.DescribeOrganization(f.ctx, &organizations.DescribeOrganizationInput{})
			return err
		},
		"list accounts": func(f *fixture) error {
			_, err := f.orgs.ListAccounts(f.ctx, &organizations.ListAccountsInput{})
			return err
		},
		"make a unit": func(f *fixture) error {
			_, err := f.orgs.CreateOrganizationalUnit(f.ctx, &organizations.CreateOrganizationalUnitInput{ParentId: aws.String(string(f.m.Organization().Root)), Name: aws.String("x")})
			return err
		},
		"who am I": func(f *fixture) error { _, err := identity(f, f.Key(org.AccountID(f.from), "x")); return err },
	}
	const denied, nobody = "AccessDeniedException", "AWSOrganizationsNotInUseException"
	for account, refused := range map[string]map[string]string{
		managementID: {},
		delegatedID:  {"sso-admin for a principal": denied, "make a unit": denied},
		paymentsID:   {"sso-admin read": denied, "sso-admin for a principal": denied, "store write": denied, "list accounts": denied, "make a unit": denied},
		"999999999999": {
			"sso-admin read": denied, "sso-admin for a principal": denied, "store read": denied, "store write": denied, "describe the organization": nobody,
			"list accounts": nobody, "make a unit": nobody,
		},
	} {
		for name, call := range calls {
			f := start(t)
			f.from = account
			f.rewire(f.Key(org.AccountID(account), "x"))
			if got := code(call(f)); got != refused[name] {
				t.Errorf("%s from %s: %q, want %q", name, account, got, refused[name])
			}
		}
	}
}

func TestTheDelegatedAdministratorCannotTouchTheManagementAccount(t *testing.T) {
	f := start(t)
	f.rewire(f.Key(delegatedID, "sparekey"))
	_, err := f.create(f.of("dana", "Admin", managementID))
	f.wantCode(err, "AccessDeniedException")
	_, err = f.create(f.of("dana", "ManagementOnly", sandboxID)) // a set that is provisioned there
	f.wantCode(err, "AccessDeniedException")
	if !strings.Contains(err.Error(), "is not authorized to perform: sso:CreateAccountAssignment on resource: arn:aws:sso:::permissionSet/") {
		t.Error(err)
	}
	_, err = f.delete(f.of("dana", "ManagementOnly", managementID))
	f.wantCode(err, "AccessDeniedException")
	_, err = f.create(f.of("dana", "Admin", sandboxID))
	f.must(err)
}

func TestTheLogSaysWhoDidWhat(t *testing.T) {
	f := start(t)
	a := f.of("dana", "Admin", sandboxID)
	op, err := f.create(a)
	f.must(err)
	f.creation(op.RequestId)
	_, err = f.create(f.of("dana", "Admin", "999999999999"))
	f.wantCode(err, "ResourceNotFoundException")
	_, err = identity(f, Credentials{AccessKeyID: "AKIAUNKNOWN", SecretAccessKey: "x"})
	f.wantCode(err, "InvalidClientTokenId")
	f.signIn("dana")

	key := f.Key(managementID, "sparekey").AccessKeyID
	signed := Call{Service: "sso-admin", AccessKeyID: key, Caller: "arn:aws:iam::100000000001:user/sparekey", From: managementID, Status: 200}
	created, looked, refused := signed, signed, signed
	created.Operation, created.Subject, created.Changed = "CreateAccountAssignment", Subject{a.Account, a.PermissionSet, a.Principal}, true
	looked.Operation, looked.Subject = "DescribeAccountAssignmentCreationStatus", created.Subject
	refused.Operation, refused.Subject, refused.Status, refused.Code = "CreateAccountAssignment", Subject{"999999999999", a.PermissionSet, a.Principal}, 400, "ResourceNotFoundException"
	unknown := Call{Service: "sts", Operation: "GetCallerIdentity", AccessKeyID: "AKIAUNKNOWN", Status: 403, Code: "InvalidClientTokenId"}
	token := Call{Service: "sso-oidc", Operation: "CreateToken", Subject: Subject{Principal: a.Principal}, Status: 200, Changed: true}

	calls := f.Calls()
	if len(calls) != 7 {
		t.Fatalf("%d calls", len(calls))
	}
	for i, want := range map[int]Call{0: created, 1: looked, 2: refused, 3: unknown, 6: token} {
		got := calls[i]
		if !got.Time.Equal(f.clock.Now()) || got.RequestID == "" {
			t.Errorf("%d: %+v", i, got)
		}
		got.Time, got.RequestID = want.Time, want.RequestID
		if got != want {
			t.Errorf("%d:\n got %+v\nwant %+v", i, got, want)
		}
	}
}

func TestTheLogForgetsTheOldest(t *testing.T) {
	var l log
	for i := range kept + 3 {
		l.add(Call{Status: i})
	}
	s := &Sandbox{log: l}
	calls := s.Calls()
	if len(calls) != kept || calls[0].Status != 3 || calls[kept-1].Status != kept+2 || !slices.IsSortedFunc(calls, func(a, b Call) int { return a.Status - b.Status }) {
		t.Errorf("%d calls, from %d to %d", len(calls), calls[0].Status, calls[kept-1].Status)
	}
}
