package aws

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	ssotypes "github.com/aws/aws-sdk-go-v2/service/ssoadmin/types"

	"sparekey/access"
	"sparekey/internal/awsconn"
	"sparekey/internal/sandbox"
	"sparekey/org"
)

// memory is a network that exists in memory only. In a bubble, time passes while everybody on it waits.
type memory struct {
	calls  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (m *memory) Accept() (net.Conn, error) {
	select {
	case c := <-m.calls:
		return c, nil
	case <-m.closed:
		return nil, net.ErrClosed
	}
}

func (m *memory) Close() error {
	m.once.Do(func() { close(m.closed) })
	return nil
}

func (m *memory) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1} }

// dial is refused as the kernel refuses, once nobody listens any more.
func (m *memory) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	select {
	case m.calls <- theirs:
		return ours, nil
	case <-m.closed:
		return nil, &net.OpError{Op: "dial", Net: "tcp", Addr: m.Addr(), Err: syscall.ECONNREFUSED}
	case <-ctx.Done():
		return nil, &net.OpError{Op: "dial", Net: "tcp", Addr: m.Addr(), Err: ctx.Err()}
	}
}

// described is what setUp makes.
const described = `
ous: [{path: Workloads/Prod, tags: {tier: live}}]
accounts:
  - {id: "100000000001", name: management}
  - {id: "100000000002", name: loose}
  - {id: "100000000003", name: identity, ou: Core}
  - {id: "100000000004", name: payments, ou: Workloads/Prod, tags: {env: prod, owner: pay}}
  - {id: "100000000005", name: play, ou: Workloads/Dev}
permission-sets: [{name: ReadOnly, description: Look but do not touch, session: 2h}, {name: Admin}]
groups: [nobody]
people:
  - {user: dana, name: Dana Ito, email: dana@example.com, groups: [developers, oncall]}
  - {user: kim, name: Kim Ahn, email: kim@example.com, groups: [developers]}
  - {user: lee, name: Lee Doe}
`

// wired is the small organization in the sandbox, behind a server of which single operations answer what a test says.
type wired struct {
	*account
	*memory
	box    *sandbox.Sandbox
	file   string // of the credentials
	secret string
	create string // id of a create that was
	delete string
	lent   access.Key // of a membership that there is

	lock    sync.Mutex
	answers map[string]http.HandlerFunc
	asked   map[string]int
}

// inBubble runs a test with a server, in a bubble where no time is spent on waiting.
func inBubble(t *testing.T, test func(*testing.T, *wired)) {
	synctest.Test(t, func(t *testing.T) { test(t, newWired(t)) })
}

func newWired(t *testing.T) *wired {
	t.Helper()
	o, _, err := org.Describe("organization.yaml", []byte(described))
	if err != nil {
		t.Fatal(err)
	}
	box, _ := newSandbox(t, func(s *sandbox.Options) { s.Organization, s.Clock, s.Behaviour.AssignmentTakes = o, nil, -1 })
	w := &wired{box: box, memory: &memory{calls: make(chan net.Conn), closed: make(chan struct{})}, answers: map[string]http.HandlerFunc{}, asked: map[string]int{}}
	server := &http.Server{Handler: w, ErrorLog: log.New(io.Discard, "", 0)}
	go func() { _ = server.Serve(w) }()
	key := box.Key(management, "sparekey")
	w.file, w.secret = keys(t, key), key.SecretAccessKey
	w.connect(t, awsconn.Credentials{File: w.file})
	t.Cleanup(func() {
		w.Close()
		server.Close()
	})
	w.want = o
	w.remember(t)
	return w
}

// connect opens the account anew, with other credentials.
func (w *wired) connect(t *testing.T, c awsconn.Credentials) {
	t.Helper()
	before := w.account
	w.account = opened(t, "http://aws.test", c)
	if before != nil {
		w.want = before.want
	}
	transport(w.account).DialContext = w.dial
}

// remember makes operations that can be asked for.
func (w *wired) remember(t *testing.T) {
	t.Helper()
	a, k := w.assignments(), w.key("dana", "payments", "ReadOnly")
	made, err1 := a.Create(t.Context(), k)
	taken, err2 := a.Delete(t.Context(), k)
	err3 := w.assign(t.Context(), ssotypes.PrincipalTypeUser, string(k.Person), k.Target)
	lent, err4 := w.own(t.Context(), "dana", "payments", "ReadOnly")
	_, err5 := w.memberships().Create(t.Context(), lent)
	if err := errors.Join(err1, err2, err3, err4, err5); err != nil {
		t.Fatal(err)
	}
	w.lent = lent
	w.create, w.delete = made.ID, taken.ID
	clear(w.asked)
}

func (w *wired) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	_, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	if r.Header.Get("Content-Type") == "application/x-www-form-urlencoded" {
		operation = "AssumeRole"
	}
	w.lock.Lock()
	w.asked[operation]++
	answer := w.answers[operation]
	w.lock.Unlock()
	if answer != nil {
		answer(rw, r)
		return
	}
	w.box.ServeHTTP(rw, r)
}

// says makes an operation answer something from now on; nil is what the sandbox answers.
func (w *wired) says(operation string, answer http.HandlerFunc) {
	w.lock.Lock()
	defer w.lock.Unlock()
	w.answers[operation] = answer
	clear(w.asked)
}

// calls counts how often an operation was asked for.
func (w *wired) calls(operation string) int {
	w.lock.Lock()
	defer w.lock.Unlock()
	return w.asked[operation]
}

// raw answers a text.
func raw(status int, text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, text)
	}
}

const words = "These are the words of AWS."

// refused answers one of AWS's errors, with members beside.
func refused(status int, code string, more ...string) http.HandlerFunc {
	body := map[string]string{"__type": "com.amazonaws.some#" + code, "Message": words}
	for i := 0; i+1 < len(more); i += 2 {
		body[more[i]] = more[i+1]
	}
	text, _ := json.Marshal(body)
	return raw(status, string(text))
}

// dropped closes the connection: at once, or within an answer that says how long it is.
func dropped(begun string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		if begun != "" {
			w.Header().Set("Content-Length", "1000")
			_, _ = io.WriteString(w, begun)
			_ = http.NewResponseController(w).Flush()
		}
		panic(http.ErrAbortHandler)
	}
}

// silent never answers.
func silent(_ http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body) // net/http notices only then that the caller has gone
	<-r.Context().Done()
}

// moved sends the caller elsewhere, where the answer would be.
func moved(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Location", "http://aws.test/elsewhere")
	w.WriteHeader(http.StatusTemporaryRedirect)
}

// within bounds a call as its callers do.
func within(t testing.TB, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// pages answers one text after the other, by the token that the caller brings.
func pages(first, second string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if strings.Contains(string(body), "NextToken") {
			raw(200, second)(w, r)
			return
		}
		raw(200, first)(w, r)
	}
}

func mustURL(text string) *url.URL {
	u, err := url.Parse(text)
	if err != nil {
		panic(err)
	}
	return u
}
