package api

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"sparekey/internal/broker"
)

func TestTheDocumentIsWhatTheOperationsSay(t *testing.T) {
	b, err := broker.New(broker.Parts{Random: neverEmpty{}})
	if err != nil {
		t.Fatal(err)
	}
	got, err := New(b, nil, slog.New(slog.DiscardHandler), "dev").Document()
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile("openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != string(want) {
		t.Error("openapi.json is not what the operations say; run make generate")
	}
}

type neverEmpty struct{}

func (neverEmpty) Read(p []byte) (int, error) { return len(p), nil }

// tree is the document as plain values.
func tree(t *testing.T, text []byte) map[string]any {
	t.Helper()
	var doc map[string]any
	if err := json.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	return doc
}

func TestTheDocumentIsServedToEverybodyAsItIsKept(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	g := r.raw("", http.MethodGet, "/openapi.json", "")
	if g.status != http.StatusOK || !strings.HasPrefix(g.header.Get("Content-Type"), "application/") {
		t.Fatalf("%d %v", g.status, g.header)
	}
	kept, err := os.ReadFile("openapi.json")
	r.must(err)
	served, want := tree(t, []byte(g.text)), tree(t, kept)
	served["info"].(map[string]any)["version"] = want["info"].(map[string]any)["version"] // the program's own
	a, _ := json.Marshal(served)
	b, _ := json.Marshal(want)
	if string(a) != string(b) {
		t.Errorf("served is\n%s\nkept is\n%s", a, b)
	}
}

func TestTheDocumentIsWholeAndValid(t *testing.T) {
	text, err := os.ReadFile("openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	doc := tree(t, text)
	if doc["openapi"] != "3.1.0" {
		t.Errorf("it is of version %v", doc["openapi"])
	}
	used := map[string]bool{}
	refs(doc, func(ref string) {
		used[ref] = true
		var at any = doc
		for _, step := range strings.Split(strings.TrimPrefix(ref, "#/"), "/") {
			branch, _ := at.(map[string]any)
			at = branch[step]
		}
		if at == nil {
			t.Errorf("%s leads nowhere", ref)
		}
	})
	for name := range doc["components"].(map[string]any)["schemas"].(map[string]any) {
		if !used["#/components/schemas/"+name] {
			t.Errorf("nothing uses the schema %s", name)
		}
	}
	properties(doc, "", func(at, name string) { t.Errorf("%s requires %s and does not describe it", at, name) })
}

// refs finds every reference below v.
func refs(v any, found func(string)) {
	switch v := v.(type) {
	case map[string]any:
		for key, value := range v {
			if ref, ok := value.(string); ok && key == "$ref" {
				found(ref)
			}
			refs(value, found)
		}
	case []any:
		for _, item := range v {
			refs(item, found)
		}
	}
}

// properties finds what an object requires and does not have.
func properties(v any, at string, missing func(at, name string)) {
	switch v := v.(type) {
	case map[string]any:
		has, _ := v["properties"].(map[string]any)
		required, _ := v["required"].([]any)
		for _, name := range required {
			if _, ok := has[fmt.Sprint(name)]; !ok {
				missing(at, fmt.Sprint(name))
			}
		}
		for key, value := range v {
			properties(value, at+"/"+key, missing)
		}
	case []any:
		for i, item := range v {
			properties(item, fmt.Sprintf("%s/%d", at, i), missing)
		}
	}
}

func TestEveryOperationHasANameAndSaysHowItCanFail(t *testing.T) {
	names := map[string]bool{}
	for path, methods := range readContract(t).Paths {
		for method, op := range methods {
			where := method + " " + path
			if op.ID == "" || names[op.ID] {
				t.Errorf("%s is called %q, as another is or nothing should be", where, op.ID)
			}
			names[op.ID] = true
			if _, ok := op.Responses["200"].Content["application/json"]; !ok {
				t.Errorf("%s does not say what it answers", where)
			}
			statuses := slices.Sorted(maps.Keys(op.Responses))
			for _, status := range []string{"400", "401", "403", "404", "409", "413", "415", "422", "429", "500", "503"} {
				content, ok := op.Responses[status]
				if p := content.Content["application/problem+json"].Schema; !ok || p == nil || p.Ref != "#/components/schemas/Problem" {
					t.Errorf("%s does not say that %s is a problem; it has %v", where, status, statuses)
				}
			}
		}
	}
}

func TestEveryRouteNeedsATokenButTheDocumentAndTheHealthChecks(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	open := []string{"/openapi.json", "/openapi.yaml", "/healthz", "/readyz"}
	for _, path := range open {
		if g := r.raw("", http.MethodGet, path, ""); g.status != http.StatusOK {
			t.Errorf("%s answers %d", path, g.status)
		}
		for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodHead, http.MethodOptions} {
			if g := r.raw("", method, path, ""); g.status != http.StatusUnauthorized {
				t.Errorf("%s %s answers %d", method, path, g.status)
			}
		}
	}
	closed := []string{"/", "/docs", "/openapi-3.0.json", "/openapi.json/", "/schemas/Me.json", "/healthz/", "/readyz/", "/v1", "/metrics", "/debug/pprof/", "//openapi.json", "/v1/../healthz"}
	for _, s := range r.contract.samples(t) {
		closed = append(closed, s.path)
	}
	for _, path := range closed {
		for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodOptions, http.MethodTrace} {
			if g := r.raw("", method, path, ""); g.status != http.StatusUnauthorized {
				t.Errorf("%s %s answers %d without a token: %s", method, path, g.status, g.text)
			}
		}
	}
}

func TestEveryAnswerTellsBrowsersAndCachesToKeepOut(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for _, g := range []got{
		r.raw("", http.MethodGet, "/healthz", ""), r.raw("", http.MethodGet, "/readyz", ""), r.raw("", http.MethodGet, "/v1/me", ""), r.raw("dana", http.MethodGet, "/v1/me", ""),
		r.raw("dana", http.MethodGet, "/nothing", ""), r.raw("dana", http.MethodPost, "/v1/requests", "{"),
	} {
		if g.header.Get("Cache-Control") != "no-store" || g.header.Get("X-Content-Type-Options") != "nosniff" || !strings.Contains(g.header.Get("Content-Security-Policy"), "default-src 'none'") {
			t.Errorf("%d %s comes with %v", g.status, g.text, g.header)
		}
	}
}
