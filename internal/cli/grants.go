package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"sparekey/internal/api/client"
)

func (a *app) grantsCommand() *cobra.Command {
	var all, ended bool
	c := &cobra.Command{
		Use: "grants", Short: "List who holds what, each with its true last minute", Args: none,
		Long: "List your grants. END is when AWS is told to take the access away; LAST MINUTE is when the last session that it makes\n" +
			"possible ends: taking access away does not end sessions that are open.",
		RunE: func(c *cobra.Command, _ []string) error {
			r, err := a.remote()
			if err != nil {
				return err
			}
			list, err := r.grants(c.Context(), all, ended)
			if err != nil {
				return err
			}
			if a.output == "json" {
				return a.json(list)
			}
			if len(list.Grants) == 0 {
				a.holdsNothing(all, ended)
				return nil
			}
			var rows [][]string
			for _, g := range list.Grants {
				rows = append(rows, a.grantRow(g, list))
			}
			if more := value(list.Next); more != "" {
				fmt.Fprintln(a.err, "hint: these are the newest; GET /v1/grants?ended=true&after="+more+" has those before")
			}
			table(a.out, []string{"GRANT", "STATE", "WHO", "ACCOUNT", "PERMISSION SET", "LEFT", "END", "LAST MINUTE", "NOTE"}, rows)
			return nil
		},
	}
	c.AddCommand(a.credentialsCommand())
	c.Flags().BoolVar(&all, "all", false, "not only yours, but all that you may end or read")
	c.Flags().BoolVar(&ended, "ended", false, "also those that are over")
	return c
}

// grants reads every page of those that are not over. Of the others there is no end, so it reads one page.
func (r *remote) grants(ctx context.Context, all, ended bool) (list client.GrantsOutputBody, err error) {
	limit, after := int64(1000), ""
	list.Grants = []client.Grant{}
	for {
		page, err := answer[client.GrantsOutputBody](r.ListGrants(ctx, &client.ListGrantsParams{All: &all, Ended: &ended, After: &after, Limit: &limit}))
		if err != nil {
			return list, err
		}
		page.Grants = append(list.Grants, page.Grants...)
		list = page
		if after = value(page.Next); ended || after == "" {
			return list, nil
		}
	}
}

// holdsNothing says what the list is empty of.
func (a *app) holdsNothing(all, ended bool) {
	switch {
	case all && ended:
		fmt.Fprintln(a.err, "there are no grants that you may see")
	case all:
		fmt.Fprintln(a.err, "nobody holds anything that you may see")
	case ended:
		fmt.Fprintln(a.err, "you have not held anything yet")
	default:
		fmt.Fprintln(a.err, "you hold nothing now")
		fmt.Fprintln(a.err, "hint: --ended lists what is over; --all lists what others hold, as far as you may see it")
	}
}

func (a *app) grantRow(g client.Grant, list client.GrantsOutputBody) []string {
	end, last := "", ""
	switch {
	case g.Standing:
		end = "stays"
	case g.EndedAt != nil:
		end = clock(*g.EndedAt, list.Now)
	case g.EndsAt != nil:
		end = clock(*g.EndsAt, list.Now)
	}
	if g.LastMinute != nil {
		last = clock(*g.LastMinute, list.Now)
		if !g.LastMinuteSure {
			last = "not before " + last
		}
	}
	return []string{g.Id, a.state(string(g.State)), plain(g.Person.User), plain(g.Target.AccountName), plain(g.Target.PermissionSet), left(g, list.Now), end, last, note(g)}
}

// note is what a person must know of a grant beside its times.
func note(g client.Grant) string {
	var notes []string
	if g.State == client.GrantStateStuck {
		notes = append(notes, "AWS has not confirmed it for ten minutes; still trying")
	}
	if g.Failure != nil {
		notes = append(notes, plain(*g.Failure))
	} else if g.Trouble != nil {
		notes = append(notes, plain(*g.Trouble))
	}
	if g.Standing {
		notes = append(notes, "the access existed before and stays")
	}
	if g.Failure == nil && (g.State == client.GrantStateEnded || g.State == client.GrantStateVerified || g.State == client.GrantStateEnding) {
		notes = append(notes, endedBy(g))
	}
	return strings.Join(notes, "; ")
}

func (a *app) endCommand() *cobra.Command {
	var reason string
	var kill bool
	c := &cobra.Command{
		Use: "end GRANT", Short: "End a grant before its time", Args: takes(1, 1, "GRANT"),
		Long: "End a grant before its time. Whoever holds it, approved it or could have, and administrators may. AWS is told at once;\nsessions that are open last until they end by themselves. With --kill, which the holder and administrators may, a deny for the\nperson in that role is sent beside; `sparekey kills` shows what was sent, and docs/kills.md what it does not reach.",
		RunE: func(c *cobra.Command, args []string) error {
			if strings.HasPrefix(args[0], "req-") {
				return usage("`sparekey requests withdraw "+args[0]+"` takes back a request that waits; `sparekey grants` lists grants", "%s is a request, not a grant", args[0])
			}
			if err := idOf("g-", "grant", args[0]); err != nil {
				return err
			}
			r, err := a.remote()
			if err != nil {
				return err
			}
			body := client.CommentBody{}
			if reason != "" {
				body.Comment = &reason
			}
			if kill {
				return a.endAndKill(c.Context(), r, args[0], body)
			}
			g, err := answer[client.Grant](r.End(c.Context(), args[0], body))
			if err != nil {
				return err
			}
			if a.output == "json" {
				return a.json(g)
			}
			a.showEnded(g)
			return nil
		},
	}
	c.Flags().StringVar(&reason, "reason", "", "why")
	c.Flags().BoolVar(&kill, "kill", false, "also send a deny for the sessions that it made possible")
	return c
}

// showEnded says what an end does, and what stays.
func (a *app) showEnded(g client.Grant) {
	fmt.Fprintf(a.out, "%-9s  %s  %s %s\n", g.State, g.Id, plain(g.Target.AccountName), plain(g.Target.PermissionSet))
	if g.KeptBy != nil && len(*g.KeptBy) > 0 {
		keeps, that := "keeps", "that"
		if len(*g.KeptBy) > 1 {
			keeps, that = "keep", "them"
		}
		fmt.Fprintf(a.out, "%-9s  the access stays: %s %s it; end %s as well if it must go\n", "", strings.Join(*g.KeptBy, " and "), keeps, that)
	}
	if g.Standing {
		fmt.Fprintf(a.out, "%-9s  the access existed before and stays\n", "")
	} else if g.LastMinute != nil {
		fmt.Fprintf(a.out, "%-9s  sessions that are open may last until %s\n", "", clock(*g.LastMinute, *g.LastMinute))
	}
}

func (a *app) whyCommand() *cobra.Command {
	var long, ticket, start string
	c := &cobra.Command{
		Use: "why PERSON PERMISSION-SET ACCOUNT", Short: "Say which rule decides, or why not", Args: takes(3, 3, "PERSON PERMISSION-SET ACCOUNT"),
		Example: "  sparekey why dana PowerUser payments-prod\n  sparekey why dana PowerUser payments-prod --for 4h",
		RunE: func(c *cobra.Command, args []string) error {
			params := client.WhyParams{Person: args[0], PermissionSet: args[1], Account: args[2]}
			if long != "" {
				d, err := duration(long)
				if err != nil {
					return err
				}
				n := int64(d.Minutes())
				params.Minutes = &n
			}
			if ticket != "" {
				params.Ticket = &ticket
			}
			if start != "" {
				at, err := moment("start", start)
				if err != nil {
					return err
				}
				params.StartAt = &at
			}
			r, err := a.remote()
			if err != nil {
				return err
			}
			e, err := answer[client.Explanation](r.Why(c.Context(), &params))
			if err != nil {
				return err
			}
			if a.output == "json" {
				return a.json(e)
			}
			a.explainRule(e)
			return nil
		},
	}
	c.Flags().StringVar(&ticket, "ticket", "", "with this ticket")
	c.Flags().StringVar(&start, "start", "", "beginning at this time, with its zone")
	c.Flags().StringVar(&long, "for", "", "for how long, as in 45m or 8h; without it, for the longest that there is")
	return c
}

func (a *app) explainRule(e client.Explanation) {
	lead := func(word, text string) {
		fmt.Fprintf(a.out, "%s%s%s\n", a.state(word), strings.Repeat(" ", 11-len(word)), text)
	}
	if !e.Allowed {
		for i, why := range e.Why {
			word := ""
			if i == 0 {
				word = "no"
			}
			lead(word, plain(why))
		}
		return
	}
	lead("yes", fmt.Sprintf("rule %q (%s:%d) lends %s in %s for up to %s: %s",
		e.Rule.Name, plain(e.Rule.File), e.Rule.Line, plain(e.Target.PermissionSet), plain(e.Target.AccountName), minutes(e.LongestMinutes), plain(e.Approvers)))
	switch {
	case e.Waits != nil:
		lead("", plain(*e.Waits))
	case e.Nobody != nil:
		lead("", "nobody can approve it now: "+plain(*e.Nobody))
	case e.Approvals > 0:
		lead("", "who can approve: "+plain(strings.Join(e.CanApprove, ", ")))
	}
}
