package cli

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"sparekey/internal/api/client"
)

func (a *app) accessCommand() *cobra.Command {
	return parent(&cobra.Command{Use: "access", Short: "See what you may ask for, and ask for it"}, a.accessListCommand(), a.accessRequestCommand())
}

func (a *app) accessListCommand() *cobra.Command {
	var account, set string
	c := &cobra.Command{
		Use: "list", Short: "List what you may ask for", Args: none,
		Example: "  sparekey access list --account payments\n  sparekey access list --account team=data --permission-set ReadOnly",
		RunE: func(c *cobra.Command, _ []string) error {
			r, err := a.remote()
			if err != nil {
				return err
			}
			offers, err := r.offers(c.Context(), account, set)
			if err != nil {
				return err
			}
			if a.output == "json" {
				return a.json(map[string]any{"offers": offers})
			}
			a.listOffers(offers, account+set != "")
			return nil
		},
	}
	c.Flags().StringVar(&account, "account", "", "any part of an account's name, id, OU path or tag (key=value)")
	c.Flags().StringVar(&set, "permission-set", "", "any part of a permission set's name")
	return c
}

// offers reads every page.
func (r *remote) offers(ctx context.Context, account, set string) ([]client.Offer, error) {
	all := []client.Offer{}
	limit := int64(1000)
	for after := ""; ; {
		page, err := answer[client.AccessOutputBody](r.ListAccess(ctx, &client.ListAccessParams{Account: &account, PermissionSet: &set, After: &after, Limit: &limit}))
		if err != nil {
			return nil, err
		}
		all = append(all, page.Offers...)
		if page.Next == nil || *page.Next == "" {
			return all, nil
		}
		after = *page.Next
	}
}

func (a *app) listOffers(offers []client.Offer, filtered bool) {
	if len(offers) == 0 {
		if filtered {
			fmt.Fprintln(a.err, "nothing that you may ask for matches")
		} else {
			fmt.Fprintln(a.err, "there is nothing that you may ask for")
		}
		fmt.Fprintln(a.err, "hint: `sparekey why YOU PERMISSION-SET ACCOUNT` says why something is missing")
		return
	}
	var rows [][]string
	for _, o := range offers {
		for i, w := range o.Ways {
			row := []string{"", "", "", "", "up to " + minutes(w.LongestMinutes), plain(w.Approvers)}
			if i == 0 {
				row[0], row[1], row[2], row[3] = plain(o.Account.Name), o.Account.Id, plain(o.Account.Path), plain(o.PermissionSet)
			}
			if w.Nobody != nil {
				row[5] += " (nobody can now: " + plain(*w.Nobody) + ")"
			}
			rows = append(rows, row)
		}
	}
	table(a.out, []string{"ACCOUNT", "ID", "OU", "PERMISSION SET", "FOR", "APPROVAL"}, rows)
}

// asking is what is asked for, as flags say it.
type asking struct {
	accounts, sets, targets []string
	long, reason            string
	wait                    bool
	most                    time.Duration
}

func (a *app) accessRequestCommand() *cobra.Command {
	var f asking
	c := &cobra.Command{
		Use: "request", Short: "Ask for access", Args: none,
		Long: "Ask for access. Every account named is asked for with every permission set named; --target names single pairs.\n" +
			"Each is decided under its own rule, and starts and ends by itself.",
		Example: "  sparekey access request --account payments-prod --permission-set PowerUser --for 30m --reason \"INC-4711 rollback\" --wait\n" +
			"  sparekey access request --target payments-prod:ReadOnly --target payments-dev:DeveloperAccess --for 2h",
		RunE: func(c *cobra.Command, _ []string) error { return a.request(c.Context(), f) },
	}
	c.Flags().StringArrayVar(&f.accounts, "account", nil, "account, by name or id; may be repeated")
	c.Flags().StringArrayVar(&f.sets, "permission-set", nil, "permission set; may be repeated")
	c.Flags().StringArrayVar(&f.targets, "target", nil, "ACCOUNT:PERMISSION-SET; may be repeated")
	c.Flags().StringVar(&f.long, "for", "", "how long, as in 45m, 8h or 1h30m")
	c.Flags().StringVar(&f.reason, "reason", "", "why; approvers and auditors read it")
	c.Flags().BoolVar(&f.wait, "wait", false, "wait until all of it is there, or will not be")
	c.Flags().DurationVar(&f.most, "timeout", 0, "with --wait: give up waiting after so long (exit code 4)")
	return c
}

func (f asking) body() (client.AskBody, error) {
	if err := needed("for", f.long, "30m"); err != nil {
		return client.AskBody{}, err
	}
	long, err := duration(f.long)
	if err != nil {
		return client.AskBody{}, err
	}
	body := client.AskBody{Minutes: int64(long.Minutes()), Targets: []client.AskTarget{}}
	if f.reason != "" {
		body.Reason = &f.reason
	}
	if (len(f.accounts) == 0) != (len(f.sets) == 0) {
		return body, usage("name both, or pairs with --target ACCOUNT:PERMISSION-SET", "--account and --permission-set go together")
	}
	for _, account := range f.accounts {
		for _, set := range f.sets {
			body.Targets = append(body.Targets, client.AskTarget{Account: account, PermissionSet: set})
		}
	}
	for _, t := range f.targets {
		colon := strings.LastIndexByte(t, ':')
		if colon < 1 || colon == len(t)-1 {
			return body, usage("--target payments-prod:ReadOnly", "%q is not a target", t)
		}
		body.Targets = append(body.Targets, client.AskTarget{Account: t[:colon], PermissionSet: t[colon+1:]})
	}
	if len(body.Targets) == 0 {
		return body, usage("--account NAME --permission-set NAME", "nothing is asked for")
	}
	return body, nil
}

func (a *app) request(ctx context.Context, f asking) error {
	body, err := f.body()
	if err == nil && f.most != 0 && !f.wait {
		err = usage("add --wait, or leave --timeout out", "--timeout says how long --wait waits, and nothing waits here")
	}
	if err != nil {
		return err
	}
	r, err := a.remote()
	if err != nil {
		return err
	}
	asked, err := r.ask(ctx, body)
	if err != nil {
		return err
	}
	p := &progress{app: a, waits: f.wait}
	if a.output == "text" {
		p.show(asked)
	}
	if f.wait {
		asked, err = a.await(ctx, r, asked, p, f.most)
	}
	if a.output == "json" { // also when the wait was in vain: whoever reads it needs the id
		if err := a.json(asked); err != nil {
			return err
		}
	}
	if err != nil {
		return err
	}
	if f.wait {
		return result(asked)
	}
	if asked.Open && a.output == "text" {
		fmt.Fprintf(a.err, "hint: `sparekey requests %s` shows how it stands; it lapses at %s\n", asked.Id, clock(asked.LapsesAt, asked.AskedAt))
	}
	return nil
}

// ask makes the request. When there is no answer it tries once more, with the same key: an answer that was lost cannot make
// a second request.
func (r *remote) ask(ctx context.Context, body client.AskBody) (client.Request, error) {
	params := &client.AskParams{IdempotencyKey: rand.Text()}
	answered, err := r.Ask(ctx, params, body)
	if err != nil && ctx.Err() == nil {
		answered, err = r.Ask(ctx, params, body)
	}
	return answer[client.Request](answered, err)
}

// await follows a request until all its lines are where they stay for a while, or time is over.
func (a *app) await(ctx context.Context, r *remote, now client.Request, p *progress, most time.Duration) (client.Request, error) {
	if most > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, most, errTimeIsOver)
		defer cancel()
	}
	wait := int64(20)
	hint := fmt.Sprintf("the request goes on: `sparekey requests %s` shows how it stands", now.Id)
	for !settled(now) {
		revision := now.Revision
		next, err := answer[client.Request](r.GetRequest(ctx, now.Id, &client.GetRequestParams{After: &revision, Wait: &wait}))
		if ctx.Err() != nil {
			if context.Cause(ctx) == errTimeIsOver {
				return now, &failure{exitWaiting, "still waiting after " + span(most), hint}
			}
			return now, &failure{exitWaiting, "interrupted", hint}
		}
		if err != nil {
			var f *failure
			if errors.As(err, &f) && f.code == exitFailed {
				f.hint = hint
			}
			return now, err
		}
		now = next
		if a.output == "text" {
			p.show(now)
		}
	}
	return now, nil
}

var errTimeIsOver = fmt.Errorf("the time to wait is over")

// settled reports whether no line changes any more before its end.
func settled(r client.Request) bool {
	for _, l := range r.Lines {
		if l.State == client.LineStatePending || l.Grant != nil && (l.Grant.State == client.GrantStateWaiting || l.Grant.State == client.GrantStateGranting || l.Grant.State == client.GrantStateStuck) {
			return false
		}
	}
	return true
}

// result is the exit of a request that was waited for: done when every line is live.
func result(r client.Request) error {
	code := exitDone
	for _, l := range r.Lines {
		switch {
		case l.State == client.LineStateApproved && l.Grant != nil && l.Grant.State == client.GrantStateActive:
		case l.State == client.LineStateApproved:
			code = max(code, exitFailed)
		default:
			code = exitRefused
		}
	}
	if code == exitDone {
		return nil
	}
	return &failure{code, "", ""}
}
