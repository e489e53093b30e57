package cli

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"sparekey/internal/api/client"
)

func (a *app) rulesApplyCommand() *cobra.Command {
	var yes bool
	c := &cobra.Command{
		Use: "apply FOLDER", Short: "Put the rules of a folder in force, or propose them", Args: takes(1, 1, "FOLDER"),
		Long: "Show who would gain and lose what by the rules of a folder, and propose them. If nobody gains by them they are in force at once;\n" +
			"otherwise a second administrator must agree. If there are tests beside them, and organization.yaml, in which those hold, they\n" +
			"are run first, and must hold.",
		RunE: func(c *cobra.Command, args []string) error {
			files, err := filesToSend(args[0])
			if err == nil {
				err = a.holds(args)
			}
			if err != nil {
				return err
			}
			r, err := a.remote()
			if err != nil {
				return err
			}
			ctx := c.Context()
			e, err := answer[client.Effect](r.DiffRules(ctx, client.RuleFilesBody{Files: files}))
			if err != nil {
				return err
			}
			books, err := r.books(ctx)
			if err != nil {
				return err
			}
			if books.InForce != nil && books.InForce.Digest == e.Digest {
				return a.proposed(*books.InForce, books.Now)
			}
			if a.output == "text" {
				a.effectText(e)
			}
			if err := a.confirm("Propose these rules?", yes); err != nil {
				return err
			}
			p, err := answer[client.Proposal](r.ProposeRules(ctx, client.ProposeBody{Files: files, Base: e.Base}))
			if err != nil {
				return err
			}
			return a.proposed(p, time.Now())
		},
	}
	c.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return c
}

// holds runs the tests that stand beside rules, if they and the organization that they hold in are there. Rules that cannot be
// read are the server's to refuse.
func (a *app) holds(folder []string) error {
	b := bench{longest: "8784h"} // the server knows the longest
	book, m, err := b.read(folder)
	if err != nil || len(book.Tests) == 0 {
		return nil
	}
	if m == nil {
		fmt.Fprintln(a.err, "hint: the tests beside these rules were not run: there is no organization.yaml, in which they hold")
		return nil
	}
	failed := 0
	for _, r := range book.In(m).Try() {
		if !r.OK {
			failed++
			fmt.Fprintln(a.err, r)
		}
	}
	if failed > 0 {
		return &failure{exitFailed, fmt.Sprintf("%d of %s fail, and nothing was proposed", failed, number(len(book.Tests), "test beside these rules", "tests beside these rules")), "mend the rules, or the tests"}
	}
	return nil
}

// confirm asks on a terminal; elsewhere it takes --yes.
func (a *app) confirm(question string, yes bool) error {
	if yes {
		return nil
	}
	if info, err := os.Stdin.Stat(); err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return usage("--yes, when you have seen what it changes", "this asks before it does something, and there is no terminal to ask on")
	}
	fmt.Fprintf(a.err, "%s [y/N] ", question)
	text, err := bufio.NewReader(os.Stdin).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if said := strings.ToLower(strings.TrimSpace(text)); said == "y" || said == "yes" {
		return nil
	}
	return &failure{exitFailed, "nothing was changed", ""}
}

// proposed says what became of a proposal.
func (a *app) proposed(p client.Proposal, now time.Time) error {
	if a.output == "json" {
		return a.json(p)
	}
	switch p.State {
	case client.ProposalStateInForce:
		fmt.Fprintf(a.out, "in force   %s  %s\n", short(p.Digest), number(int(p.Count), "rule", "rules"))
	case client.ProposalStateProposed:
		fmt.Fprintf(a.out, "proposed   %s  %s\n", short(p.Digest), number(int(p.Count), "rule", "rules"))
		fmt.Fprintf(a.err, "hint: somebody gains by them, so a second administrator must agree: sparekey rules agree %s\n", short(p.Digest))
	default:
		fmt.Fprintf(a.out, "%-9s  %s\n", p.State, short(p.Digest))
	}
	return nil
}

// short is the beginning of a digest, as people write it.
func short(digest string) string {
	digest = plain(strings.TrimPrefix(digest, "sha256:"))
	return digest[:min(12, len(digest))]
}

func (r *remote) books(ctx context.Context) (client.Books, error) {
	limit := int64(1000)
	return answer[client.Books](r.ListRules(ctx, &client.ListRulesParams{Limit: &limit}))
}

const shortest = 6 // characters of a digest that name it

// find returns the one book whose digest begins so.
func find(text string, among []client.Proposal, what string) (client.Proposal, error) {
	begins := "sha256:" + strings.ToLower(strings.TrimPrefix(text, "sha256:"))
	if len(begins) < len("sha256:")+shortest {
		return client.Proposal{}, usage("`sparekey rules history` lists digests", "%q is too short for a digest; its first %d characters are enough", text, shortest)
	}
	var found *client.Proposal
	for i, p := range among {
		switch {
		case !strings.HasPrefix(p.Digest, begins):
		case found != nil && found.Digest != p.Digest:
			return client.Proposal{}, usage("write more of it", "several books begin with %s", text)
		default:
			found = cmp.Or(found, &among[i])
		}
	}
	if found == nil {
		return client.Proposal{}, &failure{exitUnknown, fmt.Sprintf("no %s has a digest that begins with %s", what, plain(text)), "`sparekey rules history` lists them"}
	}
	return *found, nil
}

func (a *app) rulesAgreeCommand() *cobra.Command {
	var yes bool
	c := &cobra.Command{
		Use: "agree DIGEST", Short: "Put in force what another administrator proposed", Args: takes(1, 1, "DIGEST"),
		Long: "Show who would gain and lose what by rules that another administrator proposed, and put them in force.",
		RunE: func(c *cobra.Command, args []string) error {
			return a.onBook(c.Context(), args[0], yes, "Put these rules in force?", true, func(ctx context.Context, r *remote, digest string) (client.Proposal, error) {
				return answer[client.Proposal](r.AgreeRules(ctx, digest))
			})
		},
	}
	c.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return c
}

func (a *app) rulesActivateCommand() *cobra.Command {
	var yes bool
	c := &cobra.Command{
		Use: "activate DIGEST", Short: "Go back to rules that were in force before", Args: takes(1, 1, "DIGEST"),
		Long: "Show who would gain and lose what by rules that were in force before, and propose them again. If somebody gains by them, a second\nadministrator must agree, as with any rules.",
		RunE: func(c *cobra.Command, args []string) error {
			return a.onBook(c.Context(), args[0], yes, "Propose these rules again?", false, func(ctx context.Context, r *remote, digest string) (client.Proposal, error) {
				return answer[client.Proposal](r.ActivateRules(ctx, digest))
			})
		},
	}
	c.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return c
}

// onBook shows what a book would change, asks, and does it. open says whether the book is a proposal or one that was in force.
func (a *app) onBook(ctx context.Context, digest string, yes bool, question string, open bool, do func(context.Context, *remote, string) (client.Proposal, error)) error {
	r, err := a.remote()
	if err != nil {
		return err
	}
	books, err := r.books(ctx)
	if err != nil {
		return err
	}
	among, what := books.History, "book that was in force"
	if open {
		among, what = books.Proposed, "open proposal"
	}
	p, err := find(digest, among, what)
	if err != nil {
		return err
	}
	b, err := answer[client.StoredBook](r.GetRules(ctx, p.Digest))
	if err != nil {
		return err
	}
	if a.output == "text" {
		fmt.Fprintf(a.out, "%s proposed %s at %s\n", plain(b.Proposal.By), short(p.Digest), clock(b.Proposal.ProposedAt, books.Now))
		a.effectText(b.Effect)
	}
	if err := a.confirm(question, yes); err != nil {
		return err
	}
	now, err := do(ctx, r, p.Digest)
	if err != nil {
		return err
	}
	return a.proposed(now, books.Now)
}

func (a *app) rulesRejectCommand() *cobra.Command {
	var reason string
	c := &cobra.Command{
		Use: "reject DIGEST", Short: "Close a proposal of rules", Args: takes(1, 1, "DIGEST"),
		RunE: func(c *cobra.Command, args []string) error {
			r, err := a.remote()
			if err != nil {
				return err
			}
			books, err := r.books(c.Context())
			if err != nil {
				return err
			}
			p, err := find(args[0], books.Proposed, "open proposal")
			if err != nil {
				return err
			}
			p, err = answer[client.Proposal](r.RejectRules(c.Context(), p.Digest, client.CommentBody{Comment: &reason}))
			if err != nil {
				return err
			}
			return a.proposed(p, books.Now)
		},
	}
	c.Flags().StringVar(&reason, "reason", "", "why; whoever proposed it reads it")
	return c
}

func (a *app) rulesHistoryCommand() *cobra.Command {
	return &cobra.Command{
		Use: "history", Short: "List the rules in force, what is proposed, and what was in force before", Args: none,
		RunE: func(c *cobra.Command, _ []string) error {
			r, err := a.remote()
			if err != nil {
				return err
			}
			books, err := r.books(c.Context())
			if err != nil {
				return err
			}
			if a.output == "json" {
				return a.json(books)
			}
			var rows [][]string
			for _, p := range append(books.Proposed, books.History...) {
				rows = append(rows, a.bookRow(p, books.Now))
			}
			table(a.out, []string{"STATE", "DIGEST", "RULES", "PROPOSED", "IN FORCE", "WHAT IT CHANGED"}, rows)
			return nil
		},
	}
}

func (a *app) bookRow(p client.Proposal, now time.Time) []string {
	row := []string{string(p.State), short(p.Digest), fmt.Sprint(p.Count), fmt.Sprintf("by %s %s", plain(p.By), clock(p.ProposedAt, now)), "", totalsOf(p.Totals).String()}
	if p.ActivatedAt != nil {
		row[4] = "by " + plain(value(p.ActivatedBy)) + " " + clock(*p.ActivatedAt, now)
	}
	if p.Widens && row[5] == (totalsOf(client.Totals{})).String() {
		row[5] = "nobody gains by it today, but may later"
	}
	return row
}

func value(text *string) string {
	if text == nil {
		return ""
	}
	return *text
}

func (a *app) rulesShowCommand() *cobra.Command {
	return &cobra.Command{
		Use: "show [DIGEST]", Short: "Write the rules in force, or those of a digest, as they stand in their files", Args: takes(0, 1, "[DIGEST]"),
		RunE: func(c *cobra.Command, args []string) error {
			r, err := a.remote()
			if err != nil {
				return err
			}
			books, err := r.books(c.Context())
			if err != nil {
				return err
			}
			if books.InForce == nil {
				return &failure{exitUnknown, "no rules are in force", ""}
			}
			p := *books.InForce
			if len(args) > 0 {
				if p, err = find(args[0], append(books.Proposed, books.History...), "book"); err != nil {
					return err
				}
			}
			b, err := answer[client.StoredBook](r.GetRules(c.Context(), p.Digest))
			if err != nil {
				return err
			}
			if a.output == "json" {
				return a.json(b)
			}
			for _, f := range b.Files {
				fmt.Fprintf(a.out, "# %s\n", plain(f.Name))
				for line := range strings.Lines(f.Text) {
					fmt.Fprintln(a.out, plain(strings.TrimRight(line, "\r\n")))
				}
			}
			return nil
		},
	}
}
