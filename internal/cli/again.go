package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"sparekey/internal/api/client"
)

// moment reads a time whose zone is stated.
func moment(flag, text string) (time.Time, error) {
	for _, form := range []string{time.RFC3339, "2006-01-02T15:04Z07:00"} {
		if t, err := time.Parse(form, text); err == nil {
			return t, nil
		}
	}
	if at := strings.LastIndexByte(text, ' '); at > 0 {
		if zone, err := time.LoadLocation(text[at+1:]); err == nil && text[at+1:] != "Local" {
			for _, form := range []string{"2006-01-02 15:04", "2006-01-02T15:04"} {
				if t, err := time.ParseInLocation(form, text[:at], zone); err == nil {
					return t, nil
				}
			}
		}
	}
	return time.Time{}, usage(fmt.Sprintf(`--%s 2026-11-30T22:00+09:00, or --%s "2026-11-30 22:00 Asia/Tokyo"`, flag, flag), "%q is not a time with its zone", text)
}

func (a *app) accessAgainCommand() *cobra.Command {
	var f asking
	c := &cobra.Command{
		Use: "again REQUEST", Short: "Ask again for what a request of yours asked for", Args: takes(1, 1, "REQUEST"),
		Long: "Ask again for what a request of yours asked for: the same targets, the same time, the same reason, unless flags say otherwise.",
		RunE: func(c *cobra.Command, args []string) error {
			if err := idOf("req-", "request", args[0]); err != nil {
				return err
			}
			if err := f.waits(); err != nil {
				return err
			}
			r, err := a.remote()
			if err != nil {
				return err
			}
			before, err := answer[client.Request](r.GetRequest(c.Context(), args[0], &client.GetRequestParams{}))
			if err != nil {
				return err
			}
			for _, l := range before.Lines {
				f.targets = append(f.targets, l.Target.Account+":"+l.Target.PermissionSet)
			}
			f.fill(before.Minutes, before.Reason)
			if before.Ticket != nil && f.ticket == "" {
				f.ticket = *before.Ticket
			}
			body, err := f.body()
			if err != nil {
				return err
			}
			return a.askFor(c.Context(), r, body, f)
		},
	}
	f.flags(c)
	return c
}

// flags are those of what is asked for again.
func (f *asking) flags(c *cobra.Command) {
	c.Flags().StringVar(&f.long, "for", "", "for how long, if not as before")
	c.Flags().StringVar(&f.reason, "reason", "", "why, if not as before")
	c.Flags().StringVar(&f.ticket, "ticket", "", "the ticket, if not as before")
	c.Flags().BoolVar(&f.wait, "wait", false, "wait until all of it is there, or will not be")
	c.Flags().DurationVar(&f.most, "timeout", 0, "with --wait: give up waiting after so long (exit code 4)")
}

// fill takes what flags did not say from before.
func (f *asking) fill(minutes int64, reason string) {
	if f.long == "" {
		f.long = (time.Duration(minutes) * time.Minute).String()
	}
	if f.reason == "" {
		f.reason = reason
	}
}

// favoured makes a request of a favourite.
func (r *remote) favoured(ctx context.Context, f *asking) (client.AskBody, error) {
	list, err := answer[client.FavouritesOutputBody](r.ListFavourites(ctx))
	if err != nil {
		return client.AskBody{}, err
	}
	var names []string
	for _, v := range list.Favourites {
		if v.Name != f.favourite {
			names = append(names, v.Name)
			continue
		}
		for _, t := range v.Targets {
			f.accounts, f.sets = nil, nil
			f.targets = append(f.targets, t.Account+":"+t.PermissionSet)
		}
		reason := ""
		if v.Reason != nil {
			reason = *v.Reason
		}
		f.fill(v.Minutes, reason)
		body, err := f.body()
		if err == nil {
			body.Targets = targetsOf(v.Targets) // ids hold colons
		}
		return body, err
	}
	hint := "`sparekey access favourites add NAME REQUEST` makes one of a request"
	if len(names) > 0 {
		hint = "you have: " + plain(strings.Join(names, ", "))
	}
	return client.AskBody{}, &failure{exitUnknown, fmt.Sprintf("you have no favourite called %q", plain(f.favourite)), hint}
}

func targetsOf(of []client.Target) []client.AskTarget {
	targets := []client.AskTarget{}
	for _, t := range of {
		targets = append(targets, client.AskTarget{Account: t.Account, PermissionSet: t.PermissionSetArn})
	}
	return targets
}

func (a *app) favouritesCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "favourites ", Short: "List what you ask for often; add and remove", Args: none,
		RunE: func(c *cobra.Command, _ []string) error {
			r, err := a.remote()
			if err != nil {
				return err
			}
			list, err := answer[client.FavouritesOutputBody](r.ListFavourites(c.Context()))
			if err != nil {
				return err
			}
			if a.output == "json" {
				return a.json(list)
			}
			if len(list.Favourites) == 0 {
				fmt.Fprintln(a.err, "you have no favourites")
				fmt.Fprintln(a.err, "hint: `sparekey access favourites add NAME REQUEST` makes one of a request")
				return nil
			}
			var rows [][]string
			for _, f := range list.Favourites {
				rows = append(rows, favouriteRow(f))
			}
			table(a.out, []string{"FAVOURITE", "TARGETS", "FOR", "REASON"}, rows)
			return nil
		},
	}
	c.Use = "favourites"
	c.AddCommand(&cobra.Command{
		Use: "add NAME REQUEST", Short: "Keep a request of yours under a name", Args: takes(2, 2, "NAME REQUEST"),
		RunE: func(c *cobra.Command, args []string) error {
			r, err := a.remote()
			if err != nil {
				return err
			}
			f, err := answer[client.Favourite](r.Favour(c.Context(), client.FavourRequest{Name: args[0], Request: args[1]}))
			if err != nil {
				return err
			}
			if a.output == "json" {
				return a.json(f)
			}
			fmt.Fprintf(a.out, "%s  %s\n", f.Name, strings.Join(favouriteRow(f)[1:3], " for "))
			return nil
		},
	}, &cobra.Command{
		Use: "remove NAME", Short: "Forget a favourite", Args: takes(1, 1, "NAME"),
		RunE: func(c *cobra.Command, args []string) error {
			r, err := a.remote()
			if err != nil {
				return err
			}
			return a.told("forgotten", func() error {
				_, err := answer[client.DoneOutputBody](r.Disfavour(c.Context(), args[0]))
				return err
			})
		},
	})
	return c
}

func favouriteRow(f client.Favourite) []string {
	var targets []string
	for _, t := range f.Targets {
		targets = append(targets, plain(t.AccountName+":"+t.PermissionSet))
	}
	reason := ""
	if f.Reason != nil {
		reason = plain(*f.Reason)
	}
	return []string{plain(f.Name), strings.Join(targets, ", "), minutes(f.Minutes), reason}
}

// told does something and says that it was done.
func (a *app) told(word string, do func() error) error {
	if err := do(); err != nil {
		return err
	}
	if a.output == "json" {
		return a.json(map[string]bool{"done": true})
	}
	fmt.Fprintln(a.out, word)
	return nil
}

func (a *app) extendCommand() *cobra.Command {
	var f asking
	c := &cobra.Command{
		Use: "extend GRANT", Short: "Ask for a grant of yours to last longer", Args: takes(1, 1, "GRANT"),
		Long: "Ask for a live grant of yours to last longer. The rule says how much needs nobody; past that it is approved anew. What is\n" +
			"approved is a grant of its own that begins at once and lasts as much longer; the access is there without a gap.",
		Example: "  sparekey extend g-7k2m9x --for 30m --wait",
		RunE: func(c *cobra.Command, args []string) error {
			if err := idOf("g-", "grant", args[0]); err != nil {
				return err
			}
			if err := needed("for", f.long, "30m"); err != nil {
				return err
			}
			long, err := duration(f.long)
			if err != nil {
				return err
			}
			if err := f.waits(); err != nil {
				return err
			}
			r, err := a.remote()
			if err != nil {
				return err
			}
			body := client.AskBody{Targets: []client.AskTarget{}, Minutes: int64(long.Minutes()), Extends: &args[0]}
			if f.reason != "" {
				body.Reason = &f.reason
			}
			if f.ticket != "" {
				body.Ticket = &f.ticket
			}
			return a.askFor(c.Context(), r, body, f)
		},
	}
	f.flags(c)
	c.Flags().Lookup("for").Usage = "how much longer, as in 30m"
	return c
}
