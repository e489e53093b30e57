package sandbox

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"sparekey/internal/judge"
	"sparekey/org"
)

// said reads an answer of the AWS CLI.
func said[T any](f *fixture, cli judge.AWS, args ...string) T {
	f.t.Helper()
	text, err := cli.Run(args...)
	f.must(err)
	var answer T
	f.must(json.Unmarshal([]byte(text), &answer))
	return answer
}

func TestTheAWSCommandLineLendsAndReturnsARole(t *testing.T) {
	t.Parallel()
	f := start(t)
	key := f.Key(managementID, "sparekey")
	cli := judge.CLI(t, f.url, "us-east-1", key.AccessKeyID, key.SecretAccessKey, "")
	a := f.of("dana", "Admin", paymentsID)
	target := []string{"--instance-arn", *f.instance(), "--permission-set-arn", a.PermissionSet}
	_, err := cli.Run(append([]string{"sso-admin", "create-account-assignment", "--target-id", paymentsID, "--target-type", "AWS_ACCOUNT", "--principal-type", "USER", "--principal-id", a.Principal}, target...)...)
	f.must(err)
	f.clock.Advance(2 * time.Second)
	listed := said[struct {
		AccountAssignments []struct{ PrincipalId string }
	}](f, cli, append([]string{"sso-admin", "list-account-assignments", "--account-id", paymentsID}, target...)...)
	if len(listed.AccountAssignments) != 1 || listed.AccountAssignments[0].PrincipalId != a.Principal {
		t.Errorf("%+v", listed)
	}

	type client struct{ ClientId, ClientSecret string }
	c := said[client](f, cli, "sso-oidc", "register-client", "--client-name", "cli", "--client-type", "public")
	// As an argument of its own the CLI would take the address for a file to be fetched.
	begin, err := json.Marshal(map[string]string{"clientId": c.ClientId, "clientSecret": c.ClientSecret, "startUrl": f.StartURL()})
	f.must(err)
	d := said[struct{ DeviceCode, UserCode string }](f, cli, "sso-oidc", "start-device-authorization", "--cli-input-json", string(begin))
	create := []string{"sso-oidc", "create-token", "--client-id", c.ClientId, "--client-secret", c.ClientSecret, "--grant-type", grantDevice, "--device-code", d.DeviceCode}
	if _, err := cli.Run(create...); err == nil || !strings.Contains(err.Error(), "AuthorizationPendingException") {
		t.Error(err)
	}
	f.must(f.Confirm(d.UserCode, f.person("dana").ID))
	token := said[struct{ AccessToken string }](f, cli, create...)
	open := []string{"sso", "get-role-credentials", "--access-token", token.AccessToken, "--role-name", "Admin", "--account-id", paymentsID}
	role := said[struct {
		RoleCredentials struct{ AccessKeyId, SecretAccessKey, SessionToken string }
	}](f, cli, open...).RoleCredentials
	as := judge.CLI(t, f.url, "us-east-1", role.AccessKeyId, role.SecretAccessKey, role.SessionToken)
	who := said[struct{ Arn string }](f, as, "sts", "get-caller-identity")
	if !strings.HasPrefix(who.Arn, "arn:aws:sts::100000000003:assumed-role/AWSReservedSSO_Admin_") || !strings.HasSuffix(who.Arn, "/dana") {
		t.Error(who.Arn)
	}

	f.must(f.Change(func(d *Directory) error {
		return d.Unassign(org.Assignment{Kind: a.Kind, Principal: a.Principal, Target: a.Target})
	}))
	if _, err := cli.Run(open...); err == nil || !strings.Contains(err.Error(), "ForbiddenException") {
		t.Error(err)
	}
	said[struct{ Arn string }](f, as, "sts", "get-caller-identity") // the session goes on
}

func TestTheAWSCommandLineAssumesARole(t *testing.T) {
	t.Parallel()
	f := start(t)
	key := f.Key(managementID, "sparekey")
	cli := judge.CLI(t, f.url, "us-east-1", key.AccessKeyID, key.SecretAccessKey, "")
	out := said[struct {
		Credentials    struct{ AccessKeyId, SecretAccessKey, SessionToken, Expiration string }
		SourceIdentity string
	}](f, cli, "sts", "assume-role", "--role-arn", deployer, "--role-session-name", "dana.g-1", "--source-identity", "dana.g-1", "--duration-seconds", "900",
		"--policy", `{"Version":"2012-10-17","Statement":[]}`, "--tags", "Key=sparekey:grant,Value=g-1", "Key=sparekey:request,Value=r-1", "--transitive-tag-keys", "sparekey:grant")
	until, err := time.Parse(time.RFC3339, out.Credentials.Expiration)
	if err != nil || !until.Equal(f.clock.Now().Add(15*time.Minute)) || out.SourceIdentity != "dana.g-1" {
		t.Errorf("%s, %s, %v", out.Credentials.Expiration, out.SourceIdentity, err)
	}
	as := judge.CLI(t, f.url, "us-east-1", out.Credentials.AccessKeyId, out.Credentials.SecretAccessKey, out.Credentials.SessionToken)
	if who := said[struct{ Arn string }](f, as, "sts", "get-caller-identity"); who.Arn != "arn:aws:sts::100000000003:assumed-role/Deployer/dana.g-1" {
		t.Error(who.Arn)
	}
	for _, c := range f.Calls() {
		if c.Assumed != nil && (len(c.Assumed.Tags) != 2 || c.Assumed.Tags["sparekey:request"] != "r-1" || len(c.Assumed.Transitive) != 1) {
			t.Errorf("%+v", c.Assumed)
		}
	}
	if _, err := as.Run("sts", "assume-role", "--role-arn", deployer, "--role-session-name", "again", "--duration-seconds", "3601"); err == nil || !strings.Contains(err.Error(), "role chaining") {
		t.Error(err)
	}
}
