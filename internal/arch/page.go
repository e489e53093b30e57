package arch

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// page is what ARCHITECTURE.md says.
type page struct {
	packages []entry
	layers   map[string]layer
	closures []closure
}

// entry is one package of the map. Its place in the list is its place on the page.
type entry struct {
	path     string // relative to the module's root, without a trailing slash
	sentence string
	layer    string
}

// layer is one row of the table of layers.
type layer struct {
	name  string
	may   []permit
	never []string // import paths (with everything below them) or selectors such as time.Now
	but   []string // import paths that never does not cover
}

// permit says that packages of a layer may be imported; above restricts it to those listed earlier on the map.
type permit struct {
	layer string
	above bool
}

// closure is one row of the table of closures: nothing that of imports, directly or not, may be in never.
type closure struct {
	of, never []string
}

var (
	mapLine = regexp.MustCompile(`^( *)([A-Za-z0-9_.-]+)/(?: {2,}(\S.*?) {2,}(\S+))?$`)
	ticked  = regexp.MustCompile("`([^`]+)`")
)

func readPage(text string) (page, error) {
	p := page{layers: map[string]layer{}}
	parts := strings.SplitN(text, "```", 3)
	if len(parts) < 3 {
		return p, fmt.Errorf("no fenced block with the map")
	}
	var err error
	if p.packages, err = readMap(parts[1]); err != nil {
		return p, err
	}
	for line := range strings.Lines(parts[2]) {
		p.readRow(line)
	}
	return p, p.check()
}

func readMap(block string) ([]entry, error) {
	var entries []entry
	var parents []string // by depth: two blanks each
	for i, line := range strings.Split(strings.Trim(block, "\n"), "\n") {
		m := mapLine.FindStringSubmatch(line)
		if m == nil {
			return nil, fmt.Errorf("line %d of the map is not `name/  sentence  layer`: %q", i+1, line)
		}
		depth := len(m[1]) / 2
		if depth > len(parents) {
			return nil, fmt.Errorf("line %d of the map is indented too far: %q", i+1, line)
		}
		parents = append(parents[:depth], m[2])
		if m[3] != "" {
			entries = append(entries, entry{strings.Join(parents, "/"), m[3], m[4]})
		}
	}
	return entries, nil
}

func (p *page) readRow(line string) {
	cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
	if !strings.HasPrefix(line, "|") || strings.HasPrefix(line, "|-") || len(cells) < 2 {
		return
	}
	for i := range cells {
		cells[i] = strings.TrimSpace(cells[i])
	}
	switch {
	case cells[0] == "layer" || cells[0] == "closure of":
	case strings.HasPrefix(cells[0], "`"):
		p.closures = append(p.closures, closure{ticks(cells[0]), ticks(cells[1])})
	case len(cells) == 3:
		l := layer{name: cells[0]}
		for word := range strings.SplitSeq(cells[1], ",") {
			if word = strings.TrimSpace(word); word != "" {
				name, above := strings.CutSuffix(word, " above")
				l.may = append(l.may, permit{name, above})
			}
		}
		never, but, _ := strings.Cut(cells[2], " but ")
		l.never, l.but = ticks(never), ticks(but)
		p.layers[l.name] = l
	}
}

func ticks(cell string) []string {
	var words []string
	for _, m := range ticked.FindAllStringSubmatch(cell, -1) {
		words = append(words, m[1])
	}
	return words
}

func (p *page) check() error {
	seen := map[string]bool{}
	for _, e := range p.packages {
		if _, ok := p.layers[e.layer]; !ok {
			return fmt.Errorf("%s is in the layer %q, which the table does not have", e.path, e.layer)
		}
		if seen[e.path] {
			return fmt.Errorf("%s is on the map twice", e.path)
		}
		seen[e.path] = true
	}
	for _, l := range p.layers {
		for _, m := range l.may {
			if _, ok := p.layers[m.layer]; !ok && m.layer != "all" {
				return fmt.Errorf("the layer %s may import %q, which the table does not have", l.name, m.layer)
			}
		}
	}
	return nil
}

// find returns the map's place and entry for a package or for the nearest parent that has one.
func (p page) find(path string) (int, bool) {
	for {
		if i := slices.IndexFunc(p.packages, func(e entry) bool { return e.path == path }); i >= 0 {
			return i, true
		}
		slash := strings.LastIndexByte(path, '/')
		if slash < 0 {
			return 0, false
		}
		path = path[:slash]
	}
}

func (l layer) forbids(imported string) bool {
	under := func(root string) bool { return imported == root || strings.HasPrefix(imported, root+"/") }
	return slices.ContainsFunc(l.never, under) && !slices.ContainsFunc(l.but, under)
}

func (p page) permits(from, to int) bool {
	for _, m := range p.layers[p.packages[from].layer].may {
		if m.layer == "all" || m.layer == p.packages[to].layer && (!m.above || to < from) {
			return true
		}
	}
	return false
}
