package awsconn

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/credentials/ec2rolecreds"
	"github.com/aws/aws-sdk-go-v2/credentials/endpointcreds"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/feature/ec2/imds"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"
)

// Settings say where AWS is and as whom it is called.
type Settings struct {
	Region      string      // required
	Endpoint    string      // instead of AWS's own, for every service; for the sandbox and other emulators
	Proxy       string      // an HTTP proxy; none by default, whatever the environment says
	Credentials Credentials // required
	Skew        *Skew       // is told the Date of every answer; nil: nobody is
	Watch       func(Call)  // is told every call that was sent, if set; it returns at once
}

// Credentials say where credentials come from. Exactly one source is set; Role is assumed with what it gives.
type Credentials struct {
	File        string       // a JSON file with accessKeyId, secretAccessKey and perhaps sessionToken, readable by its owner only
	Instance    bool         // the EC2 instance's role
	Container   *Container   // the role of an ECS task or an EKS pod
	WebIdentity *WebIdentity // a token in a file, exchanged at STS
	Role        string       // ARN of a role to assume with the above
	RoleSession string       // the session's name; "sparekey" by default
}

// Container is the credentials endpoint of a container: what ECS and EKS put into AWS_CONTAINER_CREDENTIALS_FULL_URI and
// AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE. Whoever starts the program reads them, since this package reads no environment.
type Container struct {
	URI       string
	TokenFile string
}

// WebIdentity is a token for a role, as EKS mounts it into a pod.
type WebIdentity struct {
	TokenFile string
	Role      string
}

const (
	dialTimeout = 5 * time.Second
	callTimeout = 30 * time.Second // of one HTTP exchange; callers set shorter ones
)

// Open makes the configuration from which the clients of all services are made. Clients made of it do not retry: [Reading]
// makes a copy for calls that change nothing.
func Open(s Settings) (aws.Config, error) {
	if s.Region == "" {
		return aws.Config{}, errors.New("no AWS Region is set")
	}
	client, err := httpClient(s.Proxy)
	if err != nil {
		return aws.Config{}, err
	}
	if s.Skew != nil {
		client.Transport = dated{client.Transport, s.Skew}
	}
	c := aws.Config{
		Region: s.Region, HTTPClient: client, Retryer: func() aws.Retryer { return aws.NopRetryer{} }, DefaultsMode: aws.DefaultsModeStandard,
		RequestChecksumCalculation: aws.RequestChecksumCalculationWhenRequired, ResponseChecksumValidation: aws.ResponseChecksumValidationWhenRequired,
	}
	if s.Endpoint != "" {
		if u, err := url.Parse(s.Endpoint); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return aws.Config{}, fmt.Errorf("the AWS endpoint %q is not an http or https URL", s.Endpoint)
		}
		c.BaseEndpoint = aws.String(s.Endpoint)
	}
	if s.Watch != nil {
		c.APIOptions = append(c.APIOptions, telling(s.Watch))
	}
	direct, err := httpClient("")
	if err != nil {
		return aws.Config{}, err
	}
	provider, err := s.Credentials.open(c, direct)
	if err != nil {
		return aws.Config{}, err
	}
	c.Credentials = named{provider}
	return c, nil
}

// ErrCredentials is wrapped by the error of every call that was not made because there are no credentials to make it with.
var ErrCredentials = errors.New("no AWS credentials")

// named says in its errors that it was the credentials that were not there.
type named struct{ aws.CredentialsProvider }

func (n named) Retrieve(ctx context.Context) (aws.Credentials, error) {
	c, err := n.CredentialsProvider.Retrieve(ctx)
	if err == nil {
		return c, nil
	}
	var api smithy.APIError
	if errors.As(err, &api) { // the first line only: after it, a refused signature quotes the session token
		words, _, _ := strings.Cut(api.ErrorMessage(), "\n")
		err = fmt.Errorf("%s: %s", api.ErrorCode(), words)
	}
	return c, fmt.Errorf("%w: %w", ErrCredentials, err)
}

// cached keeps credentials until shortly before they expire.
func cached(p aws.CredentialsProvider) aws.CredentialsProvider {
	return aws.NewCredentialsCache(p, func(o *aws.CredentialsCacheOptions) { o.ExpiryWindow, o.ExpiryWindowJitterFrac = 5*time.Minute, 0.5 })
}

// Reading returns the configuration for calls that change nothing: those are tried again when AWS throttles or stumbles.
func Reading(c aws.Config) aws.Config {
	// Not the adaptive mode: it slows every later call of the client down after a throttle, also those that somebody waits for.
	c.Retryer = func() aws.Retryer {
		return retry.NewStandard(func(o *retry.StandardOptions) { o.MaxAttempts, o.MaxBackoff = 8, 20*time.Second })
	}
	return c
}

// plain gives net/http request bodies without WriteTo. smithy-go closes a body as soon as the answer begins, and from then on
// its WriteTo says EOF, which net/http takes for a failed write: it closes the connection under the answer that is being read
// (aws-sdk-go-v2 issue 2737). That answer would be lost.
type plain struct{ *http.Client }

func (p plain) Do(r *http.Request) (*http.Response, error) {
	if r.Body != nil && r.Body != http.NoBody {
		r.Body = struct{ io.ReadCloser }{r.Body}
	}
	return p.Client.Do(r)
}

func httpClient(proxy string) (plain, error) {
	t := &http.Transport{
		DialContext: (&net.Dialer{Timeout: dialTimeout}).DialContext, TLSHandshakeTimeout: dialTimeout, ForceAttemptHTTP2: true,
		MaxIdleConns: 64, MaxIdleConnsPerHost: 32, IdleConnTimeout: 90 * time.Second,
	}
	if proxy != "" {
		u, err := url.Parse(proxy)
		if err != nil || u.Host == "" {
			return plain{}, errors.New("the proxy is not a URL")
		}
		t.Proxy = http.ProxyURL(u)
	}
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return plain{&http.Client{Transport: t, Timeout: callTimeout, CheckRedirect: stay}}, nil
}

// open makes the source of credentials. What belongs to this machine is asked for directly: a proxy would answer with its own.
func (c Credentials) open(config aws.Config, direct aws.HTTPClient) (aws.CredentialsProvider, error) {
	var sources []aws.CredentialsProvider
	if c.File != "" {
		sources = append(sources, aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return readKeys(c.File) }))
	}
	if c.Instance {
		// What is left out here, the SDK takes from the environment.
		metadata := imds.New(imds.Options{HTTPClient: direct, Endpoint: "http://169.254.169.254", ClientEnableState: imds.ClientEnabled})
		sources = append(sources, cached(ec2rolecreds.New(func(o *ec2rolecreds.Options) { o.Client = metadata })))
	}
	if c.Container != nil {
		sources = append(sources, cached(endpointcreds.New(c.Container.URI, func(o *endpointcreds.Options) {
			o.HTTPClient = direct
			if c.Container.TokenFile != "" {
				o.AuthorizationTokenProvider = endpointcreds.TokenProviderFunc(func() (string, error) { return readSmall(c.Container.TokenFile) })
			}
		})))
	}
	if c.WebIdentity != nil {
		anonymous := config
		anonymous.Credentials = aws.AnonymousCredentials{}
		sources = append(sources, cached(stscreds.NewWebIdentityRoleProvider(sts.NewFromConfig(anonymous), c.WebIdentity.Role, stscreds.IdentityTokenFile(c.WebIdentity.TokenFile),
			func(o *stscreds.WebIdentityRoleOptions) { o.RoleSessionName = c.session() })))
	}
	if len(sources) != 1 {
		return nil, fmt.Errorf("%d sources of AWS credentials are set; it takes exactly one", len(sources))
	}
	if c.Role == "" {
		return sources[0], nil
	}
	config.Credentials = sources[0]
	return cached(stscreds.NewAssumeRoleProvider(sts.NewFromConfig(config), c.Role, func(o *stscreds.AssumeRoleOptions) { o.RoleSessionName = c.session() })), nil
}

func (c Credentials) session() string {
	if c.RoleSession == "" {
		return "sparekey"
	}
	return c.RoleSession
}

// readKeys reads an access key. It is read anew for each call, so that a key can be rotated under a running server.
func readKeys(file string) (aws.Credentials, error) {
	info, err := os.Stat(file)
	if err != nil {
		return aws.Credentials{}, fmt.Errorf("reading AWS credentials: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return aws.Credentials{}, fmt.Errorf("others than its owner may read the AWS credentials in %s; chmod 600 mends it", file)
	}
	text, err := readSmall(file)
	if err != nil {
		return aws.Credentials{}, fmt.Errorf("reading AWS credentials: %w", err)
	}
	var keys struct{ AccessKeyID, SecretAccessKey, SessionToken string }
	if err := json.Unmarshal([]byte(text), &keys); err != nil || keys.AccessKeyID == "" || keys.SecretAccessKey == "" {
		return aws.Credentials{}, fmt.Errorf("%s does not hold accessKeyId and secretAccessKey as JSON", file) // not the error: it may quote the secret
	}
	return credentials.NewStaticCredentialsProvider(keys.AccessKeyID, keys.SecretAccessKey, keys.SessionToken).Value, nil
}

func readSmall(file string) (string, error) {
	f, err := os.Open(file)
	if err != nil {
		return "", err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, 64<<10))
	return string(text), err
}
