package aws

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	peopletypes "github.com/aws/aws-sdk-go-v2/service/identitystore/types"
	ssotypes "github.com/aws/aws-sdk-go-v2/service/ssoadmin/types"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"sparekey/access"
	"sparekey/internal/awsconn"
)

// codes are AWS's error codes ("Common errors" of each API reference, and the errors of the operations that are called here)
// and what they mean for a caller that must know whether something was done.
var codes = map[string]error{
	"ThrottlingException":      access.ErrThrottled,
	"Throttling":               access.ErrThrottled,
	"TooManyRequestsException": access.ErrThrottled,
	"RequestLimitExceeded":     access.ErrThrottled,

	"ConflictException":                access.ErrConflict,
	"ConcurrentModificationException":  access.ErrConflict,
	"PolicyChangesInProgressException": access.ErrConflict,

	"AccessDeniedException": access.ErrDenied,
	"AccessDenied":          access.ErrDenied,
	// STS is not activated in our Region for the account of the role.
	"RegionDisabledException": access.ErrDenied,

	"ValidationException":              access.ErrRejected,
	"ValidationError":                  access.ErrRejected,
	"InvalidInputException":            access.ErrRejected,
	"ServiceQuotaExceededException":    access.ErrRejected,
	"MalformedPolicyDocument":          access.ErrRejected,
	"PackedPolicyTooLarge":             access.ErrRejected,
	"MalformedPolicyDocumentException": access.ErrRejected,
	"ConstraintViolationException":     access.ErrRejected,

	"ResourceNotFoundException": access.ErrMissing,
	"AccountNotFoundException":  access.ErrMissing,
	"PolicyNotFoundException":   access.ErrMissing,

	// Who calls could not be verified, so nothing was done; a new key or a set clock mends it.
	"UnrecognizedClientException":         access.ErrNotAsked,
	"InvalidClientTokenId":                access.ErrNotAsked,
	"InvalidSignatureException":           access.ErrNotAsked,
	"SignatureDoesNotMatch":               access.ErrNotAsked,
	"IncompleteSignature":                 access.ErrNotAsked,
	"IncompleteSignatureException":        access.ErrNotAsked,
	"MissingAuthenticationToken":          access.ErrNotAsked,
	"MissingAuthenticationTokenException": access.ErrNotAsked,
	"ExpiredToken":                        access.ErrNotAsked,
	"ExpiredTokenException":               access.ErrNotAsked,
	"RequestExpired":                      access.ErrNotAsked,
	"OptInRequired":                       access.ErrNotAsked,
}

// told turns an error of the SDK into one that says what is known of the call, with AWS's own words. Whatever is not known
// to be a certain no counts as lost: it may have happened.
func told(doing string, err error) error {
	if err == nil {
		return nil
	}
	kind := access.ErrLost
	var api smithy.APIError
	var conn *net.OpError
	switch {
	case errors.Is(err, awsconn.ErrCredentials): // before AWS's codes: those would be of STS, which was asked for credentials
		kind = access.ErrNotAsked
	case errors.As(err, &api):
		if known, ok := codes[api.ErrorCode()]; ok && refusal(err) {
			kind = known
		}
		// "KMS_…" reasons: the key of Identity Center is in the way, not the thing that was asked for.
		if kind == access.ErrMissing && strings.Contains(reason(err), "KMS") {
			kind = access.ErrNotAsked
		}
		// The first line only: after it, a refused signature quotes the session token.
		words, _, _ := strings.Cut(api.ErrorMessage(), "\n")
		return fmt.Errorf("%s: %w: %s: %s", doing, kind, api.ErrorCode(), words)
	case errors.As(err, &conn) && (conn.Op == "dial" || conn.Op == "proxyconnect"):
		kind = access.ErrNotAsked
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%s: %w: no answer in time", doing, kind)
	}
	return fmt.Errorf("%s: %w: %w", doing, kind, cause(err))
}

// reason is why a resource was not found, where AWS says more than that.
func reason(err error) string {
	var sso *ssotypes.ResourceNotFoundException
	var people *peopletypes.ResourceNotFoundException
	switch {
	case errors.As(err, &sso):
		return string(sso.Reason)
	case errors.As(err, &people):
		return string(people.Reason)
	}
	return ""
}

// refusal reports whether an error came with one of the HTTP statuses by which a server refuses.
func refusal(err error) bool {
	var r *smithyhttp.ResponseError
	return errors.As(err, &r) && r.HTTPStatusCode() >= 400 && r.HTTPStatusCode() < 500
}

// cause is the innermost error: what the SDK wraps around it repeats the operation's name, the attempts and the request id.
func cause(err error) error {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err
		}
		err = inner
	}
}

// spoken makes clients refuse a success without a word. Where nothing is to be listed AWS may leave the list out, but it says
// {}; an answer that is empty comes from something in between, and must not be read as "none".
func spoken(c aws.Config) aws.Config {
	c.APIOptions = append(slices.Clone(c.APIOptions), func(s *middleware.Stack) error {
		return s.Deserialize.Add(middleware.DeserializeMiddlewareFunc("Spoken", func(
			ctx context.Context, in middleware.DeserializeInput, next middleware.DeserializeHandler,
		) (middleware.DeserializeOutput, middleware.Metadata, error) {
			out, metadata, err := next.HandleDeserialize(ctx, in)
			r, ok := out.RawResponse.(*smithyhttp.Response)
			if err != nil || !ok || r.StatusCode >= 300 {
				return out, metadata, err
			}
			body := bufio.NewReader(r.Body)
			if _, end := body.Peek(1); end == io.EOF {
				return out, metadata, errors.New("the answer is empty")
			}
			r.Body = struct {
				io.Reader
				io.Closer
			}{body, r.Body}
			return out, metadata, nil
		}), middleware.After)
	})
	return c
}
