package cli

import (
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

const manual = "../../docs/commands.md"

// TestTheManualIsGenerated compares docs/commands.md with the commands themselves.
func TestTheManualIsGenerated(t *testing.T) {
	t.Setenv("SPAREKEY_AS", "")
	var page strings.Builder
	page.WriteString(`# The command line

Results go to standard output, everything else to standard error; colours are for terminals only. ` + "`--output json`" + ` is stable: fields
are added, never renamed. An error is one line that says what is wrong, and a ` + "`hint:`" + ` line that says what to do.

| exit code | means |
|---|---|
| 0 | done |
| 1 | failed |
| 2 | not understood: arguments, flags, or a request that makes no sense as it stands |
| 3 | refused, by rules or roles or for want of a token |
| 4 | still waiting |
| 5 | there is no such thing, or it is not for these eyes |

The commands speak to the demo that runs on this machine, as the person whom ` + "`--as`" + ` or ` + "`SPAREKEY_AS`" + ` names; or to the server
of ` + "`SPAREKEY_URL`" + `, with the token of ` + "`SPAREKEY_TOKEN`" + ` or of the file ` + "`SPAREKEY_TOKEN_FILE`" + `. This page is generated (` + "`make generate`" + `).
`)
	root := (&app{out: io.Discard, err: io.Discard}).root()
	for _, group := range root.Groups() {
		fmt.Fprintf(&page, "\n## %s\n", strings.TrimSuffix(group.Title, ":"))
		for _, c := range root.Commands() {
			if c.GroupID == group.ID {
				describe(&page, c)
			}
		}
	}
	if *update {
		if err := os.WriteFile(manual, []byte(page.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	text, err := os.ReadFile(manual)
	if err != nil {
		t.Fatal(err)
	}
	if string(text) != page.String() {
		t.Error("docs/commands.md is not what the commands say; run make generate")
	}
}

// describe writes a command and those below it. A command that only holds others has no line of its own.
func describe(w *strings.Builder, c *cobra.Command) {
	if c.Hidden {
		return
	}
	if !c.HasSubCommands() || strings.Contains(c.Use, " ") {
		describeOne(w, c)
	}
	for _, child := range c.Commands() {
		describe(w, child)
	}
}

func describeOne(w *strings.Builder, c *cobra.Command) {
	about := c.Long
	if about == "" {
		about = c.Short + "."
	}
	fmt.Fprintf(w, "\n### `%s`\n\n%s\n", strings.TrimSuffix(c.UseLine(), " [flags]"), fenced(about))
	var flags []string
	c.LocalNonPersistentFlags().VisitAll(func(f *pflag.Flag) {
		if f.Name != "help" {
			flags = append(flags, flagRow(f))
		}
	})
	if len(flags) > 0 {
		fmt.Fprintf(w, "\n| flag | what it does |\n|---|---|\n%s\n", strings.Join(flags, "\n"))
	}
	if c.Example != "" {
		fmt.Fprintf(w, "\n```\n%s\n```\n", strings.ReplaceAll(strings.TrimPrefix(c.Example, "  "), "\n  ", "\n"))
	}
}

// fenced sets what a help text shows as code apart from its sentences: it is indented there.
func fenced(text string) string {
	lines := strings.Split(text, "\n")
	code := false
	var out []string
	for i, line := range lines {
		is := strings.HasPrefix(line, "  ") || line == "" && code && i+1 < len(lines) && strings.HasPrefix(lines[i+1], "  ")
		if is != code {
			out, code = append(out, "```"), is
		}
		out = append(out, strings.TrimPrefix(line, "  "))
	}
	if code {
		out = append(out, "```")
	}
	return strings.Join(out, "\n")
}

func flagRow(f *pflag.Flag) string {
	name := "--" + f.Name
	if f.Shorthand != "" {
		name = "-" + f.Shorthand + ", " + name
	}
	kind, usage := pflag.UnquoteUsage(f)
	if kind != "" {
		name += " " + kind
	}
	return fmt.Sprintf("| `%s` | %s |", name, strings.ReplaceAll(usage, "|", "\\|"))
}
