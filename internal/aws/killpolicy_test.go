package aws

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/organizations"
	orgtypes "github.com/aws/aws-sdk-go-v2/service/organizations/types"

	"sparekey/access"
)

var killPolicyBehaviours = []behaviour{
	{"a policy of session kills is read as it was written", func(ctx context.Context, b *backend) error {
		id, err := b.addSCP(ctx, "kills", access.EmptyKillPolicy())
		if err != nil {
			return err
		}
		k, text := NewKillPolicy(b.config, id), someKills()
		before, err1 := k.Read(ctx)
		err2 := k.Write(ctx, text)
		after, err3 := k.Read(ctx)
		if err := errors.Join(err1, err2, err3); err != nil || !access.SamePolicy(before, access.EmptyKillPolicy()) || !access.SamePolicy(after, text) {
			return but(err, "%s\nand then\n%s", before, after)
		}
		return nil
	}},
	{"what a policy of session kills is attached to is listed", func(ctx context.Context, b *backend) error {
		id, err := b.addSCP(ctx, "kills", access.EmptyKillPolicy())
		if err != nil {
			return err
		}
		k := NewKillPolicy(b.config, id)
		if got, err := k.Targets(ctx); err != nil || len(got) != 0 {
			return but(err, "it is attached to %v", got)
		}
		want := []string{b.ou("Prod"), b.ou("Dev"), string(b.target("loose", "Admin").Account)}
		for _, t := range want {
			if _, err := b.orgs.AttachPolicy(ctx, &organizations.AttachPolicyInput{PolicyId: &id, TargetId: &t}); err != nil {
				return err
			}
		}
		got, err := k.Targets(ctx)
		if slices.Sort(got); err != nil || !slices.Equal(got, slices.Sorted(slices.Values(want))) {
			return but(err, "it is attached to %v, not %v", got, want)
		}
		return nil
	}},
	{"a policy that is not there is missing", func(ctx context.Context, b *backend) error {
		k := NewKillPolicy(b.config, "p-00000000")
		_, err1 := k.Read(ctx)
		err2 := k.Write(ctx, access.EmptyKillPolicy())
		if !errors.Is(err1, access.ErrMissing) || !errors.Is(err2, access.ErrMissing) {
			return but(errors.Join(err1, err2), "it is not missing")
		}
		return nil
	}},
}

// someKills is a policy with a kill of each kind.
func someKills() string {
	at := time.Date(2026, 11, 22, 3, 0, 0, 0, time.UTC)
	dana := access.Named{ID: "97671b36-a0d1-70f3-8b56-1f3b5c1f2f00", User: "dana"}
	set := access.Place{AccountName: "payments", PermissionSetName: "ReadOnly"}
	set.Account, set.PermissionSet = "111122223333", "arn:aws:sso:::permissionSet/ssoins-1111111111111111/ps-1111111111111111"
	return access.RenderKills([]access.Kill{
		{ID: "kill-1", State: access.KillWanted, Person: dana, Target: &set, WantedAt: at}, {ID: "kill-2", State: access.KillSent, Person: dana, WantedAt: at, Before: at},
	}, access.KillSize, at).Text
}

func (a *account) addSCP(ctx context.Context, name, content string) (string, error) {
	out, err := a.orgs.CreatePolicy(ctx, &organizations.CreatePolicyInput{
		Name: &name, Description: aws.String("session kills"), Type: orgtypes.PolicyTypeServiceControlPolicy, Content: &content,
	})
	if err != nil {
		return "", err
	}
	return *out.Policy.PolicySummary.Id, nil
}

func TestAPolicyOfKillsIsBelievedOnlyIfItIsOurs(t *testing.T) {
	const ours = `{"Policy": {"Content": "{}", "PolicySummary": {"Id": "p-12345678", "Type": "SERVICE_CONTROL_POLICY"}}}`
	for name, c := range map[string]struct {
		answer string
		kind   error
	}{
		"it is": {ours, nil}, "of another": {strings.Replace(ours, "p-12345678", "p-87654321", 1), access.ErrLost},
		"of another type": {strings.Replace(ours, "SERVICE", "RESOURCE", 1), access.ErrRejected}, "without content": {strings.Replace(ours, `"{}"`, `""`, 1), access.ErrLost},
		"without a summary": {`{"Policy": {"Content": "{}"}}`, access.ErrLost}, "empty": {`{}`, access.ErrLost},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, w *wired) {
				w.says("DescribePolicy", raw(200, c.answer))
				w.says("UpdatePolicy", raw(200, c.answer))
				k := NewKillPolicy(w.config, "p-12345678")
				text, err := k.Read(t.Context())
				if c.kind == nil && (err != nil || text != "{}") {
					t.Errorf("%q, %v", text, err)
				} else if c.kind != nil {
					wantKind(t, err, c.kind, "")
				}
				if c.kind == nil { // it answers another content than was sent
					c.kind = access.ErrLost
				}
				wantKind(t, k.Write(t.Context(), access.EmptyKillPolicy()), c.kind, "")
			})
		})
	}
}

func TestOnlyAPolicyOfKillsIsWritten(t *testing.T) {
	inBubble(t, func(t *testing.T, w *wired) {
		before := len(w.box.Calls())
		for _, text := range []string{"", "{}", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`} {
			wantKind(t, NewKillPolicy(w.config, "p-12345678").Write(t.Context(), text), access.ErrRejected, "")
		}
		if n := len(w.box.Calls()); n != before {
			t.Errorf("AWS was asked %d times", n-before)
		}
	})
}

// TestRunningListsWhatTheRoleOfKillsNeeds compares what AWS is asked for with the policy in docs/running.md: these actions on
// one policy, and no other.
func TestRunningListsWhatTheRoleOfKillsNeeds(t *testing.T) {
	inBubble(t, func(t *testing.T, w *wired) {
		id, err := w.addSCP(t.Context(), "kills", access.EmptyKillPolicy())
		if err != nil {
			t.Fatal(err)
		}
		before := len(w.box.Calls())
		k := NewKillPolicy(w.config, id)
		_, err1 := k.Read(t.Context())
		_, err2 := k.Targets(t.Context())
		if err := errors.Join(err1, err2, k.Write(t.Context(), someKills())); err != nil {
			t.Fatal(err)
		}
		var asked []string
		for _, c := range w.box.Calls()[before:] {
			asked = append(asked, `"organizations:`+c.Operation+`"`)
		}
		slices.Sort(asked)
		page, err := os.ReadFile("../../docs/kills.md")
		if want := strings.Join(asked, ", "); err != nil || !strings.Contains(string(page), `"Action": [`+want+`]`) {
			t.Errorf("docs/kills.md does not give the role %s (%v)", want, err)
		}
	})
}
