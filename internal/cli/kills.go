package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"sparekey/access"
	"sparekey/internal/api/client"
)

// endAndKill ends a grant and has its sessions killed. That no kill could be recorded is a failure, although the grant ends.
func (a *app) endAndKill(ctx context.Context, r *remote, grant string, body client.CommentBody) error {
	out, err := answer[client.Killed](r.Kill(ctx, grant, body))
	if err != nil {
		return err
	}
	if a.output == "json" {
		err = a.json(out)
	} else {
		a.showEnded(out.Grant)
	}
	switch {
	case err != nil:
		return err
	case out.Kill == nil:
		return &failure{exitFailed, "no session was killed: " + plain(value(out.WhyNot)), "the grant is ended all the same; `sparekey kills check` says how kills are set up"}
	case a.output != "json":
		fmt.Fprintf(a.out, "%-9s  %s  %s\n", "kill", out.Kill.Id, plain(out.Kill.Says))
		fmt.Fprintf(a.err, "hint: `sparekey kills` shows how far it is. It reaches neither connections that are open (SSM, SSH, databases) nor, probably,\nroles that a session went on to assume; and a portal session is ended in the console of Identity Center\n")
	}
	return nil
}

func (a *app) killsCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "kills", Short: "List session kills: what was sent to AWS, and who is not covered", Args: none,
		Long: "List session kills, the newest first: those of your own sessions, or all where you may read everything. A kill is a deny in a\n" +
			"service control policy; `sparekey end GRANT --kill` asks for one. \"Sent\" means that AWS took it. Whether a session is dead is\n" +
			"not known, and never said. The management account is not reached, nor are connections that are open; see docs/kills.md.",
		RunE: func(c *cobra.Command, _ []string) error {
			r, err := a.remote()
			if err != nil {
				return err
			}
			list, err := answer[client.KillsOutputBody](r.ListKills(c.Context(), &client.ListKillsParams{}))
			if err != nil {
				return err
			}
			if a.output == "json" {
				return a.json(list)
			}
			if len(list.Kills) == 0 {
				fmt.Fprintln(a.err, "there are no session kills that you may see")
				return nil
			}
			var rows [][]string
			for _, k := range list.Kills {
				rows = append(rows, a.killRow(k, list))
			}
			table(a.out, []string{"KILL", "STATE", "WHO", "ACCOUNT", "PERMISSION SET", "WANTED", "UNTIL", "WHAT IS KNOWN"}, rows)
			return nil
		},
	}
	c.AddCommand(a.killsCheckCommand(), a.killsPolicyCommand())
	return c
}

func (a *app) killRow(k client.Kill, list client.KillsOutputBody) []string {
	account, set, until := "all", "all", ""
	if k.Target != nil {
		account, set = plain(k.Target.AccountName), plain(k.Target.PermissionSet)
	}
	if k.ExpiresAt != nil {
		until = clock(*k.ExpiresAt, list.Now)
	}
	return []string{k.Id, a.state(string(k.State)), plain(k.Person.User), account, set, clock(k.WantedAt, list.Now), until, plain(k.Says)}
}

func (a *app) killsCheckCommand() *cobra.Command {
	return &cobra.Command{
		Use: "check", Short: "Ask AWS for the policy of session kills, and say what is wrong with it", Args: none,
		Long: "Ask AWS for the service control policy of session kills and what it is attached to: nothing, the root and the emergency OU are\n" +
			"wrong, and accounts in which it is not in effect are named. Administrators and auditors may. It exits with 1 where something is wrong.",
		RunE: func(c *cobra.Command, _ []string) error {
			r, err := a.remote()
			if err != nil {
				return err
			}
			v, err := answer[client.KillCheck](r.CheckKills(c.Context()))
			if err != nil {
				return err
			}
			if a.output == "json" {
				err = a.json(v)
			} else {
				a.showKillCheck(v)
			}
			if err == nil && len(v.Wrong) > 0 {
				return &failure{code: exitFailed}
			}
			return err
		},
	}
}

func (a *app) showKillCheck(v client.KillCheck) {
	if v.SetUp {
		fmt.Fprintf(a.out, "policy     %d kills, %d of %d characters\n", v.Statements, v.Length, v.Size)
		fmt.Fprintf(a.out, "attached   to %d: %s\n", len(v.Targets), plain(strings.Join(v.Targets, ", ")))
		if n := len(v.Unreached); n > 0 {
			fmt.Fprintf(a.out, "unreached  %d accounts: %s\n", n, plain(strings.Join(v.Unreached, ", ")))
		}
		fmt.Fprintln(a.out, "unreached  the management account, always")
	}
	for _, wrong := range v.Wrong {
		fmt.Fprintf(a.out, "%s      %s\n", a.state("wrong"), plain(wrong))
	}
}

func (a *app) killsPolicyCommand() *cobra.Command {
	return &cobra.Command{
		Use: "policy", Short: "Print the service control policy to begin with", Args: none,
		Long: "Print the content of the service control policy that holds session kills, with none in it. An administrator of the organization\n" +
			"makes the policy of it and attaches it; Sparekey writes to no other, and attaches none. It needs no server.",
		RunE: func(*cobra.Command, []string) error {
			fmt.Fprintln(a.out, access.EmptyKillPolicy())
			return nil
		},
	}
}
