package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"sparekey/access"
	"sparekey/internal/api/client"
	"sparekey/internal/sandbox"
)

func TestEachKindOfErrorHasItsStatus(t *testing.T) {
	log := &lines{}
	s := &Server{log: slog.New(slog.NewTextHandler(log, nil))}
	for kind, status := range map[error]int{
		access.ErrInvalid: 400, access.ErrRefused: 403, access.ErrUnknown: 404, access.ErrOver: 409, access.ErrTooMany: 429, access.ErrUnavailable: 503,
	} {
		var p *Problem
		err := s.fail(fmt.Errorf("deciding: %w", &access.Problem{Kind: kind, Message: "what", Hint: "do"}))
		if !errors.As(err, &p) || p.Status != status || p.Title != http.StatusText(status) || p.Detail != "what" || p.Hint != "do" {
			t.Errorf("%v becomes %+v", kind, p)
		}
	}
	for _, gone := range []error{context.Canceled, fmt.Errorf("beginning a transaction: %w", context.DeadlineExceeded)} {
		var p *Problem
		if err := s.fail(gone); !errors.As(err, &p) || p.Status != http.StatusServiceUnavailable || p.Hint == "" {
			t.Errorf("%v becomes %+v", gone, p)
		}
	}
	if s.fail(nil) != nil || log.String() != "" {
		t.Errorf("the log has %s", log)
	}
}

func TestAnErrorThatIsNobodysBusinessIsLoggedAndNotTold(t *testing.T) {
	log := &lines{}
	s := &Server{log: slog.New(slog.NewTextHandler(log, nil))}
	for i, err := range []error{
		errors.New("pq: password authentication failed for user sparekey"), &access.Problem{Kind: access.ErrThrottled, Message: "a secret"}, &access.Problem{Message: "a secret"},
		fmt.Errorf("reading: %w", access.ErrRefused), // a sentinel alone has nothing to say to people
	} {
		var p *Problem
		if got := s.fail(err); !errors.As(got, &p) || p.Status != http.StatusInternalServerError || strings.Contains(p.Detail+p.Hint, "secret") || strings.Contains(p.Detail+p.Hint, "password") {
			t.Errorf("%v becomes %+v", err, p)
		}
		if n := strings.Count(log.String(), "a request failed"); n != i+1 {
			t.Errorf("%d lines in the log after %v", n, err)
		}
	}
}

func TestADatabaseThatIsAwayIsLoggedAndNotTold(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.store.Close()
	for _, call := range []func() (*http.Response, error){
		func() (*http.Response, error) {
			return r.as("dana").ListRequests(t.Context(), &client.ListRequestsParams{})
		},
		func() (*http.Response, error) { return r.asking("dana", 30, "play ReadOnly") },
	} {
		g := r.read(call())
		if p := g.problem(t); g.status != http.StatusInternalServerError || p.Detail != "Sparekey could not do it" || strings.Contains(g.text, "sql") {
			t.Errorf("%d %s", g.status, g.text)
		}
	}
	if !strings.Contains(r.log.String(), "database is closed") {
		t.Errorf("the log has %s", r.log)
	}
}

func TestADirectoryThatIsAwayDecidesNothing(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	id := r.ask("dana").Id
	before, n := r.dump(), len(r.refusals(0))
	r.box.Script(sandbox.Fault{Service: "identitystore", Kind: sandbox.Denied})
	g := r.read(r.as("kim").Approve(t.Context(), id, client.ApproveBody{}))
	if p := g.problem(t); g.status != http.StatusServiceUnavailable || p.Hint == nil || strings.Contains(g.text, "AccessDenied") {
		t.Errorf("%d %s", g.status, g.text)
	}
	r.unchanged(before)
	r.recorded(n, "kim", "approve", access.ErrUnavailable.Error(), "AWS does not say")
	r.box.ClearFaults()
	answer, err := r.as("kim").Approve(t.Context(), id, client.ApproveBody{})
	ok[client.Request](r, answer, err)
}

func TestApprovingIsJudgedByWhatTheDirectorySaysNow(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	id := r.ask("dana").Id
	kim, _ := r.mirror.PersonNamed("kim")
	approvers, _ := r.mirror.Group("approvers")
	r.must(r.box.Change(func(d *sandbox.Directory) error { return d.Leave(kim.ID, approvers.ID) }))
	before, n := r.dump(), len(r.refusals(0))
	g := r.read(r.as("kim").Approve(t.Context(), id, client.ApproveBody{}))
	p := g.problem(t)
	kind, known := map[int]error{http.StatusForbidden: access.ErrRefused, http.StatusNotFound: access.ErrUnknown}[g.status] // whoever may not decide it may not see it
	if !known {
		t.Fatalf("%d %+v", g.status, p)
	}
	r.unchanged(before)
	r.recorded(n, "kim", "approve", kind.Error(), p.Detail)
}
