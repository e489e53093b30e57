package sigv4

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

var now = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

const (
	longTerm = "AKIAIOSFODNN7EXAMPLE"
	session  = "ASIAIOSFODNN7EXAMPLE"
	old      = "ASIAEXPIREDEXAMPLE00"
)

func service() Service {
	return Service{
		Name: "sso", Now: now, Valid: func(region string) bool { return region == "us-east-1" },
		Key: func(id string) (Key, bool) {
			k, ok := map[string]Key{
				longTerm: {Secret: "secret"}, session: {Secret: "secret", SessionToken: "token", Expires: now.Add(time.Second)},
				old: {Secret: "secret", SessionToken: "token", Expires: now},
			}[id]
			return k, ok
		},
	}
}

// signing is a request before it is signed, and how it is signed.
type signing struct {
	credentials     aws.Credentials
	at              time.Time
	region, service string
	body, query     string
}

func good() signing {
	return signing{aws.Credentials{AccessKeyID: longTerm, SecretAccessKey: "secret"}, now, "us-east-1", "sso", `{"a":1}`, ""}
}

// request signs with the SDK, and lets the request arrive at a server.
func (s signing) request(t testing.TB) *http.Request {
	t.Helper()
	r, err := http.NewRequest("POST", "http://127.0.0.1:1234/"+s.query, strings.NewReader(s.body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-amz-json-1.1")
	r.Header.Set("X-Amz-Target", "SWBExternalService.ListInstances")
	r.Header.Set("X-Amz-Meta-Spaces", "  a   b  ")
	if err := v4.NewSigner().SignHTTP(context.Background(), s.credentials, r, hash([]byte(s.body)), s.service, s.region, s.at); err != nil {
		t.Fatal(err)
	}
	arrived := httptest.NewRequest("POST", "/"+s.query, strings.NewReader(s.body))
	arrived.Host, arrived.Header = "127.0.0.1:1234", r.Header
	return arrived
}

func kind(err error) Kind {
	var p *Problem
	if errors.As(err, &p) {
		return p.Kind
	}
	return 0
}

func TestWhatTheSDKSignsIsGood(t *testing.T) {
	for name, change := range map[string]func(*signing){
		"a long-term key": func(*signing) {},
		"a session": func(s *signing) {
			s.credentials = aws.Credentials{AccessKeyID: session, SecretAccessKey: "secret", SessionToken: "token"}
		},
		"no body":                  func(s *signing) { s.body = "" },
		"a query":                  func(s *signing) { s.query = "?b=2&a=%20x&a=%C3%A4~&c" },
		"five minutes too late":    func(s *signing) { s.at = now.Add(Skew) },
		"five minutes too early":   func(s *signing) { s.at = now.Add(-Skew) },
		"a body of all characters": func(s *signing) { s.body = "\x00\xff\r\n" },
	} {
		t.Run(name, func(t *testing.T) {
			s := good()
			change(&s)
			id, err := service().Verify(s.request(t), []byte(s.body))
			if err != nil || id != s.credentials.AccessKeyID {
				t.Errorf("%q, %v", id, err)
			}
		})
	}
}

func TestEveryWrongSignatureIsRefusedForItsReason(t *testing.T) {
	rewrite := func(old, new string) func(*http.Request) {
		return func(r *http.Request) {
			r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), old, new, 1))
		}
	}
	for _, c := range []struct {
		name  string
		sign  func(*signing)
		alter func(*http.Request)
		want  Kind
		says  string
	}{
		{"another secret", func(s *signing) { s.credentials.SecretAccessKey = "other" }, nil, Mismatch, "does not match"},
		{"another header", nil, func(r *http.Request) { r.Header.Set("X-Amz-Target", "SWBExternalService.DeleteAccountAssignment") }, Mismatch, "does not match"},
		{"a header more", nil, func(r *http.Request) { r.Header.Set("X-Amz-New", "x") }, Mismatch, "'x-amz-new' must be a 'SignedHeader'"},
		{"a header less", nil, func(r *http.Request) { r.Header.Del("X-Amz-Target") }, Mismatch, "does not match"},
		{"another host", nil, func(r *http.Request) { r.Host = "example.com" }, Mismatch, "does not match"},
		{"another method", nil, func(r *http.Request) { r.Method = "PUT" }, Mismatch, "does not match"},
		{"another query", nil, func(r *http.Request) { r.URL.RawQuery = "a=1" }, Mismatch, "does not match"},
		{"a broken query", nil, func(r *http.Request) { r.URL.RawQuery = "a=%zz" }, Incomplete, "malformed escape"},
		{"another payload hash", nil, func(r *http.Request) { r.Header.Set("X-Amz-Content-Sha256", hash(nil)) }, Mismatch, "must be a 'SignedHeader'"},
		{"no host signed", nil, rewrite("host;", ""), Mismatch, "'Host'"},
		{"no date signed", nil, rewrite(";x-amz-date", ""), Mismatch, "'x-amz-date' must be a 'SignedHeader'"},
		{"no date", nil, func(r *http.Request) { r.Header.Del("X-Amz-Date") }, Incomplete, "'X-Amz-Date'"},
		{"two dates", nil, func(r *http.Request) { r.Header.Add("X-Amz-Date", "20261122T120000Z") }, Incomplete, "2 'x-amz-date' headers"},
		{"a broken date", nil, func(r *http.Request) { r.Header.Set("X-Amz-Date", "today") }, Incomplete, "basic format"},
		{"a date of another day", nil, func(r *http.Request) { r.Header.Set("X-Amz-Date", "20261121T120000Z") }, Mismatch, "'20261122' != '20261121'"},
		{"too late", func(s *signing) { s.at = now.Add(Skew + time.Second) }, nil, Mismatch, "Signature not yet current: 20261122T120501Z"},
		{"too early", func(s *signing) { s.at = now.Add(-Skew - time.Second) }, nil, Mismatch, "Signature expired: 20261122T115459Z"},
		{"an unknown key", func(s *signing) { s.credentials.AccessKeyID = "AKIAUNKNOWN" }, nil, UnknownKey, "is invalid"},
		{"a session without its token", func(s *signing) { s.credentials.AccessKeyID = session }, nil, UnknownKey, "is invalid"},
		{"a session with another token", func(s *signing) {
			s.credentials = aws.Credentials{AccessKeyID: session, SecretAccessKey: "secret", SessionToken: "tokeN"}
		}, nil, UnknownKey, "is invalid"},
		{"a long-term key with a token", func(s *signing) { s.credentials.SessionToken = "token" }, nil, UnknownKey, "is invalid"},
		{"an expired session", func(s *signing) {
			s.credentials = aws.Credentials{AccessKeyID: old, SecretAccessKey: "secret", SessionToken: "token"}
		}, nil, Expired, "is expired"},
		{"another service", func(s *signing) { s.service = "identitystore" }, nil, Mismatch, "correct service: 'sso'"},
		{"another Region", func(s *signing) { s.region = "eu-west-1" }, nil, Mismatch, "valid region, not 'eu-west-1'"},
		{"no Region", nil, rewrite("/us-east-1/", "//"), Incomplete, "exactly 5 slash-delimited elements"},
		{"a scope without an end", nil, rewrite("/aws4_request", "/aws5_request"), Mismatch, "valid terminator"},
		{"no signature", nil, func(r *http.Request) { r.Header.Del("Authorization") }, Missing, "Missing Authentication Token"},
		{"two signatures", nil, func(r *http.Request) { r.Header.Add("Authorization", r.Header.Get("Authorization")) }, Incomplete, "2 Authorization headers"},
		{"another algorithm", nil, rewrite("AWS4-HMAC-SHA256", "AWS4-HMAC-SHA1"), Incomplete, "Unsupported AWS 'algorithm'"},
		{"no credential", nil, rewrite("Credential=", "Cred="), Incomplete, "'Cred' is not expected"},
		{"half a signature", nil, rewrite("Signature=", "Signature=0"), Incomplete, "64 hexadecimal digits"},
		{"a signed header twice", nil, rewrite("host;", "host;host;"), Incomplete, "each header once"},
		{"a signed header in capitals", nil, rewrite("host;", "Host;"), Incomplete, "lower case"},
		{"only a scheme", nil, func(r *http.Request) { r.Header.Set("Authorization", "AWS4-HMAC-SHA256") }, Incomplete, "key=value"},
		{"parts missing", nil, func(r *http.Request) { r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=a") }, Incomplete, "requires 'Signature' parameter. Authorization header requires 'SignedHeaders' parameter."},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := good()
			if c.sign != nil {
				c.sign(&s)
			}
			r := s.request(t)
			if c.alter != nil {
				c.alter(r)
			}
			_, err := service().Verify(r, []byte(s.body))
			if kind(err) != c.want || !strings.Contains(err.Error(), c.says) {
				t.Errorf("kind %d: %v; want %d: %s", kind(err), err, c.want, c.says)
			}
		})
	}
}

func TestAnotherBodyIsRefused(t *testing.T) {
	for _, body := range []string{"", `{"a":2}`, `{"a":1} `} {
		if _, err := service().Verify(good().request(t), []byte(body)); kind(err) != Mismatch {
			t.Errorf("%q: %v", body, err)
		}
	}
}

func TestAPayloadHashThatIsSignedMustStillBeTrue(t *testing.T) {
	s := good()
	for claimed, want := range map[string]Kind{hash([]byte(s.body)): 0, hash(nil): Mismatch, "UNSIGNED-PAYLOAD": Mismatch} {
		r := httptest.NewRequest("POST", "/", strings.NewReader(s.body))
		r.Header.Set("X-Amz-Date", now.Format(isoBasic))
		r.Header.Set("X-Amz-Content-Sha256", claimed)
		signed := []string{"host", "x-amz-content-sha256", "x-amz-date"}
		canonical, err := canonicalRequest(r, signed, hash([]byte(s.body)))
		if err != nil {
			t.Fatal(err)
		}
		scope := Scope{longTerm, "20261122", "us-east-1", "sso", "aws4_request"}
		r.Header.Set("Authorization", algorithm+" Credential="+longTerm+"/"+scope.String()+", SignedHeaders="+strings.Join(signed, ";")+
			", Signature="+hex.EncodeToString(signature("secret", scope, now.Format(isoBasic), canonical)))
		if _, err := service().Verify(r, []byte(s.body)); kind(err) != want {
			t.Errorf("%s: %v", claimed, err)
		}
	}
}

func TestADateMayBeNearASecondClock(t *testing.T) {
	elsewhere := now.Add(48 * time.Hour)
	s := good()
	for at, want := range map[time.Time]Kind{
		elsewhere: 0, elsewhere.Add(time.Hour): 0, elsewhere.Add(time.Hour + Skew): 0, elsewhere.Add(2 * time.Hour): Mismatch, elsewhere.Add(-time.Hour): Mismatch, now: 0,
	} {
		s.at = at
		v := service()
		v.Spans = []Span{{elsewhere, elsewhere.Add(time.Hour)}}
		if _, err := v.Verify(s.request(t), []byte(s.body)); kind(err) != want {
			t.Errorf("%s: %v", at, err)
		}
	}
}

// FuzzAuthorization checks that the parser takes anything, and that what it accepts it has understood.
func FuzzAuthorization(f *testing.F) {
	f.Add(good().request(f).Header.Get("Authorization"))
	f.Add("AWS4-HMAC-SHA256 Credential=a/b/c/d/e,SignedHeaders=host,Signature=" + strings.Repeat("0", 64))
	f.Add("AWS4-HMAC-SHA256 =,,=;")
	f.Fuzz(func(t *testing.T, header string) {
		a, err := ParseAuthorization(header)
		if err != nil {
			if kind(err) != Incomplete {
				t.Fatalf("%q: %v is not a problem of the kind Incomplete", header, err)
			}
			return
		}
		again, err := ParseAuthorization(algorithm + " Credential=" + a.AccessKeyID + "/" + a.Scope.String() + ", SignedHeaders=" +
			strings.Join(a.SignedHeaders, ";") + ", Signature=" + hex.EncodeToString(a.Signature))
		if err != nil || !reflect.DeepEqual(a, again) {
			t.Errorf("%q was read as %+v, and that as %+v, %v", header, a, again, err)
		}
	})
}

// FuzzVerify checks that nothing but what was signed is good.
func FuzzVerify(f *testing.F) {
	s := good()
	whole := s.request(f)
	authorization := whole.Header.Get("Authorization")
	f.Add(authorization, "a=b", []byte(s.body), "SWBExternalService.ListInstances", "20261122T120000Z")
	f.Add(authorization, "", []byte(s.body), "SWBExternalService.ListInstances", "20261122T120000Z")
	f.Fuzz(func(t *testing.T, header, query string, body []byte, target, date string) {
		r := s.request(t)
		r.Header["Authorization"], r.Header["X-Amz-Target"], r.Header["X-Amz-Date"] = []string{header}, []string{target}, []string{date}
		r.URL.RawQuery = query
		_, err := service().Verify(r, body)
		same := query == "" && bytes.Equal(body, []byte(s.body)) && date == whole.Header.Get("X-Amz-Date") &&
			strings.Trim(target, " ") == "SWBExternalService.ListInstances"
		if err == nil && !same {
			t.Errorf("accepted %q %q %q %q %q", header, query, body, target, date)
		}
	})
}
