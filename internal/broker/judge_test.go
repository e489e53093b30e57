package broker_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"sparekey/access"
	"sparekey/internal/judge"
	"sparekey/internal/rig"
	"sparekey/internal/sandbox"
)

// TestTheAWSCLISeesTheAccessGetsCredentialsForItAndIsRefusedAfterTheEnd asks somebody else: the AWS CLI, which knows nothing
// of Sparekey, lists the assignment that Sparekey made, signs dana in, gets her role's credentials, and is refused later.
// Requirement partly S2-14.
func TestTheAWSCLISeesTheAccessGetsCredentialsForItAndIsRefusedAfterTheEnd(t *testing.T) {
	r := rig.New(t, rig.Engines["SQLite"](t), sandbox.Behaviour{})
	key := r.Box.Key(r.O.ManagementAccount, "judge")
	aws := judge.CLI(t, r.AWS, "us-east-1", key.AccessKeyID, key.SecretAccessKey, "")
	run := func(into any, args ...string) {
		t.Helper()
		said, err := aws.Run(args...)
		if err == nil {
			err = json.Unmarshal([]byte(said), into)
		}
		if err != nil {
			t.Fatalf("aws %s: %v: %s", strings.Join(args, " "), err, said)
		}
	}
	target := r.Target("play", "PowerUser")
	listed := func() int {
		t.Helper()
		var out struct {
			AccountAssignments []struct{ PrincipalId string }
		}
		run(&out, "sso-admin", "list-account-assignments", "--instance-arn", r.O.Instance, "--account-id", string(target.Account), "--permission-set-arn", target.PermissionSet)
		return len(out.AccountAssignments)
	}
	if n := listed(); n != 0 {
		t.Fatalf("%d assignments before", n)
	}
	id := r.Ask("dana", "play PowerUser").Lines[0].Grant
	r.Become(id, access.Active, time.Minute)
	if n := listed(); n != 1 {
		t.Fatalf("%d assignments while it is active", n)
	}

	token := signIn(t, r, run)
	credentials := []string{"sso", "get-role-credentials", "--role-name", "PowerUser", "--account-id", string(target.Account), "--access-token", token}
	var got struct {
		RoleCredentials struct{ AccessKeyId, SecretAccessKey, SessionToken string }
	}
	run(&got, credentials...)
	c := got.RoleCredentials
	said, err := judge.CLI(t, r.AWS, "us-east-1", c.AccessKeyId, c.SecretAccessKey, c.SessionToken).Run("sts", "get-caller-identity")
	if err != nil || !strings.Contains(said, ":assumed-role/AWSReservedSSO_PowerUser_") || !strings.Contains(said, "/dana") {
		t.Errorf("%s, %v", said, err)
	}

	if _, err := r.Broker.End(r.As("dana"), id, "done"); err != nil {
		t.Fatal(err)
	}
	r.Become(id, access.Ended, time.Minute)
	if n := listed(); n != 0 {
		t.Errorf("%d assignments after the end", n)
	}
	if said, err := aws.Run(credentials...); err == nil || !strings.Contains(err.Error(), "ForbiddenException") {
		t.Errorf("after the end: %s, %v", said, err)
	}
}

// signIn signs dana in as a device does, and returns her access token.
func signIn(t *testing.T, r *rig.Rig, run func(into any, args ...string)) string {
	t.Helper()
	var client struct{ ClientId, ClientSecret string }
	run(&client, "sso-oidc", "register-client", "--client-name", "judge", "--client-type", "public")
	var device struct{ DeviceCode, UserCode string }
	begin, err := json.Marshal(map[string]string{"clientId": client.ClientId, "clientSecret": client.ClientSecret, "startUrl": r.Box.StartURL()})
	if err != nil {
		t.Fatal(err)
	}
	run(&device, "sso-oidc", "start-device-authorization", "--cli-input-json", string(begin)) // as a flag, the CLI would fetch the URL
	if err := r.Box.Confirm(device.UserCode, r.Person("dana").ID); err != nil {
		t.Fatal(err)
	}
	var token struct{ AccessToken string }
	run(&token, "sso-oidc", "create-token", "--client-id", client.ClientId, "--client-secret", client.ClientSecret,
		"--grant-type", "urn:ietf:params:oauth:grant-type:device_code", "--device-code", device.DeviceCode)
	return token.AccessToken
}
