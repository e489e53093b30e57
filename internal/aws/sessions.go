package aws

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	ststypes "github.com/aws/aws-sdk-go-v2/service/sts/types"

	"sparekey/access"
	"sparekey/org"
)

// Sessions gives access by sessions of IAM roles, one after the other while a grant lives. Nothing stands in AWS for a grant:
// each session carries the grant's end in its session policy. The roles' trust policies must let Sparekey's own role do
// sts:AssumeRole, sts:SetSourceIdentity and sts:TagSession.
type Sessions struct {
	client    *sts.Client // of the Region's endpoint; it never retries
	partition string
}

// NewSessions makes the way for one Region's STS.
func NewSessions(c aws.Config) *Sessions {
	return &Sessions{sts.NewFromConfig(spoken(c)), partition(c.Region)}
}

// partition is the one that a Region belongs to ("Partitions", AWS Fault Isolation Boundaries).
func partition(region string) string {
	for _, p := range [][2]string{
		{"cn-", "aws-cn"}, {"us-gov-", "aws-us-gov"}, {"us-iso-", "aws-iso"}, {"us-isob-", "aws-iso-b"}, {"eu-isoe-", "aws-iso-e"}, {"us-isof-", "aws-iso-f"}, {"eusc-", "aws-eusc"},
	} {
		if strings.HasPrefix(region, p[0]) {
			return p[1]
		}
	}
	return "aws"
}

// rolePattern is that of a target that is a role: its path without the first slash, and its name ("CreateRole", IAM API Reference).
var rolePattern = regexp.MustCompile(`^` + org.RolePrefix + `([!-~]{1,510}/)?[\w+=,.@-]{1,64}$`)

func (s *Sessions) role(t org.Target) (string, error) {
	if !rolePattern.MatchString(t.PermissionSet) || !org.ValidAccountID(string(t.Account)) {
		return "", fmt.Errorf("%w: %q in %q is not an IAM role; one is written role/ops/Deployer", access.ErrRejected, t.PermissionSet, t.Account)
	}
	return org.ARN{Partition: s.partition, Service: "iam", Account: string(t.Account), Resource: t.PermissionSet}.String(), nil
}

// Assigned reports false: nothing stands in AWS; see [access.Way.Leaves].
func (s *Sessions) Assigned(context.Context, access.Key) (bool, error) { return false, nil }

// nothingAllowed is the session policy of a probe.
const nothingAllowed = `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"*","Resource":"*"}]}`

// Create assumes the role as sessions will be, for the shortest time and with a policy that denies everything, and throws the
// credentials away: a grant that is active is one that AWS lets Sparekey serve.
func (s *Sessions) Create(ctx context.Context, k access.Key) (access.Seen, error) {
	name := access.SessionName(string(k.Person), "probe")
	out, err := s.assume(ctx, k.Target, name, nothingAllowed, access.SessionLeast, tags("probe", "probe", k.Person))
	if err != nil {
		return access.Seen{}, err
	}
	if out.AssumedRoleUser == nil || aws.ToString(out.AssumedRoleUser.AssumedRoleId) == "" {
		return access.Seen{}, fmt.Errorf("assuming a role: %w: its answer does not say whose session it is", access.ErrLost)
	}
	return access.Seen{ID: *out.AssumedRoleUser.AssumedRoleId, Outcome: access.Succeeded}, nil
}

// Creation knows no create that goes on: a probe was over when it was answered. Whoever asks for one probes again.
func (s *Sessions) Creation(context.Context, string) (access.Seen, error) {
	return access.Seen{}, fmt.Errorf("%w: no operation is kept of assuming a role", access.ErrMissing)
}

// Creations lists none: nothing stands in AWS, so that nothing can land late or be somebody else's.
func (s *Sessions) Creations(context.Context, access.Key, time.Time) ([]access.Seen, error) {
	return nil, nil
}

// Delete succeeds without a call: nothing stands in AWS, and every session that was vended ends by its own policy.
func (s *Sessions) Delete(context.Context, access.Key) (access.Seen, error) {
	return access.Seen{ID: noOperation, Outcome: access.Succeeded}, nil
}

// noOperation is the id of a delete that nobody had to be asked for.
const noOperation = "nothing-to-delete"

// Deletion says that a delete succeeded.
func (s *Sessions) Deletion(_ context.Context, id string) (access.Seen, error) {
	if id != noOperation {
		return access.Seen{}, fmt.Errorf("%w: no operation is kept of sessions", access.ErrMissing)
	}
	return access.Seen{ID: id, Outcome: access.Succeeded}, nil
}

// Vend returns credentials of the role for one person under one grant. Whoever calls has checked that the grant is active;
// AWS checks the rest, and the session's policy ends it with the grant. After any error it may be called again: what was lost
// are credentials that nobody holds.
func (s *Sessions) Vend(ctx context.Context, v access.Vending) (access.Credentials, error) {
	policy, err := v.Policy()
	if err != nil {
		return access.Credentials{}, fmt.Errorf("%w: %w", access.ErrRejected, err)
	}
	if v.Lasts < access.SessionLeast || v.Lasts > access.SessionMost {
		return access.Credentials{}, fmt.Errorf("%w: credentials last from %s to %s, not %s", access.ErrRejected, access.SessionLeast, access.SessionMost, v.Lasts)
	}
	out, err := s.assume(ctx, v.Target, v.Name(), policy, v.Lasts, tags(v.Grant, v.Request, v.Person.ID))
	if err != nil {
		return access.Credentials{}, err
	}
	c := access.Credentials{
		AccessKeyID: *out.Credentials.AccessKeyId, SecretAccessKey: *out.Credentials.SecretAccessKey, SessionToken: *out.Credentials.SessionToken, Expires: *out.Credentials.Expiration,
	}
	if v.End.Before(c.Expires) {
		c.Expires = v.End
	}
	return c, nil
}

// tags are those of a session, which say in every log of what it does under which grant it was given.
func tags(grant, request string, person org.PersonID) []ststypes.Tag {
	return []ststypes.Tag{
		{Key: aws.String("sparekey:grant"), Value: &grant},
		{Key: aws.String("sparekey:request"), Value: &request},
		{Key: aws.String("sparekey:person"), Value: aws.String(string(person))},
	}
}

// assume makes the call. The tags are transitive: roles that the session assumes keep them, as they keep the source identity.
func (s *Sessions) assume(ctx context.Context, t org.Target, name, policy string, lasts time.Duration, tags []ststypes.Tag) (*sts.AssumeRoleOutput, error) {
	role, err := s.role(t)
	if err != nil {
		return nil, err
	}
	in := &sts.AssumeRoleInput{
		RoleArn: &role, RoleSessionName: &name, SourceIdentity: &name, DurationSeconds: aws.Int32(int32(lasts / time.Second)), Policy: &policy, Tags: tags,
	}
	for _, t := range tags {
		in.TransitiveTagKeys = append(in.TransitiveTagKeys, *t.Key)
	}
	out, err := s.client.AssumeRole(ctx, in)
	if err != nil {
		return nil, told("assuming "+role, err)
	}
	c := out.Credentials
	if c == nil || aws.ToString(c.AccessKeyId) == "" || aws.ToString(c.SecretAccessKey) == "" || aws.ToString(c.SessionToken) == "" || c.Expiration == nil {
		return nil, fmt.Errorf("assuming %s: %w: its answer holds no credentials", role, access.ErrLost)
	}
	return out, nil
}
