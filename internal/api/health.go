package api

import (
	"context"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// What may be asked without a token, by GET, beside the OpenAPI document: whether the process serves, and whether it is of
// use to send people to it. Neither says more than that, since anybody may ask.
const (
	healthPath = "/healthz"
	readyPath  = "/readyz"
)

const (
	readyWithin = 2 * time.Second // that the database may take to answer
	readyFor    = time.Second     // that an answer of the database counts, however many ask
)

// open reports whether a request needs no token.
func open(r *http.Request) bool {
	if r.Method != http.MethodGet {
		return false
	}
	switch r.URL.Path {
	case "/openapi.json", "/openapi.yaml", healthPath, readyPath:
		return true
	}
	return false
}

// health is what readiness depends on.
type health struct {
	leaving atomic.Bool

	asking   sync.Mutex // of the database; one asks, and the others take that answer
	asked    time.Time
	database bool
}

func (s *Server) healthRoutes() {
	s.mux.HandleFunc("GET "+healthPath, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok\n") })
	s.mux.HandleFunc("GET "+readyPath, func(w http.ResponseWriter, r *http.Request) {
		if missing := s.missing(r.Context()); missing != "" {
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = io.WriteString(w, missing+"\n")
			return
		}
		_, _ = io.WriteString(w, "ok\n")
	})
}

// missing says what keeps the server from deciding anything; nothing when it is ready.
func (s *Server) missing(ctx context.Context) string {
	switch {
	case s.health.leaving.Load():
		return "the server is about to end"
	case !s.databaseAnswers(ctx):
		return "the database does not answer"
	case !s.broker.Known():
		return "the organization has not been read yet"
	}
	return ""
}

// databaseAnswers asks the database once a second at most, since who asks has shown no token.
func (s *Server) databaseAnswers(ctx context.Context) bool {
	h := &s.health
	h.asking.Lock()
	defer h.asking.Unlock()
	if age := s.now().Sub(h.asked); !h.asked.IsZero() && age >= 0 && age < readyFor {
		return h.database
	}
	// Not the request's own time: who hangs up must not make it look as if the database were away.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), readyWithin)
	defer cancel()
	err := s.broker.Answers(ctx)
	if err != nil {
		s.log.Warn("the database does not answer", "error", err)
	}
	h.database, h.asked = err == nil, s.now()
	return h.database
}

// Leave says from now on that the server is not ready, so that nobody new is sent to it. It comes before the end of the
// program, and ends nothing.
func (s *Server) Leave() { s.health.leaving.Store(true) }

// Measure has every request counted by its route and its status. It is called before the first.
func (s *Server) Measure(count func(route string, status int)) { s.count = count }

// elsewhere is the route of what no operation answers: what was asked for is somebody's text, and no route.
const elsewhere = "none"

// counted tells the counter of each request.
func (s *Server) counted(next http.HandlerFunc) http.HandlerFunc {
	if s.count == nil {
		return next
	}
	return func(w http.ResponseWriter, r *http.Request) {
		_, route := s.mux.Handler(r)
		if route == "" || route == "/" {
			route = elsewhere
		}
		out := &status{ResponseWriter: w}
		defer func() { s.count(route, out.said()) }()
		next(out, r)
	}
}

// status remembers which one was written.
type status struct {
	http.ResponseWriter
	code int
}

func (s *status) WriteHeader(code int) {
	if s.code == 0 {
		s.code = code
	}
	s.ResponseWriter.WriteHeader(code)
}

// said is the status that the caller got: net/http writes 200 for who wrote nothing.
func (s *status) said() int {
	if s.code == 0 {
		return http.StatusOK
	}
	return s.code
}

// Unwrap is for [http.ResponseController].
func (s *status) Unwrap() http.ResponseWriter { return s.ResponseWriter }
