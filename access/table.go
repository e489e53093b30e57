package access

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"sparekey/rules"
)

// step is one cell of a lifecycle's table: where a command leads, and the event that records it.
type step[S ~string] struct {
	to    S
	event string
}

// table is a lifecycle: state × command → state, event. A command that a state's row lacks is not possible in that state.
type table[S, C ~string] map[S]map[C]step[S]

// take returns the step of a command, or an error that says that the state does not know it. Callers check before they
// command, so the error is a defect of ours, or a command that came too late.
func (t table[S, C]) take(from S, c C) (step[S], error) {
	s, ok := t[from][c]
	if !ok {
		return s, problem(ErrOver, "it is %s, and so cannot %s", nonEmpty(from), c)
	}
	return s, nil
}

func nonEmpty[S ~string](s S) string { return cmp.Or(string(s), "new") }

// rows lists the cells in a fixed order, a line each: from, command, to, event.
func (t table[S, C]) rows(order []S) [][4]string {
	var rows [][4]string
	for _, from := range order {
		commands := make([]C, 0, len(t[from]))
		for c := range t[from] {
			commands = append(commands, c)
		}
		slices.SortFunc(commands, func(a, b C) int {
			return cmp.Or(cmp.Compare(slices.Index(order, t[from][a].to), slices.Index(order, t[from][b].to)), strings.Compare(string(a), string(b)))
		})
		for _, c := range commands {
			rows = append(rows, [4]string{nonEmpty(from), string(c), string(t[from][c].to), t[from][c].event})
		}
	}
	return rows
}

// draw writes a lifecycle as a Mermaid state diagram and a table, for the docs.
func draw(rows [][4]string) string {
	var diagram, list strings.Builder
	diagram.WriteString("```mermaid\nstateDiagram-v2\n")
	list.WriteString("| in | command | becomes | event |\n|---|---|---|---|\n")
	for _, r := range rows {
		if r[0] != r[2] {
			fmt.Fprintf(&diagram, "    %s --> %s: %s\n", strings.Replace(r[0], "new", "[*]", 1), r[2], r[1])
		}
		fmt.Fprintf(&list, "| %s | %s | %s | `%s` |\n", r[0], r[1], r[2], r[3])
	}
	diagram.WriteString("```\n\n")
	return diagram.String() + list.String()
}

// Drawing returns the lifecycles in Markdown, made from their tables.
func Drawing() string {
	return "## A line of a request\n\n" + draw(lineTable.rows(lineStates)) + "\n## A grant\n\n" + draw(grantTable.rows(grantStates)) +
		"\n## A review\n\n" + draw(reviewTable.rows(reviewStates)) +
		"\n## A stop\n\n" + draw(stopTable.rows(stopStates)) +
		"\n## A recovery\n\n" + draw(recoveryTable.rows([]RecoveryState{"", Recovering, Released})) +
		"\n## A session kill\n\n" + draw(killTable.rows(killStates)) +
		"\n## A book of rules\n\n" + draw(rules.ActivationRows())
}
