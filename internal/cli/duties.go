package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"sparekey/internal/api/client"
)

func (a *app) reviewsCommand() *cobra.Command {
	return &cobra.Command{
		Use: "reviews", Short: "List what is to be looked at afterwards", Args: none,
		Long: "List the reviews that wait for you, and those of what you did. Until an overdue review is done, the person whose use it is\nabout gets nothing automatically.",
		RunE: func(c *cobra.Command, _ []string) error {
			r, err := a.remote()
			if err != nil {
				return err
			}
			list, err := r.reviews(c.Context())
			if err != nil {
				return err
			}
			if a.output == "json" {
				return a.json(list)
			}
			if len(list.Reviews) == 0 {
				fmt.Fprintln(a.err, "nothing is to be reviewed")
				return nil
			}
			var rows [][]string
			for _, v := range list.Reviews {
				due := clock(v.DueAt, list.Now)
				if v.Overdue {
					due += " (overdue)"
				}
				who := plain(v.Reviewers)
				if v.Yours {
					who = "you may"
				}
				rows = append(rows, []string{v.Id, plain(v.Person.User), plain(v.Target.AccountName), plain(v.Target.PermissionSet), v.Grant, due, who, plain(v.Reason)})
			}
			table(a.out, []string{"REVIEW", "WHO", "ACCOUNT", "PERMISSION SET", "GRANT", "DUE", "REVIEWER", "REASON"}, rows)
			return nil
		},
	}
}

func (a *app) reviewCommand() *cobra.Command {
	var fine, wrong bool
	var comment string
	c := &cobra.Command{
		Use: "review REVIEW", Short: "Look at a review, or say what you found", Args: takes(1, 1, "REVIEW"),
		Example: "  sparekey review rev-7k2m9x\n  sparekey review rev-7k2m9x --fine\n  sparekey review rev-7k2m9x --wrong --comment \"read customer data without need\"",
		RunE: func(c *cobra.Command, args []string) error {
			if err := idOf("rev-", "review", args[0]); err != nil {
				return err
			}
			if fine && wrong {
				return usage("--fine or --wrong", "a review finds one of the two")
			}
			r, err := a.remote()
			if err != nil {
				return err
			}
			var v client.Review
			if fine || wrong {
				body := client.ConcludeBody{Wrong: wrong}
				if comment != "" {
					body.Comment = &comment
				}
				v, err = answer[client.Review](r.Conclude(c.Context(), args[0], body))
			} else {
				v, err = answer[client.Review](r.GetReview(c.Context(), args[0]))
			}
			if err != nil {
				return err
			}
			if a.output == "json" {
				return a.json(v)
			}
			a.showReview(v)
			return nil
		},
	}
	c.Flags().BoolVar(&fine, "fine", false, "what was done is fine")
	c.Flags().BoolVar(&wrong, "wrong", false, "something is wrong; the comment says what")
	c.Flags().StringVar(&comment, "comment", "", "what you found; the person and auditors read it")
	return c
}

func (a *app) showReview(v client.Review) {
	fmt.Fprintf(a.out, "%s  %s held %s %s (%s)", v.Id, plain(v.Person.User), plain(v.Target.AccountName), plain(v.Target.PermissionSet), v.Grant)
	if v.Reason != "" {
		fmt.Fprintf(a.out, ": %q", plain(v.Reason))
	}
	fmt.Fprintln(a.out)
	switch {
	case v.Done != nil && v.Wrong:
		fmt.Fprintf(a.out, "wrong      by %s %s%s\n", plain(v.Done.By), clock(v.Done.At, v.Done.At), comment(v.Done.Comment))
	case v.Done != nil:
		fmt.Fprintf(a.out, "fine       by %s %s%s\n", plain(v.Done.By), clock(v.Done.At, v.Done.At), comment(v.Done.Comment))
	default:
		fmt.Fprintf(a.out, "due        %s, by %s\n", clock(v.DueAt, v.OpenedAt), plain(v.Reviewers))
	}
}

func (a *app) awayCommand() *cobra.Command {
	var until, delegate, note string
	c := &cobra.Command{
		Use: "away", Short: "Say that you are away, and who approves for you meanwhile", Args: none,
		Long: "Say that you are away: you are not counted upon as an approver. A delegate has your say meanwhile, but never about what\n" +
			"they ask for themselves, and what either of you says counts once. `sparekey back` ends it.",
		Example: "  sparekey away --until \"2026-11-30 09:00 Europe/Berlin\" --delegate kim",
		RunE: func(c *cobra.Command, _ []string) error {
			if err := needed("until", until, "2026-11-30T09:00+01:00"); err != nil {
				return err
			}
			end, err := moment("until", until)
			if err != nil {
				return err
			}
			r, err := a.remote()
			if err != nil {
				return err
			}
			body := client.AwayBody{Until: end}
			if delegate != "" {
				body.Delegate = &delegate
			}
			if note != "" {
				body.Note = &note
			}
			v, err := answer[client.Absence](r.Away(c.Context(), body))
			if err != nil {
				return err
			}
			if a.output == "json" {
				return a.json(v)
			}
			fmt.Fprintln(a.out, absence(v))
			return nil
		},
	}
	c.Flags().StringVar(&until, "until", "", "when you are back, with the time zone")
	c.Flags().StringVar(&delegate, "delegate", "", "who has your say meanwhile: a user name or an id")
	c.Flags().StringVar(&note, "note", "", "what others may read about it")
	return c
}

func absence(v client.Absence) string {
	text := fmt.Sprintf("%s is away until %s", plain(v.Person.User), v.Until.Local().Format("2006-01-02 15:04 MST"))
	if v.Delegate != nil {
		text += "; " + plain(v.Delegate.User) + " approves meanwhile"
	}
	return text + comment(v.Note)
}

func (a *app) backCommand() *cobra.Command {
	var person string
	c := &cobra.Command{
		Use: "back", Short: "Say that you are back", Args: none,
		Long: "Say that you are back: you are counted upon again, and your delegate has no say any more. An administrator ends the\n" +
			"absence of somebody else with --for, such as one that a stolen token has declared.",
		Example: "  sparekey back\n  sparekey back --for kim",
		RunE: func(c *cobra.Command, _ []string) error {
			r, err := a.remote()
			if err != nil {
				return err
			}
			if c.Flags().Changed("for") {
				return a.told("the absence of "+plain(person)+" is over", func() error {
					_, err := answer[client.DoneOutputBody](r.EndAbsence(c.Context(), person))
					return err
				})
			}
			return a.told("you are back", func() error {
				_, err := answer[client.DoneOutputBody](r.Back(c.Context()))
				return err
			})
		},
	}
	c.Flags().StringVar(&person, "for", "", "user name of somebody else; for administrators")
	return c
}

func (a *app) absencesCommand() *cobra.Command {
	return &cobra.Command{
		Use: "absences", Short: "List who is away, and who approves for whom", Args: none,
		RunE: func(c *cobra.Command, _ []string) error {
			r, err := a.remote()
			if err != nil {
				return err
			}
			list, err := answer[client.AbsencesOutputBody](r.ListAbsences(c.Context()))
			if err != nil {
				return err
			}
			if a.output == "json" {
				return a.json(list)
			}
			if len(list.Absences) == 0 {
				fmt.Fprintln(a.err, "nobody is away")
			}
			for _, v := range list.Absences {
				fmt.Fprintln(a.out, absence(v))
			}
			return nil
		},
	}
}

// credentialsCommand hands out credentials in the form that the AWS CLI's credential_process takes, or as shell commands.
func (a *app) credentialsCommand() *cobra.Command {
	var long, policy, form string
	c := &cobra.Command{
		Use: "creds GRANT", Short: "Make credentials under a grant of a role session", Args: takes(1, 1, "GRANT"),
		Long: "Make credentials under a grant of yours that lends an IAM role by sessions. They are shown once and kept nowhere; nothing is\n" +
			"allowed with them after the grant's end. Without --format env they come as the AWS CLI's credential_process takes them.",
		Example: "  eval \"$(sparekey grants creds g-7k2m9x --format env)\"",
		RunE: func(c *cobra.Command, args []string) error {
			if err := idOf("g-", "grant", args[0]); err != nil {
				return err
			}
			if form != "process" && form != "env" {
				return usage("--format process or --format env", "there is no format %q", form)
			}
			body, err := vending(long, policy)
			if err != nil {
				return err
			}
			r, err := a.remote()
			if err != nil {
				return err
			}
			v, err := answer[client.Credentials](r.Vend(c.Context(), args[0], body))
			if err != nil {
				return err
			}
			return a.handOut(v, form)
		},
	}
	c.Flags().StringVar(&long, "for", "", "how long they last, from 15m to 1h; as long as can be if left out")
	c.Flags().StringVar(&policy, "policy-file", "", "a session policy that allows less than the role")
	c.Flags().StringVar(&form, "format", "process", "process or env")
	return c
}

func vending(long, policy string) (client.VendBody, error) {
	var body client.VendBody
	if long != "" {
		d, err := duration(long)
		if err != nil {
			return body, err
		}
		n := int64(d.Minutes())
		body.Minutes = &n
	}
	if policy != "" {
		text, err := os.ReadFile(policy)
		if err != nil {
			return body, fmt.Errorf("reading the session policy: %w", err)
		}
		body.Policy = new(string)
		*body.Policy = string(text)
	}
	return body, nil
}

// handOut writes credentials to standard output and nowhere else.
func (a *app) handOut(v client.Credentials, form string) error {
	expires := v.Expires.UTC().Format(time.RFC3339)
	if form == "env" {
		for _, line := range [][2]string{
			{"AWS_ACCESS_KEY_ID", v.AccessKeyId}, {"AWS_SECRET_ACCESS_KEY", v.SecretAccessKey}, {"AWS_SESSION_TOKEN", v.SessionToken}, {"AWS_CREDENTIAL_EXPIRATION", expires},
		} {
			if _, err := fmt.Fprintf(a.out, "export %s='%s'\n", line[0], strings.ReplaceAll(line[1], "'", `'\''`)); err != nil {
				return err
			}
		}
		return nil
	}
	return json.NewEncoder(a.out).Encode(map[string]any{
		"Version": 1, "AccessKeyId": v.AccessKeyId, "SecretAccessKey": v.SecretAccessKey, "SessionToken": v.SessionToken, "Expiration": expires,
	})
}

func (a *app) groupsCommand() *cobra.Command {
	var account, set string
	list := &cobra.Command{
		Use: "list", Short: "List the groups that lend by membership", Args: none,
		RunE: func(c *cobra.Command, _ []string) error {
			r, err := a.remote()
			if err != nil {
				return err
			}
			groups, err := answer[client.GroupsOutputBody](r.ListGroups(c.Context()))
			if err != nil {
				return err
			}
			if a.output == "json" {
				return a.json(groups)
			}
			if len(groups.Groups) == 0 {
				fmt.Fprintln(a.err, "no group lends by membership yet")
				return nil
			}
			var rows [][]string
			for _, g := range groups.Groups {
				rows = append(rows, groupRow(g))
			}
			table(a.out, []string{"ACCOUNT", "PERMISSION SET", "GROUP", "STATE"}, rows)
			return nil
		},
	}
	prepare := &cobra.Command{
		Use: "prepare", Short: "Have a group made that lends a permission set in an account by membership", Args: none,
		Long: "Have Sparekey make a group in Identity Center and assign it to a permission set in an account, once, so that rules with\n" +
			"`by: membership` can lend it. Administrators may. It is done in the background; `sparekey groups list` shows how far it is.",
		RunE: func(c *cobra.Command, _ []string) error {
			if err := needed("account", account, "payments-prod"); err != nil {
				return err
			}
			if err := needed("permission-set", set, "PowerUser"); err != nil {
				return err
			}
			r, err := a.remote()
			if err != nil {
				return err
			}
			g, err := answer[client.LentGroup](r.PrepareGroup(c.Context(), client.AskTarget{Account: account, PermissionSet: set}))
			if err != nil {
				return err
			}
			if a.output == "json" {
				return a.json(g)
			}
			fmt.Fprintln(a.out, strings.Join(groupRow(g), "  "))
			return nil
		},
	}
	prepare.Flags().StringVar(&account, "account", "", "account, by name or id")
	prepare.Flags().StringVar(&set, "permission-set", "", "permission set")
	return parent(&cobra.Command{Use: "groups", Short: "Groups that lend by membership, and those that keep roles"}, list, prepare, a.anchorCommand(), a.anchorsCommand())
}

func groupRow(g client.LentGroup) []string {
	state := "being made"
	switch {
	case g.Ready:
		state = "ready"
	case g.Trouble != nil:
		state += ": " + plain(*g.Trouble)
	}
	return []string{plain(g.Target.AccountName), plain(g.Target.PermissionSet), plain(g.Name), state}
}

// reviews reads every page.
func (r *remote) reviews(ctx context.Context) (list client.ReviewsOutputBody, err error) {
	limit, after := int64(1000), ""
	list.Reviews = []client.Review{}
	for {
		page, err := answer[client.ReviewsOutputBody](r.ListReviews(ctx, &client.ListReviewsParams{After: &after, Limit: &limit}))
		if err != nil {
			return list, err
		}
		page.Reviews = append(list.Reviews, page.Reviews...)
		list = page
		if after = value(page.Next); after == "" {
			return list, nil
		}
	}
}
