package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"sparekey/access"
	"sparekey/internal/aws"
	"sparekey/internal/awsconn"
	"sparekey/internal/config"
	"sparekey/org"
	"sparekey/rules"
)

func (a *app) tryCommand() *cobra.Command {
	var file, suggest string
	var perSecond int
	c := &cobra.Command{
		Use: "try --config FILE", Short: "Look at an organization: who has standing access, and what rules would change", Args: none,
		Long: "Look at an organization without changing anything: who has standing access, and what the rules in the configuration's folder\n" +
			"would change if that were taken away. It needs no server and opens no database. Only operations of AWS that list or describe are\n" +
			"ever sent, so many a second; AWS gives 20 to everybody together. A thousand pairs of a permission set and an account take two\n" +
			"minutes by --calls-per-second 10. Groups by which a Sparekey lends are left out; what a running one has assigned to people at the\n" +
			"moment is counted in.",
		RunE: func(c *cobra.Command, _ []string) error {
			if err := needed("config", file, "sparekey.yaml"); err != nil {
				return err
			}
			if perSecond < 1 || perSecond > 1000 {
				return usage("AWS gives 20 to everybody together", "--calls-per-second is %d, and may be from 1 to 1000", perSecond)
			}
			settings, err := config.Read(file)
			if err != nil {
				return err
			}
			connection, err := settings.Connection(container())
			if err != nil {
				return err
			}
			seen, err := a.look(c.Context(), settings, connection, perSecond)
			if err != nil {
				return err
			}
			return a.tell(seen, settings, suggest)
		},
	}
	c.Flags().StringVar(&file, "config", "", "the configuration file, as for serve; its database is not opened")
	c.Flags().StringVar(&suggest, "suggest", "", "write rules into this folder under which people may ask for what they have now")
	c.Flags().IntVar(&perSecond, "calls-per-second", 10, "how many calls of AWS are made in a second, at most")
	return c
}

// sight is what was seen of an organization.
type sight struct {
	organization org.Organization
	assignments  []org.Assignment
	lent         int // how many more there are by whose groups Sparekey lends
	calls        int64
	took         time.Duration
}

func (a *app) look(ctx context.Context, c *config.Config, s awsconn.Settings, perSecond int) (sight, error) {
	connection, err := awsconn.Open(s)
	if err != nil {
		return sight{}, err
	}
	var seen sight
	var calls atomic.Int64
	began := time.Now()
	looking := aws.Looking(connection, float64(perSecond), func(string) { calls.Add(1) })
	missing := org.StatusUnknown
	if c.Identity.MissingStatus.Text == "enabled" {
		missing = org.StatusEnabled
	}
	d := aws.NewDirectory(looking, aws.NewCenter(looking, c.Identity.Instance.Text, c.Identity.Store), missing)
	fmt.Fprintln(a.err, "reading the organization …")
	if seen.organization, err = d.Organization(ctx); err != nil {
		return seen, fmt.Errorf("reading the organization: %w", err)
	}
	o := seen.organization
	fmt.Fprintf(a.err, "reading standing access of %s in %s …\n", number(len(o.PermissionSets), "permission set", "permission sets"), number(len(o.Accounts), "account", "accounts"))
	seen.assignments, err = d.Standing(ctx, o.PermissionSets, a.standingProgress())
	if err != nil {
		return seen, fmt.Errorf("reading standing access: %w", err)
	}
	all := len(seen.assignments)
	seen.assignments = slices.DeleteFunc(seen.assignments, lent(o))
	seen.lent = all - len(seen.assignments)
	seen.calls, seen.took = calls.Load(), time.Since(began)
	return seen, nil
}

// lent reports whether an assignment is that of a group by which Sparekey lends, where who is in it is there for a time, or of
// one that keeps a role and has no members.
func lent(o org.Organization) func(org.Assignment) bool {
	names, m := map[string]string{}, org.NewMirror(o)
	for _, g := range o.Groups {
		names[string(g.ID)] = g.Name
	}
	return func(s org.Assignment) bool {
		set, known := m.PermissionSet(s.PermissionSet)
		return known && s.Kind == org.GroupOfAWS && access.Keeps(s.Account, set.Name, names[s.Principal], len(m.Members(org.GroupID(s.Principal))))
	}
}

// standingProgress tells how far it is, a line for each tenth.
func (a *app) standingProgress() func(read, known int) {
	var one sync.Mutex
	told := 0
	return func(read, known int) {
		one.Lock()
		defer one.Unlock()
		if read*10/max(known, 1) > told {
			told = read * 10 / known
			fmt.Fprintf(a.err, "  %d of %d\n", read, known)
		}
	}
}

// tried is what try says, as JSON.
type tried struct {
	Accounts       int                  `json:"accounts"`
	People         int                  `json:"people"`
	PermissionSets int                  `json:"permissionSets"`
	Calls          int64                `json:"calls"`
	Totals         rules.StandingTotals `json:"totals"`
	Lent           int                  `json:"lent"` // assignments that are left out, since Sparekey lends by their groups
	Standing       []rules.Holding      `json:"standing"`
	Rules          *triedRules          `json:"rules,omitempty"`
}

// triedRules is what rules would change if standing access were taken away.
type triedRules struct {
	Rules  int            `json:"rules"`
	Kept   int            `json:"kept"`   // people × targets that somebody has now and could ask for
	Lost   int            `json:"lost"`   // people × targets that somebody has now and could not ask for
	Gained int            `json:"gained"` // people × targets that somebody could ask for and has not now
	Lines  []rules.Change `json:"lines"`
}

func (a *app) tell(seen sight, c *config.Config, suggest string) error {
	o := seen.organization
	v := tried{Accounts: len(o.Accounts), People: len(o.People), PermissionSets: len(o.PermissionSets), Calls: seen.calls, Lent: seen.lent}
	v.Standing, v.Totals = rules.Standing(o, seen.assignments)
	book, unread := config.ReadRules(c.Path(c.Rules.Text), c.Limits.Longest.Duration)
	if unread != nil {
		fmt.Fprintf(a.err, "warning: the rules were not looked at: %v\n", unread)
	} else {
		e, err := rules.Against(o, seen.assignments, book.In(org.NewMirror(o)))
		if err != nil {
			return fmt.Errorf("comparing the rules: %w", err)
		}
		v.Rules = &triedRules{Rules: len(book.Rules), Kept: v.Totals.Pairs - e.Totals.Lost, Lost: e.Totals.Lost, Gained: e.Totals.Gained, Lines: []rules.Change{}}
		for _, l := range e.Changes {
			// How long, and with whose approval, people would have it says nothing against standing access.
			if l.Before = ""; l.Kinds[0] == rules.Gained || l.Kinds[0] == rules.Lost {
				v.Rules.Lines = append(v.Rules.Lines, l)
			}
		}
	}
	if a.output == "text" {
		a.tellText(v, seen.took)
	} else if err := a.json(v); err != nil {
		return err
	}
	if suggest == "" {
		return nil
	}
	quiet := *a
	if a.output == "json" { // one document is enough
		quiet.out, quiet.output = a.err, "text"
	}
	return quiet.suggest(suggest, o, seen.assignments, describeAll(o, seen.assignments))
}

func (a *app) tellText(v tried, took time.Duration) {
	fmt.Fprintf(a.out, "organization  %d accounts, %d people, %d permission sets; %d calls in %s, all of them only looked\n", v.Accounts, v.People, v.PermissionSets, v.Calls, span(took))
	fmt.Fprintf(a.out, "standing      %d assignments give %d people × targets to %s; %d of them hold a strong permission set\n",
		v.Totals.Assignments, v.Totals.Pairs, number(v.Totals.People, "person", "people"), v.Totals.Administrators)
	if v.Totals.Strays > 0 {
		fmt.Fprintf(a.out, "strays        %s nobody anything: of people who are gone, of empty groups, in closed accounts\n", number(v.Totals.Strays, "assignment gives", "assignments give"))
	}
	if v.Lent > 0 {
		fmt.Fprintf(a.out, "lent          %s left out: by their groups' names, Sparekey lends by them\n", number(v.Lent, "assignment is", "assignments are"))
	}
	if len(v.Standing) > 0 {
		var rows [][]string
		for _, h := range v.Standing {
			who, strong := plain(h.Name), ""
			if h.Kind == org.GroupOfAWS {
				who = fmt.Sprintf("%s (%s)", who, number(len(h.People), "person", "people"))
			}
			if h.Strong {
				strong = "strong"
			}
			rows = append(rows, []string{strong, plain(h.PermissionSet), who, plain(h.Where)})
		}
		fmt.Fprintln(a.out)
		table(a.out, []string{"", "PERMISSION SET", "WHO", "WHERE"}, rows)
	}
	if v.Rules == nil {
		return
	}
	fmt.Fprintf(a.out, "\nIf standing access were taken away and %s were in force:\n", number(v.Rules.Rules, "rule of the folder", "rules of the folder"))
	fmt.Fprintf(a.out, "  %d of %d people × targets could be asked for; %d could not; %d could beyond that\n", v.Rules.Kept, v.Totals.Pairs, v.Rules.Lost, v.Rules.Gained)
	for _, l := range v.Rules.Lines {
		if l.Kinds[0] == rules.Lost {
			fmt.Fprintln(a.out, a.signed("-", plain(fmt.Sprintf("%s could not ask for %s in %s", l.Who, strings.Join(l.Sets, ", "), l.Where))))
		}
	}
}

// describeAll writes an organization as [org.Describe] reads it. Closed accounts, names and addresses of people are left out.
func describeAll(o org.Organization, given []org.Assignment) []byte {
	m := org.NewMirror(o)
	var b bytes.Buffer
	item := func(v map[string]any) {
		for key, value := range v {
			if text, ok := value.(string); ok && text == "" {
				delete(v, key)
			}
		}
		e := json.NewEncoder(&b)
		e.SetEscapeHTML(false)
		b.WriteString("  - ")
		_ = e.Encode(v) // of strings and lists there is always a JSON, which YAML reads
	}
	fmt.Fprintf(&b, "management-account: %q\n", string(o.ManagementAccount))
	section := func(name string, n int) {
		if n > 0 {
			fmt.Fprintf(&b, "%s:\n", name)
		}
	}
	active := slices.DeleteFunc(slices.Clone(o.Accounts), func(a org.Account) bool { return a.State != org.AccountActive })
	section("accounts", len(active))
	for _, a := range active {
		v := map[string]any{"id": string(a.ID), "name": a.Name, "ou": m.Path(a.Parent)}
		if len(a.Tags) > 0 {
			v["tags"] = a.Tags
		}
		item(v)
	}
	section("permission-sets", len(o.PermissionSets))
	for _, s := range o.PermissionSets {
		item(map[string]any{"name": s.Name, "session": rules.Short(s.Session)})
	}
	section("groups", len(o.Groups))
	for _, g := range o.Groups {
		text, _ := json.Marshal(g.Name)
		fmt.Fprintf(&b, "  - %s\n", text)
	}
	section("people", len(o.People))
	for _, p := range o.People {
		v := map[string]any{"user": p.User, "status": strings.Replace(string(p.Status), string(org.StatusEnabled), "", 1)}
		if p.Status == org.StatusUnknown {
			v["status"] = "unknown"
		}
		if len(p.Groups) > 0 {
			v["groups"] = m.GroupNames(p)
		}
		item(v)
	}
	describeAssignments(m, given, section, item)
	return b.Bytes()
}

func describeAssignments(m *org.Mirror, given []org.Assignment, section func(string, int), item func(map[string]any)) {
	var lines []map[string]any
	for _, a := range given {
		account, there := m.Account(a.Account)
		set, known := m.PermissionSet(a.PermissionSet)
		person, isPerson := m.Person(org.PersonID(a.Principal))
		group, isGroup := m.Group(a.Principal)
		if !there || !known || account.State != org.AccountActive || !isPerson && !isGroup {
			continue
		}
		lines = append(lines, map[string]any{"user": person.User, "group": group.Name, "permission-set": set.Name, "account": string(account.ID)})
	}
	section("assignments", len(lines))
	for _, l := range lines {
		item(l)
	}
}
