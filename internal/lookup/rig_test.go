package lookup

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"sparekey/org"
	"sparekey/rules"
)

const secretMarker = "SECRET-MARKER-0123456789-0123456789"

var (
	noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	dana = org.Person{ID: "97671b36-dana", User: "dana", Email: "Dana@Example.com", Status: org.StatusEnabled}
	kim  = org.Person{ID: "97671b36-kim", User: "kim", Email: "kim@example.com", Status: org.StatusEnabled}
)

// clock is a clock that a test turns.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) turn(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// ear is a server on loopback that counts what it hears.
type ear struct {
	*httptest.Server
	mu    sync.Mutex
	heard []*http.Request
}

func (e *ear) times() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.heard)
}

func (e *ear) last(t *testing.T) *http.Request {
	t.Helper()
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.heard) == 0 {
		t.Fatal("nothing was asked")
	}
	return e.heard[len(e.heard)-1]
}

func listen(t *testing.T, h http.HandlerFunc) *ear {
	t.Helper()
	e := &ear{}
	e.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		e.mu.Lock()
		e.heard = append(e.heard, r)
		e.mu.Unlock()
		h(w, r)
	}))
	t.Cleanup(e.Close)
	return e
}

func says(kind string, status int, format string, args ...any) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", kind)
		w.WriteHeader(status)
		fmt.Fprintf(w, format, args...)
	}
}

const asJSON = "application/json;charset=UTF-8"

func secretFile(t *testing.T) string {
	t.Helper()
	return write(t, "token", secretMarker+"\n", 0o600)
}

func write(t *testing.T, name, text string, mode os.FileMode) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	rewrite(t, file, text, mode)
	return file
}

func rewrite(t *testing.T, file, text string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(file, mode); err != nil {
		t.Fatal(err)
	}
}

// open makes tickets of one service, called desk, with a clock that stands at noon.
func open(t *testing.T, s Service) (*Tickets, *clock) {
	t.Helper()
	s.Name = "desk"
	c := &clock{now: noon}
	all, _, err := New(Settings{Tickets: []Service{s}, Now: c.Now})
	if err != nil {
		t.Fatal(err)
	}
	return all, c
}

// asks is a question of a person who wants an hour from noon on.
func asks(p org.Person, id string) rules.TicketQuestion {
	return rules.TicketQuestion{Service: "desk", ID: id, Person: p, From: noon, To: noon.Add(time.Hour)}
}

// wantTicket compares what a ticket says: "ok", "no: " and the reason, or "down: " and the reason.
func wantTicket(t *testing.T, got rules.Ticket, want string) {
	t.Helper()
	said := "no: " + got.Why
	switch {
	case got.Down != "":
		said = "down: " + got.Down
	case got.OK:
		said = "ok"
	}
	if said != want {
		t.Errorf("said %q, want %q", said, want)
	}
	if got.Asked.IsZero() {
		t.Error("it is not said when it was asked")
	}
	if !got.OK && (got.Title != "" || got.Link != "" || !got.Until.IsZero()) {
		t.Errorf("tells about a ticket that does not serve: %+v", got)
	}
	noSecret(t, fmt.Sprintf("%+v", got))
}

func noSecret(t *testing.T, text string) {
	t.Helper()
	for _, word := range []string{"SECRET", "127.0.0.1", "http://"} {
		if strings.Contains(text, word) {
			t.Errorf("%q is in %q", word, text)
		}
	}
}
