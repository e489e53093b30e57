package aws

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"sparekey/access"
	"sparekey/internal/judge"
	"sparekey/internal/sandbox"
	"sparekey/org"
)

var sessionBehaviours = []behaviour{
	{"a role is probed, and nothing stands in AWS then", probeRole},
	{"credentials of a role are vended, and AWS knows whose they are", vendRole},
	{"a role that does not let Sparekey in is denied", closedRole},
	{"what is no role is rejected before AWS is asked", noRole},
	{"credentials that last too short or too long are rejected before AWS is asked", vendTooLong},
}

// to is the key of a role of the management account, which the sandbox has.
func (a *account) to(role string) access.Key {
	return access.Key{Way: access.Session, Person: a.person("dana").ID, Target: org.Target{Account: a.want.ManagementAccount, PermissionSet: role}}
}

func (a *account) vending(role string) access.Vending {
	k := a.to(role)
	return access.Vending{
		Target: k.Target, Person: access.Named{ID: k.Person, User: "dana"}, Grant: "grant-7k2m9x", Request: "req-7k2m9x", Lasts: access.SessionLeast,
		End: start.Add(time.Hour).AddDate(50, 0, 0),
	}
}

func probeRole(ctx context.Context, b *backend) error {
	s, k := b.sessions(), b.to("role/ops/Deployer")
	made, err := s.Create(ctx, k)
	if err != nil || made.ID == "" || made.Outcome != access.Succeeded {
		return but(err, "probed: %+v", made)
	}
	is, err1 := s.Assigned(ctx, k)
	creates, err2 := s.Creations(ctx, k, start)
	if err := errors.Join(err1, err2); err != nil || is || len(creates) > 0 {
		return but(err, "assigned: %t, creates: %+v", is, creates)
	}
	taken, err := s.Delete(ctx, k)
	if err != nil || taken.ID == "" || taken.Outcome != access.Succeeded {
		return but(err, "deleted: %+v", taken)
	}
	if again, err := s.Deletion(ctx, taken.ID); err != nil || again != taken {
		return but(err, "the delete is %+v", again)
	}
	if _, err := s.Creation(ctx, made.ID); !errors.Is(err, access.ErrMissing) {
		return but(err, "a create goes on")
	}
	return nil
}

func vendRole(ctx context.Context, b *backend) error {
	v := b.vending("role/ops/Deployer")
	c, err := b.sessions().Vend(ctx, v)
	if err != nil {
		return err
	}
	config := b.config.Copy()
	config.Credentials = credentials.NewStaticCredentialsProvider(c.AccessKeyID, c.SecretAccessKey, c.SessionToken)
	who, err := sts.NewFromConfig(config).GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	if want := "assumed-role/Deployer/dana.grant-7k2m9x"; err != nil || *who.Account != string(v.Target.Account) || !strings.HasSuffix(*who.Arn, want) {
		return but(err, "they are %s's, not %s's", aws.ToString(who.Arn), want)
	}
	if c.Expires.IsZero() || c.Expires.After(v.End) {
		return fmt.Errorf("they expire at %s", c.Expires)
	}
	return nil
}

func closedRole(ctx context.Context, b *backend) error {
	for _, role := range []string{"role/Closed", "role/None"} {
		if s, err := b.sessions().Create(ctx, b.to(role)); !errors.Is(err, access.ErrDenied) {
			return but(err, "was let in: %+v", s)
		}
		if c, err := b.sessions().Vend(ctx, b.vending(role)); !errors.Is(err, access.ErrDenied) {
			return but(err, "was let in: %s", c)
		}
	}
	return nil
}

func noRole(ctx context.Context, b *backend) error {
	s := NewSessions(aws.Config{Region: "us-east-1", HTTPClient: smithyhttp.ClientDoFunc(func(*http.Request) (*http.Response, error) { panic("AWS was asked") })})
	for _, role := range []string{"", "role/", "role/a b", "role//", "role/ops/", "Deployer", "user/dana", "role/" + strings.Repeat("x", 65), missingSet(b)} {
		if _, err := s.Create(ctx, b.to(role)); !errors.Is(err, access.ErrRejected) {
			return but(err, "%q was taken for a role", role)
		}
	}
	k := b.to("role/ops/Deployer")
	k.Account = "1"
	if _, err := s.Create(ctx, k); !errors.Is(err, access.ErrRejected) {
		return but(err, "%q was taken for an account", k.Account)
	}
	return nil
}

func vendTooLong(ctx context.Context, b *backend) error {
	s := NewSessions(aws.Config{Region: "us-east-1", HTTPClient: smithyhttp.ClientDoFunc(func(*http.Request) (*http.Response, error) { panic("AWS was asked") })})
	for _, change := range []func(*access.Vending){
		func(v *access.Vending) { v.Lasts = access.SessionLeast - time.Second },
		func(v *access.Vending) { v.Lasts = access.SessionMost + time.Second },
		func(v *access.Vending) { v.End = time.Time{} },
		func(v *access.Vending) { v.Narrower = "{}" },
	} {
		v := b.vending("role/ops/Deployer")
		change(&v)
		if c, err := s.Vend(ctx, v); !errors.Is(err, access.ErrRejected) {
			return but(err, "%+v was vended: %s", v, c)
		}
	}
	return nil
}

// TestWhatAssumeRoleIsSent looks into the sandbox's log, at a probe and at credentials.
func TestWhatAssumeRoleIsSent(t *testing.T) {
	inBubble(t, func(t *testing.T, w *wired) {
		probe, v := w.to("role/ops/Deployer"), w.vending("role/ops/Deployer")
		v.Lasts, v.End, v.Narrower = 45*time.Minute, time.Now().Add(5*time.Minute), `{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}}`
		_, err1 := w.sessions().Create(t.Context(), probe)
		c, err2 := w.sessions().Vend(t.Context(), v)
		policy, err3 := v.Policy()
		if err := errors.Join(err1, err2, err3); err != nil {
			t.Fatal(err)
		}
		if !c.Expires.Equal(v.End) {
			t.Errorf("they expire at %s, and the grant ends at %s", c.Expires, v.End)
		}
		sent := func(session, policy, grant, request string, seconds int) *sandbox.Assumed {
			return &sandbox.Assumed{
				Role: "arn:aws:iam::100000000001:role/ops/Deployer", Session: session, SourceIdentity: session, Seconds: seconds, Policy: policy,
				Tags:       map[string]string{"sparekey:grant": grant, "sparekey:request": request, "sparekey:person": string(probe.Person)},
				Transitive: []string{"sparekey:grant", "sparekey:request", "sparekey:person"},
			}
		}
		var got []*sandbox.Assumed
		for _, call := range w.box.Calls() {
			if call.Assumed != nil {
				got = append(got, call.Assumed)
			}
		}
		want := []*sandbox.Assumed{
			sent(string(probe.Person)+".probe", nothingAllowed, "probe", "probe", 900), sent("dana.grant-7k2m9x", policy, v.Grant, v.Request, 2700),
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("sent\n%+v\n%+v\nnot\n%+v\n%+v", got[0], got[1], want[0], want[1])
		}
	})
}

// assumed answers credentials, with something left out or not.
func assumed(without string) http.HandlerFunc {
	text := "<AssumeRoleResponse><AssumeRoleResult><AssumedRoleUser><AssumedRoleId>AROA:x</AssumedRoleId><Arn>x</Arn></AssumedRoleUser><Credentials>"
	for name, value := range map[string]string{"AccessKeyId": "ASIA", "SecretAccessKey": "s", "SessionToken": "t", "Expiration": "2026-11-22T16:00:00Z"} {
		if name != without {
			text += "<" + name + ">" + value + "</" + name + ">"
		}
	}
	return raw(200, text+"</Credentials></AssumeRoleResult></AssumeRoleResponse>")
}

func TestEveryTroubleOfAssumingARoleSaysWhatIsKnown(t *testing.T) {
	for _, c := range []struct {
		name   string
		answer http.HandlerFunc
		fault  sandbox.FaultKind
		kind   error
		says   string
	}{
		{name: "the sandbox throttles", fault: sandbox.Throttle, kind: access.ErrThrottled, says: "Throttling"},
		{name: "the sandbox denies", fault: sandbox.Denied, kind: access.ErrDenied, says: "AccessDenied"},
		{name: "the sandbox breaks", fault: sandbox.ServerError, kind: access.ErrLost, says: "InternalFailure"},
		{name: "the sandbox breaks, but it happened", fault: sandbox.ServerErrorAfter, kind: access.ErrLost, says: "InternalFailure"},
		{name: "the sandbox hangs up", fault: sandbox.Drop, kind: access.ErrLost, says: "EOF"},
		{name: "the sandbox hangs up, but it happened", fault: sandbox.DropAfter, kind: access.ErrLost, says: "EOF"},
		{name: "the sandbox hangs", fault: sandbox.Hang, kind: access.ErrLost, says: "no answer in time"},
		{name: "denied", answer: xmlRefused(403, "AccessDenied"), kind: access.ErrDenied, says: words},
		{name: "the Region is closed", answer: xmlRefused(403, "RegionDisabledException"), kind: access.ErrDenied, says: words},
		{name: "not valid", answer: xmlRefused(400, "ValidationError"), kind: access.ErrRejected, says: words},
		{name: "a bad policy", answer: xmlRefused(400, "MalformedPolicyDocument"), kind: access.ErrRejected, says: words},
		{name: "a large policy", answer: xmlRefused(400, "PackedPolicyTooLarge"), kind: access.ErrRejected, says: words},
		{name: "our session has expired", answer: xmlRefused(403, "ExpiredToken"), kind: access.ErrNotAsked, says: words},
		{name: "our session has expired, in the model's words", answer: xmlRefused(400, "ExpiredTokenException"), kind: access.ErrNotAsked, says: words},
		{name: "badly signed", answer: xmlRefused(403, "SignatureDoesNotMatch"), kind: access.ErrNotAsked, says: words},
		{name: "a server error that says it denies", answer: xmlRefused(500, "AccessDenied"), kind: access.ErrLost, says: words},
		{name: "garbage", answer: raw(200, "<html>"), kind: access.ErrLost},
		{name: "nothing at all", answer: raw(200, ""), kind: access.ErrLost},
		{name: "no key", answer: assumed("AccessKeyId"), kind: access.ErrLost, says: "no credentials"},
		{name: "no secret", answer: assumed("SecretAccessKey"), kind: access.ErrLost, says: "no credentials"},
		{name: "no token", answer: assumed("SessionToken"), kind: access.ErrLost, says: "no credentials"},
		{name: "no expiration", answer: assumed("Expiration"), kind: access.ErrLost, says: "no credentials"},
		{name: "no answer", answer: silent, kind: access.ErrLost, says: "no answer in time"},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, w *wired) {
				if c.fault != "" {
					w.box.Script(sandbox.Fault{Operation: "AssumeRole", Kind: c.fault})
				}
				w.says("AssumeRole", c.answer)
				_, err := w.sessions().Create(within(t, 10*time.Minute), w.to("role/ops/Deployer"))
				wantKind(called{t, "Create"}, err, c.kind, c.says)
				if n := w.calls("AssumeRole"); n != 1 {
					t.Errorf("it was asked %d times", n)
				}
				got, err := w.sessions().Vend(within(t, 10*time.Minute), w.vending("role/ops/Deployer"))
				wantKind(called{t, "Vend"}, err, c.kind, c.says)
				if got != (access.Credentials{}) {
					t.Errorf("beside an error there is %s", got)
				}
			})
		})
	}
}

func TestRolesAreNamedInTheRegionsPartition(t *testing.T) {
	for region, want := range map[string]string{
		"us-east-1": "aws", "eu-west-1": "aws", "cn-north-1": "aws-cn", "us-gov-west-1": "aws-us-gov", "us-iso-east-1": "aws-iso", "us-isob-east-1": "aws-iso-b",
		"eu-isoe-west-1": "aws-iso-e", "us-isof-south-1": "aws-iso-f", "eusc-de-east-1": "aws-eusc",
	} {
		role, err := NewSessions(aws.Config{Region: region}).role(org.Target{Account: "100000000001", PermissionSet: "role/ops/Deployer"})
		if role != "arn:"+want+":iam::100000000001:role/ops/Deployer" {
			t.Errorf("%s: %s, %v", region, role, err)
		}
	}
}

// TestMotoTakesTheSessionPolicies asks moto, which knows the grammar of policies, whether ours are some.
func TestMotoTakesTheSessionPolicies(t *testing.T) {
	t.Parallel()
	cli := judge.CLI(t, judge.Moto(t), "us-east-1", "AKIAIOSFODNN7EXAMPLE", "any", "")
	policies := []string{nothingAllowed}
	for _, narrower := range []string{
		"", `{"Version": "2012-10-17", "Statement": {"Sid": "a", "Effect": "Allow", "NotAction": ["iam:*"], "Resource": "*", "Condition": {"Bool": {"aws:SecureTransport": true}}}}`,
	} {
		policy, err := access.SessionPolicy(start, narrower)
		if err != nil {
			t.Fatal(err)
		}
		policies = append(policies, policy)
	}
	for i, policy := range policies {
		if _, err := cli.Run("iam", "create-policy", "--policy-name", fmt.Sprint("p-", i), "--policy-document", policy); err != nil {
			t.Errorf("%s: %v", policy, err)
		}
	}
	bad := strings.Replace(policies[1], "DateGreaterThan", "DateGreaterThen", 1)
	if _, err := cli.Run("iam", "create-policy", "--policy-name", "bad", "--policy-document", bad); err == nil || !strings.Contains(err.Error(), "MalformedPolicyDocument") {
		t.Errorf("the judge takes everything: %v", err)
	}
}

// FuzzSessionsBelieveOnlyWhatSTSSaid lets something answer anything at all.
func FuzzSessionsBelieveOnlyWhatSTSSaid(f *testing.F) {
	f.Add(200, []byte("<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>a</AccessKeyId></Credentials></AssumeRoleResult></AssumeRoleResponse>"))
	f.Add(403, []byte("<ErrorResponse><Error><Code>AccessDenied</Code></Error></ErrorResponse>"))
	f.Add(200, []byte("{}"))
	v := access.Vending{
		Target: org.Target{Account: "100000000001", PermissionSet: "role/ops/Deployer"}, Person: access.Named{User: "dana"}, Grant: "g", Lasts: time.Hour, End: start,
	}
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		if status < 100 || status > 599 {
			return
		}
		answering := smithyhttp.ClientDoFunc(func(r *http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(bytes.NewReader(body)), Request: r}, nil
		})
		c := aws.Config{Region: "us-east-1", HTTPClient: answering, Credentials: credentials.NewStaticCredentialsProvider("AKIA", "secret", ""),
			Retryer: func() aws.Retryer { return aws.NopRetryer{} }}
		got, err := NewSessions(c).Vend(t.Context(), v)
		believable(t, "Vend", status, err)
		if err == nil && (got.AccessKeyID == "" || got.SecretAccessKey == "" || got.SessionToken == "" || got.Expires.After(v.End)) {
			t.Errorf("credentials were believed that are none: %s", got)
		}
	})
}
