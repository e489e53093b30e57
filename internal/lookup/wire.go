package lookup

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"mime"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	maxAnswer = 1 << 20     // bytes, after unpacking
	maxSecret = 64 << 10    // bytes of a file
	maxPause  = time.Minute // that a service may ask for with Retry-After
)

// silence is why a service could not say, in words for people that go on from its name: "did not answer within 5s". It holds
// nothing of a token and no address.
type silence string

func (s silence) Error() string { return string(s) }

func silent(format string, args ...any) error { return silence(fmt.Sprintf(format, args...)) }

// wire is the way to one service, with the credentials for it.
type wire struct {
	client     *http.Client
	now        func() time.Time
	user       string // for basic authentication; without it, the secret is sent after scheme
	scheme     string
	secretFile string // none: nothing is sent
	mu         sync.Mutex
	pausedTill time.Time // the service has asked for quiet until then
}

func newWire(client *http.Client, now func() time.Time, user, secretFile string) *wire {
	return &wire{client: client, now: now, user: user, scheme: "Bearer ", secretFile: secretFile}
}

// httpClient makes the client for all services: nothing about it comes from the environment.
func httpClient(proxy string) (*http.Client, error) {
	t := &http.Transport{
		DialContext: (&net.Dialer{Timeout: callTimeout}).DialContext, TLSHandshakeTimeout: callTimeout, ForceAttemptHTTP2: true,
		TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12}, MaxResponseHeaderBytes: 64 << 10,
		MaxIdleConns: 32, MaxIdleConnsPerHost: 8, IdleConnTimeout: 90 * time.Second,
	}
	if proxy != "" {
		u, err := url.Parse(proxy)
		if err != nil || u.Host == "" {
			return nil, errors.New("the proxy is not a URL")
		}
		t.Proxy = http.ProxyURL(u)
	}
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &http.Client{Transport: t, CheckRedirect: stay}, nil
}

// reply is an answer in JSON: 200, or 404 where the service itself says that there is no such thing.
type reply struct {
	found  bool
	header http.Header
	body   []byte
}

// get asks with a GET.
func (w *wire) get(ctx context.Context, address string, query url.Values, accept string) (reply, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address+"?"+query.Encode(), nil)
	if err != nil {
		return reply{}, silent("cannot be asked: its URL is not right")
	}
	r.Header.Set("Accept", accept)
	return w.do(r)
}

// do sends a request and reads the answer. The error is a [silence].
func (w *wire) do(r *http.Request) (reply, error) {
	if err := w.quiet(); err != nil {
		return reply{}, err
	}
	if err := w.sign(r); err != nil {
		return reply{}, err
	}
	r.Header.Set("User-Agent", "sparekey")
	answer, err := w.client.Do(r)
	if err != nil {
		return reply{}, unreached(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK && answer.StatusCode != http.StatusNotFound {
		return reply{}, w.refused(answer)
	}
	if kind, _, err := mime.ParseMediaType(answer.Header.Get("Content-Type")); err != nil || !isJSON(kind) {
		if answer.StatusCode == http.StatusNotFound {
			return reply{}, silent("answered 404 and not in JSON; is its URL right?")
		}
		return reply{}, silent("answered with something that is not JSON")
	}
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer+1))
	if err != nil {
		return reply{}, unreached(err)
	}
	if len(body) > maxAnswer {
		return reply{}, silent("answered with more than %d bytes", maxAnswer)
	}
	return reply{found: answer.StatusCode == http.StatusOK, header: answer.Header, body: body}, nil
}

func isJSON(kind string) bool {
	return kind == "application/json" || strings.HasPrefix(kind, "application/") && strings.HasSuffix(kind, "+json")
}

// sign puts the credentials into the header.
func (w *wire) sign(r *http.Request) error {
	if w.secretFile == "" {
		return nil
	}
	secret, err := readSecret(w.secretFile)
	if err != nil {
		return err
	}
	if w.user != "" {
		r.Header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(w.user+":"+secret)))
		return nil
	}
	if strings.ContainsFunc(secret, func(c rune) bool { return c <= ' ' || c > '~' }) {
		return silent("cannot be asked: its token file holds more than one word of plain letters")
	}
	r.Header.Set("Authorization", w.scheme+secret)
	return nil
}

// readSecret reads a secret. It is read anew for each call, so that it can be rotated under a running server.
func readSecret(file string) (string, error) {
	f, err := os.Open(file)
	if err != nil {
		return "", unread(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", unread(err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return "", silent("cannot be asked: others than its owner may read the file with its secret; chmod 600 mends it")
	}
	text, err := io.ReadAll(io.LimitReader(f, maxSecret+1))
	if err != nil {
		return "", unread(err)
	}
	secret := strings.TrimSpace(string(text))
	if secret == "" || len(text) > maxSecret {
		return "", silent("cannot be asked: the file with its secret is empty or too long")
	}
	return secret, nil
}

func unread(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		err = path.Err // without the path, which is the operators' business
	}
	return silent("cannot be asked: the file with its secret cannot be read (%v)", err)
}

// unreached says why there was no answer, without the address that net/http puts into its errors.
func unreached(err error) error {
	var network net.Error
	var name *net.DNSError
	var errno syscall.Errno
	var certificate *tls.CertificateVerificationError
	var unknown x509.UnknownAuthorityError
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &network) && network.Timeout():
		return silent("did not answer in time")
	case errors.As(err, &certificate), errors.As(err, &unknown):
		return silent("cannot be reached: its certificate is not trusted")
	case errors.As(err, &name):
		return silent("cannot be reached: its name is not known")
	case errors.As(err, &errno):
		return silent("cannot be reached: %v", errno)
	}
	return silent("cannot be reached, or broke off")
}

// refused says why an answer is none.
func (w *wire) refused(answer *http.Response) error {
	code := answer.StatusCode
	switch {
	case code == http.StatusUnauthorized:
		return silent("refused the credentials (401)")
	case code == http.StatusForbidden:
		return silent("does not let these credentials read (403)")
	case code == http.StatusTooManyRequests || code == http.StatusServiceUnavailable:
		if till := w.pause(answer.Header.Get("Retry-After")); !till.IsZero() {
			return quietTill(till)
		}
		if code == http.StatusTooManyRequests {
			return silent("takes no more calls for now (429)")
		}
	case code >= 300 && code < 400:
		return silent("answered with a redirect (%d), which is not followed", code)
	}
	return silent("answered with status %d", code)
}

// pause remembers how long the service wants to be left alone: seconds or a date (RFC 9110, section 10.2.3).
func (w *wire) pause(after string) time.Time {
	now := w.now()
	var d time.Duration
	if seconds, err := strconv.Atoi(after); err == nil {
		d = time.Duration(min(seconds, 3600)) * time.Second
	} else if date, err := http.ParseTime(after); err == nil {
		d = date.Sub(now)
	}
	if d <= 0 {
		return time.Time{}
	}
	till := now.Add(min(d, maxPause))
	w.mu.Lock()
	defer w.mu.Unlock()
	w.pausedTill = till
	return till
}

// quiet is an error while the service wants to be left alone.
func (w *wire) quiet() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.now().Before(w.pausedTill) {
		return quietTill(w.pausedTill)
	}
	return nil
}

func quietTill(till time.Time) error {
	return silent("wants no calls before %s", till.UTC().Format("15:04:05 UTC"))
}
