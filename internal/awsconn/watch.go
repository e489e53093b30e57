package awsconn

import (
	"context"
	"errors"
	"net/http"
	"time"

	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// Call is one call of AWS: what is tried again is several. It names neither who nor what it was about.
type Call struct {
	Service   string // as the SDK names it: SSO Admin, identitystore, Organizations, STS
	Operation string // CreateAccountAssignment, for instance
	Outcome   Outcome
	Took      time.Duration
}

// Outcome is how a call was answered.
type Outcome string

// The outcomes of a call.
const (
	Done      Outcome = "ok"
	Throttled Outcome = "throttled"
	Refused   Outcome = "refused"   // a status of 400 to 499
	Broken    Outcome = "failed"    // a status of 500 or more, or an answer that cannot be read
	Silent    Outcome = "no answer" // whether anything was done is not known
)

// Outcomes are all of them.
var Outcomes = []Outcome{Done, Throttled, Refused, Broken, Silent}

// telling has a client tell of every call that it sends. It stands below the signature and above the answer's reading, so
// that each try is one call, and what was never sent for want of credentials is none.
func telling(tell func(Call)) func(*middleware.Stack) error {
	return func(s *middleware.Stack) error {
		return s.Deserialize.Add(middleware.DeserializeMiddlewareFunc("Watched", func(
			ctx context.Context, in middleware.DeserializeInput, next middleware.DeserializeHandler,
		) (middleware.DeserializeOutput, middleware.Metadata, error) {
			began := time.Now()
			out, metadata, err := next.HandleDeserialize(ctx, in)
			tell(Call{awsmiddleware.GetServiceID(ctx), awsmiddleware.GetOperationName(ctx), outcome(out, err), time.Since(began)})
			return out, metadata, err
		}), middleware.Before)
	}
}

func outcome(out middleware.DeserializeOutput, err error) Outcome {
	if err == nil {
		return Done
	}
	var api smithy.APIError
	if errors.As(err, &api) {
		if _, yes := retry.DefaultThrottleErrorCodes[api.ErrorCode()]; yes {
			return Throttled
		}
	}
	r, answered := out.RawResponse.(*smithyhttp.Response)
	switch {
	case !answered || r == nil || r.Response == nil || r.StatusCode == 0: // smithy-go makes an empty one where there was none
		return Silent
	case r.StatusCode == http.StatusTooManyRequests:
		return Throttled
	case r.StatusCode >= 400 && r.StatusCode < 500:
		return Refused
	}
	return Broken
}
