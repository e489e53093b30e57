package arch

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the table of requirements anew")

var (
	requirement = regexp.MustCompile(`(partly )?\b(S[0-3]-\d+)\b`)
	row         = regexp.MustCompile(`^\| (S[0-3]-\d+) \| (.*) \| ([^|]*) \|$`)
)

// TestTheRequirementsTableSaysWhereEachIsMet compares the table's last column with the ids that tests, scripts and docs name.
func TestTheRequirementsTableSaysWhereEachIsMet(t *testing.T) {
	const page = "../../docs/requirements.md"
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	met, err := places("../..")
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	var out strings.Builder
	for line := range strings.Lines(string(text)) {
		m := row.FindStringSubmatch(strings.TrimRight(line, "\n"))
		if m == nil {
			out.WriteString(line)
			continue
		}
		known[m[1]] = true
		where := "not yet"
		if len(met[m[1]]) > 0 {
			where = strings.Join(met[m[1]], "; ")
		}
		fmt.Fprintf(&out, "| %s | %s | %s |\n", m[1], m[2], where)
	}
	for id, where := range met {
		if !known[id] {
			t.Errorf("%s names the requirement %s, which there is not", where[0], id)
		}
	}
	if *update {
		if err := os.WriteFile(page, []byte(out.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if out.String() != string(text) {
		t.Error("docs/requirements.md is not what tests and docs say; run make generate")
	}
}

// places lists, by requirement, the tests, scripts and pages that name it.
func places(root string) (map[string][]string, error) {
	met := map[string][]string{}
	add := func(text, where string) {
		for _, m := range requirement.FindAllStringSubmatch(text, -1) {
			if id, where := m[2], m[1]+where; !slices.Contains(met[id], where) {
				met[id] = append(met[id], where)
			}
		}
	}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name := d.Name(); name == ".git" || name == ".build" || name == "node_modules" {
				return fs.SkipDir
			}
			return nil
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		switch {
		case strings.HasSuffix(name, "_test.go") && !strings.HasPrefix(name, "internal/arch/"):
			return ofTests(path, name, add)
		case strings.HasSuffix(name, ".txtar"), strings.HasSuffix(name, ".md") && strings.HasPrefix(name, "docs/") && name != "docs/requirements.md":
			text, err := os.ReadFile(path)
			add(string(text), "`"+name+"`")
			return err
		}
		return nil
	})
	for _, where := range met {
		slices.Sort(where)
	}
	return met, err
}

// ofTests finds the ids in the comments of tests and benchmarks.
func ofTests(path, name string, add func(text, where string)) error {
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments)
	if err != nil {
		return err
	}
	for _, decl := range file.Decls {
		if fn, ok := decl.(*ast.FuncDecl); ok && fn.Doc != nil && (strings.HasPrefix(fn.Name.Name, "Test") || strings.HasPrefix(fn.Name.Name, "Benchmark")) {
			add(fn.Doc.Text(), fmt.Sprintf("`%s` (%s)", fn.Name.Name, filepath.Dir(name)))
		}
	}
	return nil
}
