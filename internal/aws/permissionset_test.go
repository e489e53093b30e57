package aws

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssoadmin"
	ssotypes "github.com/aws/aws-sdk-go-v2/service/ssoadmin/types"
	"pgregory.net/rapid"

	"sparekey/access"
	"sparekey/org"
)

var setBehaviours = []behaviour{
	{"the content of a permission set changes with everything that it says", contentChanges},
	{"the content of a permission set is the same however it is written", contentStays},
}

// changes are those that other administrators make to a permission set.
type changes struct {
	*backend
	ctx           context.Context
	instance, set *string
}

func (b *backend) changing(ctx context.Context, set string) *changes {
	return &changes{b, ctx, &b.want.Instance, &set}
}

// bounded asks for the boundary as somebody would who does not try again.
func (c *changes) bounded() error {
	_, err := c.admin.GetPermissionsBoundaryForPermissionSet(c.ctx, &ssoadmin.GetPermissionsBoundaryForPermissionSetInput{InstanceArn: c.instance, PermissionSetArn: c.set})
	var missing *ssotypes.ResourceNotFoundException
	if errors.As(err, &missing) {
		return nil
	}
	return err
}

func (c *changes) inline(policy string) error {
	_, err := c.admin.PutInlinePolicyToPermissionSet(c.ctx, &ssoadmin.PutInlinePolicyToPermissionSetInput{InstanceArn: c.instance, PermissionSetArn: c.set, InlinePolicy: &policy})
	return err
}

func (c *changes) attach(name string) error {
	_, err := c.admin.AttachManagedPolicyToPermissionSet(c.ctx, &ssoadmin.AttachManagedPolicyToPermissionSetInput{
		InstanceArn: c.instance, PermissionSetArn: c.set, ManagedPolicyArn: aws.String("arn:aws:iam::aws:policy/" + name),
	})
	return err
}

func (c *changes) detach(name string) error {
	_, err := c.admin.DetachManagedPolicyFromPermissionSet(c.ctx, &ssoadmin.DetachManagedPolicyFromPermissionSetInput{
		InstanceArn: c.instance, PermissionSetArn: c.set, ManagedPolicyArn: aws.String("arn:aws:iam::aws:policy/" + name),
	})
	return err
}

func (c *changes) refer(path, name string) error {
	ref := &ssotypes.CustomerManagedPolicyReference{Name: &name}
	if path != "" {
		ref.Path = &path
	}
	_, err := c.admin.AttachCustomerManagedPolicyReferenceToPermissionSet(c.ctx, &ssoadmin.AttachCustomerManagedPolicyReferenceToPermissionSetInput{
		InstanceArn: c.instance, PermissionSetArn: c.set, CustomerManagedPolicyReference: ref,
	})
	return err
}

func (c *changes) bound(b ssotypes.PermissionsBoundary) error {
	_, err := c.admin.PutPermissionsBoundaryToPermissionSet(c.ctx, &ssoadmin.PutPermissionsBoundaryToPermissionSetInput{InstanceArn: c.instance, PermissionSetArn: c.set, PermissionsBoundary: &b})
	return err
}

func (c *changes) update(in ssoadmin.UpdatePermissionSetInput) error {
	in.InstanceArn, in.PermissionSetArn = c.instance, c.set
	_, err := c.admin.UpdatePermissionSet(c.ctx, &in)
	return err
}

func contentChanges(ctx context.Context, b *backend) error {
	set := b.target("payments", "ReadOnly").PermissionSet
	c := b.changing(ctx, set)
	if err := c.bounded(); err != nil {
		return err
	}
	first, err := b.directory().PermissionSet(ctx, set)
	if want := (org.PermissionSet{ARN: set, Name: "ReadOnly", Description: "Look but do not touch", Session: 2 * time.Hour, Content: first.Content}); err != nil || first != want {
		return but(err, "read %+v, not %+v", first, want)
	}
	seen := map[string]string{first.Content: "at first"}
	for _, step := range []struct {
		name   string
		change func() error
	}{
		{"an inline policy", func() error { return c.inline(`{"Version": "2012-10-17", "Statement": []}`) }},
		{"another inline policy", func() error { return c.inline(`{"Version": "2012-10-17", "Statement": [{"Effect": "Deny"}]}`) }},
		{"a text of it", func() error {
			return c.inline(`{"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Action": "1"}]}`)
		}},
		{"a number of it", func() error {
			return c.inline(`{"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Action": 1}]}`)
		}},
		{"a managed policy", func() error { return c.attach("ReadOnlyAccess") }},
		{"a second managed policy", func() error { return c.attach("job-function/Billing") }},
		{"one managed policy less", func() error { return c.detach("ReadOnlyAccess") }},
		{"a customer's policy", func() error { return c.refer("/ops/", "house") }},
		{"a customer's policy of another path", func() error { return c.refer("", "house") }},
		{"a boundary", func() error {
			return c.bound(ssotypes.PermissionsBoundary{ManagedPolicyArn: aws.String("arn:aws:iam::aws:policy/PowerUserAccess")})
		}},
		{"a customer's boundary", func() error {
			return c.bound(ssotypes.PermissionsBoundary{CustomerManagedPolicyReference: &ssotypes.CustomerManagedPolicyReference{Name: aws.String("fence")}})
		}},
		{"the session", func() error { return c.update(ssoadmin.UpdatePermissionSetInput{SessionDuration: aws.String("PT3H")}) }},
		{"the relay state", func() error {
			return c.update(ssoadmin.UpdatePermissionSetInput{RelayState: aws.String("https://console.aws.amazon.com/s3")})
		}},
	} {
		if err := step.change(); err != nil {
			return fmt.Errorf("changing %s: %w", step.name, err)
		}
		now, err := b.directory().PermissionSet(ctx, set)
		if err != nil {
			return err
		}
		if before, known := seen[now.Content]; known || !strings.HasPrefix(now.Content, "sha256:") {
			return fmt.Errorf("with %s the content is %s, as %s", step.name, now.Content, before)
		}
		seen[now.Content] = step.name
	}
	return nil
}

func contentStays(ctx context.Context, b *backend) error {
	one, other := b.changing(ctx, b.target("payments", "ReadOnly").PermissionSet), b.changing(ctx, b.target("payments", "Admin").PermissionSet)
	if err := one.bounded(); err != nil {
		return err
	}
	err := errors.Join(
		other.update(ssoadmin.UpdatePermissionSetInput{SessionDuration: aws.String("PT120M")}),
		one.inline(`{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": ["a:b", "c:d"], "Resource": "*"}, {"Effect": "Deny", "Action": "*", "Resource": "x"}]}`),
		other.inline("{\n\"Statement\":[{\"Resource\":\"x\",\"Action\":\"*\",\"Effect\":\"Deny\"},{\"Resource\":\"*\",\"Action\":[\"c:d\",\"a:b\"],\"Effect\":\"\\u0041llow\"}],\"Version\":\"2012-10-17\"}"),
		one.attach("A"), one.attach("B"), other.attach("B"), other.attach("A"),
		one.refer("/", "own"), one.refer("/x/", "own"), other.refer("/x/", "own"), other.refer("", "own"),
	)
	if err != nil {
		return err
	}
	first, err1 := b.directory().PermissionSet(ctx, *one.set)
	second, err2 := b.directory().PermissionSet(ctx, *other.set)
	if err := errors.Join(err1, err2); err != nil || first.Content != second.Content {
		return but(err, "%s and %s", first.Content, second.Content)
	}
	return nil
}

func TestAPermissionSetsPoliciesAreReadFromEveryPage(t *testing.T) {
	inBubble(t, func(t *testing.T, w *wired) {
		set := w.target("payments", "ReadOnly").PermissionSet
		content := func() string {
			s, err := w.directory().PermissionSet(t.Context(), set)
			if err != nil {
				t.Error(err)
			}
			return s.Content
		}
		none := content()
		w.says("ListManagedPoliciesInPermissionSet", pages(`{"AttachedManagedPolicies": [{"Arn": "a"}], "NextToken": "x"}`, `{"AttachedManagedPolicies": [{"Arn": "b"}]}`))
		two := content()
		w.says("ListManagedPoliciesInPermissionSet", raw(200, `{"AttachedManagedPolicies": [{"Arn": "b"}, {"Arn": "a"}]}`))
		if both := content(); two == none || both != two {
			t.Errorf("%s, %s and %s", none, two, both)
		}
		w.says("ListManagedPoliciesInPermissionSet", nil)
		w.says("ListCustomerManagedPolicyReferencesInPermissionSet", pages(`{"CustomerManagedPolicyReferences": [{"Name": "a"}], "NextToken": "x"}`, `{"CustomerManagedPolicyReferences": [{"Name": "b", "Path": "/"}]}`))
		two = content()
		w.says("ListCustomerManagedPolicyReferencesInPermissionSet", raw(200, `{"CustomerManagedPolicyReferences": [{"Name": "b"}, {"Name": "a", "Path": "/"}]}`))
		if both := content(); two == none || both != two {
			t.Errorf("%s, %s and %s", none, two, both)
		}
	})
}

func TestABoundaryThatNamesNoPolicyIsLost(t *testing.T) {
	inBubble(t, func(t *testing.T, w *wired) {
		for answer, lost := range map[string]bool{`{}`: false, `{"PermissionsBoundary": null}`: false, `{"PermissionsBoundary": {}}`: true, `{"PermissionsBoundary": {"New": "x"}}`: true} {
			w.says("GetPermissionsBoundaryForPermissionSet", raw(200, answer))
			_, err := w.directory().PermissionSet(t.Context(), w.target("payments", "ReadOnly").PermissionSet)
			if lost {
				wantKind(called{t, answer}, err, access.ErrLost, "names no policy")
			} else if err != nil {
				t.Errorf("%s: %v", answer, err)
			}
		}
	})
}

// TestOnePolicyHasOneCanonicalForm writes random JSON in two ways, and changes it once.
func TestOnePolicyHasOneCanonicalForm(t *testing.T) {
	form := func(text string) string {
		out, err := json.Marshal(canonicalPolicy(text))
		if err != nil {
			t.Fatal(err)
		}
		return string(out)
	}
	rapid.Check(t, func(t *rapid.T) {
		value := anyJSON(3).Draw(t, "value")
		policy := map[string]any{"Statement": value}
		one, _ := json.Marshal(policy)
		random := rand.New(rand.NewPCG(1, rapid.Uint64().Draw(t, "order")))
		other, _ := json.MarshalIndent(map[string]any{"Statement": shuffled(value, random)}, "", "  ")
		if form(string(one)) != form(string(other)) {
			t.Errorf("%s and %s differ", one, other)
		}
		more, _ := json.Marshal(map[string]any{"Statement": []any{value, "more"}})
		if form(string(one)) == form(string(more)) {
			t.Errorf("%s and %s are one", one, more)
		}
	})
	for _, pair := range [][2]string{
		{`{"a": 1}`, `{"a": "1"}`}, {`{"a": 9007199254740993}`, `{"a": 9007199254740992}`}, {`{"a": ["b"]}`, `{"a": "b"}`}, {`{"a": [["b"], "c"]}`, `{"a": ["b", "c"]}`},
		{`{"a": ["[\"b\"]"]}`, `{"a": [["b"]]}`}, {`{"a": ["number", "1"]}`, `{"a": 1}`}, {`{"a": 1, "a": 2}`, `{"a": 2}`}, {"x", `["text", "x"]`}, {`{"a": true}`, `{"a": "true"}`},
		{`{"a": ["b", "b"]}`, `{"a": ["b"]}`}, {`{"A": "b"}`, `{"a": "b"}`},
	} {
		if form(pair[0]) == form(pair[1]) {
			t.Errorf("%s and %s are one", pair[0], pair[1])
		}
	}
}

func anyJSON(deep int) *rapid.Generator[any] {
	leaves := rapid.OneOf(rapid.SampledFrom([]any{"a", "b", "", "é", true, false, nil, 1.0, 2.5}), rapid.Map(rapid.StringMatching(`[a-c]{0,3}`), func(s string) any { return s }))
	if deep == 0 {
		return leaves
	}
	lists := rapid.Map(rapid.SliceOfN(anyJSON(deep-1), 0, 4), func(l []any) any { return l })
	objects := rapid.Map(rapid.MapOfN(rapid.StringMatching(`[a-c]{1,2}`), anyJSON(deep-1), 0, 4), func(m map[string]any) any { return m })
	return rapid.OneOf(leaves, lists, objects)
}

// shuffled puts every list of a value into another order.
func shuffled(value any, random *rand.Rand) any {
	switch v := value.(type) {
	case map[string]any:
		other := map[string]any{}
		for name, inner := range v {
			other[name] = shuffled(inner, random)
		}
		return other
	case []any:
		other := make([]any, len(v))
		for to, from := range random.Perm(len(v)) {
			other[to] = shuffled(v[from], random)
		}
		return other
	}
	return value
}
