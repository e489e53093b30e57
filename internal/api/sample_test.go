package api

import (
	"encoding/json"
	"maps"
	"net/url"
	"regexp/syntax"
	"slices"
	"strings"
	"testing"
	"time"
)

// sample is a call of an operation that is valid by the document, and says as little as it can.
type sample struct {
	op      documented
	method  string
	path    string // with the query
	body    map[string]any
	takes   *schema  // what the body has to be; nil: there is none
	headers []string // names and values in turns
}

// samples are one call for each operation.
func (c *contract) samples(t testing.TB) (all []sample) {
	t.Helper()
	for _, path := range slices.Sorted(maps.Keys(c.Paths)) {
		for _, method := range slices.Sorted(maps.Keys(c.Paths[path])) {
			s := sample{op: c.Paths[path][method], method: strings.ToUpper(method), path: path}
			query := url.Values{}
			for _, p := range s.op.Parameters {
				if !p.Required {
					continue
				}
				text, _ := c.valid(t, p.Schema).(string)
				switch p.In {
				case "path":
					s.path = strings.Replace(s.path, "{"+p.Name+"}", url.PathEscape(text), 1)
				case "header":
					s.headers = append(s.headers, p.Name, text)
				case "query":
					query.Set(p.Name, text)
				}
			}
			if len(query) > 0 {
				s.path += "?" + query.Encode()
			}
			if content, ok := s.op.RequestBody.Content["application/json"]; ok {
				s.takes = c.resolve(content.Schema)
				s.body = c.valid(t, s.takes).(map[string]any)
			}
			all = append(all, s)
		}
	}
	return all
}

// json is the body as it is sent.
func (s sample) json(t testing.TB) string {
	t.Helper()
	if s.takes == nil {
		return ""
	}
	return encoded(t, s.body)
}

func encoded(t testing.TB, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func (c *contract) resolve(s *schema) *schema {
	for s != nil && s.Ref != "" {
		s = c.Components.Schemas[strings.TrimPrefix(s.Ref, "#/components/schemas/")]
	}
	return s
}

// valid is the least value that a schema takes.
func (c *contract) valid(t testing.TB, s *schema) any {
	t.Helper()
	s = c.resolve(s)
	switch {
	case len(s.Enum) > 0:
		return s.Enum[0]
	case s.Type == "object":
		v := map[string]any{}
		for _, name := range s.Required {
			v[name] = c.valid(t, s.Properties[name])
		}
		return v
	case s.Type == "array":
		return []any{c.valid(t, s.Items)}
	case s.Type == "boolean":
		return false
	case s.Type == "integer" || s.Type == "number":
		return s.Minimum
	case s.Format == "date-time":
		return start.Add(time.Hour).Format(time.RFC3339)
	case s.Pattern != "":
		re, err := syntax.Parse(s.Pattern, syntax.Perl)
		if err != nil {
			t.Fatal(err)
		}
		return matching(re.Simplify(), s.MinLength)
	}
	return strings.Repeat("x", max(1, s.MinLength))
}

// matching is a text that a pattern of the document matches, with at least so many characters where the pattern repeats.
func matching(re *syntax.Regexp, least int) string {
	switch re.Op {
	case syntax.OpLiteral:
		return string(re.Rune)
	case syntax.OpCharClass:
		return string(re.Rune[0])
	case syntax.OpPlus:
		return strings.Repeat(matching(re.Sub[0], 0), max(1, least))
	case syntax.OpCapture, syntax.OpAlternate:
		return matching(re.Sub[0], least)
	case syntax.OpConcat:
		all := ""
		for _, sub := range re.Sub {
			all += matching(sub, least)
		}
		return all
	case syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		return "x"
	case syntax.OpNoMatch, syntax.OpEmptyMatch, syntax.OpBeginLine, syntax.OpEndLine, syntax.OpBeginText, syntax.OpEndText, syntax.OpWordBoundary,
		syntax.OpNoWordBoundary, syntax.OpStar, syntax.OpQuest, syntax.OpRepeat: // places, and what may be left out
	}
	return ""
}
