package strict

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
)

type minutes int

func (m *minutes) UnmarshalText(text []byte) error {
	_, err := fmt.Sscanf(string(text), "%dm", (*int)(m))
	if err != nil {
		return fmt.Errorf("%q is not a number of minutes", text)
	}
	return nil
}

type place struct {
	OUs  []Word              `yaml:"ous"`
	Tags map[string][]string `yaml:"tags"`
}

type rule struct {
	At       Position
	Name     string   `yaml:"name,required"`
	Groups   []string `yaml:"groups"`
	Accounts []string `yaml:"accounts"`
	For      minutes  `yaml:"for"`
	Needs    int      `yaml:"needs"`
	Deny     bool     `yaml:"deny"`
	Where    *place   `yaml:"where"`
}

type document struct {
	Rules []rule `yaml:"rules,required"`
}

func TestDecodeFillsEveryKindOfField(t *testing.T) {
	const text = `
rules:
  - name: one
    groups: developers
    accounts: [012345678901, "111111111111"]
    for: 30m
    needs: 2
    deny: true
    where:
      ous: [Workloads/Prod, Sandbox]
      tags: {env: prod, tier: ["1", two]}
  - name: two
`
	var got document
	if err := Decode("r.yaml", []byte(text), &got); err != nil {
		t.Fatal(err)
	}
	want := document{Rules: []rule{
		{
			At: Position{"r.yaml", 3, 5}, Name: "one", Groups: []string{"developers"}, Accounts: []string{"012345678901", "111111111111"},
			For: 30, Needs: 2, Deny: true, Where: &place{
				OUs:  []Word{{"Workloads/Prod", Position{"r.yaml", 10, 13}}, {"Sandbox", Position{"r.yaml", 10, 29}}},
				Tags: map[string][]string{"env": {"prod"}, "tier": {"1", "two"}},
			},
		},
		{At: Position{"r.yaml", 12, 5}, Name: "two"},
	}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestDecodeNamesWhatIsWrongAndWhere(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"unknown key", "rules:\n  - name: a\n    gropus: [x]\n", `r.yaml:3:5: unknown key "gropus" in "rules" (did you mean "groups"?)`},
		{"unknown key, nothing near", "rules:\n  - name: a\nzzz: 1\n", `r.yaml:3:1: unknown key "zzz" in the document (known keys: rules)`},
		{"swapped letters", "rules:\n  - nmae: a\n", `r.yaml:2:5: unknown key "nmae" in "rules" (did you mean "name"?)`},
		{"missing key", "rules:\n  - deny: true\n", `r.yaml:2:5: "rules" lacks the key "name"`},
		{"doubled key", "rules:\n  - name: a\n    name: b\n", `r.yaml:3:5: "name" is here twice (the first is in line 2)`},
		{"empty value", "rules:\n  - name: a\n    groups:\n", `r.yaml:3:5: "groups" has no value (give it one, or remove the key)`},
		{"empty list", "rules:\n  - name: a\n    groups: []\n", `r.yaml:3:13: "groups" is an empty list`},
		{"a list for a value", "rules:\n  - name: [a]\n", `r.yaml:2:11: "name" is a list (write a single value)`},
		{"keys for a value", "rules:\n  - name: {a: b}\n", `r.yaml:2:11: "name" has keys below it`},
		{"a value for keys", "rules: 7\n", `r.yaml:1:8: "rules" is a single value or a list`},
		{"a word for a number", "rules:\n  - name: a\n    needs: two\n", `r.yaml:3:12: "needs" is "two" (write a whole number)`},
		{"a word for a boolean", "rules:\n  - name: a\n    deny: maybe\n", `r.yaml:3:11: "deny" is "maybe" (write true or false)`},
		{"a fraction for a word", "rules:\n  - name: 1.5\n", `r.yaml:2:11: "name" is of a kind that is not used here (quote the value)`},
		{"a type's own complaint", "rules:\n  - name: a\n    for: soon\n", `r.yaml:3:10: "for": "soon" is not a number of minutes`},
		{"anchor", "rules:\n  - &a\n    name: a\n", "r.yaml:2:5: anchors and aliases are not used here"},
		{"alias", "rules:\n  - name: *a\n", "r.yaml:2:11: anchors and aliases are not used here"},
		{"tag", "rules:\n  - name: !!str a\n", "r.yaml:2:11: tags are not used here"},
		{"merge", "rules:\n  - name: a\n    <<: {deny: true}\n", "r.yaml:3:5: merge keys are not used here"},
		{"second document", "rules:\n  - name: a\n---\nrules:\n  - name: b\n", "a second document begins here"},
		{"syntax", "rules: [\n", "r.yaml:1:8: "},
		{"tab", "rules:\n\t- name: a\n", "r.yaml:2:1: "},
		{"empty", "", "r.yaml: the file is empty"},
		{"only a comment", "# nothing\n", "r.yaml: the file is empty"},
		{"not text", "rules: \xff\n", "r.yaml: the file is not UTF-8 text"},
		{"too large", strings.Repeat("#", maxSize+1), "r.yaml: the file has 1048577 bytes; at most 1048576 are read"},
		{"too deep in brackets", "rules: " + strings.Repeat("[", 100000), "nested more than 64 deep"},
		{"too deep in dashes", "rules: \n  " + strings.Repeat("- ", 100000), "nested more than 64 deep"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := Decode("r.yaml", []byte(c.text), &document{})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got  %v\nwant %s", err, c.want)
			}
		})
	}
}

func TestDecodeReportsEveryProblemInTheOrderOfLines(t *testing.T) {
	err := Decode("r.yaml", []byte("rules:\n  - name: a\n    needs: x\n    dney: true\n  - groups: [b]\n"), &document{})
	want := "r.yaml:3:12: \"needs\" is \"x\" (write a whole number)\n" +
		"r.yaml:4:5: unknown key \"dney\" in number 1 of \"rules\" (did you mean \"deny\"?)\n" +
		"r.yaml:5:5: number 2 of \"rules\" lacks the key \"name\""
	if err == nil || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
	if n := len(Problems(fmt.Errorf("reading rules: %w", err))); n != 3 {
		t.Errorf("%d problems behind a wrapped error, want 3", n)
	}
}

func TestNearest(t *testing.T) {
	words := []string{"permission-sets", "groups", "people", "for"}
	for word, want := range map[string]string{"permision-set": "permission-sets", "Groups": "groups", "poeple": "people", "fro": "for", "banana": "", "": ""} {
		if got := Nearest(word, words); got != want {
			t.Errorf("Nearest(%q) = %q, want %q", word, got, want)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, seed := range []string{
		"rules:\n  - name: a\n    where: {ous: [x], tags: {a: b}}\n", "rules: [[[[", "? - ? -\n", "a: |\n  x\n y", "- - -\n-", "rules:\n- {name: 'a', for: 3m}\n...\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var d document
		if err := Decode("f", text, &d); err == nil && len(d.Rules) == 0 {
			t.Errorf("accepted %q without a rule", text)
		}
	})
}
