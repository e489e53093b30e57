package sandbox

import (
	"net/http"
	"regexp"
	"time"

	"sparekey/internal/sandbox/sigv4"
	"sparekey/internal/sandbox/wire"
	"sparekey/org"
)

// key is an access key and who holds it.
type key struct {
	sigv4.Key
	caller
}

// caller is who makes a call.
type caller struct {
	account org.AccountID
	user    string // UserId of GetCallerIdentity
	arn     string
	session bool              // a role session, which may do nothing here but assume further roles
	source  string            // the session's source identity, which further sessions keep
	tags    map[string]string // the session's transitive tags, which further sessions keep
	person  org.PersonID      // who opened the role through the access portal; only that session knows
	role    string            // ARN of the role of that session
	issued  time.Time         // when that session was issued, to the second
}

// Regions look like us-east-1, us-gov-west-1 or us-isob-east-1; SDKs also sign for aws-global.
var regionPattern = regexp.MustCompile(`^([a-z]{2,3}(-[a-z]{2,5})?-[a-z]+-\d{1,2}|aws(-[a-z]+)*-global)$`)

// authenticate checks who signed a request. The access key is known also beside an error, where the request names one.
func (s *Sandbox) authenticate(c *call, r *http.Request, body []byte) error {
	service := c.op.service
	id, err := sigv4.Service{
		Name: service.signing, Now: c.now, Spans: s.signingTimes(c.now),
		Key: func(id string) (sigv4.Key, bool) { k, ok := s.keys[id]; return k.Key, ok },
		Valid: func(name string) bool {
			return regionPattern.MatchString(name) && (!service.regional || name == s.options.Region)
		},
	}.Verify(r, body)
	c.entry.AccessKeyID = id
	if err != nil {
		return err
	}
	c.caller = s.keys[id].caller
	c.entry.Caller, c.entry.From = c.caller.arn, c.caller.account
	return nil
}

// signingTimes are the times, beside the clock's own, at which a client may believe that it signs.
func (s *Sandbox) signingTimes(now time.Time) []sigv4.Span {
	var spans []sigv4.Span
	if _, manual := s.clock.(*ManualClock); manual {
		spans = append(spans, sigv4.Span{From: s.started, To: now})
	}
	if s.signatures != nil {
		at := s.signatures.Now()
		spans = append(spans, sigv4.Span{From: at, To: at})
	}
	return spans
}

// signatureCodes are AWS's codes for bad signatures, in the JSON and in the query protocol.
var signatureCodes = map[sigv4.Kind]struct {
	json, query string
	queryStatus int
}{
	sigv4.Missing:    {"MissingAuthenticationTokenException", "MissingAuthenticationToken", 403},
	sigv4.Incomplete: {"IncompleteSignatureException", "IncompleteSignature", 400},
	sigv4.UnknownKey: {"UnrecognizedClientException", "InvalidClientTokenId", 403},
	sigv4.Mismatch:   {"InvalidSignatureException", "SignatureDoesNotMatch", 403},
	sigv4.Expired:    {"ExpiredTokenException", "ExpiredToken", 403},
}

// refuseSignature makes the service's error of a bad signature. The JSON services answer all of them with 400, as their
// protocol does for every error of the client; STS's statuses are those of its common errors.
func (s *service) refuseSignature(p *sigv4.Problem) *wire.Error {
	codes := signatureCodes[p.Kind]
	if s.target != "" {
		return common(400, codes.json, p.Message)
	}
	return common(codes.queryStatus, codes.query, p.Message)
}

// authorize checks whether the caller may use the operation at all. The sandbox has no policies: what AWS's documentation
// lets an account do, every user of that account may do here. A role session may do nothing.
func (c *call) authorize() error {
	if c.op.may == anybody {
		return nil
	}
	if c.caller.session {
		return c.deny("*")
	}
	_, member := c.w.Account(c.caller.account)
	has := anybody
	switch {
	case c.caller.account == c.w.Management:
		has = management
	case member && c.caller.account == c.w.Delegated:
		has = delegated
	case member:
		has = members
	case c.op.service == &organizationsService:
		return modelled("AWSOrganizationsNotInUseException", "Your account is not a member of an organization.")
	}
	if has < c.op.may {
		return c.deny("*")
	}
	return nil
}

// deny refuses the operation on a resource in IAM's words.
func (c *call) deny(resource string) error {
	return c.op.service.denied("User: " + c.caller.arn + " is not authorized to perform: " + c.op.service.signing + ":" + c.op.name + " on resource: " + resource)
}
