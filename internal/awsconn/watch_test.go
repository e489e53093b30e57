package awsconn

import (
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/ssoadmin"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// TestEveryCallIsToldWithItsOutcome lets AWS answer in every way. Each try of a call that is tried again is told.
func TestEveryCallIsToldWithItsOutcome(t *testing.T) {
	answer := func(status int, code string) func() (*http.Response, error) {
		return func() (*http.Response, error) {
			return &http.Response{StatusCode: status, Header: http.Header{"X-Amzn-Errortype": {code}}, Body: io.NopCloser(strings.NewReader("{}"))}, nil
		}
	}
	file := filepath.Join(t.TempDir(), "key.json")
	if err := os.WriteFile(file, []byte(`{"accessKeyId":"AKIAEXAMPLE","secretAccessKey":"x"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name    string
		answers []func() (*http.Response, error)
		want    []Outcome
	}{
		{"yes", []func() (*http.Response, error){answer(200, "")}, []Outcome{Done}},
		{"no", []func() (*http.Response, error){answer(400, "AccessDeniedException")}, []Outcome{Refused}},
		{"throttled by name, then by status", []func() (*http.Response, error){answer(400, "ThrottlingException"), answer(429, "Odd")}, []Outcome{Throttled, Throttled}},
		{"broken, then yes", []func() (*http.Response, error){answer(500, "InternalServerException"), answer(200, "")}, []Outcome{Broken, Done}},
		{"silent, then yes", []func() (*http.Response, error){func() (*http.Response, error) { return nil, errors.New("reset") }, answer(200, "")}, []Outcome{Silent, Done}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var told []Outcome
			config, err := Open(Settings{Region: "us-east-1", Credentials: Credentials{File: file}, Watch: func(call Call) {
				if call.Service != "SSO Admin" || call.Operation != "ListInstances" || call.Took < 0 {
					t.Errorf("%+v", call)
				}
				told = append(told, call.Outcome)
			}})
			if err != nil {
				t.Fatal(err)
			}
			answers := c.answers
			config.HTTPClient = smithyhttp.ClientDoFunc(func(*http.Request) (*http.Response, error) {
				next := answers[0]
				answers = answers[1:]
				return next()
			})
			config.Retryer = func() aws.Retryer {
				return retry.NewStandard(func(o *retry.StandardOptions) {
					o.Backoff = retry.BackoffDelayerFunc(func(int, error) (time.Duration, error) { return 0, nil })
				})
			}
			_, _ = ssoadmin.NewFromConfig(config).ListInstances(t.Context(), &ssoadmin.ListInstancesInput{})
			if !slices.Equal(told, c.want) {
				t.Errorf("told %v, want %v", told, c.want)
			}
		})
	}
}

func TestACallThatIsNeverSentIsNotTold(t *testing.T) {
	config, err := Open(Settings{Region: "us-east-1", Credentials: Credentials{File: filepath.Join(t.TempDir(), "none.json")}, Watch: func(c Call) { t.Errorf("told: %+v", c) }})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ssoadmin.NewFromConfig(config).ListInstances(t.Context(), &ssoadmin.ListInstancesInput{}); !errors.Is(err, ErrCredentials) {
		t.Errorf("%v", err)
	}
}
