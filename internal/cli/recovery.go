package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"sparekey/internal/api/client"
)

func (a *app) recoveryCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "recovery", Short: "After a restore: only ends happen until two administrators release it",
		Long: "A database that is behind the ledger, as one is that was restored from a backup, only ends access until two administrators have released\n" +
			"it. `sparekey status` says whether it is so.",
	}
	parent(c, a.recoveryReleaseCommand())
	return c
}

func (a *app) recoveryReleaseCommand() *cobra.Command {
	var reason string
	c := &cobra.Command{
		Use: "release --reason TEXT", Short: "Let starts go on after a restore", Args: none,
		Long: "Let starts go on after a restore. It takes two administrators: the first agrees, the second releases. Look before at the rules in force, at\n" +
			"absences and at open requests: they are those of the backup.",
		RunE: func(c *cobra.Command, _ []string) error {
			if err := needed("reason", reason, "'compared with CloudTrail'"); err != nil {
				return err
			}
			r, err := a.remote()
			if err != nil {
				return err
			}
			v, err := answer[client.Recovery](r.ReleaseRecovery(c.Context(), client.CommentBody{Comment: &reason}))
			if err != nil {
				return err
			}
			if a.output == "json" {
				return a.json(v)
			}
			fmt.Fprintf(a.out, "%-10s %s  %d events here, %d in the ledger; %d grants taken over, %d cancelled\n", v.State, v.Id, v.Events, v.EventsThere, v.TakenOver, v.Cancelled)
			fmt.Fprintf(a.out, "by         %s\n", plain(strings.Join(v.ReleasedBy, ", ")))
			if v.ReleasedAt == nil {
				fmt.Fprintln(a.err, "hint: it takes another administrator as well")
			}
			return nil
		},
	}
	c.Flags().StringVar(&reason, "reason", "", "why; what was looked at")
	return c
}
