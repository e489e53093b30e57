package api

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/go-json-experiment/json/jsontext"

	"sparekey/access"
	"sparekey/audit"
	"sparekey/internal/broker"
)

// Limits of one request.
const (
	maxBody   = 64 << 10         // bytes
	maxRules  = 1 << 20          // bytes of a body that holds files of rules
	maxToken  = 200              // bytes of an Authorization header's token
	longest   = 25 * time.Second // that a request may wait for a change
	serveTime = time.Minute      // that a request may take in all
)

// Token lets whoever bears it act as a person. Only its digest is known here.
type Token struct {
	Digest [sha256.Size]byte
	Person string // immutable id
}

// Server is the API over a broker.
type Server struct {
	broker  *broker.Broker
	tokens  []Token
	log     *slog.Logger
	version string
	now     func() time.Time
	mux     *http.ServeMux
	api     huma.API
	over    chan struct{} // closed when nobody is to wait any more
	health  health
	count   func(route string, status int) // nil: nobody counts
}

// New makes the API.
func New(b *broker.Broker, tokens []Token, log *slog.Logger, version string) *Server {
	s := &Server{broker: b, tokens: tokens, log: log, version: version, now: b.Now, mux: http.NewServeMux(), over: make(chan struct{})}
	c := huma.DefaultConfig("Sparekey", version)
	c.Info.Description = "Temporary access in an AWS organization: ask, approve, hold, end. Every call but this document carries a bearer token."
	c.DocsPath, c.SchemasPath, c.CreateHooks = "", "", nil // no pages that load scripts, no $schema links in bodies
	c.RejectUnknownQueryParameters = true
	c.Components.SecuritySchemes = map[string]*huma.SecurityScheme{"token": {Type: "http", Scheme: "bearer"}}
	c.Security = []map[string][]string{{"token": {}}}
	s.api = humago.New(s.mux, c)
	s.operations()
	s.healthRoutes()
	s.mux.HandleFunc("/", s.nothing)
	return s
}

// nothing answers what no operation does.
func (s *Server) nothing(w http.ResponseWriter, r *http.Request) {
	p := &Problem{Status: http.StatusNotFound, Detail: "there is nothing at " + clip(r.URL.Path), Hint: "/openapi.json says what there is"}
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		other := r.Clone(r.Context())
		other.Method = method
		if _, pattern := s.mux.Handler(other); pattern != "/" {
			w.Header().Add("Allow", method)
			p.Status, p.Detail = http.StatusMethodNotAllowed, clip(r.URL.Path)+" does not take "+clip(r.Method)
		}
	}
	s.write(w, p)
}

// Release answers everybody who waits for a change with what there is, since the server is about to end. It is called once.
func (s *Server) Release() { close(s.over) }

// Document returns the OpenAPI 3.1 document as JSON.
func (s *Server) Document() ([]byte, error) {
	text, err := json.MarshalIndent(s.api.OpenAPI(), "", "  ")
	return append(text, '\n'), err
}

// Handler is the API with its door: who asks, how much, and what is written down of what was refused.
func (s *Server) Handler() http.Handler {
	return s.counted(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		if open(r) {
			s.mux.ServeHTTP(w, r)
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), serveTime)
		defer cancel()
		actor, reason := s.who(r)
		if reason != "" {
			s.broker.Unproven(ctx, reason)
			w.Header().Set("WWW-Authenticate", `Bearer realm="sparekey"`)
			s.write(w, &Problem{Status: http.StatusUnauthorized, Detail: reason, Hint: "send a token: Authorization: Bearer …"})
			return
		}
		s.serve(w, r, audit.With(ctx, audit.Cause{Actor: actor}))
	})
}

// serve reads the whole request, so that its digest can be recorded with whatever it causes.
func (s *Server) serve(w http.ResponseWriter, r *http.Request, ctx context.Context) {
	v := &visit{}
	ctx = context.WithValue(ctx, visitKey{}, v)
	most := bodyLimit(r)
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, most))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		s.malformed(ctx, w, r, http.StatusRequestEntityTooLarge, fmt.Sprintf("the body has more than %d KiB", most>>10))
		return
	case err != nil:
		s.malformed(ctx, w, r, http.StatusBadRequest, "the body could not be read")
		return
	case len(body) > 0 && !jsontext.Value(body).IsValid(): // also doubled keys, and text that is not UTF-8
		s.malformed(ctx, w, r, http.StatusBadRequest, "the body is not valid JSON")
		return
	}
	digest := sha256.New()
	_, _ = io.WriteString(digest, r.Method+"\n"+r.URL.RequestURI()+"\n")
	_, _ = digest.Write(body)
	cause := audit.From(ctx)
	cause.Request = "sha256:" + hex.EncodeToString(digest.Sum(nil))
	ctx = audit.With(ctx, cause)
	r = r.WithContext(ctx)
	r.Body = io.NopCloser(bytes.NewReader(body))
	out := &outcome{ResponseWriter: w}
	s.mux.ServeHTTP(out, r)
	if !v.reached && out.status >= 400 {
		s.broker.Malformed(ctx, what(r), out.why())
	}
}

// bodyLimit is how many bytes a request's body may have.
func bodyLimit(r *http.Request) int64 {
	if r.Method == http.MethodPost && (r.URL.Path == rulesPath || r.URL.Path == rulesPath+"/diff") {
		return maxRules
	}
	return maxBody
}

// who proves who asks. The token is compared by its digest with every known one, in constant time.
func (s *Server) who(r *http.Request) (audit.Actor, string) {
	headers := r.Header.Values("Authorization")
	if len(headers) == 0 {
		return audit.Actor{}, "no token"
	}
	token, ok := strings.CutPrefix(headers[0], "Bearer ")
	if !ok || len(headers) > 1 || token == "" || len(token) > maxToken {
		return audit.Actor{}, "the Authorization header is not a bearer token"
	}
	digest := sha256.Sum256([]byte(token))
	found := -1
	for i := range s.tokens {
		if subtle.ConstantTimeCompare(digest[:], s.tokens[i].Digest[:]) == 1 {
			found = i
		}
	}
	if found < 0 {
		return audit.Actor{}, "unknown token"
	}
	return audit.Actor{Kind: audit.APerson, ID: s.tokens[found].Person, Key: hex.EncodeToString(digest[:4])}, ""
}

// visit is one request's way through the door.
type visit struct{ reached bool } // whether it reached a command, which records its own refusals

type visitKey struct{}

// reach notes whether a request was understood and is now the broker's.
func reach(ctx context.Context, reached bool) {
	if v, ok := ctx.Value(visitKey{}).(*visit); ok {
		v.reached = reached
	}
}

func (s *Server) malformed(ctx context.Context, w http.ResponseWriter, r *http.Request, status int, why string) {
	s.broker.Malformed(ctx, what(r), why)
	s.write(w, &Problem{Status: status, Detail: why, Hint: "/openapi.json says what is taken"})
}

func (s *Server) write(w http.ResponseWriter, p *Problem) {
	p.Title = http.StatusText(p.Status)
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(p.Status)
	if err := json.NewEncoder(w).Encode(p); err != nil {
		s.log.Debug("an answer could not be written", "error", err)
	}
}

// outcome remembers the status that was written, and what was said with an error.
type outcome struct {
	http.ResponseWriter
	status int
	said   []byte
}

func (o *outcome) WriteHeader(status int) {
	o.status = status
	o.ResponseWriter.WriteHeader(status)
}

func (o *outcome) Write(text []byte) (int, error) {
	if o.status >= 400 {
		o.said = append(o.said, text...)
	}
	return o.ResponseWriter.Write(text)
}

// why is what was said, for the record.
func (o *outcome) why() string {
	var p Problem
	if err := json.Unmarshal(o.said, &p); err != nil {
		return http.StatusText(o.status)
	}
	if len(p.Errors) > 0 {
		return clip(strings.Join(p.Errors, "; ")) // the first is the detail
	}
	return clip(p.Detail)
}

// what is how a request that reached no command is called in the record.
func what(r *http.Request) string { return clip(r.Method) + " " + clip(r.URL.Path) }

// clip keeps what somebody sent to a length that fits a record.
func clip(text string) string {
	if len(text) > 300 {
		return strings.ToValidUTF8(text[:300], "") + "…"
	}
	return text
}

// Problem is what every error looks like (RFC 9457).
type Problem struct {
	Type   string   `json:"type,omitempty" doc:"Always about:blank or absent"`
	Title  string   `json:"title" doc:"The status in words"`
	Status int      `json:"status"`
	Detail string   `json:"detail" doc:"What is wrong, for people"`
	Hint   string   `json:"hint,omitempty" doc:"What to do, for people"`
	Errors []string `json:"errors,omitempty" doc:"All that is wrong with single values, of which detail is the first"`
}

func (p *Problem) Error() string { return p.Detail }

// GetStatus is what huma asks for.
func (p *Problem) GetStatus() int { return p.Status }

// ContentType is what huma asks for.
func (p *Problem) ContentType(string) string { return "application/problem+json" }

// statuses map the kinds of error that people are told to HTTP.
var statuses = map[error]int{
	access.ErrInvalid:     http.StatusBadRequest,
	access.ErrRefused:     http.StatusForbidden,
	access.ErrUnknown:     http.StatusNotFound,
	access.ErrOver:        http.StatusConflict,
	access.ErrTooMany:     http.StatusTooManyRequests,
	access.ErrUnavailable: http.StatusServiceUnavailable,
}

// fail turns an error into what the caller is told. What is no problem of the caller's is written to the log, and told as
// little of as possible.
func (s *Server) fail(err error) error {
	if err == nil {
		return nil
	}
	var p *access.Problem
	if errors.As(err, &p) {
		if status, ok := statuses[p.Kind]; ok {
			return &Problem{Status: status, Title: http.StatusText(status), Detail: p.Message, Hint: p.Hint}
		}
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return &Problem{Status: http.StatusServiceUnavailable, Title: http.StatusText(http.StatusServiceUnavailable), Detail: "it took too long", Hint: "look whether it was done before trying again"}
	}
	s.log.Error("a request failed", "error", err)
	return &Problem{Status: http.StatusInternalServerError, Title: http.StatusText(http.StatusInternalServerError), Detail: "Sparekey could not do it", Hint: "the server's log says why"}
}
