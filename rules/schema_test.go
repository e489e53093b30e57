package rules

import (
	"bytes"
	"encoding"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"sparekey/strict"
)

var updateSchema = flag.Bool("update", false, "write the schema anew")

// together is what the keys of a struct must be with one another.
var together = map[string]map[string]any{
	"Rule": {
		"if":   map[string]any{"properties": map[string]any{"deny": map[string]any{"const": true}}, "required": []string{"deny"}},
		"then": map[string]any{"not": map[string]any{"anyOf": []any{map[string]any{"required": []string{"for"}}, map[string]any{"required": []string{"approval"}}}}},
		"else": map[string]any{"required": []string{"who", "what", "where", "for", "approval"}},
	},
}

// scheme makes a schema of the structs that files of rules are decoded into.
type scheme struct {
	t           *testing.T
	definitions map[string]any
	used        map[string]bool
}

func (s *scheme) of(t reflect.Type, key string) map[string]any {
	switch {
	case t == reflect.TypeFor[strict.Word]():
		return s.narrow(key, map[string]any{"type": []string{"string", "integer"}}) // the reader takes whole numbers as they are written
	case t == reflect.TypeFor[Duration]():
		return map[string]any{"type": "string", "pattern": "^([0-9]+h)?([0-9]+m)?$", "minLength": 2}
	case reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]()):
		return s.narrow(key, map[string]any{"type": "string"})
	}
	switch t.Kind() {
	case reflect.Pointer:
		return s.of(t.Elem(), key)
	case reflect.String:
		return s.narrow(key, map[string]any{"type": "string"})
	case reflect.Bool:
		return map[string]any{"type": "boolean"}
	case reflect.Int:
		return s.narrow(key, map[string]any{"type": "integer"})
	case reflect.Slice:
		item := s.of(t.Elem(), key)
		return map[string]any{"anyOf": []any{item, map[string]any{"type": "array", "items": item, "minItems": 1}}} // the reader takes one for a list of one
	case reflect.Map:
		return map[string]any{"type": "object", "additionalProperties": s.of(t.Elem(), key), "minProperties": 1}
	case reflect.Struct:
		s.object(t)
		return map[string]any{"$ref": "#/definitions/" + t.Name()}
	default:
		s.t.Fatalf("%s is a %s, of which the schema knows nothing", key, t)
		return nil
	}
}

func (s *scheme) narrow(key string, schema map[string]any) map[string]any {
	for k, v := range narrowed[key] {
		schema[k] = v
	}
	return schema
}

func (s *scheme) object(t reflect.Type) {
	if s.definitions[t.Name()] != nil {
		return
	}
	object := map[string]any{"type": "object", "additionalProperties": false, "minProperties": 1}
	s.definitions[t.Name()] = object
	properties, required := map[string]any{}, []string{}
	for _, field := range reflect.VisibleFields(t) { // those of what is embedded too, as the reader does
		tag, ok := field.Tag.Lookup("yaml")
		if !ok {
			continue
		}
		name, option, _ := strings.Cut(tag, ",")
		key := t.Name() + "." + name
		if meanings[key] == "" {
			key = name
		}
		words := meanings[key]
		if words == "" {
			s.t.Errorf("nothing says what %s means", key)
		}
		s.used[key] = true
		property := s.of(field.Type, key)
		if _, is := property["$ref"]; is { // in draft 7, what stands beside $ref is not looked at
			property = map[string]any{"allOf": []any{property}}
		}
		property["description"] = words
		properties[name] = property
		if option == "required" {
			required = append(required, name)
		}
	}
	object["properties"] = properties
	if len(required) > 0 {
		object["required"] = required
	}
	for k, v := range together[t.Name()] {
		object[k] = v
	}
}

func TestTheSchemaIsMadeOfTheStructs(t *testing.T) {
	s := &scheme{t, map[string]any{}, map[string]bool{}}
	s.object(reflect.TypeFor[document]())
	for key := range meanings {
		if !s.used[key] {
			t.Errorf("%s is described and does not exist", key)
		}
	}
	root := s.definitions["document"].(map[string]any)
	delete(s.definitions, "document")
	root["$schema"], root["title"], root["definitions"] = "http://json-schema.org/draft-07/schema#", "Rules of Sparekey", s.definitions
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(root); err != nil {
		t.Fatal(err)
	}
	if *updateSchema {
		if err := os.WriteFile("schema.json", text.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if !bytes.Equal(text.Bytes(), Schema()) {
		t.Error("schema.json is not what the structs say; run make generate")
	}
}

// judged compiles the schema with a validator that knows nothing of us.
func judged(t *testing.T) *jsonschema.Schema {
	t.Helper()
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(Schema()))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("schema.json", v); err != nil {
		t.Fatal(err)
	}
	compiled, err := c.Compile("schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return compiled
}

func validate(t *testing.T, s *jsonschema.Schema, text []byte) error {
	t.Helper()
	asJSON, err := yaml.YAMLToJSON(text)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(asJSON))
	if err != nil {
		t.Fatal(err)
	}
	return s.Validate(v)
}

func TestAnotherValidatorTakesTheExamples(t *testing.T) {
	s := judged(t)
	files, err := filepath.Glob("../internal/demo/rules/*.yaml")
	bullets, err2 := filepath.Glob("testdata/bullets/*.yaml")
	if err != nil || err2 != nil || len(files) == 0 || len(bullets) < 10 {
		t.Fatalf("%d and %d examples, %v, %v", len(files), len(bullets), err, err2)
	}
	files = slices.DeleteFunc(append(files, bullets...), func(name string) bool { return filepath.Base(name) == "organization.yaml" })
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := validate(t, s, text); err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
	guide, err := os.ReadFile("../docs/rules.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(guide), "```yaml\nrules:\n")
	example, _, _ := strings.Cut(rest, "```")
	if err := validate(t, s, []byte("rules:\n"+example)); err != nil {
		t.Errorf("the example of docs/rules.md: %v", err)
	}
}

const whole = "rules:\n  - name: a\n    who: {groups: [g]}\n    what: {permission-sets: [S]}\n    where: {ous: [/]}\n    for: 1h30m\n    approval: {need: 2, groups: g}\n"

// TestAnotherValidatorRefusesWhatTheReaderRefuses holds mistakes of form against both.
func TestAnotherValidatorRefusesWhatTheReaderRefuses(t *testing.T) {
	s := judged(t)
	right := []string{
		whole, strings.Replace(whole, "{ous: [/]}", "{accounts: [111122223333]}", 1), strings.Replace(whole, "{ous: [/]}", `{accounts: ["111122223333"], tags: {env: prod}}`, 1),
		"rules: [{name: d, deny: true, who: {everyone: true, except: {people: [kim]}}}]", whole + "tests: [a may not have b in c]", rich,
	}
	for _, text := range right {
		_, err := Parse([]File{{"a.yaml", []byte(text)}}, DefaultLongest)
		if other := validate(t, s, []byte(text)); err != nil || other != nil {
			t.Errorf("it is right\n%s\nreader: %v\nvalidator: %v", text, err, other)
		}
	}
	for _, c := range wrongRich {
		refuseBoth(t, s, rich, c)
	}
	for _, c := range [][2]string{
		{"who:", "wat:"}, {"name: a", "name: A b"}, {"for: 1h30m", "for: soon"}, {"for: 1h30m", "for: 1h30s"}, {"    for: 1h30m\n", ""}, {"    approval: {need: 2, groups: g}\n", ""},
		{"need: 2", "need: 11"}, {"need: 2", "need: two"}, {"need: 2", "nede: 2"}, {"groups: [g]", "groups: []"}, {"{ous: [/]}", "{accounts: [payments-prod]}"},
		{"{ous: [/]}", "{ous: [/], except: {acounts: ['111122223333']}}"}, {"who: {groups: [g]}", "deny: true\n    who: {groups: [g]}"}, {"permission-sets", "permission-set"},
		{"approval: {need: 2, groups: g}", "approval: {automatic: maybe}"}, {"rules:", "rule:"}, {"for: 1h30m", "for: 1h30m\n    with: {reason: sometimes}"},
	} {
		refuseBoth(t, s, whole, c)
	}
}

func refuseBoth(t *testing.T, s *jsonschema.Schema, right string, change [2]string) {
	t.Helper()
	text := strings.Replace(right, change[0], change[1], 1)
	if text == right {
		t.Fatalf("nothing was changed by %q", change)
	}
	_, err := Parse([]File{{"a.yaml", []byte(text)}}, DefaultLongest)
	if other := validate(t, s, []byte(text)); err == nil || other == nil {
		t.Errorf("it is wrong\n%s\nreader: %v\nvalidator: %v", text, err, other)
	}
}

// rich is rules that use what there is beyond the simplest ones.
const rich = `calendars:
  japan: [2026-12-31]
sensitive:
  accounts: ["100000000002"]
  review: {groups: [security], within: 48h, ladder: {after: 24h, groups: [directors]}}
rules:
  - name: a
    who: {groups: [g]}
    what: {permission-sets: [S]}
    where: {ous: [/]}
    for: 1h
    by: membership
    extend: 30m
    during: {days: [mon, tue], from: "22:00", to: "24:00", zone: Europe/Berlin, holidays: [japan]}
    with: {ticket: {pattern: "INC-[0-9]+", check: jira, when-down: wait}}
    approval:
      comment: required
      automatic-on-call: {schedule: payments}
      stages:
        - {need: 1, groups: [g], owner: owner, silent: {groups: [h]}, on-call: {schedule: payments, when-down: nobody}}
        - all:
            - {need: 1, groups: [h], hours: {zone: UTC}, ladder: [{after: 10m, people: [kim]}]}
            - {need: 2, people: [kim, lee, ren]}
  - name: b
    who: {groups: [g]}
    what: {roles: [ops/Deployer]}
    where: {ous: [/]}
    for: 1h
    by: session
    approval: {automatic: true}
    review: {people: [kim]}
`

var wrongRich = [][2]string{
	{"calendars:", "calendar:"}, {`accounts: ["100000000002"]`, `accounts: [payments-prod]`}, {"within: 48h", "within: soon"}, {"{after: 24h, groups: [directors]}", "{groups: [directors]}"},
	{"by: membership", "by: magic"}, {"extend: 30m", "extend: 30s"}, {"days: [mon, tue]", "days: [monday]"}, {`from: "22:00"`, `from: "25:00"`}, {"zone: Europe/Berlin, ", ""},
	{`pattern: "INC-[0-9]+", `, ""}, {"when-down: wait", "when-down: maybe"}, {"comment: required", "comment: sometimes"}, {"{schedule: payments}", "{when-down: nobody}"},
	{"when-down: nobody", "when-down: somebody"}, {"need: 2", "need: 11"}, {"silent: {groups: [h]}", "silent: {group: [h]}"}, {"roles: [ops/Deployer]", "roles: ['ops/*']"}, {"hours: {zone: UTC}", "hours: {zone: UTC, till: '18:00'}"},
}
