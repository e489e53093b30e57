package aws

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"sparekey/access"
	"sparekey/org"
)

// TestACodeIsBelievedOnlyOfARefusal goes through all codes and all statuses.
func TestACodeIsBelievedOnlyOfARefusal(t *testing.T) {
	for code, kind := range codes {
		for status := range 600 {
			err := told("doing it", &smithyhttp.ResponseError{
				Response: &smithyhttp.Response{Response: &http.Response{StatusCode: status}}, Err: &smithy.GenericAPIError{Code: code, Message: words},
			})
			want := access.ErrLost
			if status >= 400 && status < 500 {
				want = kind
			}
			if !errors.Is(err, want) || want != access.ErrLost && errors.Is(err, access.ErrLost) {
				t.Fatalf("HTTP %d, %s: %v", status, code, err)
			}
		}
		if err := told("doing it", &smithy.GenericAPIError{Code: code}); !errors.Is(err, access.ErrLost) {
			t.Errorf("%s, from nobody knows where: %v", code, err)
		}
	}
	if err := told("doing it", nil); err != nil {
		t.Errorf("nothing went wrong: %v", err)
	}
}

// TestEveryCodeOfAWSMeansSomething keeps the table from losing what the operations called here may answer.
func TestEveryCodeOfAWSMeansSomething(t *testing.T) {
	for kind, all := range map[error][]string{
		access.ErrThrottled: {"ThrottlingException", "Throttling", "TooManyRequestsException", "RequestLimitExceeded"},
		access.ErrConflict:  {"ConflictException", "ConcurrentModificationException", "PolicyChangesInProgressException"},
		access.ErrDenied:    {"AccessDeniedException", "AccessDenied", "RegionDisabledException"},
		access.ErrRejected:  {"ValidationException", "ValidationError", "InvalidInputException", "ServiceQuotaExceededException", "MalformedPolicyDocument", "PackedPolicyTooLarge", "MalformedPolicyDocumentException", "ConstraintViolationException"},
		access.ErrMissing:   {"ResourceNotFoundException", "AccountNotFoundException", "PolicyNotFoundException"},
		access.ErrNotAsked: {
			"UnrecognizedClientException", "InvalidClientTokenId", "InvalidSignatureException", "SignatureDoesNotMatch", "IncompleteSignature",
			"IncompleteSignatureException", "MissingAuthenticationToken", "MissingAuthenticationTokenException", "ExpiredToken", "ExpiredTokenException",
			"RequestExpired", "OptInRequired",
		},
		access.ErrLost: {"InternalServerException", "InternalFailure", "ServiceUnavailable", "ServiceException", "UnknownError", "", "SomethingNew"},
	} {
		for _, code := range all {
			err := told("doing it", &smithyhttp.ResponseError{
				Response: &smithyhttp.Response{Response: &http.Response{StatusCode: 400}}, Err: &smithy.GenericAPIError{Code: code, Message: words},
			})
			wantKind(called{t, code}, err, kind, "doing it: "+kind.Error()+": "+code+": "+words)
		}
	}
}

// FuzzAssignmentsBelieveOnlyWhatAWSSaid lets something answer anything at all.
func FuzzAssignmentsBelieveOnlyWhatAWSSaid(f *testing.F) {
	f.Add(200, "", []byte(`{"AccountAssignmentCreationStatus": {"Status": "SUCCEEDED", "RequestId": "x"}}`))
	f.Add(200, "", []byte(`{"AccountAssignments": [{"PrincipalType": "USER"}], "NextToken": null}`))
	f.Add(200, "", []byte(`[]`))
	f.Add(200, "", []byte(`{"AccountAssignmentCreationStatus": []}`))
	f.Add(400, "ThrottlingException", []byte(`{}`))
	f.Add(500, "com.amazonaws#AccessDeniedException:http://x/", []byte(`{"Message": "no", "code": 7}`))
	f.Add(503, "", []byte(`{"__type": "ValidationException", "message": "a\nb"}`))
	f.Add(302, "ConflictException", []byte(`{"__type": 1}`))
	f.Add(404, "ResourceNotFoundException", []byte(`{"Reason": "KMS_NotFoundException"}`))
	f.Add(100, "", []byte(`null`))
	k := access.Key{Way: access.Assignment, Person: nobodyKnows, Target: org.Target{Account: management, PermissionSet: oneARN + "/ps-1111111111111111"}}
	f.Fuzz(func(t *testing.T, status int, code string, body []byte) {
		if status < 100 || status > 599 {
			return
		}
		calls := 0
		answering := smithyhttp.ClientDoFunc(func(r *http.Request) (*http.Response, error) {
			if calls++; calls > 20 { // the same page again and again
				return nil, io.ErrUnexpectedEOF
			}
			h := http.Header{"X-Amzn-Errortype": {code}}
			return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(bytes.NewReader(body)), Request: r}, nil
		})
		c := aws.Config{Region: "us-east-1", HTTPClient: answering, Credentials: credentials.NewStaticCredentialsProvider("AKIA", "secret", ""),
			Retryer: func() aws.Retryer { return aws.NopRetryer{} }}
		a := NewAssignments(c, NewCenter(c, oneARN, "d-1111111111"))
		seen, err := a.Create(t.Context(), k)
		believable(t, "Create", status, err)
		if err == nil && seen.ID == "" {
			t.Errorf("a create without an id was believed: %+v", seen)
		}
		_, err = a.Assigned(t.Context(), k)
		believable(t, "Assigned", status, err)
	})
}

// believable checks what may be said of a call that got this status.
func believable(t *testing.T, method string, status int, err error) {
	t.Helper()
	said := 0
	for _, kind := range kinds {
		if errors.Is(err, kind) {
			said++
			if kind != access.ErrLost && (status < 400 || status > 499) {
				t.Errorf("%s, HTTP %d: %v", method, status, err)
			}
		}
	}
	if err != nil && said != 1 || err == nil && (status < 200 || status > 299) {
		t.Errorf("%s, HTTP %d, says %d things: %v", method, status, said, err)
	}
}

func TestSessionDurationsAreRead(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"": time.Hour, "PT1H": time.Hour, "PT12H": 12 * time.Hour, "PT1H30M": 90 * time.Minute, "PT90M": 90 * time.Minute, "PT3600S": time.Hour,
		"PT1H0M0.5S": time.Hour + time.Second/2, "PT1H1M1S": time.Hour + time.Minute + time.Second,
		"PT": 0, "1H": 0, "PT1": 0, "PTH": 0, "PT0S": 0, "PT-1H": 0, "PT+1H": 0, "-PT1H": 0, "PT1H1H": 0, "PT1M1H": 0, "PT5MS": 0, "PT5US": 0, "PT5NS": 0,
		"pt1h": 0, "P1D": 0, "PT1.5H": 0, "PT 1H": 0, "PT1H ": 0, "PTPT1H": 0, "PT99999999999H": 0, "3600": 0,
	} {
		got, err := isoDuration(text)
		if got != want || (err == nil) != (want > 0) {
			t.Errorf("%q is %s: %v", text, got, err)
		}
	}
}

// FuzzIsoDuration reads durations a second time, by hand.
func FuzzIsoDuration(f *testing.F) {
	for _, text := range []string{"PT1H", "PT1H30M", "PT0.25S", "PT5MS", "PT-1H", "PT1H1H", "P1D", ""} {
		f.Add(text)
	}
	form := regexp.MustCompile(`^PT(?:([0-9]+)H)?(?:([0-9]+)M)?(?:([0-9]+(?:\.[0-9]+)?)S)?$`)
	f.Fuzz(func(t *testing.T, text string) {
		got, err := isoDuration(text)
		if err != nil {
			if !strings.Contains(err.Error(), fmt.Sprintf("%q", text)) {
				t.Errorf("the error does not name %q: %v", text, err)
			}
			return
		}
		if text == "" && got == time.Hour {
			return
		}
		m := form.FindStringSubmatch(text)
		if m == nil || got <= 0 {
			t.Fatalf("%q was read as %s", text, got)
		}
		var seconds float64
		for i, unit := range []float64{3600, 60, 1} {
			n, _ := strconv.ParseFloat(m[i+1], 64)
			seconds += n * unit
		}
		if diff := got.Seconds() - seconds; diff > 1e-6*seconds || diff < -1e-6*seconds-1e-9 {
			t.Errorf("%q is %s, but %f seconds", text, got, seconds)
		}
	})
}
