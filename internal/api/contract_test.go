package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// contract is the OpenAPI document as those read it who call the API. Answers are held against it: what it does not say is
// a defect, whatever the test is about.
type contract struct {
	Paths      map[string]map[string]documented `json:"paths"`
	Components struct {
		Schemas map[string]*schema `json:"schemas"`
	} `json:"components"`

	mu   sync.Mutex
	seen map[string]bool // operationId and status of every answer
}

type documented struct {
	ID          string                     `json:"operationId"`
	Parameters  []parameter                `json:"parameters"`
	RequestBody struct{ Content contents } `json:"requestBody"`
	Responses   map[string]struct {
		Content contents `json:"content"`
	} `json:"responses"`
}

type contents map[string]struct {
	Schema *schema `json:"schema"`
}

type parameter struct {
	Name     string  `json:"name"`
	In       string  `json:"in"`
	Required bool    `json:"required"`
	Schema   *schema `json:"schema"`
}

// schema is what of JSON Schema the document uses.
type schema struct {
	Ref        string             `json:"$ref"`
	Type       string             `json:"type"`
	Format     string             `json:"format"`
	Enum       []any              `json:"enum"`
	Properties map[string]*schema `json:"properties"`
	Required   []string           `json:"required"`
	Items      *schema            `json:"items"`
	Additional any                `json:"additionalProperties"` // false, or a schema
	Pattern    string             `json:"pattern"`
	MinLength  int                `json:"minLength"`
	MaxLength  int                `json:"maxLength"` // 0: no limit
	Minimum    float64            `json:"minimum"`
	Maximum    *float64           `json:"maximum"`
}

func readContract(t testing.TB) *contract {
	t.Helper()
	text, err := os.ReadFile("openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	c := &contract{seen: map[string]bool{}}
	if err := json.Unmarshal(text, c); err != nil {
		t.Fatal(err)
	}
	return c
}

// witness is an HTTP client that holds every answer against the contract.
type witness struct {
	*contract
	t testing.TB
}

func (c *contract) through(t testing.TB) *witness { return &witness{c, t} }

var plainClient = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}

func (w *witness) Do(q *http.Request) (*http.Response, error) {
	w.t.Helper()
	answer, err := plainClient.Do(q)
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(answer.Body)
	answer.Body.Close()
	answer.Body = io.NopCloser(bytes.NewReader(text))
	if what := marked(fmt.Sprint(string(text), answer.Header)); what != "" && !(answer.StatusCode == http.StatusOK && strings.HasSuffix(q.URL.Path, "/credentials")) {
		w.t.Errorf("%s %s answers something secret: %s", q.Method, q.URL.Path, what)
	}
	if err == nil {
		for _, wrong := range w.judge(q.Method, q.URL.Path, answer, text) {
			w.t.Errorf("%s %s answers what openapi.json does not say: %s\n%s", q.Method, q.URL.Path, wrong, text)
		}
	}
	return answer, err
}

// judge says what is wrong with an answer. What no operation answers is not its business.
func (c *contract) judge(method, path string, answer *http.Response, text []byte) []string {
	op, ok := c.operation(method, path)
	if !ok || answer.StatusCode == http.StatusRequestHeaderFieldsTooLarge { // it came to nobody
		return nil
	}
	c.mu.Lock()
	c.seen[op.ID+" "+strconv.Itoa(answer.StatusCode)] = true
	c.mu.Unlock()
	response, ok := op.Responses[strconv.Itoa(answer.StatusCode)]
	if !ok {
		return []string{fmt.Sprintf("the status %d", answer.StatusCode)}
	}
	content, ok := response.Content[answer.Header.Get("Content-Type")]
	if !ok {
		return []string{fmt.Sprintf("%q as the type of the body", answer.Header.Get("Content-Type"))}
	}
	var v any
	if err := json.Unmarshal(text, &v); err != nil {
		return []string{err.Error()}
	}
	return c.check("body", content.Schema, v)
}

var inBraces = regexp.MustCompile(`\{[^/]+\}`)

func (c *contract) operation(method, path string) (documented, bool) {
	for template, methods := range c.Paths {
		pattern := "^" + inBraces.ReplaceAllString(template, "[^/]+") + "$"
		if op, ok := methods[strings.ToLower(method)]; ok && regexp.MustCompile(pattern).MatchString(path) {
			return op, true
		}
	}
	return documented{}, false
}

// check says where a value is not what a schema says.
func (c *contract) check(at string, s *schema, v any) []string {
	if s == nil {
		return nil
	}
	if s.Ref != "" {
		return c.check(at, c.Components.Schemas[strings.TrimPrefix(s.Ref, "#/components/schemas/")], v)
	}
	if len(s.Enum) > 0 && !slices.Contains(s.Enum, v) {
		return []string{fmt.Sprintf("%s is %v, which is none of %v", at, v, s.Enum)}
	}
	is := false
	switch v := v.(type) {
	case map[string]any:
		is = s.Type == "object"
		if is {
			return c.checkObject(at, s, v)
		}
	case []any:
		is = s.Type == "array"
		var wrong []string
		for i, item := range v {
			wrong = append(wrong, c.check(fmt.Sprintf("%s[%d]", at, i), s.Items, item)...)
		}
		if is {
			return wrong
		}
	case string:
		_, err := time.Parse(time.RFC3339, v)
		is = s.Type == "string" && (s.Format != "date-time" || err == nil)
	case float64:
		is = s.Type == "number" || s.Type == "integer" && v == float64(int64(v))
	case bool:
		is = s.Type == "boolean"
	}
	if !is {
		return []string{fmt.Sprintf("%s is %v, which is no %s %s", at, v, s.Type, s.Format)}
	}
	return nil
}

func (c *contract) checkObject(at string, s *schema, v map[string]any) []string {
	var wrong []string
	for _, name := range s.Required {
		if _, ok := v[name]; !ok {
			wrong = append(wrong, fmt.Sprintf("%s lacks %s", at, name))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(v)) {
		property, ok := s.Properties[name]
		if !ok && s.Additional == false {
			wrong = append(wrong, fmt.Sprintf("%s has %s", at, name))
		}
		wrong = append(wrong, c.check(at+"."+name, property, v[name])...)
	}
	return wrong
}
