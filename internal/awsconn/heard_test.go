package awsconn

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"
)

// ear is a server that hears every request, answers as STS does, and counts.
type ear struct {
	*httptest.Server
	lasts time.Duration // of the credentials that it gives
	lock  sync.Mutex
	heard []request
}

// request is what was heard.
type request struct {
	to     string // as the caller believes: scheme and host where it speaks to a proxy
	action string // of STS
	key    string // that signed it
	header http.Header
	form   url.Values
}

var credentialScope = regexp.MustCompile(`Credential=([^/]+)/`)

func listen(t testing.TB) *ear {
	t.Helper()
	e := &ear{lasts: time.Hour}
	e.Server = httptest.NewServer(e)
	t.Cleanup(e.Close)
	return e
}

func (e *ear) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	form, _ := url.ParseQuery(string(body))
	q := request{to: r.URL.String(), action: form.Get("Action"), header: r.Header, form: form}
	if m := credentialScope.FindStringSubmatch(r.Header.Get("Authorization")); m != nil {
		q.key = m[1]
	}
	e.lock.Lock()
	e.heard = append(e.heard, q)
	number := len(e.heard)
	e.lock.Unlock()
	expires := time.Now().Add(e.lasts).UTC().Format(time.RFC3339)
	switch q.action {
	case "AssumeRole", "AssumeRoleWithWebIdentity":
		fmt.Fprintf(w, `<%[1]sResponse><%[1]sResult><Credentials><AccessKeyId>ASIA%[2]d</AccessKeyId><SecretAccessKey>s</SecretAccessKey>`+
			`<SessionToken>T%[2]d</SessionToken><Expiration>%[3]s</Expiration></Credentials></%[1]sResult></%[1]sResponse>`, q.action, number, expires)
	case "GetCallerIdentity":
		_, _ = io.WriteString(w, "<GetCallerIdentityResponse><GetCallerIdentityResult><Account>1</Account></GetCallerIdentityResult></GetCallerIdentityResponse>")
	default: // the credentials endpoint of a container
		fmt.Fprintf(w, `{"AccessKeyId": "ASIA%d", "SecretAccessKey": "s", "Token": "T%d", "Expiration": %q}`, number, number, expires)
	}
}

// last is the last request of an action; it fails where there are not as many of them as wanted.
func (e *ear) last(t testing.TB, action string, wanted int) request {
	t.Helper()
	e.lock.Lock()
	defer e.lock.Unlock()
	var found request
	n := 0
	for _, q := range e.heard {
		if q.action == action {
			found, n = q, n+1
		}
	}
	if n != wanted {
		t.Fatalf("%q was heard %d times, not %d: %+v", action, n, wanted, e.heard)
	}
	return found
}

// whoAmI makes a call of AWS that needs credentials.
func whoAmI(ctx context.Context, c aws.Config) error {
	_, err := sts.NewFromConfig(c).GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	return err
}

func open(t testing.TB, s Settings) aws.Config {
	t.Helper()
	if s.Region == "" {
		s.Region = "us-east-1"
	}
	c, err := Open(s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.HTTPClient.(plain).CloseIdleConnections)
	return c
}

func write(t testing.TB, name, text string, mode os.FileMode) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	rewrite(t, file, text)
	if err := os.Chmod(file, mode); err != nil {
		t.Fatal(err)
	}
	return file
}

func rewrite(t testing.TB, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// key is the text of a credentials file.
func key(id, token string) string {
	text, _ := json.Marshal(map[string]string{"accessKeyId": id, "secretAccessKey": "SECRET-MARKER", "sessionToken": token})
	return string(text)
}

// wantError checks that an error says something, and nothing that is marked as secret.
func wantError(t testing.TB, err error, says string) {
	t.Helper()
	if err == nil {
		t.Fatalf("there is no error; it should say %q", says)
	}
	if !strings.Contains(err.Error(), says) {
		t.Errorf("the error does not say %q: %v", says, err)
	}
	if strings.Contains(err.Error(), "MARKER") {
		t.Errorf("the error holds a secret: %v", err)
	}
}
