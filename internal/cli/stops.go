package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"sparekey/internal/api/client"
)

// stopCommand is the red button.
func (a *app) stopCommand() *cobra.Command {
	var w stopWish
	c := &cobra.Command{
		Use: "stop --reason TEXT", Short: "The red button: end everything within reach, and keep it from starting again", Args: none,
		Long: "End every grant of a person, in an account, with a permission set, under a rule, or every grant that there is; what is named\n" +
			"together is meant together. With --for, nothing within reach starts again before. It says first what that ends, and how long AWS\n" +
			"needs at its quota. Administrators and security may. Sessions that are open last until they end by themselves; with --kill a deny for\n" +
			"all of a person's is sent beside. docs/kills.md says what that does not reach.",
		Example: "  sparekey stop --person dana --for 4h --reason 'her laptop was stolen'\n  sparekey stop --account payments-prod --permission-set PowerUser --estimate",
		RunE:    func(c *cobra.Command, _ []string) error { return a.stop(c.Context(), w) },
	}
	c.Flags().StringVar(&w.person, "person", "", "of this person: user name or id")
	c.Flags().StringVar(&w.account, "account", "", "in this account: name or id")
	c.Flags().StringVar(&w.set, "permission-set", "", "with this permission set, or role/PATH/NAME")
	c.Flags().StringVar(&w.rule, "rule", "", "under this rule")
	c.Flags().BoolVar(&w.everything, "everything", false, "every grant that there is")
	c.Flags().StringVar(&w.long, "for", "", "for so long nothing within reach starts; without it, what the rules allow can be asked for again at once")
	c.Flags().BoolVar(&w.kill, "kill", false, "also have all sessions of the person killed; with --person alone")
	c.Flags().StringVar(&w.reason, "reason", "", "why; it stands in the record of every grant that ends")
	c.Flags().BoolVar(&w.estimate, "estimate", false, "only say what it would end, and how long that takes")
	c.Flags().BoolVar(&w.yes, "yes", false, "do not ask")
	return c
}

// stopWish is what the flags of stop say.
type stopWish struct {
	person, account, set, rule, reason, long string
	everything, yes, estimate, kill          bool
}

func (w stopWish) body() (client.StopBody, error) {
	body := client.StopBody{Person: given(w.person), Account: given(w.account), PermissionSet: given(w.set), Rule: given(w.rule), Comment: w.reason}
	if w.everything {
		body.Everything = &w.everything
	}
	if w.kill {
		body.Kill = &w.kill
	}
	if w.long != "" {
		d, err := duration(w.long)
		if err != nil {
			return body, err
		}
		holds := int64(d.Minutes())
		body.Minutes = &holds
	}
	if w.estimate {
		return body, nil
	}
	return body, needed("reason", w.reason, "'her laptop was stolen'")
}

func (a *app) stop(ctx context.Context, w stopWish) error {
	body, err := w.body()
	if err != nil {
		return err
	}
	r, err := a.remote()
	if err != nil {
		return err
	}
	if w.estimate || !w.yes {
		e, err := answer[client.StopEstimate](r.EstimateStop(ctx, client.StopScope{Person: body.Person, Account: body.Account, PermissionSet: body.PermissionSet, Rule: body.Rule, Everything: body.Everything}))
		switch {
		case err != nil:
			return err
		case a.output == "text":
			a.estimate(e)
		case w.estimate:
			return a.json(e)
		}
		if w.estimate {
			return nil
		}
		if err := a.confirm("Stop it?", false); err != nil {
			return err
		}
	}
	done, err := answer[client.StoppedOutputBody](r.Stop(ctx, body))
	if err != nil {
		return err
	}
	return a.stopped(done, w.yes)
}

// given is a flag's text, or nothing where it was left out.
func given(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

// estimate says what a stop is to be expected to do.
func (a *app) estimate(e client.StopEstimate) {
	fmt.Fprintf(a.out, "reaches    %s: %s of %s in %s\n", plain(e.Reach), number(int(e.Grants), "grant", "grants"), number(int(e.People), "person", "people"), number(int(e.Accounts), "account", "accounts"))
	var parts []string
	add := func(n int64, one, many, rest string) {
		if n > 0 {
			parts = append(parts, number(int(n), one, many)+rest)
		}
	}
	add(e.Unbegun, "has not begun and is", "have not begun and are", " cancelled at once")
	add(e.Kept, "leaves its", "leave their", " access where it is: it was there before, or another grant keeps it")
	add(e.Operations, "operation", "operations", " of AWS")
	add(e.Ahead, "is", "are", " ahead of them")
	if len(parts) > 0 {
		fmt.Fprintf(a.out, "           %s\n", strings.Join(parts, "; "))
	}
	if e.TakeSeconds > 0 {
		fmt.Fprintf(a.out, "takes      about %s at AWS's quota, if nothing fails\n", seconds(e.TakeSeconds))
	}
	if e.LastMinute != nil {
		fmt.Fprintf(a.out, "sessions   that are open then may last until %s: ending access does not end them\n", clock(*e.LastMinute, *e.LastMinute))
	}
}

func (a *app) stopped(done client.StoppedOutputBody, tell bool) error {
	if a.output == "json" {
		return a.json(done)
	}
	if tell {
		a.estimate(done.Estimate)
	}
	s := done.Stop
	fmt.Fprintf(a.out, "%-9s  %s\n", map[client.StopState]string{client.StopStateDone: "stopped", client.StopStateEnding: "stopping"}[s.State], s.Id)
	if s.Until != nil {
		fmt.Fprintf(a.out, "           nothing of it starts before %s; `sparekey stops lift %s` lets it\n", clock(*s.Until, s.At), s.Id)
	}
	switch {
	case done.Kill != nil:
		fmt.Fprintf(a.out, "kill       %s  %s\n", done.Kill.Id, plain(done.Kill.Says))
	case value(done.WhyNot) != "":
		return &failure{exitFailed, "no session was killed: " + plain(value(done.WhyNot)), "what was held ends all the same; `sparekey kills check` says how kills are set up"}
	}
	return nil
}

func (a *app) stopsCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "stops", Short: "List what was stopped", Args: none,
		RunE: func(c *cobra.Command, _ []string) error {
			r, err := a.remote()
			if err != nil {
				return err
			}
			list, err := answer[client.StopsOutputBody](r.ListStops(c.Context(), &client.ListStopsParams{}))
			if err != nil {
				return err
			}
			if a.output == "json" {
				return a.json(list)
			}
			if len(list.Stops) == 0 {
				fmt.Fprintln(a.err, "nothing was ever stopped")
				return nil
			}
			var rows [][]string
			for _, s := range list.Stops {
				holds := ""
				switch {
				case s.LiftedAt != nil:
					holds = fmt.Sprintf("lifted by %s %s", plain(value(s.LiftedBy)), clock(*s.LiftedAt, list.Now))
				case s.Holds:
					holds = "until " + clock(*s.Until, list.Now)
				}
				rows = append(rows, []string{s.Id, string(s.State), plain(s.By), clock(s.At, list.Now), holds, plain(s.Reach), plain(s.Why)})
			}
			table(a.out, []string{"STOP", "STATE", "BY", "AT", "HOLDS", "REACH", "WHY"}, rows)
			if more := value(list.Next); more != "" {
				fmt.Fprintln(a.err, "hint: these are the newest; GET /v1/stops?after="+more+" has those before")
			}
			return nil
		},
	}
	c.AddCommand(a.stopsLiftCommand())
	return c
}

func (a *app) stopsLiftCommand() *cobra.Command {
	var reason string
	c := &cobra.Command{
		Use: "lift STOP", Short: "Let starts go on before a stop's time", Args: takes(1, 1, "STOP"),
		Long: "Let starts go on before a stop's time is over. What it ended stays ended. Administrators may.",
		RunE: func(c *cobra.Command, args []string) error {
			if err := idOf("stop-", "stop", args[0]); err != nil {
				return err
			}
			if err := needed("reason", reason, "'she has a new laptop'"); err != nil {
				return err
			}
			r, err := a.remote()
			if err != nil {
				return err
			}
			return a.lift(c.Context(), r, args[0], reason)
		},
	}
	c.Flags().StringVar(&reason, "reason", "", "why")
	return c
}

func (a *app) lift(ctx context.Context, r *remote, id, reason string) error {
	s, err := answer[client.Stop](r.LiftStop(ctx, id, client.CommentBody{Comment: &reason}))
	if err != nil {
		return err
	}
	if a.output == "json" {
		return a.json(s)
	}
	fmt.Fprintf(a.out, "lifted     %s  what the rules allow %s can be asked for again\n", s.Id, plain(strings.TrimPrefix(s.Reach, "everything ")))
	return nil
}

// seconds writes a rough time.
func seconds(n int64) string {
	if n < 90 {
		return fmt.Sprintf("%d s", n)
	}
	return fmt.Sprintf("%d min", (n+59)/60)
}
