package rules

import (
	"bytes"
	"encoding"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"sparekey/strict"
)

var updateSchema = flag.Bool("update", false, "write the schema anew")

// meanings says what each key means, by the struct that it is in. A key that is not here fails the test.
var meanings = map[string]string{
	"document.rules":       "The rules. Deny wins; of the rules that allow, the one that asks least decides.",
	"document.tests":       "Sentences that must hold: PERSON may have SET in PLACE for 1h [automatically | with one approval], or PERSON may not have SET in PLACE [for 1h].",
	"Rule.name":            "Small letters, digits and dashes; unique among all files.",
	"Rule.description":     "What people read when the rule denies.",
	"Rule.deny":            "Denies, whatever other rules say. Without who, what or where, that part is everyone or everything.",
	"Rule.who":             "Who may ask.",
	"Rule.what":            "What may be asked for.",
	"Rule.where":           "In which accounts.",
	"Rule.for":             "The longest that it gives, in whole minutes: 45m, 8h, 1h30m.",
	"Rule.with":            "What a request must bring.",
	"Rule.approval":        "Who must agree: automatic: true, or a number of people out of groups and people.",
	"Who.everyone":         "Everybody in the directory. Without it, groups and people add up.",
	"Who.groups":           "Groups of the identity store, by name or id.",
	"Who.people":           "People, by user name or id.",
	"Who.except":           "Who is left out, in the same form.",
	"What.permission-sets": "Permission sets, by name.",
	"Where.accounts":       "Account ids. Names are not taken: several accounts may share one.",
	"Where.ous":            "OUs with everything below them: paths from below the root (Workloads/Prod), ids, or / for the whole organization.",
	"Where.tags":           "Narrows to accounts that carry every tag named, each with one of its values.",
	"Where.except":         "Which accounts are left out, in the same form.",
	"With.reason":          "Required, unless it says optional.",
	"Approval.automatic":   "Nobody must agree.",
	"Approval.need":        "How many different people must agree.",
	"Approval.groups":      "Their members may agree, but never to what they asked for themselves.",
	"Approval.people":      "These people may agree, but never to what they asked for themselves.",
}

// narrowed is what the types do not say of a key.
var narrowed = map[string]map[string]any{
	"Rule.name":      {"type": "string", "pattern": ruleName.String()},
	"Where.accounts": {"pattern": "^[0-9]{12}$"},
	"With.reason":    {"enum": []string{"required", "optional"}},
	"Approval.need":  {"minimum": 1, "maximum": 10},
}

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
	for i := range t.NumField() {
		tag, ok := t.Field(i).Tag.Lookup("yaml")
		if !ok {
			continue
		}
		name, option, _ := strings.Cut(tag, ",")
		key := t.Name() + "." + name
		words := meanings[key]
		if words == "" {
			s.t.Errorf("nothing says what %s means", key)
		}
		s.used[key] = true
		property := s.of(t.Field(i).Type, key)
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
	if err != nil || len(files) == 0 {
		t.Fatalf("%d examples, %v", len(files), err)
	}
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
		"rules: [{name: d, deny: true, who: {everyone: true, except: {people: [kim]}}}]", whole + "tests: [a may not have b in c]",
	}
	for _, text := range right {
		_, err := Parse([]File{{"a.yaml", []byte(text)}}, DefaultLongest)
		if other := validate(t, s, []byte(text)); err != nil || other != nil {
			t.Errorf("it is right\n%s\nreader: %v\nvalidator: %v", text, err, other)
		}
	}
	for _, c := range [][2]string{
		{"who:", "wat:"}, {"name: a", "name: A b"}, {"for: 1h30m", "for: soon"}, {"for: 1h30m", "for: 1h30s"}, {"    for: 1h30m\n", ""}, {"    approval: {need: 2, groups: g}\n", ""},
		{"need: 2", "need: 11"}, {"need: 2", "need: two"}, {"need: 2", "nede: 2"}, {"groups: [g]", "groups: []"}, {"{ous: [/]}", "{accounts: [payments-prod]}"},
		{"{ous: [/]}", "{ous: [/], except: {acounts: ['111122223333']}}"}, {"who: {groups: [g]}", "deny: true\n    who: {groups: [g]}"}, {"permission-sets", "permission-set"},
		{"approval: {need: 2, groups: g}", "approval: {automatic: maybe}"}, {"rules:", "rule:"}, {"for: 1h30m", "for: 1h30m\n    with: {reason: sometimes}"},
	} {
		text := strings.Replace(whole, c[0], c[1], 1)
		if text == whole {
			t.Fatalf("nothing was changed by %q", c)
		}
		_, err := Parse([]File{{"a.yaml", []byte(text)}}, DefaultLongest)
		if other := validate(t, s, []byte(text)); err == nil || other == nil {
			t.Errorf("it is wrong\n%s\nreader: %v\nvalidator: %v", text, err, other)
		}
	}
}
