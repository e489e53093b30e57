package sandbox

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/organizations"
	"github.com/aws/aws-sdk-go-v2/service/organizations/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"sparekey/access"
	"sparekey/org"
)

func (f *fixture) scp(content string) *string {
	f.t.Helper()
	out, err := f.orgs.CreatePolicy(f.ctx, &organizations.CreatePolicyInput{
		Name: aws.String("kills"), Description: aws.String(""), Type: types.PolicyTypeServiceControlPolicy, Content: &content,
	})
	f.must(err)
	return out.Policy.PolicySummary.Id
}

func (f *fixture) updateSCP(id *string, content string) error {
	_, err := f.orgs.UpdatePolicy(f.ctx, &organizations.UpdatePolicyInput{PolicyId: id, Content: &content})
	return err
}

func (f *fixture) attachSCP(id *string, target string) error {
	_, err := f.orgs.AttachPolicy(f.ctx, &organizations.AttachPolicyInput{PolicyId: id, TargetId: &target})
	return err
}

func (f *fixture) ou(path string) string {
	f.t.Helper()
	id, ok := f.m.OU(path)
	if !ok {
		f.t.Fatalf("no unit %s", path)
	}
	return string(id)
}

const denyNobody = `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"*","Resource":"*","Condition":{"StringEquals":{"identitystore:userId":"nobody"}}}]}`

func TestAPolicyIsDescribedUpdatedAndAttached(t *testing.T) {
	f := start(t)
	id := f.scp(denyNobody)
	dev := f.ou("Workloads/Dev")
	f.must(f.attachSCP(id, dev))
	f.must(f.attachSCP(id, paymentsID))
	f.must(f.attachSCP(id, string(f.m.Organization().Root)))
	f.wantCode(f.attachSCP(id, dev), "DuplicatePolicyAttachmentException")
	f.wantCode(f.attachSCP(id, "999999999999"), "TargetNotFoundException")
	f.wantCode(f.attachSCP(aws.String("p-nothing00"), dev), "PolicyNotFoundException")
	targets, err := f.orgs.ListTargetsForPolicy(f.ctx, &organizations.ListTargetsForPolicyInput{PolicyId: id})
	f.must(err)
	kinds := ""
	for _, t := range targets.Targets {
		kinds += string(t.Type) + " " + *t.Name + ", "
	}
	if kinds != "ACCOUNT payments, ORGANIZATIONAL_UNIT Dev, ROOT Root, " {
		t.Error(kinds)
	}
	_, err = f.orgs.DetachPolicy(f.ctx, &organizations.DetachPolicyInput{PolicyId: id, TargetId: &dev})
	f.must(err)
	_, err = f.orgs.DetachPolicy(f.ctx, &organizations.DetachPolicyInput{PolicyId: id, TargetId: &dev})
	f.wantCode(err, "PolicyNotAttachedException")

	other := strings.Replace(denyNobody, "nobody", "somebody", 1)
	f.must(f.updateSCP(id, other))
	got, err := f.orgs.DescribePolicy(f.ctx, &organizations.DescribePolicyInput{PolicyId: id})
	f.must(err)
	if *got.Policy.Content != other || *got.Policy.PolicySummary.Name != "kills" || got.Policy.PolicySummary.Type != types.PolicyTypeServiceControlPolicy {
		t.Errorf("%+v", got.Policy)
	}
	err = f.updateSCP(id, denyNobody+strings.Repeat(" ", largestSCP))
	var violation *types.ConstraintViolationException
	if !errors.As(err, &violation) || violation.Reason != types.ConstraintViolationExceptionReasonPolicyContentLimitExceeded {
		t.Error(err)
	}
	for _, content := range []string{"x", "[]", "{}", `{"Statement":[]}`} {
		f.wantCode(f.updateSCP(id, content), "MalformedPolicyDocumentException")
	}
	f.wantCode(f.updateSCP(aws.String("p-nothing00"), other), "PolicyNotFoundException")
	f.rewire(f.Key(delegatedID, "x"))
	f.wantCode(f.updateSCP(id, other), "AccessDeniedException")
}

// TestAPolicyDeniesASessionThatWasOpenedThroughThePortal goes on with it into a role, which anybody may whom the role trusts.
func TestAPolicyDeniesASessionThatWasOpenedThroughThePortal(t *testing.T) {
	f := start(t)
	id := f.scp(denyNobody)
	f.must(f.attachSCP(id, f.ou("Workloads")))
	token := f.signIn("dana")
	open := func() Credentials {
		key, _, err := f.credentials(token, "ReadOnly", paymentsID)
		f.must(err)
		return key
	}
	uses := func(k Credentials) string {
		_, err := sts.NewFromConfig(f.with(k)).AssumeRole(f.ctx, &sts.AssumeRoleInput{RoleArn: aws.String("arn:aws:iam::" + paymentsID + ":role/ops/Deployer"), RoleSessionName: aws.String("dana")})
		if _, denied := identity(f, k); denied != nil {
			t.Errorf("GetCallerIdentity: %v", denied)
		}
		return code(err)
	}
	first := open()
	if got := uses(first); got != "" {
		t.Fatal(got)
	}
	deny := func(person org.PersonID, set string, before time.Time) string { // as it is really sent
		at := access.Place{Target: org.Target{Account: paymentsID, PermissionSet: f.set("ReadOnly")}, PermissionSetName: set}
		return access.RenderKills([]access.Kill{{ID: "kill-1", Person: access.Named{ID: person}, Target: &at, Before: before}}, access.KillSize, before).Text
	}
	dana, kim, never := f.person("dana").ID, f.person("kim").ID, time.Time{}
	at := func(d time.Duration) time.Time { return f.clock.Now().Add(d).UTC() }
	for _, c := range []struct{ content, want string }{
		{deny(dana, "ReadOnly", never), "AccessDenied"}, {deny(kim, "ReadOnly", never), ""}, {deny(dana, "Admin", never), ""},
		{deny(dana, "ReadOnly", at(time.Second)), "AccessDenied"}, {deny(dana, "ReadOnly", at(0)), ""},
		{strings.Replace(deny(dana, "ReadOnly", never), "ArnLike", "ArnNotLike", 1), ""}, {denyNobody, ""},
	} {
		f.must(f.updateSCP(id, c.content))
		if got := uses(first); got != c.want {
			t.Errorf("%s: %q, want %q", c.content, got, c.want)
		}
	}
	f.must(f.updateSCP(id, deny(dana, "ReadOnly", at(time.Second))))
	f.clock.Advance(2 * time.Second)
	if got := uses(open()); got != "" {
		t.Errorf("a later session: %s", got)
	}
	if len(f.Roles(org.AccountID(paymentsID))) == 0 || !strings.Contains(f.Roles(org.AccountID(paymentsID))[0].ARN, "/aws-reserved/sso.amazonaws.com/") {
		t.Errorf("%+v", f.Roles(org.AccountID(paymentsID)))
	}
}
