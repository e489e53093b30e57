package sandbox

import (
	"encoding/json"
	"encoding/xml"
	"maps"
	"slices"
	"time"

	"sparekey/internal/sandbox/wire"
	"sparekey/internal/sandbox/world"
	"sparekey/org"
)

const (
	sessionName = `[\w+=,.@-]*`
	sessionTag  = `[\p{L}\p{Z}\p{N}_.:/=+\-@]`

	// longestSessionPolicy is the limit of the API reference (AssumeRole, Policy); the model has none.
	longestSessionPolicy = 2048
	// longestChained is how long a session may last that another session asks for ("Roles terms and concepts", IAM User Guide).
	longestChained = time.Hour
)

// stsShapes are those of the model sts-2011-06-15.
var stsShapes = wire.NewShapes(wire.Shapes{
	"arnType":                               {Min: 20, Max: 2048, Pattern: `[\x{0009}\x{000A}\x{000D}\x{0020}-\x{007E}\x{0085}\x{00A0}-\x{D7FF}\x{E000}-\x{FFFD}\x{10000}-\x{10FFFF}]+`},
	"externalIdType":                        {Min: 2, Max: 1224, Pattern: `[\w+=,.@:\/-]*`},
	"policyDescriptorListType":              {},
	"roleDurationSecondsType":               {Min: 900, Max: 43200},
	"roleSessionNameType":                   {Min: 2, Max: 64, Pattern: sessionName},
	"sourceIdentityType":                    {Min: 2, Max: 64, Pattern: sessionName},
	"tagKeyListType":                        {Max: 50},
	"tagKeyType":                            {Min: 1, Max: 128, Pattern: sessionTag + `+`},
	"tagListType":                           {Max: 50},
	"tagValueType":                          {Max: 256, Pattern: sessionTag + `*`},
	"unrestrictedSessionPolicyDocumentType": {Min: 1, Pattern: `[\x{0009}\x{000A}\x{000D}\x{0020}-\x{00FF}]+`},
})

type sessionTagInput struct {
	Key   string `aws:"tagKeyType,required"`
	Value string `aws:"tagValueType,required"`
}

type assumeRoleInput struct {
	RoleArn           string            `aws:"arnType,required"`
	RoleSessionName   string            `aws:"roleSessionNameType,required"`
	Policy            string            `aws:"unrestrictedSessionPolicyDocumentType"`
	DurationSeconds   int               `aws:"roleDurationSecondsType"`
	Tags              []sessionTagInput `aws:"tagListType"`
	TransitiveTagKeys []string          `aws:"tagKeyListType,each=tagKeyType"`
	ExternalId        string            `aws:"externalIdType"`
	SourceIdentity    string            `aws:"sourceIdentityType"`
}

// noted is what the log keeps: of a policy, no more than AWS takes.
func (in *assumeRoleInput) noted() *Assumed {
	policy := []rune(in.Policy)
	a := &Assumed{
		Role: in.RoleArn, Session: in.RoleSessionName, SourceIdentity: in.SourceIdentity, Seconds: in.DurationSeconds, Transitive: in.TransitiveTagKeys,
		Policy: string(policy[:min(len(policy), longestSessionPolicy)]),
	}
	for _, t := range in.Tags {
		if a.Tags == nil {
			a.Tags = map[string]string{}
		}
		a.Tags[t.Key] = t.Value
	}
	return a
}

type assumedRole struct {
	XMLName          xml.Name  `xml:"AssumeRoleResult"`
	SourceIdentity   string    `xml:"SourceIdentity,omitempty"`
	AccessKeyID      string    `xml:"Credentials>AccessKeyId"`
	SecretAccessKey  string    `xml:"Credentials>SecretAccessKey"`
	SessionToken     string    `xml:"Credentials>SessionToken"`
	Expiration       time.Time `xml:"Credentials>Expiration"`
	AssumedRoleID    string    `xml:"AssumedRoleUser>AssumedRoleId"`
	Arn              string    `xml:"AssumedRoleUser>Arn"`
	PackedPolicySize int       `xml:"PackedPolicySize"`
}

// assumeRole lets in whoever belongs to an account that the role trusts. A role that is not there is denied in the same words
// as one that does not trust the caller, as AWS does.
func (c *call) assumeRole(in *assumeRoleInput) (any, error) {
	c.entry.Assumed = in.noted()
	role, ok := c.w.IAMRole(in.RoleArn)
	account, there := c.w.Account(role.Account)
	if !ok || !there || account.State != org.AccountActive || !slices.Contains(role.Trusts, c.caller.account) {
		return nil, c.deny(in.RoleArn)
	}
	lasts, err := c.sessionLasts(role, in.DurationSeconds)
	if err != nil {
		return nil, err
	}
	if err := checkSessionPolicy(in.Policy); err != nil {
		return nil, err
	}
	holder := c.s.session(role.Account, role.Name, role.ID, in.RoleSessionName)
	if err := c.inherit(in, &holder); err != nil {
		return nil, err
	}
	expires := c.now.Add(lasts).Truncate(time.Second)
	made := c.s.open(c.now, expires, holder)
	return wire.QueryResult{Namespace: stsNamespace, Operation: c.op.name, Result: assumedRole{
		SourceIdentity: holder.source, AccessKeyID: made.AccessKeyID, SecretAccessKey: made.SecretAccessKey, SessionToken: made.SessionToken, Expiration: expires.UTC(),
		AssumedRoleID: holder.user, Arn: holder.arn, PackedPolicySize: len(in.Policy) * 100 / longestSessionPolicy,
	}}, nil
}

// sessionLasts is an hour where nothing is asked, and else what is asked; more than is allowed fails and is not cut.
func (c *call) sessionLasts(role world.IAMRole, seconds int) (time.Duration, error) {
	lasts := time.Duration(seconds) * time.Second
	switch {
	case seconds == 0:
		return time.Hour, nil
	case c.caller.session && lasts > longestChained:
		return 0, common(400, "ValidationError", "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining")
	case lasts > role.MaxSession:
		return 0, common(400, "ValidationError", "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.")
	}
	return lasts, nil
}

// checkSessionPolicy checks that a policy is a JSON object of the size that AWS takes, not that it is a policy.
func checkSessionPolicy(policy string) error {
	var object map[string]json.RawMessage
	switch {
	case policy == "":
		return nil
	case len([]rune(policy)) > longestSessionPolicy:
		return modelled("PackedPolicyTooLarge", "Packed policy consumes more than 100% of allotted space, please use smaller policy.")
	case json.Unmarshal([]byte(policy), &object) != nil:
		return modelled("MalformedPolicyDocument", "This policy contains invalid Json")
	case object["Statement"] == nil:
		return modelled("MalformedPolicyDocument", "Syntax errors in policy.")
	}
	return nil
}

// inherit gives the new session what the caller's hands on: a source identity that is set stays, and so do transitive tags
// ("Monitor and control actions taken with assumed roles" and "Pass session tags in AWS STS", IAM User Guide).
func (c *call) inherit(in *assumeRoleInput, holder *caller) error {
	holder.source = in.SourceIdentity
	if c.caller.source != "" {
		if in.SourceIdentity != "" && in.SourceIdentity != c.caller.source {
			return c.deny(in.RoleArn)
		}
		holder.source = c.caller.source
	}
	holder.tags = maps.Clone(c.caller.tags)
	seen := map[string]bool{}
	for _, t := range in.Tags {
		if _, inherited := c.caller.tags[t.Key]; inherited || seen[t.Key] {
			return common(400, "ValidationError", "Duplicate tag keys found, or a transitive tag would be overridden: "+t.Key)
		}
		seen[t.Key] = true
		if slices.Contains(in.TransitiveTagKeys, t.Key) {
			if holder.tags == nil {
				holder.tags = map[string]string{}
			}
			holder.tags[t.Key] = t.Value
		}
	}
	for _, key := range in.TransitiveTagKeys {
		if !seen[key] {
			return common(400, "ValidationError", "The specified transitive tag key must be included in the requested tags.")
		}
	}
	return nil
}
