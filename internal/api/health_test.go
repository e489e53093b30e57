package api

import (
	"context"
	"maps"
	"net/http"
	"sync"
	"testing"
	"time"

	"sparekey/audit"
	"sparekey/internal/store"
)

// TestReadinessNamesWhatIsMissing goes from a server that has read nothing to one that is about to end. Nothing but one of a
// few fixed lines is said, since anybody may ask.
func TestReadinessNamesWhatIsMissing(t *testing.T) {
	t.Parallel()
	r := unread(t)
	ready := func(status int, want string) {
		t.Helper()
		if g := r.raw("", http.MethodGet, "/readyz", ""); g.status != status || g.text != want+"\n" {
			t.Errorf("%d %q, want %d %q", g.status, g.text, status, want)
		}
		if g := r.raw("", http.MethodGet, "/healthz", ""); g.status != http.StatusOK || g.text != "ok\n" {
			t.Errorf("the process is not well: %d %q", g.status, g.text)
		}
	}
	ready(http.StatusServiceUnavailable, "the organization has not been read yet")
	r.must(r.broker.Refresh(audit.By(t.Context(), "test")))
	ready(http.StatusOK, "ok")
	r.store.Close()
	ready(http.StatusOK, "ok") // within the same second the database is not asked again
	r.clock.Advance(readyFor)
	ready(http.StatusServiceUnavailable, "the database does not answer")
	r.server.Leave()
	ready(http.StatusServiceUnavailable, "the server is about to end")
	if head := r.raw("", http.MethodHead, "/readyz", ""); head.status != http.StatusUnauthorized {
		t.Errorf("HEAD: %d", head.status)
	}
}

// TestADatabaseThatHangsIsNotWaitedFor holds every connection, so that the question about the database waits for one.
func TestADatabaseThatHangsIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	release, held := make(chan struct{}), make(chan struct{})
	var holding sync.WaitGroup
	for range 4 { // as many as the store reads with
		holding.Go(func() {
			_ = r.store.View(context.WithoutCancel(t.Context()), func(*store.Tx) error {
				held <- struct{}{}
				<-release
				return nil
			})
		})
		<-held
	}
	begun := time.Now()
	g := r.raw("", http.MethodGet, "/readyz", "")
	if took := time.Since(begun); g.status != http.StatusServiceUnavailable || g.text != "the database does not answer\n" || took > 5*readyWithin {
		t.Errorf("%d %q after %s", g.status, g.text, took)
	}
	close(release)
	holding.Wait()
	r.clock.Advance(readyFor)
	if g := r.raw("", http.MethodGet, "/readyz", ""); g.status != http.StatusOK {
		t.Errorf("afterwards: %d %q", g.status, g.text)
	}
}

// TestEveryRequestIsCountedByItsRoute: what was typed is in no label, whoever typed it.
func TestEveryRequestIsCountedByItsRoute(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	type counted struct {
		route  string
		status int
	}
	var lock sync.Mutex
	counts := map[counted]int{}
	r.server.Measure(func(route string, status int) {
		lock.Lock()
		defer lock.Unlock()
		counts[counted{route, status}]++
	})
	r.url = r.serve(r.server.Handler())
	r.raw("", http.MethodGet, "/healthz", "")
	r.raw("", http.MethodGet, "/v1/me", "")
	r.raw("dana", http.MethodGet, "/v1/me", "")
	r.raw("dana", http.MethodGet, "/v1/requests/req-000000", "")
	r.raw("dana", http.MethodGet, "/v1/requests/req-111111", "")
	r.raw("dana", http.MethodGet, "/v1/secret-name", "")
	r.raw("", http.MethodDelete, "/secret-name", "")
	r.raw("dana", http.MethodPost, "/v1/requests", "{", "Idempotency-Key", "k")
	want := map[counted]int{
		{"GET /healthz", 200}: 1, {"GET /v1/me", 401}: 1, {"GET /v1/me", 200}: 1, {"GET /v1/requests/{id}", 404}: 2, {"none", 404}: 1, {"none", 401}: 1,
		{"POST /v1/requests", 400}: 1,
	}
	lock.Lock()
	defer lock.Unlock()
	if !maps.Equal(counts, want) {
		t.Errorf("got  %v\nwant %v", counts, want)
	}
}
