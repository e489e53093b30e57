package cli

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"github.com/spf13/cobra"

	"sparekey/internal/api/client"
)

func (a *app) approvalsCommand() *cobra.Command {
	return &cobra.Command{
		Use: "approvals", Short: "List the requests that you may decide", Args: none,
		RunE: func(c *cobra.Command, _ []string) error {
			r, err := a.remote()
			if err != nil {
				return err
			}
			pending, err := answer[client.ApprovalsOutputBody](r.ListApprovals(c.Context()))
			if err != nil {
				return err
			}
			if a.output == "json" {
				return a.json(pending)
			}
			if len(pending.Requests) == 0 {
				fmt.Fprintln(a.err, "nothing waits for you")
				return nil
			}
			var rows [][]string
			for _, p := range pending.Requests {
				for _, l := range p.Lines {
					if !contains(p.Yours, l.Number) {
						continue
					}
					rows = append(rows, []string{
						p.Id, plain(p.Requester.User), plain(l.Target.AccountName), plain(l.Target.PermissionSet), minutes(p.Minutes),
						fmt.Sprintf("%d of %d", len(l.Approvals), l.Needed), clock(p.LapsesAt, p.AskedAt), plain(p.Reason),
					})
				}
			}
			table(a.out, []string{"REQUEST", "WHO", "ACCOUNT", "PERMISSION SET", "FOR", "APPROVED", "LAPSES", "REASON"}, rows)
			return nil
		},
	}
}

func contains(list []int64, n int64) bool {
	for _, v := range list {
		if v == n {
			return true
		}
	}
	return false
}

// deciding makes a command that decides a request.
func (a *app) deciding(use, short, flag, flagHelp string, call func(*remote, context.Context, string, client.CommentBody) (*http.Response, error)) *cobra.Command {
	var comment string
	c := &cobra.Command{
		Use: use + " REQUEST", Short: short, Args: takes(1, 1, "REQUEST"),
		RunE: func(c *cobra.Command, args []string) error {
			if err := idOf("req-", "request", args[0]); err != nil {
				return err
			}
			r, err := a.remote()
			if err != nil {
				return err
			}
			body := client.CommentBody{}
			if comment != "" {
				body.Comment = &comment
			}
			decided, err := answer[client.Request](call(r, c.Context(), args[0], body))
			if err != nil {
				return err
			}
			if a.output == "json" {
				return a.json(decided)
			}
			(&progress{app: a}).show(decided)
			return nil
		},
	}
	c.Flags().StringVar(&comment, flag, "", flagHelp)
	return c
}

// idOf refuses what cannot be an id, before it goes anywhere.
func idOf(prefix, kind, id string) error {
	if rest, ok := strings.CutPrefix(id, prefix); ok && rest != "" && strings.Trim(rest, "0123456789abcdefghijklmnopqrstuvwxyz") == "" {
		return nil
	}
	return usage(fmt.Sprintf("it looks like %s7k2m9x", prefix), "%q is not the id of a %s", plain(id), kind)
}

func (a *app) approveCommand() *cobra.Command {
	var long string
	c := a.deciding("approve", "Approve every line of a request that you may decide", "comment", "what the requester and auditors read",
		func(r *remote, ctx context.Context, id string, b client.CommentBody) (*http.Response, error) {
			body := client.ApproveBody{Comment: b.Comment}
			if long != "" {
				d, err := duration(long)
				if err != nil {
					return nil, err
				}
				n := int64(d.Minutes())
				body.Minutes = &n
			}
			return r.Approve(ctx, id, body)
		})
	c.Flags().StringVar(&long, "for", "", "for less than was asked, as in 15m")
	return c
}

func (a *app) rejectCommand() *cobra.Command {
	return a.deciding("reject", "Reject every line of a request that you may decide", "comment", "what the requester and auditors read",
		func(r *remote, ctx context.Context, id string, b client.CommentBody) (*http.Response, error) {
			return r.Reject(ctx, id, b)
		})
}

func (a *app) requestsCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "requests [REQUEST]", Short: "List your requests, or show one", Args: takes(0, 1, "[REQUEST]"),
		RunE: func(c *cobra.Command, args []string) error {
			r, err := a.remote()
			if err != nil {
				return err
			}
			if len(args) == 1 {
				return a.showRequest(c.Context(), r, args[0])
			}
			most := int64(200)
			list, err := answer[client.RequestsOutputBody](r.ListRequests(c.Context(), &client.ListRequestsParams{Limit: &most}))
			if err != nil {
				return err
			}
			if a.output == "json" {
				return a.json(list)
			}
			if len(list.Requests) == 0 {
				fmt.Fprintln(a.err, "you have not asked for anything yet")
				return nil
			}
			var rows [][]string
			for _, q := range list.Requests {
				for _, l := range q.Lines {
					state := string(l.State)
					if l.Grant != nil {
						state = string(l.Grant.State)
					}
					rows = append(rows, []string{q.Id, plain(l.Target.AccountName), plain(l.Target.PermissionSet), minutes(q.Minutes), a.state(state), clock(q.AskedAt, list.Now), plain(q.Reason)})
				}
			}
			table(a.out, []string{"REQUEST", "ACCOUNT", "PERMISSION SET", "FOR", "STATE", "ASKED", "REASON"}, rows)
			if more := value(list.Next); more != "" {
				fmt.Fprintln(a.err, "hint: these are the newest; GET /v1/requests?after="+more+" has those before")
			}
			return nil
		},
	}
	c.AddCommand(a.deciding("withdraw", "Take back what still waits of a request of yours", "reason", "why",
		func(r *remote, ctx context.Context, id string, b client.CommentBody) (*http.Response, error) {
			return r.Withdraw(ctx, id, b)
		}))
	return c
}

func (a *app) showRequest(ctx context.Context, r *remote, id string) error {
	if err := idOf("req-", "request", id); err != nil {
		return err
	}
	q, err := answer[client.Request](r.GetRequest(ctx, id, &client.GetRequestParams{}))
	if err != nil {
		return err
	}
	if a.output == "json" {
		return a.json(q)
	}
	fmt.Fprintf(a.out, "%s  %s asked at %s", q.Id, plain(q.Requester.User), q.AskedAt.Local().Format("2006-01-02 15:04 MST"))
	if q.Reason != "" {
		fmt.Fprintf(a.out, ": %q", plain(q.Reason))
	}
	fmt.Fprintln(a.out)
	if q.Policy != nil {
		fmt.Fprintf(a.out, "policy     %s\n", plain(strings.Join(strings.Fields(*q.Policy), " ")))
	}
	(&progress{app: a}).show(q)
	return nil
}
