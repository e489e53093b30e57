package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"sparekey/internal/api/client"
)

// driftCommand says what the reconciler found.
func (a *app) driftCommand() *cobra.Command {
	var groups bool
	c := &cobra.Command{
		Use: "drift", Short: "List what AWS gives that no grant has, and the other way round", Args: none,
		Long: "List what the server found when it compared the assignments in AWS with its grants: orphaned, what Sparekey gave once and no grant\n" +
			"has; missing, what a live grant should have; foreign, what somebody else gave. Administrators, security and auditors may.",
		RunE: func(c *cobra.Command, _ []string) error {
			r, err := a.remote()
			if err != nil {
				return err
			}
			d, err := answer[client.DriftOutputBody](r.Drift(c.Context(), &client.DriftParams{Groups: &groups}))
			if err != nil {
				return err
			}
			if a.output == "json" {
				return a.json(d)
			}
			looked := fmt.Sprintf("%d of %s looked at", d.Seen, number(int(d.Accounts), "account", "accounts"))
			if d.Oldest != nil {
				looked += fmt.Sprintf(", the one longest ago %s ago", span(d.Now.Sub(*d.Oldest)))
			}
			fmt.Fprintln(a.out, looked)
			if len(d.Findings) == 0 {
				fmt.Fprintln(a.out, "nothing was found")
				return nil
			}
			var rows [][]string
			for _, f := range d.Findings {
				rows = append(rows, []string{string(f.Kind), plain(f.Principal), plain(f.AccountName), plain(f.PermissionSet), value(f.Grant), clock(f.Since, d.Now)})
			}
			table(a.out, []string{"FINDING", "WHO", "ACCOUNT", "PERMISSION SET", "GRANT", "SINCE"}, rows)
			return nil
		},
	}
	c.Flags().BoolVar(&groups, "groups", false, "also what groups have that Sparekey did not make")
	return c
}
