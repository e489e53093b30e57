package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"sparekey/internal/config"
	"sparekey/org"
	"sparekey/rules"
)

func (a *app) rulesSuggestCommand() *cobra.Command {
	var file string
	c := &cobra.Command{
		Use: "suggest FOLDER --organization FILE", Short: "Write rules under which people may ask for what they have now", Args: takes(1, 1, "FOLDER"),
		Long: "Write rules into a folder under which people may ask for exactly what they have now by standing assignments, with tests beside\n" +
			"them. The organization and its assignments are those that a file describes; `sparekey try --suggest FOLDER` reads them from AWS.",
		RunE: func(_ *cobra.Command, args []string) error {
			if err := needed("organization", file, "organization.yaml"); err != nil {
				return err
			}
			text, err := os.ReadFile(file)
			if err != nil {
				return fmt.Errorf("reading the organization: %w", err)
			}
			o, given, err := org.Describe(file, text)
			if err != nil {
				return err
			}
			return a.suggest(args[0], o, given, text)
		},
	}
	c.Flags().StringVar(&file, "organization", "", "a description of the organization, with its assignments")
	return c
}

// suggest writes suggested rules into a folder, and the organization in which their tests hold. It does not write over anything.
func (a *app) suggest(folder string, o org.Organization, given []org.Assignment, described []byte) error {
	files := rules.Suggest(o, given)
	if len(files) == 0 {
		return &failure{exitFailed, "nobody has standing access, so there is nothing to suggest", ""}
	}
	book, err := rules.Parse(files, rules.DefaultLongest)
	if err != nil {
		return fmt.Errorf("reading what was suggested: %w", err)
	}
	count := len(files)
	files = append(files, rules.File{Name: config.OrganizationFile, Text: described})
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	for _, f := range files {
		if _, err := os.Lstat(filepath.Join(folder, f.Name)); !errors.Is(err, fs.ErrNotExist) {
			return &failure{exitFailed, filepath.Join(folder, f.Name) + " is there already", "name a folder that is new or empty"}
		}
	}
	for _, f := range files {
		if err := os.WriteFile(filepath.Join(folder, f.Name), f.Text, 0o644); err != nil {
			return err
		}
	}
	if a.output == "json" {
		return a.json(map[string]any{"folder": folder, "rules": len(book.Rules), "tests": len(book.Tests), "files": count})
	}
	fmt.Fprintf(a.out, "%s and %s are in %s\n", number(len(book.Rules), "rule", "rules"), number(len(book.Tests), "test", "tests"), folder)
	fmt.Fprintf(a.err, "hint: read them, then `sparekey rules test %s` and `sparekey rules diff %s`\n", folder, folder)
	return nil
}
