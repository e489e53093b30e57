package rules

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"sparekey/org"
)

// Kind is one way in which what somebody may ask for changes.
type Kind string

// The kinds of change.
const (
	Gained         Kind = "gained"
	Longer         Kind = "longer"
	FewerApprovals Kind = "fewer-approvals"
	OtherApprovers Kind = "other-approvers" // somebody can approve who could not before
	LessReason     Kind = "less-reason"     // more is given without a reason
	MoreOften      Kind = "more-often"      // at hours, with tickets, by ways or by rules by which it was not given before
	LessCare       Kind = "less-care"       // without a comment, a review or a mark that there was
	Lost           Kind = "lost"
	Shorter        Kind = "shorter"
	MoreApprovals  Kind = "more-approvals"
	FewerApprovers Kind = "fewer-approvers"
	MoreReason     Kind = "more-reason"
	LessOften      Kind = "less-often"
	MoreCare       Kind = "more-care"
)

// Kinds are all of them, those that widen first.
var Kinds = []Kind{
	Gained, Longer, FewerApprovals, OtherApprovers, LessReason, MoreOften, LessCare, Lost, Shorter, MoreApprovals, FewerApprovers, MoreReason, LessOften, MoreCare,
}

// Widens reports whether the change gives somebody more.
func (k Kind) Widens() bool { return slices.Index(Kinds, k) < slices.Index(Kinds, Lost) }

var kindWords = map[Kind]string{
	Longer: "longer", FewerApprovals: "with fewer approvals", OtherApprovers: "with other approvers", LessReason: "with more without a reason",
	MoreOften: "at other hours or in other ways", LessCare: "with less care",
	Shorter: "shorter", MoreApprovals: "with more approvals", FewerApprovers: "with fewer approvers", MoreReason: "with less without a reason",
	LessOften: "in fewer cases", MoreCare: "with more care",
}

// Effect is what a change of rules means for people.
type Effect struct {
	Changes []Change `json:"changes"`          // what widens first, the largest first
	Totals  Totals   `json:"totals"`           // in people × targets
	Latent  []string `json:"latent,omitempty"` // where nobody gains anything today, why somebody may later
}

// Totals count a change of rules in pairs of a person and a target. A pair that changes for both better and worse counts as
// wider.
type Totals struct {
	People   int `json:"people"` // who notice it at all
	Gained   int `json:"gained"`
	Wider    int `json:"wider"`
	Narrower int `json:"narrower"`
	Lost     int `json:"lost"`
}

// Change is one change for a set of people at a set of targets: every permission set in every account.
type Change struct {
	Kinds    []Kind       `json:"kinds"`
	People   []Named      `json:"people"`
	Sets     []string     `json:"permissionSets"` // by name
	Accounts []NamedPlace `json:"accounts"`
	Who      string       `json:"who"`   // the people in words
	Where    string       `json:"where"` // the accounts in words
	Before   string       `json:"before,omitempty"`
	After    string       `json:"after,omitempty"`
}

// NamedPlace is an account in a change.
type NamedPlace struct {
	ID   org.AccountID `json:"id"`
	Name string        `json:"name"`
}

// Pairs counts people × targets.
func (c Change) Pairs() int { return len(c.People) * len(c.Sets) * len(c.Accounts) }

// Widens reports whether the change gives somebody more.
func (c Change) Widens() bool { return slices.ContainsFunc(c.Kinds, Kind.Widens) }

func (c Change) String() string {
	s := ""
	if len(c.People) == 1 {
		s = "s"
	}
	what := and(c.Sets) + " in " + c.Where
	if c.Kinds[0] == Gained {
		return fmt.Sprintf("%s gain%s %s: %s", c.Who, s, what, c.After)
	}
	if c.Kinds[0] == Lost {
		if c.After != "" {
			return fmt.Sprintf("%s lose%s %s: %s (before: %s)", c.Who, s, what, c.After, c.Before)
		}
		return fmt.Sprintf("%s lose%s %s (before: %s)", c.Who, s, what, c.Before)
	}
	how := make([]string, len(c.Kinds))
	for i, k := range c.Kinds {
		how[i] = kindWords[k]
	}
	return fmt.Sprintf("%s get%s %s %s: %s (before: %s)", c.Who, s, what, and(how), c.After, c.Before)
}

// Empty reports whether the change of rules means nothing to anybody.
func (e Effect) Empty() bool { return len(e.Changes) == 0 }

// Widens reports whether the change gives somebody more, for longer, with fewer approvals or with other people who can
// approve; or may come to, when people join groups, accounts move, or names appear.
func (e Effect) Widens() bool { return e.widensNow() || len(e.Latent) > 0 }

func (e Effect) widensNow() bool { return slices.ContainsFunc(e.Changes, Change.Widens) }

func (t Totals) String() string {
	if t == (Totals{}) {
		return "nothing changes for anybody"
	}
	var parts []string
	for _, p := range []struct {
		n    int
		what string
	}{{t.Gained, "gained"}, {t.Wider, "wider"}, {t.Narrower, "narrower"}, {t.Lost, "lost"}} {
		if p.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", p.n, p.what))
		}
	}
	return fmt.Sprintf("%s of people × targets, for %s", strings.Join(parts, ", "), count(t.People, "person", "people"))
}

// changeKey is a change without people and places; lineKey is one with places.
type (
	changeKey struct{ kinds, before, after string }
	lineKey   struct {
		changeKey
		sets, accounts string
	}
)

// line is a change that is being gathered.
type line struct {
	sets     []string
	accounts bits
	people   []int
}

func keyOf(kinds []Kind, before, after string) changeKey {
	words := make([]string, len(kinds))
	for i, k := range kinds {
		words[i] = string(k)
	}
	return changeKey{strings.Join(words, " "), before, after}
}

// keep adds what was found for a class, so that permission sets with the same change in the same accounts share a line, and
// people with the same lines do.
func (d *differ) keep(c *class, differences map[changeKey]map[string]bits) {
	for change, bySet := range differences {
		sets, where := map[string][]string{}, map[string]bits{}
		for set, accounts := range bySet {
			var key []byte
			for _, word := range accounts {
				key = binary.LittleEndian.AppendUint64(key, word)
			}
			sets[string(key)], where[string(key)] = append(sets[string(key)], set), accounts
		}
		for at, list := range sets {
			slices.Sort(list)
			key := lineKey{change, strings.Join(list, "\n"), at}
			if d.found[key] == nil {
				d.found[key] = &line{sets: list, accounts: where[at]}
			}
			d.found[key].people = append(d.found[key].people, c.people...)
		}
	}
}

// effect puts the lines into words and order, and sums them up.
func (d *differ) effect() Effect {
	e := Effect{Changes: []Change{}}
	noticed := map[int]bool{}
	for key, l := range d.found {
		c := d.change(key, l)
		e.Changes = append(e.Changes, c)
		for _, p := range l.people {
			noticed[p] = true
		}
		switch {
		case c.Kinds[0] == Gained:
			e.Totals.Gained += c.Pairs()
		case c.Kinds[0] == Lost:
			e.Totals.Lost += c.Pairs()
		case c.Widens():
			e.Totals.Wider += c.Pairs()
		default:
			e.Totals.Narrower += c.Pairs()
		}
	}
	e.Totals.People = len(noticed)
	slices.SortFunc(e.Changes, func(a, b Change) int {
		return cmp.Or(cmp.Compare(slices.Index(Kinds, a.Kinds[0]), slices.Index(Kinds, b.Kinds[0])), cmp.Compare(b.Pairs(), a.Pairs()), strings.Compare(a.String(), b.String()))
	})
	return e
}

func (d *differ) change(key lineKey, l *line) Change {
	c := Change{Before: key.before, After: key.after, Who: d.who(l.people), Where: d.where(l.accounts)}
	for _, k := range strings.Fields(key.kinds) {
		c.Kinds = append(c.Kinds, Kind(k))
	}
	for _, place := range l.people {
		p := d.m.Organization().People[place]
		c.People = append(c.People, Named{p.ID, p.User})
	}
	slices.SortFunc(c.People, func(a, b Named) int { return cmp.Or(strings.Compare(a.User, b.User), cmp.Compare(a.ID, b.ID)) })
	for _, arn := range l.sets {
		name := arn // of a role
		if set, ok := d.m.PermissionSet(arn); ok {
			name = set.Name
		}
		c.Sets = append(c.Sets, name)
	}
	slices.Sort(c.Sets)
	for i, a := range d.m.Organization().Accounts {
		if l.accounts.has(i) {
			c.Accounts = append(c.Accounts, NamedPlace{a.ID, a.Name})
		}
	}
	return c
}

const fewNames = 3 // so many are named; more are counted

// who says people in words: their names when they are few, or how many of the smallest group that holds them all.
func (d *differ) who(places []int) string {
	people := d.m.Organization().People
	if len(places) <= fewNames {
		names := make([]string, len(places))
		for i, place := range places {
			names[i] = people[place].User
		}
		slices.Sort(names)
		return and(names)
	}
	in := map[org.GroupID]int{}
	for _, place := range places {
		for _, g := range people[place].Groups {
			in[g]++
		}
	}
	var best *org.Group
	for id, n := range in {
		g, ok := d.m.Group(string(id))
		if n == len(places) && ok && (best == nil || cmp.Or(cmp.Compare(len(d.m.Members(g.ID)), len(d.m.Members(best.ID))), strings.Compare(g.Name, best.Name)) < 0) {
			best = &g
		}
	}
	if best == nil {
		return fmt.Sprintf("%d people", len(places))
	}
	return fmt.Sprintf("%d people of %s", len(places), best.Name)
}

// where says accounts in words: their names when they are few, or how many of the deepest OU that holds them all.
func (d *differ) where(accounts bits) string {
	var found []org.Account
	for i, a := range d.m.Organization().Accounts {
		if accounts.has(i) {
			found = append(found, a)
		}
	}
	if len(found) < fewNames {
		names := make([]string, len(found))
		for i, a := range found {
			names[i] = a.Name
		}
		return and(names)
	}
	common := d.m.Above(found[0])
	for _, a := range found[1:] {
		above := d.m.Above(a)
		common = slices.DeleteFunc(common, func(ou org.OUID) bool { return !slices.Contains(above, ou) })
	}
	if len(common) == 0 || d.m.Path(common[0]) == "" {
		return fmt.Sprintf("%d accounts", len(found))
	}
	return fmt.Sprintf("%d accounts of %s", len(found), d.m.Path(common[0]))
}

// and lists words as people do: a, b and c.
func and(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:len(words)-1], ", ") + " and " + words[len(words)-1]
}

// count writes how many there are of something.
func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
