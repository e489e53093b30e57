package lookup

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// kinds are all services that are asked at the wire, as questions that have an answer or a silence.
var kinds = map[string]func(t *testing.T, url, secretFile string, timeout time.Duration) func(ctx context.Context) string{
	"jira": func(t *testing.T, url, secretFile string, timeout time.Duration) func(ctx context.Context) string {
		return ticketKind(t, Service{Jira: &Jira{URL: url, Email: "bot@example.com", TokenFile: secretFile}}, timeout)
	},
	"servicenow": func(t *testing.T, url, secretFile string, timeout time.Duration) func(ctx context.Context) string {
		return ticketKind(t, Service{ServiceNow: &ServiceNow{URL: url, User: "sparekey", SecretFile: secretFile}}, timeout)
	},
	"generic": func(t *testing.T, url, secretFile string, timeout time.Duration) func(ctx context.Context) string {
		return ticketKind(t, Service{Generic: &Generic{URL: url, SecretFile: secretFile}}, timeout)
	},
	"pagerduty": func(t *testing.T, url, secretFile string, timeout time.Duration) func(ctx context.Context) string {
		r, _ := rota(t, url, secretFile)
		r.timeout = timeout
		return func(ctx context.Context) string {
			_, _, err := r.OnCall(ctx, "payments", noon)
			if err == nil {
				return "said who is on call"
			}
			text, ok := strings.CutPrefix(err.Error(), "asking who is on call in payments: pagerduty ")
			if !ok {
				t.Errorf("%v", err)
			}
			return text
		}
	},
}

func ticketKind(t *testing.T, s Service, timeout time.Duration) func(ctx context.Context) string {
	all, _ := open(t, s)
	all.timeout = timeout
	return func(ctx context.Context) string {
		got := all.Ticket(ctx, asks(dana, "INC-4711"))
		if got.OK || got.Why != "" {
			t.Errorf("%+v", got)
		}
		return strings.TrimPrefix(got.Down, "desk ")
	}
}

func TestWhatIsNoAnswerIsDown(t *testing.T) {
	redirect := func(status int) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere?"+secretMarker, status) }
	}
	html := `<!DOCTYPE html><title>Log in</title>` + secretMarker
	for _, c := range []struct {
		name   string
		answer http.HandlerFunc
		want   string
	}{
		{"401", says(asJSON, 401, `{"error": "%s"}`, secretMarker), "refused the credentials (401)"},
		{"403", says(asJSON, 403, `{}`), "does not let these credentials read (403)"},
		{"429", says(asJSON, 429, `{}`), "takes no more calls for now (429)"},
		{"400", says(asJSON, 400, `{"error": {"message": "Invalid table"}}`), "answered with status 400"},
		{"500", says(asJSON, 500, `{}`), "answered with status 500"},
		{"503", says("text/html", 503, "%s", html), "answered with status 503"},
		{"204", says(asJSON, 204, ""), "answered with status 204"},
		{"301", redirect(301), "answered with a redirect (301), which is not followed"},
		{"302", redirect(302), "answered with a redirect (302), which is not followed"},
		{"307", redirect(307), "answered with a redirect (307), which is not followed"},
		{"308", redirect(308), "answered with a redirect (308), which is not followed"},
		{"a page", says("text/html; charset=utf-8", 200, "%s", html), "answered with something that is not JSON"},
		{"JSON that is called a page", says("text/html", 200, `{"ok": true}`), "answered with something that is not JSON"},
		{"no kind", says("", 200, `{"ok": true}`), "answered with something that is not JSON"},
		{"404 as a page", says("text/html", 404, "%s", html), "answered 404 and not in JSON; is its URL right?"},
		{"too much", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", asJSON)
			_, _ = io.WriteString(w, `{"ok": true, "why": "`+strings.Repeat("x", maxAnswer)+`"}`)
		}, "answered with more than 1048576 bytes"},
		{"broken off", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", asJSON)
			w.Header().Set("Content-Length", "1000")
			_, _ = io.WriteString(w, `{"ok": true}`)
		}, "cannot be reached, or broke off"},
		{"hung up", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "cannot be reached, or broke off"},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := listen(t, c.answer)
			for kind, open := range kinds {
				before := e.times()
				got := open(t, e.URL, secretFile(t), callTimeout)(t.Context())
				if got != c.want {
					t.Errorf("%s: %q, want %q", kind, got, c.want)
				}
				noSecret(t, got)
				if r := e.last(t); strings.Contains(r.URL.String(), "SECRET") {
					t.Errorf("%s asked %s", kind, r.URL)
				}
				// net/http asks again by itself when a connection breaks before the answer.
				if asked := e.times() - before; asked != 1 && c.name != "hung up" {
					t.Errorf("%s was asked %d times", kind, asked)
				}
			}
		})
	}
}

func TestWhoDoesNotAnswerIsGivenUp(t *testing.T) {
	e := listen(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // only then net/http sees that the client has gone
		<-r.Context().Done()
	})
	dribble := listen(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", asJSON)
		_, _ = io.WriteString(w, `{"ok": `)
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	})
	for kind, open := range kinds {
		for _, server := range []*ear{e, dribble} {
			if got := open(t, server.URL, secretFile(t), 20*time.Millisecond)(t.Context()); got != "did not answer in time" {
				t.Errorf("%s: %q", kind, got)
			}
		}
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	for kind, open := range kinds {
		if got := open(t, e.URL, secretFile(t), 200*time.Millisecond)(gone); got != "had not answered when nobody waited any longer" {
			t.Errorf("%s: %q", kind, got)
		}
	}
}

func TestACallHasFiveSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all, _ := open(t, Service{Jira: &Jira{URL: "https://jira.test", TokenFile: secretFile(t)}})
		all.desks["desk"].service.(*jira).wire.client = &http.Client{Transport: trip(func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		})}
		start := time.Now()
		wantTicket(t, all.Ticket(t.Context(), asks(dana, "INC-4711")), "down: desk did not answer in time")
		if took := time.Since(start); took != 5*time.Second { // the bubble's clock, which is exact
			t.Errorf("it took %s", took)
		}
	})
}

// trip is a way to a service that a test plays.
type trip func(*http.Request) (*http.Response, error)

func (f trip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestWhoCannotBeReachedIsDown(t *testing.T) {
	closed := httptest.NewServer(http.NotFoundHandler())
	closed.Close()
	unknown := httptest.NewTLSServer(http.NotFoundHandler())
	defer unknown.Close()
	old := httptest.NewUnstartedServer(http.NotFoundHandler())
	old.TLS = &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}
	old.StartTLS()
	defer old.Close()
	unknown.Config.ErrorLog, old.Config.ErrorLog = log.New(io.Discard, "", 0), log.New(io.Discard, "", 0)
	for kind, open := range kinds {
		for url, want := range map[string]string{
			closed.URL: "cannot be reached: connection refused", unknown.URL: "cannot be reached: its certificate is not trusted", old.URL: "cannot be reached, or broke off",
		} {
			got := open(t, url, secretFile(t), callTimeout)(t.Context())
			if got != want {
				t.Errorf("%s: %q, want %q", kind, got, want)
			}
			noSecret(t, got)
		}
	}
}

func TestWhoWantsToBeLeftAloneIs(t *testing.T) {
	for _, c := range []struct {
		after  string
		status int
		pause  time.Duration // none: it is asked again at once
	}{
		{"7", 429, 7 * time.Second}, {"7", 503, 7 * time.Second}, {"86400", 429, time.Minute}, {"99999999999999999999", 429, 0}, {"-5", 429, 0}, {"", 429, 0}, {"soon", 429, 0},
		{noon.Add(30 * time.Second).Format(http.TimeFormat), 429, 30 * time.Second}, {noon.Add(time.Hour).Format(http.TimeFormat), 429, time.Minute},
		{noon.Add(-time.Hour).Format(http.TimeFormat), 429, 0}, {"7", 500, 0},
	} {
		e := listen(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Retry-After", c.after)
			w.WriteHeader(c.status)
		})
		all, clock := open(t, Service{Jira: &Jira{URL: e.URL, TokenFile: secretFile(t)}})
		want := fmt.Sprintf("desk wants no calls before %s", noon.Add(c.pause).Format("15:04:05 UTC"))
		for i := range 2 {
			got := all.Ticket(t.Context(), asks(dana, "INC-4711"))
			if got.Down == "" || (got.Down == want) != (c.pause > 0) {
				t.Errorf("%+v: %q", c, got.Down)
			}
			if asked := e.times(); asked != 1 && c.pause > 0 || asked != i+1 && c.pause == 0 {
				t.Errorf("%+v: asked %d times", c, asked)
			}
		}
		before := e.times()
		clock.turn(c.pause)
		all.Ticket(t.Context(), asks(dana, "INC-4711"))
		if e.times() != before+1 {
			t.Errorf("%+v: not asked again", c)
		}
	}
}

func TestASecretIsReadOnlyWhereItIsOne(t *testing.T) {
	for _, c := range []struct {
		name, text string
		mode       os.FileMode
		want       string // empty: it is asked
	}{
		{"a secret", secretMarker, 0o600, ""},
		{"that nobody may change", secretMarker + "\r\n", 0o400, ""},
		{"readable by the group", secretMarker, 0o640, "cannot be asked: others than its owner may read the file with its secret; chmod 600 mends it"},
		{"readable by others", secretMarker, 0o604, "cannot be asked: others than its owner may read the file with its secret; chmod 600 mends it"},
		{"writable by others", secretMarker, 0o602, "cannot be asked: others than its owner may read the file with its secret; chmod 600 mends it"},
		{"empty", " \n", 0o600, "cannot be asked: the file with its secret is empty or too long"},
		{"too long", strings.Repeat("x", maxSecret+1), 0o600, "cannot be asked: the file with its secret is empty or too long"},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := listen(t, says(asJSON, 401, ""))
			for kind, open := range kinds {
				before := e.times()
				got := open(t, e.URL, write(t, "token", c.text, c.mode), callTimeout)(t.Context())
				if c.want == "" && got != "refused the credentials (401)" || c.want != "" && (got != c.want || e.times() != before) {
					t.Errorf("%s: %q", kind, got)
				}
				noSecret(t, got)
			}
		})
	}
	for kind, open := range kinds {
		got := open(t, "http://127.0.0.1:1", filepath.Join(t.TempDir(), "none"), callTimeout)(t.Context())
		if got != "cannot be asked: the file with its secret cannot be read (no such file or directory)" {
			t.Errorf("%s without a file: %q", kind, got)
		}
	}
}

func TestATokenOfTwoLinesIsNotSent(t *testing.T) {
	e := fakeJira(t, anIssue)
	all, _ := open(t, Service{Jira: &Jira{URL: e.URL, TokenFile: write(t, "token", "SECRET\nX-Other: SECRET", 0o600)}})
	wantTicket(t, all.Ticket(t.Context(), asks(dana, "INC-4711")), "down: desk cannot be asked: its token file holds more than one word of plain letters")
}

func TestASecretIsRotatedUnderARunningServer(t *testing.T) {
	e := fakeJira(t, anIssue)
	file := write(t, "token", "SECRET-of-yesterday", 0o600)
	all, _ := open(t, Service{Jira: &Jira{URL: e.URL, TokenFile: file}})
	wantTicket(t, all.Ticket(t.Context(), asks(dana, "INC-4711")), "down: desk refused the credentials (401)")
	rewrite(t, file, secretMarker, 0o600)
	if got := all.Ticket(t.Context(), asks(dana, "INC-4711")); !got.OK {
		t.Errorf("%+v", got)
	}
}

func TestNothingOfTheEnvironmentSteersACall(t *testing.T) {
	proxy, e := listen(t, says(asJSON, 200, "%s", anIssue)), fakeJira(t, anIssue)
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy"} {
		t.Setenv(name, proxy.URL)
	}
	client, err := httpClient("")
	if err != nil {
		t.Fatal(err)
	}
	if client.Transport.(*http.Transport).Proxy != nil {
		t.Error("a client without a proxy asks the environment for one")
	}
	s := Settings{Tickets: []Service{{Name: "desk", Jira: &Jira{URL: e.URL, TokenFile: secretFile(t)}}}, Proxy: proxy.URL, Now: (&clock{now: noon}).Now}
	all, _, err := New(s)
	if err != nil {
		t.Fatal(err)
	}
	if got := all.Ticket(t.Context(), asks(dana, "INC-4711")); !got.OK || proxy.times() != 1 || e.times() != 0 {
		t.Errorf("%+v; the proxy was asked %d times, jira %d times", got, proxy.times(), e.times())
	}
}

func TestSettingsThatCannotBeAskedAreRefused(t *testing.T) {
	now := func() time.Time { return noon }
	one := func(s Service) Settings { s.Name = "desk"; return Settings{Tickets: []Service{s}, Now: now} }
	jira := func(url string) Settings { return one(Service{Jira: &Jira{URL: url, TokenFile: "f"}}) }
	for _, c := range []struct {
		name string
		s    Settings
		want string // nothing: it is opened
	}{
		{"nothing", Settings{Now: now}, ""},
		{"jira", jira("https://example.atlassian.net/"), ""},
		{"jira on this machine", jira("http://[::1]:8080/jira"), ""},
		{"no clock", Settings{}, "lookup has no clock"},
		{"clear text", jira("http://jira.test"), "ticket service desk: the URL is not https; secrets would travel in clear text"},
		{"clear text to a name that only begins as loopback does", jira("http://127.0.0.1.evil.test"), "is not https"},
		{"another scheme", jira("file:///etc/passwd"), "the URL is none"},
		{"no URL", jira(""), "the URL is none"},
		{"a password in the URL", jira("https://bot:SECRET@jira.test"), "secrets belong into their own file"},
		{"a query", jira("https://jira.test/?key=SECRET"), "the URL goes on after its path"},
		{"a version", one(Service{Jira: &Jira{URL: "https://jira.test", API: "4"}}), `there is no version "4"`},
		{"half a window", one(Service{Jira: &Jira{URL: "https://jira.test", From: "customfield_1"}}), "a change window has two fields"},
		{"a window of two in one", one(Service{Jira: &Jira{URL: "https://jira.test", From: "a,b", To: "c"}}), "no names of fields"},
		{"a table", one(Service{ServiceNow: &ServiceNow{URL: "https://x.test", Tables: []Table{{Prefix: "INC", Name: "../x"}}}}), "are no prefix and table"},
		{"servicenow in clear text", one(Service{ServiceNow: &ServiceNow{URL: "http://x.test"}}), "is not https"},
		{"generic in clear text", one(Service{Generic: &Generic{URL: "http://x.test"}}), "is not https"},
		{"no kind", one(Service{}), "0 kinds are set"},
		{"two kinds", one(Service{File: "f", Generic: &Generic{URL: "https://x.test"}}), "2 kinds are set"},
		{"no name", Settings{Tickets: []Service{{File: "f"}}, Now: now}, "need names of their own"},
		{"a name twice", Settings{Tickets: []Service{{Name: "a", File: "f"}, {Name: "a", File: "g"}}, Now: now}, "need names of their own"},
		{"a proxy", Settings{Proxy: "SECRET@proxy", Now: now}, "the proxy is not a URL"},
		{"schedules without pagerduty", Settings{Schedules: []Schedule{{"a", "P1"}}, Now: now}, "pagerduty is not set"},
		{"a schedule twice", Settings{Schedules: []Schedule{{"a", "P1"}, {"a", "P2"}}, PagerDuty: &PagerDuty{}, Now: now}, "need names and ids"},
		{"pagerduty in clear text", Settings{PagerDuty: &PagerDuty{URL: "http://x.test"}, Now: now}, "pagerduty: the URL is not https"},
		{"pagerduty", Settings{Schedules: []Schedule{{"a", "P1"}}, PagerDuty: &PagerDuty{TokenFile: "f"}, Now: now}, ""},
	} {
		_, _, err := New(c.s)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
		if err != nil && strings.Contains(err.Error(), "SECRET") {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}
