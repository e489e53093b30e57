package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"html"
	"strings"

	"github.com/spf13/cobra"

	"sparekey/internal/api"
	"sparekey/internal/api/client"
	"sparekey/internal/broker"
	"sparekey/internal/config"
	"sparekey/rules"
)

func (a *app) rulesDiffCommand() *cobra.Command {
	var b bench
	var against string
	c := &cobra.Command{
		Use: "diff FOLDER", Short: "Say who would gain and lose what by rules", Args: takes(1, 1, "FOLDER"), Annotations: map[string]string{alsoOutput: "markdown"},
		Long: "Say who would gain and lose what by the rules in a folder, in people and targets: against the rules in force on the server, or\n" +
			"with --against, without a server, against the rules in another folder, in the organization that is described beside the first.",
		RunE: func(c *cobra.Command, args []string) error {
			var e client.Effect
			var err error
			if against != "" {
				e, err = b.effect(args, against)
			} else {
				e, err = a.remoteEffect(c, args[0])
			}
			if err != nil {
				return err
			}
			switch a.output {
			case "json":
				return a.json(e)
			case "markdown":
				a.effectMarkdown(e)
			default:
				a.effectText(e)
			}
			return nil
		},
	}
	b.flags(c)
	c.Flags().StringVar(&against, "against", "", "compare with the rules in this folder, without a server")
	return c
}

// effect compares the rules of two folders in an organization that is described.
func (b *bench) effect(args []string, against string) (client.Effect, error) {
	after, m, err := b.read(args)
	if err != nil {
		return client.Effect{}, err
	}
	if m == nil {
		return client.Effect{}, usage("write organization.yaml beside the rules, or name one with --organization", "rules are compared in an organization, and there is no description of one")
	}
	longest, err := duration(b.longest)
	if err != nil {
		return client.Effect{}, err
	}
	before, err := config.ReadRules(against, longest)
	if err != nil {
		return client.Effect{}, err
	}
	files, err := config.RuleFiles(b.folder)
	if err != nil {
		return client.Effect{}, err
	}
	digest, err := rules.FilesDigest(files)
	if err != nil {
		return client.Effect{}, err
	}
	// The same form as the server's, whichever of the two compares.
	said := api.EffectOf(broker.Difference{Digest: digest, Base: before.Digest(), Effect: rules.Diff(before.In(m), after.In(m)), Problems: after.Check(m)})
	var e client.Effect
	text, err := json.Marshal(said)
	if err == nil {
		err = json.NewDecoder(bytes.NewReader(text)).Decode(&e)
	}
	return e, err
}

func (a *app) remoteEffect(c *cobra.Command, folder string) (client.Effect, error) {
	files, err := filesToSend(folder)
	if err != nil {
		return client.Effect{}, err
	}
	r, err := a.remote()
	if err != nil {
		return client.Effect{}, err
	}
	return answer[client.Effect](r.DiffRules(c.Context(), client.RuleFilesBody{Files: files}))
}

// filesToSend reads the rules of a folder in the form in which they travel.
func filesToSend(folder string) ([]client.RuleFile, error) {
	files, err := config.RuleFiles(folder)
	if err != nil {
		return nil, err
	}
	sent := make([]client.RuleFile, len(files))
	for i, f := range files {
		sent[i] = client.RuleFile{Name: f.Name, Text: string(f.Text)}
	}
	return sent, nil
}

func totalsOf(t client.Totals) rules.Totals {
	return rules.Totals{People: int(t.People), Gained: int(t.Gained), Wider: int(t.Wider), Narrower: int(t.Narrower), Lost: int(t.Lost)}
}

// effectText writes what a change of rules means: with + what somebody gains by, with - what somebody loses by.
func (a *app) effectText(e client.Effect) {
	fmt.Fprintln(a.out, totalsOf(e.Totals))
	for _, l := range e.Lines {
		sign := "-"
		if l.Widens {
			sign = "+"
		}
		fmt.Fprintln(a.out, a.signed(sign, plain(l.Text)))
	}
	if e.More > 0 {
		fmt.Fprintf(a.out, "  and %s\n", number(int(e.More), "more line", "more lines"))
	}
	for _, l := range e.Latent {
		fmt.Fprintln(a.out, a.signed("!", "nobody gains by it today, but: "+plain(l)))
	}
	for _, p := range e.Problems {
		fmt.Fprintf(a.err, "warning: %s\n", plain(p))
	}
}

// signed colours a line by its sign; the sign says the same.
func (a *app) signed(sign, line string) string {
	if hue := map[string]string{"+": "32", "-": "31", "!": "33"}[sign]; a.colour {
		return "\x1b[" + hue + "m" + sign + " " + line + "\x1b[0m"
	}
	return sign + " " + line
}

// effectMarkdown writes the same for a comment on a pull request. What stands in the rules and in the directory is other
// people's text: it must not become a link, an image, a mention or a table of their own.
func (a *app) effectMarkdown(e client.Effect) {
	fmt.Fprintf(a.out, "**Rules:** %s.\n", markdown(totalsOf(e.Totals).String()))
	if e.Widens {
		fmt.Fprint(a.out, "\nSomebody gains by it: a second administrator must agree.\n")
	}
	if len(e.Lines) > 0 {
		fmt.Fprint(a.out, "\n| | change |\n|---|---|\n")
	}
	for _, l := range e.Lines {
		sign := "➖"
		if l.Widens {
			sign = "➕"
		}
		fmt.Fprintf(a.out, "| %s | %s |\n", sign, markdown(l.Text))
	}
	if e.More > 0 {
		fmt.Fprintf(a.out, "\nAnd %s.\n", number(int(e.More), "more line", "more lines"))
	}
	for _, list := range []struct {
		head  string
		lines []string
	}{{"Nobody gains by it today, but:", e.Latent}, {"What is wrong with these rules:", e.Problems}} {
		if len(list.lines) == 0 {
			continue
		}
		fmt.Fprintf(a.out, "\n%s\n\n", list.head)
		for _, l := range list.lines {
			fmt.Fprintf(a.out, "- %s\n", markdown(l))
		}
	}
}

// markdown makes text mean nothing to Markdown, HTML, GitHub and GitLab but itself.
func markdown(text string) string {
	var b strings.Builder
	for _, c := range plain(text) {
		switch {
		case strings.ContainsRune("\\`*_{}[]()#+-.!|~$^=", c):
			b.WriteByte('\\')
			b.WriteRune(c)
		case strings.ContainsRune("@:/", c): // mentions, emoji, bare links: a character that stands between and is not seen
			b.WriteRune(c)
			b.WriteString("&#8203;")
		default:
			b.WriteString(html.EscapeString(string(c)))
		}
	}
	return b.String()
}
