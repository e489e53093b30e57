package sigv4

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	isoBasic = "20060102T150405Z"
	// Skew is how far the date of a signature may be from the service's clock.
	Skew = 5 * time.Minute
)

// Key is the secret half of an access key.
type Key struct {
	Secret       string
	SessionToken string    // empty for a long-term key
	Expires      time.Time // zero for a long-term key
}

// Service says what a service demands of a signature, and what it knows.
type Service struct {
	Name  string // of the scope
	Key   func(accessKeyID string) (Key, bool)
	Valid func(region string) bool
	Now   time.Time // of the service: keys expire by it
	Spans []Span    // the signature's date must be near Now, or in or near one of these
}

// Span is a stretch of time.
type Span struct{ From, To time.Time }

// Verify checks the signature of a request for "/" whose body has been read. It returns the access key that signed, as soon
// as that is known, also beside an error. The error is a [*Problem].
func (s Service) Verify(r *http.Request, body []byte) (accessKeyID string, err error) {
	headers := r.Header.Values("Authorization")
	switch len(headers) {
	case 0:
		return "", &Problem{Missing, "Missing Authentication Token"}
	case 1:
	default:
		return "", incomplete("Request contains %d Authorization headers; one is expected.", len(headers))
	}
	a, err := ParseAuthorization(headers[0])
	if err != nil {
		return "", err
	}
	if err := s.checkScope(a); err != nil {
		return a.AccessKeyID, err
	}
	date, err := s.checkHeaders(r, a)
	if err != nil {
		return a.AccessKeyID, err
	}
	key, ok := s.Key(a.AccessKeyID)
	token := r.Header.Get("X-Amz-Security-Token")
	if !ok || subtle.ConstantTimeCompare([]byte(token), []byte(key.SessionToken)) != 1 {
		return a.AccessKeyID, &Problem{UnknownKey, "The security token included in the request is invalid."}
	}
	if !key.Expires.IsZero() && !s.Now.Before(key.Expires) {
		return a.AccessKeyID, &Problem{Expired, "The security token included in the request is expired"}
	}
	payload := hash(body)
	canonical, err := canonicalRequest(r, a.SignedHeaders, payload)
	if err != nil {
		return a.AccessKeyID, err
	}
	claimed := r.Header.Get("X-Amz-Content-Sha256")
	if !hmac.Equal(a.Signature, signature(key.Secret, a.Scope, date, canonical)) || claimed != "" && claimed != payload {
		return a.AccessKeyID, mismatch("The request signature we calculated does not match the signature you provided. " +
			"Check your AWS Secret Access Key and signing method. Consult the service documentation for details.")
	}
	return a.AccessKeyID, nil
}

func (s Service) checkScope(a Authorization) error {
	switch {
	case a.Terminator != "aws4_request":
		return mismatch("Credential should be scoped with a valid terminator: 'aws4_request', not '%s'.", clip(a.Terminator))
	case a.Service != s.Name:
		return mismatch("Credential should be scoped to correct service: '%s'.", s.Name)
	case !s.Valid(a.Region):
		return mismatch("Credential should be scoped to a valid region, not '%s'.", clip(a.Region))
	}
	return nil
}

// checkHeaders checks which headers are signed, and the date, which it returns as it is written.
func (s Service) checkHeaders(r *http.Request, a Authorization) (string, error) {
	if !slices.Contains(a.SignedHeaders, "host") {
		return "", mismatch("'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.")
	}
	dates := r.Header.Values("X-Amz-Date")
	if len(dates) == 0 {
		return "", incomplete("Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.")
	}
	for name, values := range r.Header {
		name = strings.ToLower(name)
		if !strings.HasPrefix(name, "x-amz-") {
			continue
		}
		if !slices.Contains(a.SignedHeaders, name) {
			return "", mismatch("'%s' must be a 'SignedHeader' in the AWS Authorization.", clip(name))
		}
		if len(values) > 1 {
			return "", incomplete("Request contains %d '%s' headers; one is expected.", len(values), clip(name))
		}
	}
	at, err := time.Parse(isoBasic, dates[0])
	if err != nil {
		return "", incomplete("Date must be in ISO-8601 'basic format'. Got '%s'. See http://en.wikipedia.org/wiki/ISO_8601", clip(dates[0]))
	}
	if day := dates[0][:8]; day != a.Date {
		return "", mismatch("Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '%s' != '%s', from '%s'.", clip(a.Date), day, dates[0])
	}
	return dates[0], s.checkSkew(at)
}

func (s Service) checkSkew(at time.Time) error {
	for _, span := range append(s.Spans, Span{s.Now, s.Now}) {
		if !at.Before(span.From.Add(-Skew)) && !at.After(span.To.Add(Skew)) {
			return nil
		}
	}
	now := s.Now
	stamp := func(t time.Time) string { return t.UTC().Format(isoBasic) }
	if at.Before(now) {
		return mismatch("Signature expired: %s is now earlier than %s (%s - 5 min.)", stamp(at), stamp(now.Add(-Skew)), stamp(now))
	}
	return mismatch("Signature not yet current: %s is still later than %s (%s + 5 min.)", stamp(at), stamp(now.Add(Skew)), stamp(now))
}

func canonicalRequest(r *http.Request, signed []string, payload string) (string, error) {
	query, err := canonicalQuery(r.URL.RawQuery)
	if err != nil {
		return "", err
	}
	signed = slices.Sorted(slices.Values(signed))
	var b strings.Builder
	b.WriteString(r.Method + "\n/\n" + query + "\n")
	for _, name := range signed {
		b.WriteString(name + ":" + headerValue(r, name) + "\n")
	}
	b.WriteString("\n" + strings.Join(signed, ";") + "\n" + payload)
	return b.String(), nil
}

// headerValue returns a header as it is signed. Go keeps two of them elsewhere than among the headers.
func headerValue(r *http.Request, name string) string {
	values := r.Header.Values(name)
	switch {
	case name == "host":
		values = []string{r.Host}
	case name == "content-length" && len(values) == 0 && r.ContentLength >= 0:
		values = []string{strconv.FormatInt(r.ContentLength, 10)}
	}
	folded := make([]string, len(values))
	for i, v := range values {
		folded[i] = strings.Join(strings.FieldsFunc(v, func(r rune) bool { return r == ' ' }), " ")
	}
	return strings.Join(folded, ",")
}

func canonicalQuery(raw string) (string, error) {
	if raw == "" {
		return "", nil
	}
	var pairs [][2]string
	for part := range strings.SplitSeq(raw, "&") {
		key, value, _ := strings.Cut(part, "=")
		k, err := url.PathUnescape(key)
		if err != nil {
			return "", incomplete("The query string contains a malformed escape.")
		}
		v, err := url.PathUnescape(value)
		if err != nil {
			return "", incomplete("The query string contains a malformed escape.")
		}
		pairs = append(pairs, [2]string{escape(k), escape(v)})
	}
	slices.SortFunc(pairs, func(a, b [2]string) int { return slices.Compare(a[:], b[:]) })
	texts := make([]string, len(pairs))
	for i, p := range pairs {
		texts[i] = p[0] + "=" + p[1]
	}
	return strings.Join(texts, "&"), nil
}

// escape writes everything but the unreserved characters of RFC 3986 as %XX, which no function of net/url does.
func escape(text string) string {
	const unreserved = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~"
	const digits = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(text) {
		c := text[i]
		if strings.IndexByte(unreserved, c) >= 0 {
			b.WriteByte(c)
		} else {
			b.Write([]byte{'%', digits[c>>4], digits[c&15]})
		}
	}
	return b.String()
}

func signature(secret string, scope Scope, date, canonical string) []byte {
	key := []byte("AWS4" + secret)
	for _, part := range []string{scope.Date, scope.Region, scope.Service, scope.Terminator} {
		key = sum(key, part)
	}
	return sum(key, algorithm+"\n"+date+"\n"+scope.String()+"\n"+hash([]byte(canonical)))
}

func hash(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

func sum(key []byte, text string) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(text))
	return mac.Sum(nil)
}
