package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"sparekey/internal/api/client"
)

func (a *app) anchorCommand() *cobra.Command {
	var account, set string
	var all bool
	c := &cobra.Command{
		Use: "anchor", Short: "Have a group of nobody made that keeps the role of a permission set in an account", Args: none,
		Long: "Identity Center deletes the role of a permission set in an account with its last assignment, and makes it anew under another\n" +
			"name with the next: resource policies, keys and clusters that name it break. Have Sparekey make an empty group and assign it there,\n" +
			"so that the role stays. Nobody is ever put into it. --all does so for everything that rules lend by assignment. Administrators may.\n" +
			"It is done in the background, two at a time; `sparekey groups anchors` shows how far it is.",
		Example: "  sparekey groups anchor --account payments-prod --permission-set PowerUser\n  sparekey groups anchor --all",
		RunE: func(c *cobra.Command, _ []string) error {
			if all && (account != "" || set != "") {
				return usage("--all, or --account and --permission-set", "--all is everything that rules lend by assignment")
			}
			if !all {
				if err := needed("account", account, "payments-prod, or --all"); err != nil {
					return err
				}
				if err := needed("permission-set", set, "PowerUser"); err != nil {
					return err
				}
			}
			r, err := a.remote()
			if err != nil {
				return err
			}
			var made client.MadeOutputBody
			if all {
				made, err = answer[client.MadeOutputBody](r.AnchorAll(c.Context()))
			} else {
				var g client.LentGroup
				g, err = answer[client.LentGroup](r.Anchor(c.Context(), client.AskTarget{Account: account, PermissionSet: set}))
				made.Anchors = []client.LentGroup{g}
			}
			if err != nil {
				return err
			}
			if a.output == "json" {
				return a.json(made)
			}
			if len(made.Anchors) == 0 {
				fmt.Fprintln(a.err, "everything that rules lend by assignment has one")
			}
			for _, g := range made.Anchors {
				fmt.Fprintln(a.out, strings.Join(groupRow(g), "  "))
			}
			return nil
		},
	}
	c.Flags().StringVar(&account, "account", "", "account, by name or id")
	c.Flags().StringVar(&set, "permission-set", "", "permission set")
	c.Flags().BoolVar(&all, "all", false, "for everything that rules lend by assignment and that has none")
	return c
}

func (a *app) anchorsCommand() *cobra.Command {
	return &cobra.Command{
		Use: "anchors", Short: "List the groups that keep roles, what has none, and who is in one", Args: none,
		Long: "List the groups of nobody that keep the roles of permission sets, and check them: what rules lend by assignment and no group\n" +
			"keeps is named, and so is whoever is in a group that must have no members. It exits with 1 where something is wrong.",
		RunE: func(c *cobra.Command, _ []string) error {
			r, err := a.remote()
			if err != nil {
				return err
			}
			v, err := answer[client.Anchored](r.ListAnchors(c.Context()))
			if err != nil {
				return err
			}
			if a.output == "json" {
				err = a.json(v)
			} else {
				a.showAnchors(v)
			}
			if err == nil && len(v.Missing)+len(v.Members) > 0 {
				return &failure{code: exitFailed}
			}
			return err
		},
	}
}

func (a *app) showAnchors(v client.Anchored) {
	var rows [][]string
	for _, g := range v.Anchors {
		rows = append(rows, groupRow(g))
	}
	for _, t := range v.Missing {
		rows = append(rows, []string{plain(t.AccountName), plain(t.PermissionSet), "", "missing"})
	}
	if len(rows) == 0 {
		fmt.Fprintln(a.err, "nothing is lent by assignment")
	} else {
		table(a.out, []string{"ACCOUNT", "PERMISSION SET", "GROUP", "STATE"}, rows)
	}
	for _, m := range v.Members {
		names := make([]string, len(m.People))
		for i, p := range m.People {
			names[i] = plain(p.User)
		}
		fmt.Fprintf(a.err, "error: %s must have no members, and has %s: they have access that nobody approved\n", plain(m.Name), strings.Join(names, ", "))
		fmt.Fprintln(a.err, "hint: take them out in Identity Center")
	}
	if len(v.Missing) > 0 {
		fmt.Fprintln(a.err, "hint: `sparekey groups anchor --all` has the missing ones made; the roles of those come and go with each grant")
	}
}
