package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"sparekey/internal/config"
	"sparekey/internal/demo"
	"sparekey/org"
	"sparekey/rules"
	"sparekey/strict"
)

func (a *app) rulesCommand() *cobra.Command {
	return parent(&cobra.Command{Use: "rules", Short: "Check and test rules"}, a.rulesCheckCommand(), a.rulesTestCommand(), a.rulesExampleCommand())
}

// bench is where rules are checked: the rules, and the organization in which they are to hold.
type bench struct {
	folder       string
	organization string
	longest      string
}

func (b *bench) flags(c *cobra.Command) {
	c.Flags().StringVar(&b.organization, "organization", "", "a description of the organization; organization.yaml in the folder by default")
	c.Flags().StringVar(&b.longest, "longest", "24h", "the longest that a rule may give (limits.longest in the configuration)")
}

// read reads the rules, and the organization if there is a description of one.
func (b *bench) read(args []string) (*rules.Book, *org.Mirror, error) {
	b.folder = "."
	if len(args) > 0 {
		b.folder = args[0]
	}
	longest, err := duration(b.longest)
	if err != nil {
		return nil, nil, err
	}
	book, err := config.ReadRules(b.folder, longest)
	if err != nil {
		return nil, nil, err
	}
	file := b.organization
	if file == "" {
		file = filepath.Join(b.folder, config.OrganizationFile)
	}
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) && b.organization == "" {
		return book, nil, nil
	}
	if err != nil {
		return nil, nil, fmt.Errorf("reading the organization: %w", err)
	}
	o, _, err := org.Describe(file, text)
	if err != nil {
		return nil, nil, err
	}
	return book, org.NewMirror(o), nil
}

func (a *app) rulesCheckCommand() *cobra.Command {
	var b bench
	c := &cobra.Command{
		Use: "check [FOLDER]", Short: "Check rule files: form, names, and rules that can match nothing", Args: takes(0, 1, "[FOLDER]"),
		Long: "Check rule files. With a description of the organization (organization.yaml in the folder, or --organization), names are looked\n" +
			"up in it, and rules that can match nothing or that nobody could approve are reported.",
		RunE: func(_ *cobra.Command, args []string) error {
			book, m, err := b.read(args)
			if wrongly := (*failure)(nil); errors.As(err, &wrongly) {
				return err
			} else if err != nil {
				return a.wrong(strict.Problems(err))
			}
			if m == nil {
				a.note("%s well formed", number(len(book.Rules), "rule is", "rules are"))
				fmt.Fprintln(a.err, "hint: without a description of the organization (organization.yaml), names were not looked up")
				return a.wrong(nil)
			}
			problems := book.Check(m)
			if len(problems) == 0 {
				a.note("%s well formed and can match", number(len(book.Rules), "rule is", "rules are"))
			}
			return a.wrong(problems)
		},
	}
	b.flags(c)
	return c
}

// note says something good, where it does not get into the way of JSON.
func (a *app) note(format string, args ...any) {
	if a.output == "text" {
		fmt.Fprintf(a.out, format+"\n", args...)
	}
}

// wrong reports problems with their places, and fails if there are any.
func (a *app) wrong(problems strict.Errors) error {
	if a.output == "json" {
		list := []map[string]any{}
		for _, p := range problems {
			list = append(list, map[string]any{"file": p.File, "line": p.Line, "column": p.Column, "problem": p.Problem, "hint": p.Hint})
		}
		if err := a.json(map[string]any{"problems": list}); err != nil {
			return err
		}
		if len(problems) > 0 {
			return &failure{exitFailed, "", ""}
		}
		return nil
	}
	if len(problems) > 0 {
		return problems
	}
	return nil
}

func (a *app) rulesTestCommand() *cobra.Command {
	var b bench
	c := &cobra.Command{
		Use: "test [FOLDER]", Short: "Run the tests that stand beside the rules", Args: takes(0, 1, "[FOLDER]"),
		Long: "Run the tests that stand beside the rules, such as\n\n  tests:\n    - dana may have ReadOnly in payments-prod for 1h with one approval\n    - eli may not have PowerUser in Workloads/Prod\n\n" +
			"They hold in the organization that organization.yaml in the folder (or --organization) describes.",
		RunE: func(_ *cobra.Command, args []string) error {
			book, m, err := b.read(args)
			if err != nil {
				return err
			}
			if m == nil {
				return usage("write organization.yaml beside the rules, or name one with --organization", "tests of rules hold in an organization, and there is no description of one")
			}
			return a.tested(book.In(m).Try())
		},
	}
	b.flags(c)
	return c
}

func (a *app) tested(results []rules.Result) error {
	failed := 0
	list := []map[string]any{}
	for _, r := range results {
		if !r.OK {
			failed++
		}
		list = append(list, map[string]any{"test": r.Sentence, "at": r.At.String(), "ok": r.OK, "got": r.Got})
		if a.output == "text" {
			fmt.Fprintln(a.out, r)
		}
	}
	if a.output == "json" {
		if err := a.json(map[string]any{"tests": list}); err != nil {
			return err
		}
	}
	switch {
	case failed > 0:
		return &failure{exitFailed, fmt.Sprintf("%d of %s", failed, number(len(results), "test fails", "tests fail")), ""}
	case len(results) == 0:
		return &failure{exitFailed, "there are no tests", "tests: [dana may have ReadOnly in payments-prod for 1h with one approval]"}
	}
	a.note("%s", number(len(results), "test holds", "tests hold"))
	return nil
}

func (a *app) rulesExampleCommand() *cobra.Command {
	return &cobra.Command{
		Use: "example FOLDER", Short: "Write the example rules into a folder, to begin with", Args: takes(1, 1, "FOLDER"),
		RunE: func(_ *cobra.Command, args []string) error {
			if err := demo.WriteRules(args[0]); err != nil {
				return err
			}
			if a.output == "json" {
				return a.json(map[string]string{"folder": args[0]})
			}
			a.note("the example rules are in %s; `sparekey rules test %s` runs their tests", args[0], args[0])
			return nil
		},
	}
}
