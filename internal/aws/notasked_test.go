package aws

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/smithy-go/logging"

	"sparekey/access"
	"sparekey/internal/awsconn"
	"sparekey/internal/sandbox"
	"sparekey/org"
)

// everyMethod asks for everything, of an instance and a store that are named, and gives each error to check.
func everyMethod(ctx context.Context, c aws.Config, check func(method string, err error)) {
	center := NewCenter(c, oneARN, "d-1111111111")
	a, d := NewAssignments(c, center), NewDirectory(c, center, org.StatusUnknown)
	k := access.Key{Way: access.Assignment, Person: nobodyKnows, Target: org.Target{Account: management, PermissionSet: oneARN + "/ps-1111111111111111"}}
	_, err := a.Assigned(ctx, k)
	check("Assigned", err)
	_, err = a.Create(ctx, k)
	check("Create", err)
	_, err = a.Creation(ctx, nobodyKnows)
	check("Creation", err)
	_, err = a.Creations(ctx, k, start)
	check("Creations", err)
	_, err = a.Delete(ctx, k)
	check("Delete", err)
	_, err = a.Deletion(ctx, nobodyKnows)
	check("Deletion", err)
	_, err = d.Person(ctx, nobodyKnows)
	check("Person", err)
	_, err = d.Organization(ctx)
	check("Organization", err)
	_, _, err = NewCenter(c, "", "").Find(ctx)
	check("Find", err)
	_, err = d.PermissionSet(ctx, k.PermissionSet)
	check("PermissionSet", err)
	m, g := NewMemberships(c, center), NewGroups(c, center)
	k.Way, k.Group = access.Membership, nobodyKnows
	_, err = m.Assigned(ctx, k)
	check("Membership.Assigned", err)
	_, err = m.Create(ctx, k)
	check("Membership.Create", err)
	_, err = m.Delete(ctx, k)
	check("Membership.Delete", err)
	_, err = g.Make(ctx, "sparekey", access.GroupDescription(k.Target))
	check("Groups.Make", err)
	_, err = g.Assigned(ctx, k.Group, k.Target)
	check("Groups.Assigned", err)
	_, err = g.Assign(ctx, k.Group, k.Target)
	check("Groups.Assign", err)
	p := NewKillPolicy(c, "p-12345678")
	_, err = p.Read(ctx)
	check("KillPolicy.Read", err)
	check("KillPolicy.Write", p.Write(ctx, access.EmptyKillPolicy()))
	_, err = p.Targets(ctx)
	check("KillPolicy.Targets", err)
}

// TestWithoutAConnectionOrCredentialsNothingWasAsked takes each way in which a call ends before AWS could hear of it.
func TestWithoutAConnectionOrCredentialsNothingWasAsked(t *testing.T) {
	sts := func(answer http.HandlerFunc) func(*wired) { return func(w *wired) { w.says("AssumeRole", answer) } }
	for _, c := range []struct {
		name  string
		role  bool
		wrong func(*wired)
		says  string
	}{
		{"nobody listens", false, func(w *wired) { w.Close() }, "connection refused"},
		{"the name is not known", false, func(w *wired) {
			transport(w.account).DialContext = func(context.Context, string, string) (net.Conn, error) {
				return nil, &net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSError{Err: "no such host", Name: "aws.test", IsNotFound: true}}
			}
		}, "no such host"},
		{"the proxy does not listen", false, func(w *wired) {
			transport(w.account).Proxy = http.ProxyURL(mustURL("http://proxy.test"))
			transport(w.account).DialContext = func(context.Context, string, string) (net.Conn, error) {
				return nil, &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
			}
		}, "connection refused"},
		{"the credentials file has gone", false, func(w *wired) { os.Remove(w.file) }, "no AWS credentials"},
		{"the credentials file is open to others", false, func(w *wired) { os.Chmod(w.file, 0o644) }, "chmod 600"},
		{"the role is denied", true, sts(xmlRefused(403, "AccessDenied")), "no AWS credentials"},
		{"the role is not valid", true, sts(xmlRefused(400, "ValidationError")), "no AWS credentials"},
		{"the role is throttled", true, sts(xmlRefused(400, "Throttling")), "no AWS credentials"},
		{"the key of the role has expired", true, sts(xmlRefused(403, "ExpiredToken")), "no AWS credentials"},
		{"STS breaks", true, sts(xmlRefused(500, "InternalFailure")), "no AWS credentials"},
		{"STS hangs up", true, sts(dropped("")), "no AWS credentials"},
		{"STS never answers", true, sts(silent), "no AWS credentials"},
		{"STS answers nonsense", true, sts(raw(200, "<html>")), "no AWS credentials"},
		{"STS answers no credentials", true, sts(raw(200, "<AssumeRoleResponse><AssumeRoleResult/></AssumeRoleResponse>")), "no AWS credentials"},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, w *wired) {
				if c.role {
					w.connect(t, awsconn.Credentials{File: w.file, Role: "arn:aws:iam::100000000001:role/sparekey"})
				}
				c.wrong(w)
				transport(w.account).CloseIdleConnections()
				clear(w.asked)
				everyMethod(within(t, time.Hour), w.config, func(method string, err error) {
					wantKind(called{t, method}, err, access.ErrNotAsked, c.says)
				})
				delete(w.asked, "AssumeRole")
				if len(w.asked) > 0 {
					t.Errorf("AWS was asked: %v", w.asked)
				}
			})
		})
	}
}

// TestWhoCannotBeVerifiedWasNotHeard takes the sandbox's word, which checks signatures as AWS does.
func TestWhoCannotBeVerifiedWasNotHeard(t *testing.T) {
	for name, spoil := range map[string]func(*sandbox.Credentials){
		"UnrecognizedClientException": func(k *sandbox.Credentials) { k.AccessKeyID = "AKIAIOSFODNN7EXAMPLE" },
		"InvalidSignatureException":   func(k *sandbox.Credentials) { k.SecretAccessKey += "x" },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, w *wired) {
				key := w.box.Key(management, "sparekey")
				spoil(&key)
				w.connect(t, awsconn.Credentials{File: keys(t, key)})
				everyMethod(t.Context(), w.config, func(method string, err error) { wantKind(called{t, method}, err, access.ErrNotAsked, name) })
				for _, call := range w.box.Calls() {
					if call.AccessKeyID == key.AccessKeyID && call.Caller == "" && call.Changed {
						t.Errorf("%+v", call)
					}
				}
			})
		})
	}
}

func xmlRefused(status int, code string) http.HandlerFunc {
	return raw(status, "<ErrorResponse><Error><Type>Sender</Type><Code>"+code+"</Code><Message>"+words+"</Message></Error></ErrorResponse>")
}

func TestReadsAreTriedAgainWhereAWSThrottlesOrStumbles(t *testing.T) {
	for _, kind := range []sandbox.FaultKind{sandbox.Throttle, sandbox.ServerError, sandbox.Drop} {
		for _, m := range methods {
			for _, operation := range m.needs {
				if written(operation) {
					continue
				}
				t.Run(string(kind)+"/"+m.name+"/"+operation, func(t *testing.T) {
					t.Parallel()
					inBubble(t, func(t *testing.T, w *wired) {
						w.box.Script(sandbox.Fault{Operation: operation, Kind: kind, Times: 3})
						if err := m.call(t.Context(), w); err != nil {
							t.Error(err)
						}
						if n := w.calls(operation); n < 4 {
							t.Errorf("it was asked %d times", n)
						}
					})
				})
			}
		}
	}
}

// TestNoErrorHoldsASecret lets AWS quote the request as it does when a signature is not right: with the session token
// (aws/aws-sdk-js issue 2372).
func TestNoErrorHoldsASecret(t *testing.T) {
	const secret, token = "SECRET-wJalrXUtnFEMI-MARKER", "TOKEN-FwoGZXIvYXdzEJr-MARKER"
	quoting := func(w http.ResponseWriter, r *http.Request) {
		var canonical strings.Builder
		for name, values := range r.Header {
			fmt.Fprintf(&canonical, "%s:%s\n", strings.ToLower(name), strings.Join(values, ","))
		}
		text := "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. " +
			"Consult the service documentation for details.\n\nThe Canonical String for this request should have been\n'POST\n/\n\n" + canonical.String() + "'\n"
		body, _ := json.Marshal(map[string]string{"__type": "InvalidSignatureException", "message": text})
		raw(403, string(body))(w, r)
	}
	for name, answer := range map[string]http.HandlerFunc{
		"a signature that is not right": quoting, "garbage": raw(200, "<html>"), "a server error": refused(500, "InternalServerException"), "a closed connection": dropped(""),
	} {
		t.Run(name, func(t *testing.T) {
			var heard atomic.Int64
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				heard.Add(1)
				if r.Header.Get("X-Amz-Security-Token") != token {
					t.Errorf("the call came without the token: %v", r.Header)
				}
				_, _ = io.Copy(io.Discard, r.Body)
				answer(w, r)
			}))
			defer server.Close()
			a := connected(t, server.URL, sandbox.Credentials{AccessKeyID: "AKIAIOSFODNN7EXAMPLE", SecretAccessKey: secret, SessionToken: token})
			var said strings.Builder
			a.config.Logger = logging.NewStandardLogger(&said)
			center := NewCenter(a.config, oneARN, "d-1111111111")
			k := access.Key{Way: access.Assignment, Person: nobodyKnows, Target: org.Target{Account: management, PermissionSet: oneARN + "/ps-1111111111111111"}}
			_, err := NewAssignments(a.config, center).Create(t.Context(), k)
			if err == nil || heard.Load() != 1 {
				t.Fatalf("heard %d calls; %v", heard.Load(), err)
			}
			for _, text := range []string{err.Error(), fmt.Sprintf("%+v", err), said.String()} {
				if strings.Contains(text, secret) || strings.Contains(text, token) {
					t.Errorf("a secret is told: %s", text)
				}
			}
			if name == "a signature that is not right" {
				wantKind(t, err, access.ErrNotAsked, "InvalidSignatureException: The request signature we calculated does not match")
			}
		})
	}
}

func TestAnErrorOfTheCredentialsFileDoesNotQuoteIt(t *testing.T) {
	file := filepath.Join(t.TempDir(), "keys.json")
	if err := os.WriteFile(file, []byte(`{"accessKeyId": "AKIAIOSFODNN7EXAMPLE", "secretAccessKey": "SECRET-MARKER" "sessionToken"`), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := awsconn.Open(awsconn.Settings{Region: "us-east-1", Endpoint: "http://127.0.0.1:1", Credentials: awsconn.Credentials{File: file}})
	if err != nil {
		t.Fatal(err)
	}
	everyMethod(t.Context(), c, func(method string, err error) {
		wantKind(called{t, method}, err, access.ErrNotAsked, file)
		if err != nil && strings.Contains(err.Error(), "MARKER") {
			t.Errorf("%s: it quotes the file: %v", method, err)
		}
	})
}
