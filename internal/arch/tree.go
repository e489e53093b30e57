package arch

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
)

// pkg is what the Go files of one directory, tests apart, say.
type pkg struct {
	path     string
	sentence string            // the first sentence of the package comment, without "Package x" or "Command x"
	imports  map[string]string // import path → a file that imports it
	calls    map[string]string // "time.Now" → a file and line that says it
}

// readTree reads every package below the root of the module named module, leaving out testdata and hidden folders.
func readTree(root fs.FS) (map[string]*pkg, error) {
	tree := map[string]*pkg{}
	err := fs.WalkDir(root, ".", func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name := d.Name(); name == "testdata" || name == "node_modules" || name != "." && strings.HasPrefix(name, ".") {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(file, ".go") || strings.HasSuffix(file, "_test.go") {
			return nil
		}
		return readFile(root, file, tree)
	})
	return tree, err
}

func readFile(root fs.FS, file string, tree map[string]*pkg) error {
	text, err := fs.ReadFile(root, file)
	if err != nil {
		return err
	}
	files := token.NewFileSet()
	parsed, err := parser.ParseFile(files, file, text, parser.ParseComments)
	if err != nil {
		return fmt.Errorf("parsing: %w", err)
	}
	dir := path.Dir(file)
	p := tree[dir]
	if p == nil {
		p = &pkg{path: dir, imports: map[string]string{}, calls: map[string]string{}}
		tree[dir] = p
	}
	if parsed.Doc != nil && p.sentence == "" {
		p.sentence = firstSentence(parsed.Doc.Text())
	}
	names := map[string]string{} // the name a file uses → the import path
	for _, i := range parsed.Imports {
		imported, _ := strconv.Unquote(i.Path.Value)
		p.imports[imported] = file
		name := path.Base(imported)
		if i.Name != nil {
			name = i.Name.Name
		}
		names[name] = imported
	}
	ast.Inspect(parsed, func(n ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok {
			if x, ok := s.X.(*ast.Ident); ok && x.Obj == nil && names[x.Name] != "" {
				p.calls[names[x.Name]+"."+s.Sel.Name] = files.Position(s.Pos()).String()
			}
		}
		return true
	})
	return nil
}

// firstSentence returns "does this" of "Package x does this. And more".
func firstSentence(doc string) string {
	doc = strings.Join(strings.Fields(doc), " ")
	if end := strings.Index(doc+" ", ". "); end >= 0 {
		doc = doc[:end]
	}
	words := strings.SplitN(doc, " ", 3)
	if len(words) < 3 || words[0] != "Package" && words[0] != "Command" {
		return doc
	}
	return words[2]
}

// disagreements compares the page with the tree of the module named module; each line names one place that is wrong.
func disagreements(p page, tree map[string]*pkg, module string) []string {
	var wrong []string
	say := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }
	for _, e := range p.packages {
		if tree[e.path] == nil {
			say("%s is on the map, but there is no such package", e.path)
		}
	}
	for dir, q := range tree {
		at, ok := p.find(dir)
		if !ok {
			say("%s is not on the map", dir)
			continue
		}
		e := p.packages[at]
		if e.path == dir && q.sentence != e.sentence {
			say("%s: its comment says %q, the map says %q", dir, q.sentence, e.sentence)
		}
		if q.sentence == "" {
			say("%s has no package comment", dir)
		}
		for imported, file := range q.imports {
			if why := p.refuse(at, dir, imported, module); why != "" {
				say("%s imports %s: %s", file, imported, why)
			}
		}
		for call, where := range q.calls {
			if slices.Contains(p.layers[e.layer].never, call) {
				say("%s says %s, which the layer %s never does", where, call, e.layer)
			}
		}
	}
	wrong = append(wrong, p.reached(tree, module)...)
	slices.Sort(wrong)
	return wrong
}

// refuse says why the package at place at of the map may not import imported, or nothing.
func (p page) refuse(at int, dir, imported, module string) string {
	e := p.packages[at]
	if p.layers[e.layer].forbids(imported) {
		return "the layer " + e.layer + " never does"
	}
	local, ok := strings.CutPrefix(imported, module+"/")
	if !ok {
		return ""
	}
	to, ok := p.find(local)
	switch {
	case !ok:
		return "not on the map"
	case to == at || strings.HasPrefix(local, dir+"/"):
		return ""
	case !p.permits(at, to):
		return fmt.Sprintf("the layer %s may not import %s of the layer %s from here", e.layer, p.packages[to].path, p.packages[to].layer)
	}
	return ""
}

// reached names every import chain that the table of closures forbids.
func (p page) reached(tree map[string]*pkg, module string) []string {
	var wrong []string
	for _, c := range p.closures {
		for _, start := range c.of {
			seen := map[string]bool{}
			var walk func(dir, chain string)
			walk = func(dir, chain string) {
				if seen[dir] || tree[dir] == nil {
					return
				}
				seen[dir] = true
				for imported := range tree[dir].imports {
					local := strings.TrimPrefix(imported, module+"/")
					if slices.ContainsFunc(c.never, func(n string) bool { return local == n || strings.HasPrefix(local, n+"/") }) {
						wrong = append(wrong, fmt.Sprintf("%s reaches %s, which it never may", chain, local))
					}
					walk(local, chain+" → "+local)
				}
			}
			walk(start, start)
		}
	}
	return wrong
}
