package sandbox

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssoadmin"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/aws-sdk-go-v2/service/sts/types"

	"sparekey/org"
)

const deployer = "arn:aws:iam::100000000003:role/ops/Deployer"

// assume assumes a role as somebody; the role is Deployer and the session dana's unless the test changes it.
func (f *fixture) assume(as Credentials, change ...func(*sts.AssumeRoleInput)) (Credentials, *sts.AssumeRoleOutput, error) {
	f.t.Helper()
	in := &sts.AssumeRoleInput{RoleArn: aws.String(deployer), RoleSessionName: aws.String("dana.g-1")}
	for _, c := range change {
		c(in)
	}
	out, err := sts.NewFromConfig(f.with(as)).AssumeRole(f.ctx, in)
	if err != nil {
		return Credentials{}, nil, err
	}
	c := out.Credentials
	return Credentials{*c.AccessKeyId, *c.SecretAccessKey, *c.SessionToken}, out, nil
}

func TestARoleIsAssumedByWhomItTrusts(t *testing.T) {
	f := start(t)
	made, out, err := f.assume(f.Key(managementID, "sparekey"), func(in *sts.AssumeRoleInput) {
		in.SourceIdentity, in.DurationSeconds, in.Policy = aws.String("dana.g-1"), aws.Int32(900), aws.String(`{"Statement": []}`)
		in.Tags = []types.Tag{{Key: aws.String("sparekey:grant"), Value: aws.String("g-1")}, {Key: aws.String("other"), Value: aws.String("")}}
		in.TransitiveTagKeys = []string{"sparekey:grant"}
	})
	f.must(err)
	if !out.Credentials.Expiration.Equal(f.clock.Now().Add(15*time.Minute)) || *out.SourceIdentity != "dana.g-1" || *out.AssumedRoleUser.Arn != "arn:aws:sts::100000000003:assumed-role/Deployer/dana.g-1" {
		t.Errorf("%+v %+v", out.AssumedRoleUser, out.Credentials.Expiration)
	}
	who, err := identity(f, made)
	f.must(err)
	if *who.Arn != *out.AssumedRoleUser.Arn || *who.Account != paymentsID || *who.UserId != *out.AssumedRoleUser.AssumedRoleId {
		t.Errorf("%s %s %s", *who.Arn, *who.Account, *who.UserId)
	}
	var noted *Call
	for _, c := range f.Calls() {
		if c.Operation == "AssumeRole" {
			noted = &c
		}
	}
	want := &Assumed{
		Role: deployer, Session: "dana.g-1", SourceIdentity: "dana.g-1", Seconds: 900, Policy: `{"Statement": []}`,
		Tags: map[string]string{"sparekey:grant": "g-1", "other": ""}, Transitive: []string{"sparekey:grant"},
	}
	if noted.Account != paymentsID || noted.Changed || !reflect.DeepEqual(noted.Assumed, want) {
		t.Errorf("%+v, %+v", noted, noted.Assumed)
	}
	text, err := json.Marshal(f.Calls())
	f.must(err)
	if strings.Contains(string(text), made.SecretAccessKey) || strings.Contains(string(text), made.SessionToken) {
		t.Error("the log holds a secret")
	}
	_, err = ssoadmin.NewFromConfig(f.with(made)).ListInstances(f.ctx, &ssoadmin.ListInstancesInput{})
	f.wantCode(err, "AccessDeniedException")
	f.clock.Advance(15 * time.Minute)
	_, err = identity(f, made)
	f.wantCode(err, "ExpiredToken")
}

func TestWhoeverIsNotTrustedIsDenied(t *testing.T) {
	f := start(t)
	f.must(f.Change(func(d *Directory) error { return d.SetAccountState(sandboxID, org.AccountSuspended) }))
	role := func(arn string) func(*sts.AssumeRoleInput) {
		return func(in *sts.AssumeRoleInput) { in.RoleArn = &arn }
	}
	for name, c := range map[string]struct {
		from, role, code string
	}{
		"trusted":                       {managementID, deployer, ""},
		"trusted, of the same account":  {paymentsID, deployer, ""},
		"not trusted":                   {delegatedID, deployer, "AccessDenied"},
		"not of the organization":       {"999999999999", deployer, "AccessDenied"},
		"the path is another":           {managementID, "arn:aws:iam::100000000003:role/Deployer", "AccessDenied"},
		"the partition is another":      {managementID, "arn:aws-cn:iam::100000000003:role/ops/Deployer", "AccessDenied"},
		"the role's account is no more": {delegatedID, "arn:aws:iam::100000000004:role/Closed", "AccessDenied"},
		"no ARN":                        {managementID, "Deployer-of-payments", "AccessDenied"},
	} {
		if _, _, err := f.assume(f.Key(org.AccountID(c.from), "x"), role(c.role)); code(err) != c.code {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSessionsLastAsLongAsTheRoleAndTheCallerAllow(t *testing.T) {
	f := start(t)
	user := f.Key(managementID, "sparekey")
	session, _, err := f.assume(f.Key(paymentsID, "x"))
	f.must(err)
	for _, c := range []struct {
		as      Credentials
		seconds int32
		code    string
	}{
		{user, 899, "ValidationError"}, {user, 900, ""}, {user, 7200, ""}, {user, 7201, "ValidationError"}, {user, 43201, "ValidationError"},
		{session, 900, ""}, {session, 3600, ""}, {session, 3601, "ValidationError"},
	} {
		if _, _, err := f.assume(c.as, func(in *sts.AssumeRoleInput) { in.DurationSeconds = &c.seconds }); code(err) != c.code {
			t.Errorf("%d s: %v", c.seconds, err)
		}
	}
	_, out, err := f.assume(user)
	f.must(err)
	if got := out.Credentials.Expiration.Sub(f.clock.Now()); got != time.Hour {
		t.Errorf("an hour where nothing is said, not %s", got)
	}
}

func TestASessionHandsOnItsSourceIdentityAndTransitiveTags(t *testing.T) {
	f := start(t)
	tag := func(key, value string) types.Tag { return types.Tag{Key: &key, Value: &value} }
	session, _, err := f.assume(f.Key(paymentsID, "x"), func(in *sts.AssumeRoleInput) {
		in.SourceIdentity, in.Tags, in.TransitiveTagKeys = aws.String("dana.g-1"), []types.Tag{tag("kept", "1"), tag("lost", "1")}, []string{"kept"}
	})
	f.must(err)
	for name, c := range map[string]struct {
		change func(*sts.AssumeRoleInput)
		code   string
	}{
		"nothing said":                 {func(*sts.AssumeRoleInput) {}, ""},
		"the same source identity":     {func(in *sts.AssumeRoleInput) { in.SourceIdentity = aws.String("dana.g-1") }, ""},
		"another source identity":      {func(in *sts.AssumeRoleInput) { in.SourceIdentity = aws.String("kim.g-1") }, "AccessDenied"},
		"a tag that was not handed on": {func(in *sts.AssumeRoleInput) { in.Tags = []types.Tag{tag("lost", "2")} }, ""},
		"a tag that was handed on":     {func(in *sts.AssumeRoleInput) { in.Tags = []types.Tag{tag("kept", "2")} }, "ValidationError"},
		"a tag twice":                  {func(in *sts.AssumeRoleInput) { in.Tags = []types.Tag{tag("a", "1"), tag("a", "1")} }, "ValidationError"},
		"transitive, but not there":    {func(in *sts.AssumeRoleInput) { in.TransitiveTagKeys = []string{"a"} }, "ValidationError"},
	} {
		_, out, err := f.assume(session, c.change)
		if code(err) != c.code || err == nil && aws.ToString(out.SourceIdentity) != "dana.g-1" {
			t.Errorf("%s: %v, %+v", name, err, out)
		}
	}
}

func TestASessionPolicyIsBoundedAndJSON(t *testing.T) {
	f := start(t)
	for policy, want := range map[string]string{
		`{"Statement": []}`: "", `{`: "MalformedPolicyDocument", `[]`: "MalformedPolicyDocument", `{}`: "MalformedPolicyDocument", "あ": "ValidationError",
		`{"Statement": "` + strings.Repeat("é", 2048-17) + `"}`: "", `{"Statement": "` + strings.Repeat("é", 2048-16) + `"}`: "PackedPolicyTooLarge",
	} {
		if _, _, err := f.assume(f.Key(managementID, "x"), func(in *sts.AssumeRoleInput) { in.Policy = &policy }); code(err) != want {
			t.Errorf("%.40s: %v, want %s", policy, err, want)
		}
	}
}
