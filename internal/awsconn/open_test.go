package awsconn

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/aws/aws-sdk-go-v2/aws"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

func TestSettingsThatDoNotSayWhereAndAsWhomAreRefused(t *testing.T) {
	file, container := Credentials{File: "f"}, &Container{URI: "http://127.0.0.1:1"}
	web := &WebIdentity{TokenFile: "t", Role: "arn:aws:iam::1:role/x"}
	for _, c := range []struct {
		name     string
		settings Settings
		says     string // nothing: it is opened
	}{
		{"all that is needed", Settings{Region: "us-east-1", Credentials: file}, ""},
		{"everything", Settings{Region: "us-east-1", Endpoint: "https://aws.test", Proxy: "http://proxy.test:3128", Credentials: Credentials{File: "f", Role: "r", RoleSession: "s"}}, ""},
		{"no Region", Settings{Credentials: file}, "no AWS Region is set"},
		{"an endpoint without a scheme", Settings{Region: "us-east-1", Endpoint: "aws.test:80", Credentials: file}, `the AWS endpoint "aws.test:80" is not`},
		{"an endpoint without a host", Settings{Region: "us-east-1", Endpoint: "http://", Credentials: file}, `the AWS endpoint "http://" is not`},
		{"an endpoint of another scheme", Settings{Region: "us-east-1", Endpoint: "ftp://aws.test", Credentials: file}, `the AWS endpoint "ftp://aws.test" is not`},
		{"an endpoint that cannot be read", Settings{Region: "us-east-1", Endpoint: "http://%zz", Credentials: file}, `is not an http or https URL`},
		{"a proxy that is no URL", Settings{Region: "us-east-1", Proxy: "user:MARKER@proxy", Credentials: file}, "the proxy is not a URL"},
		{"a proxy that cannot be read", Settings{Region: "us-east-1", Proxy: "http://user:MARKER%zz@proxy", Credentials: file}, "the proxy is not a URL"},
		{"no source", Settings{Region: "us-east-1"}, "0 sources of AWS credentials are set; it takes exactly one"},
		{"only a role", Settings{Region: "us-east-1", Credentials: Credentials{Role: "arn:aws:iam::1:role/x"}}, "0 sources"},
		{"a file and an instance", Settings{Region: "us-east-1", Credentials: Credentials{File: "f", Instance: true}}, "2 sources"},
		{"all of them", Settings{Region: "us-east-1", Credentials: Credentials{File: "f", Instance: true, Container: container, WebIdentity: web}}, "4 sources"},
		{"an instance", Settings{Region: "us-east-1", Credentials: Credentials{Instance: true}}, ""},
		{"a container", Settings{Region: "us-east-1", Credentials: Credentials{Container: container}}, ""},
		{"a token", Settings{Region: "us-east-1", Credentials: Credentials{WebIdentity: web}}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := Open(c.settings); c.says != "" {
				wantError(t, err, c.says)
			} else if err != nil {
				t.Error(err)
			}
		})
	}
}

func TestARedirectIsAnAnswerAndNotFollowed(t *testing.T) {
	e := listen(t)
	elsewhere := httptest.NewServer(http.RedirectHandler(e.URL, http.StatusTemporaryRedirect))
	defer elsewhere.Close()
	c := open(t, Settings{Endpoint: elsewhere.URL, Credentials: Credentials{File: write(t, "keys", key("AKIA", ""), 0o600)}})
	err := whoAmI(t.Context(), c)
	var answer *smithyhttp.ResponseError
	if !errors.As(err, &answer) || answer.HTTPStatusCode() != http.StatusTemporaryRedirect || len(e.heard) > 0 {
		t.Errorf("%v; elsewhere was heard %+v", err, e.heard)
	}
}

// stubborn is a request's body as smithy-go makes it: once the answer has begun it is closed, and its WriteTo fails.
type stubborn struct{ io.Reader }

func (stubborn) Close() error                     { return nil }
func (stubborn) WriteTo(io.Writer) (int64, error) { return 0, io.EOF }

func TestAnAnswerIsReadToItsEndThoughTheSDKClosesTheRequest(t *testing.T) {
	const long = 1 << 20
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, strings.Repeat("x", long))
	}))
	defer server.Close()
	c := open(t, Settings{Credentials: Credentials{File: "f"}})
	for range 20 {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL, stubborn{strings.NewReader("hello")})
		if err != nil {
			t.Fatal(err)
		}
		r.ContentLength = 5
		answer, err := c.HTTPClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(answer.Body)
		answer.Body.Close()
		if err != nil || len(text) != long {
			t.Fatalf("%d characters were read: %v", len(text), err)
		}
	}
}

func TestOnlyReadingClientsTryAgain(t *testing.T) {
	for name, c := range map[string]struct {
		config func(aws.Config) aws.Config
		calls  int64
		ok     bool
	}{
		"as it was opened": {func(c aws.Config) aws.Config { return c }, 1, false},
		"reading":          {Reading, 4, true},
	} {
		t.Run(name, func(t *testing.T) {
			file := write(t, "keys", key("AKIA", ""), 0o600)
			synctest.Test(t, func(t *testing.T) {
				config := open(t, Settings{Credentials: Credentials{File: file}})
				var calls atomic.Int64
				config.HTTPClient = smithyhttp.ClientDoFunc(func(r *http.Request) (*http.Response, error) {
					status, text := 400, "<ErrorResponse><Error><Code>Throttling</Code><Message>Rate exceeded</Message></Error></ErrorResponse>"
					if calls.Add(1) > 3 {
						status, text = 200, "<GetCallerIdentityResponse><GetCallerIdentityResult/></GetCallerIdentityResponse>"
					}
					return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(text)), Request: r}, nil
				})
				changed := c.config(config)
				err := whoAmI(t.Context(), changed)
				if (err == nil) != c.ok || calls.Load() != c.calls {
					t.Errorf("%d calls: %v", calls.Load(), err)
				}
				if _, ok := config.Retryer().(aws.NopRetryer); !ok {
					t.Error("the configuration that was opened has changed")
				}
			})
		})
	}
}

func TestACallEndsWithItsCallersTime(t *testing.T) {
	waiting := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		close(waiting)
		<-r.Context().Done()
	}))
	defer server.Close()
	c := open(t, Settings{Endpoint: server.URL, Credentials: Credentials{File: write(t, "keys", key("AKIA", ""), 0o600)}})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-waiting
		cancel()
	}()
	if err := whoAmI(ctx, c); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
