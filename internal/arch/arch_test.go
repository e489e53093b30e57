package arch

import (
	"os"
	"strings"
	"testing"
	"testing/fstest"
)

func TestTheTreeIsWhatArchitectureSays(t *testing.T) {
	text, err := os.ReadFile("../../ARCHITECTURE.md")
	if err != nil {
		t.Fatal(err)
	}
	p, err := readPage(string(text))
	if err != nil {
		t.Fatalf("reading ARCHITECTURE.md: %v", err)
	}
	tree, err := readTree(os.DirFS("../.."))
	if err != nil {
		t.Fatal(err)
	}
	for _, wrong := range disagreements(p, tree, "sparekey") {
		t.Error(wrong)
	}
}

const smallPage = "# A\n\n```\norg/  says who  core\nrules/  says what  core\ninternal/\n  store/  keeps it  state\n  jobs/  keeps promises  service\n" +
	"  aws/  gives  adapter\n  trail/  reads  adapter\ncmd/\n  x/  is the program  main\n```\n\n" +
	"| layer | may import | never |\n|---|---|---|\n| core | core above | `net` `os` `time.Now` but `net/url` |\n| state | core | |\n" +
	"| service | core, state, service above | |\n| adapter | core | |\n| main | all | |\n\n" +
	"| closure of | never reaches |\n|---|---|\n| `internal/trail` | `database/sql` |\n"

// TestEveryKindOfDisagreementIsNamed plants one fault at a time in a small, true tree.
func TestEveryKindOfDisagreementIsNamed(t *testing.T) {
	files := map[string]string{
		"org/a.go":                  "// Package org says who.\npackage org\nimport \"net/url\"\nvar _ = url.Parse",
		"rules/a.go":                "// Package rules says what. And more.\npackage rules\nimport _ \"m/org\"",
		"internal/store/a.go":       "// Package store keeps it.\npackage store\nimport _ \"m/org\"\nimport _ \"m/internal/store/query\"",
		"internal/store/query/a.go": "// Package query is generated.\npackage query\nimport _ \"database/sql\"",
		"internal/jobs/a.go":        "// Package jobs keeps promises.\npackage jobs\nimport _ \"m/internal/store\"",
		"internal/aws/a.go":         "// Package aws gives.\npackage aws\nimport _ \"m/rules\"",
		"internal/trail/a.go":       "// Package trail reads.\npackage trail",
		"cmd/x/a.go":                "// Command x is the program.\npackage main\nimport _ \"m/internal/jobs\"",
	}
	for _, c := range []struct{ name, file, text, want string }{
		{"nothing", "", "", ""},
		{"a package off the map", "extra/a.go", "// Package extra is new.\npackage extra", "extra is not on the map"},
		{"a sentence that differs", "org/a.go", "// Package org says when.\npackage org", `says "says when", the map says "says who"`},
		{"no sentence", "internal/store/query/a.go", "package query", "internal/store/query has no package comment"},
		{"a core package above itself", "org/a.go", "// Package org says who.\npackage org\nimport _ \"m/rules\"", "may not import rules"},
		{"a core package that touches files", "org/a.go", "// Package org says who.\npackage org\nimport _ \"os/exec\"", "imports os/exec: the layer core never does"},
		{"a core package that reads the clock", "org/a.go", "// Package org says who.\npackage org\nimport t \"time\"\nvar now = t.Now()", "org/a.go:4:11 says time.Now"},
		{"an adapter that imports another", "internal/aws/a.go", "// Package aws gives.\npackage aws\nimport _ \"m/internal/trail\"", "may not import internal/trail"},
		{"an adapter's subpackage that imports the store", "internal/aws/sub/a.go", "// Package sub is part.\npackage sub\nimport _ \"m/internal/store\"", "may not import internal/store"},
		{"the store importing upwards", "internal/store/a.go", "// Package store keeps it.\npackage store\nimport _ \"m/internal/jobs\"", "may not import internal/jobs"},
		{"a closure", "internal/trail/a.go", "// Package trail reads.\npackage trail\nimport _ \"m/internal/store\"", "internal/trail → internal/store → internal/store/query reaches database/sql"},
	} {
		t.Run(c.name, func(t *testing.T) {
			tree := fstest.MapFS{}
			for name, text := range files {
				tree[name] = &fstest.MapFile{Data: []byte(text)}
			}
			if c.file != "" {
				tree[c.file] = &fstest.MapFile{Data: []byte(c.text)}
			}
			p, err := readPage(smallPage)
			if err != nil {
				t.Fatal(err)
			}
			read, err := readTree(tree)
			if err != nil {
				t.Fatal(err)
			}
			got := strings.Join(disagreements(p, read, "m"), "\n")
			if c.want == "" && got != "" || !strings.Contains(got, c.want) {
				t.Errorf("got:\n%s\nwant: %s", got, c.want)
			}
		})
	}
}

func TestAMissingPackageAndABadMapAreNamed(t *testing.T) {
	p, err := readPage(smallPage)
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Join(disagreements(p, map[string]*pkg{}, "m"), "\n")
	if !strings.Contains(got, "internal/store is on the map, but there is no such package") {
		t.Error(got)
	}
	for _, bad := range []string{"no block", "```\norg  says\n```\n", "```\n    org/  says who  core\n```\n", "```\norg/  says who  kernel\n```\n"} {
		if _, err := readPage(bad); err == nil {
			t.Errorf("accepted %q", bad)
		}
	}
}
