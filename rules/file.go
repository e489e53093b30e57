package rules

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"sparekey/audit"
	"sparekey/org"
	"sparekey/strict"
)

// DefaultLongest is the longest duration that a rule may give unless the configuration says otherwise (requirement S2-33).
const DefaultLongest = 24 * time.Hour

// File is one file of rules: its name as it stands in messages, and its text.
type File struct {
	Name string
	Text []byte
}

// Rule is one rule as it was written.
type Rule struct {
	At          strict.Position
	Name        string    `yaml:"name,required"`
	Description string    `yaml:"description"`
	Deny        bool      `yaml:"deny"`
	Who         *Who      `yaml:"who"`
	What        *What     `yaml:"what"`
	Where       *Where    `yaml:"where"`
	For         Duration  `yaml:"for"`
	With        With      `yaml:"with"`
	Approval    *Approval `yaml:"approval"`

	digest string
}

// Who is people: everyone, or those named and the members of the groups named, but never those in Except.
type Who struct {
	At       strict.Position
	Everyone bool          `yaml:"everyone"`
	Groups   []strict.Word `yaml:"groups"`
	People   []strict.Word `yaml:"people"`
	Except   *Who          `yaml:"except"`
}

// What is permission sets, by name.
type What struct {
	At             strict.Position
	PermissionSets []strict.Word `yaml:"permission-sets,required"`
}

// Where is accounts: those named by id and those below the OUs named; without either, every account. Tags narrow that to
// the accounts that carry every tag named, with one of its values. Except takes away what it describes in the same way.
type Where struct {
	At       strict.Position
	Accounts []strict.Word       `yaml:"accounts"`
	OUs      []strict.Word       `yaml:"ous"`
	Tags     map[string][]string `yaml:"tags"`
	Except   *Where              `yaml:"except"`
}

// With is what a request must bring. A reason is required unless the rule says "optional".
type With struct {
	Reason string `yaml:"reason"`
}

// Approval says who must agree: nobody (automatic), or a number of different people out of groups and people.
type Approval struct {
	At        strict.Position
	Automatic bool          `yaml:"automatic"`
	Need      int           `yaml:"need"`
	Groups    []strict.Word `yaml:"groups"`
	People    []strict.Word `yaml:"people"`
}

// Duration is a whole number of minutes, written as 45m, 8h or 1h30m.
type Duration struct {
	time.Duration
}

// UnmarshalText reads a duration.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := ParseDuration(string(text))
	d.Duration = v
	return err
}

// ParseDuration reads a duration of at least one whole minute, written as 45m, 8h or 1h30m.
func ParseDuration(text string) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	if err != nil || d < time.Minute || d%time.Minute != 0 {
		return 0, fmt.Errorf("%q is not a duration in whole minutes; write it as 45m, 8h or 1h30m", text)
	}
	return d, nil
}

type document struct {
	Rules []*Rule       `yaml:"rules"`
	Tests []strict.Word `yaml:"tests"`
}

// Book is rules as they were written, in the order of their names, and the sentences that test them.
type Book struct {
	Rules  []*Rule
	Tests  []Test
	digest string
}

// Digest names the rules of the book whatever file they stand in: the same rules, the same digest.
func (b *Book) Digest() string { return b.digest }

// Digest names what the rule says, whatever file and line it stands in, and without its description.
func (r *Rule) Digest() string { return r.digest }

var ruleName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,63}$`)

// Parse reads files of rules. No rule may give more than longest. The error is [strict.Errors] with every problem found.
func Parse(files []File, longest time.Duration) (*Book, error) {
	b := &Book{}
	var wrong strict.Errors
	names := map[string]strict.Position{}
	for _, f := range files {
		var d document
		if err := strict.Decode(f.Name, f.Text, &d); err != nil {
			wrong = append(wrong, strict.Problems(err)...)
			continue
		}
		for _, r := range d.Rules {
			wrong = append(wrong, r.check(longest)...)
			if first, taken := names[r.Name]; taken {
				wrong = append(wrong, r.At.Errorf("a second rule is called %q", r.Name).WithHint("the first is at %s", first))
			}
			names[r.Name] = r.At
			b.Rules = append(b.Rules, r)
		}
		for _, w := range d.Tests {
			test, err := parseTest(w)
			if err != nil {
				wrong = append(wrong, err)
			}
			b.Tests = append(b.Tests, test)
		}
	}
	if err := wrong.Err(); err != nil {
		return nil, err
	}
	slices.SortFunc(b.Rules, func(x, y *Rule) int { return strings.Compare(x.Name, y.Name) })
	return b, b.seal()
}

// seal computes the digests.
func (b *Book) seal() error {
	all := make([]string, len(b.Rules))
	for i, r := range b.Rules {
		digest, err := audit.Digest(r.essence())
		if err != nil {
			return err
		}
		r.digest, all[i] = digest, digest
	}
	var err error
	b.digest, err = audit.Digest(all)
	return err
}

func (r *Rule) check(longest time.Duration) strict.Errors {
	var wrong strict.Errors
	say := func(at strict.Position, format string, args ...any) *strict.Error {
		e := at.Errorf("rule %q "+format, append([]any{r.Name}, args...)...)
		wrong = append(wrong, e)
		return e
	}
	if !ruleName.MatchString(r.Name) {
		say(r.At, "has a name that is not of small letters, digits and dashes").WithHint("as in prod-poweruser; at most 64 characters")
	}
	if r.With.Reason != "" && r.With.Reason != "required" && r.With.Reason != "optional" {
		say(r.At, "says reason: %q", r.With.Reason).WithHint("a reason is required or optional")
	}
	if r.Deny {
		if r.For.Duration != 0 || r.Approval != nil || r.With.Reason != "" {
			say(r.At, "denies, and so has no use for the keys for, with and approval").WithHint("remove them, or remove deny")
		}
		if r.Who == nil && r.What == nil && r.Where == nil {
			say(r.At, "denies everything to everyone").WithHint("say who, what or where")
		}
	} else {
		r.checkAllow(say, longest)
	}
	if r.Who != nil {
		r.Who.check(say, false)
	}
	if r.Where != nil {
		r.Where.check(say, false)
	}
	if a := r.Approval; a != nil && !r.Deny {
		a.check(say)
	}
	return wrong
}

type sayer func(at strict.Position, format string, args ...any) *strict.Error

func (r *Rule) checkAllow(say sayer, longest time.Duration) {
	for _, key := range []struct {
		name    string
		missing bool
	}{{"who", r.Who == nil}, {"what", r.What == nil}, {"where", r.Where == nil}, {"for", r.For.Duration == 0}, {"approval", r.Approval == nil}} {
		if key.missing {
			say(r.At, "lacks the key %q", key.name)
		}
	}
	if r.For.Duration > longest {
		say(r.At, "gives access for %s; the configuration allows at most %s", Short(r.For.Duration), Short(longest))
	}
}

func (w *Who) check(say sayer, inner bool) {
	if w.Everyone == (len(w.Groups)+len(w.People) > 0) {
		say(w.At, "says who, but not either everyone or some groups and people").WithHint("everyone: true, or groups and people")
	}
	if inner && w.Except != nil {
		say(w.Except.At, "has an exception to an exception").WithHint("write a rule of its own")
		return
	}
	if w.Except != nil {
		w.Except.check(say, true)
		if !w.Everyone && within(w.Groups, w.Except.Groups) && within(w.People, w.Except.People) || w.Except.Everyone {
			say(w.At, "can match nothing: its exception takes away everybody that it names")
		}
	}
}

func (w *Where) check(say sayer, inner bool) {
	if inner && len(w.Accounts)+len(w.OUs)+len(w.Tags) == 0 {
		say(w.At, "has an exception that names no accounts, OUs or tags")
	}
	if !inner && len(w.Accounts)+len(w.OUs)+len(w.Tags) == 0 {
		say(w.At, "says where, but names no accounts, OUs or tags").WithHint("ous: [/] is the whole organization")
	}
	for _, a := range w.Accounts {
		if !org.ValidAccountID(a.Text) {
			say(a.At, "names the account %q, which is not twelve digits", a.Text).WithHint("names of accounts are not unique; name it by its id")
		}
	}
	if inner && w.Except != nil {
		say(w.Except.At, "has an exception to an exception").WithHint("write a rule of its own")
		return
	}
	if w.Except != nil {
		w.Except.check(say, true)
		if len(w.Accounts)+len(w.OUs) > 0 && len(w.Except.Tags) == 0 && within(w.Accounts, w.Except.Accounts) && within(w.OUs, w.Except.OUs) {
			say(w.At, "can match nothing: its exception takes away every place that it names")
		}
	}
}

// within reports whether every word of the list is also in the other.
func within(list, other []strict.Word) bool {
	return !slices.ContainsFunc(list, func(w strict.Word) bool {
		return !slices.ContainsFunc(other, func(o strict.Word) bool { return o.Text == w.Text })
	})
}

func (a *Approval) check(say sayer) {
	named := len(a.Groups) + len(a.People)
	switch {
	case a.Automatic && (a.Need != 0 || named > 0):
		say(a.At, "is automatic and names approvers").WithHint("remove one of the two")
	case !a.Automatic && named == 0:
		say(a.At, "names nobody who may approve").WithHint("groups and people, or automatic: true")
	case !a.Automatic && (a.Need < 1 || a.Need > 10):
		say(a.At, "needs %d approvals", a.Need).WithHint("need: a number from 1 to 10")
	}
}

// Short writes a duration as people do: 30m, 8h, 1h30m.
func Short(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// essence is what a rule says, in the form that is digested: no positions, no description, lists in order.
func (r *Rule) essence() map[string]any {
	e := map[string]any{"name": r.Name, "deny": r.Deny}
	if r.Who != nil {
		e["who"] = r.Who.essence()
	}
	if r.What != nil {
		e["what"] = texts(r.What.PermissionSets)
	}
	if r.Where != nil {
		e["where"] = r.Where.essence()
	}
	if !r.Deny {
		e["minutes"] = int(r.For.Minutes())
		e["reason"] = r.needsReason()
		e["approval"] = map[string]any{"need": r.need(), "groups": texts(r.Approval.Groups), "people": texts(r.Approval.People)}
	}
	return e
}

func (r *Rule) needsReason() bool { return r.With.Reason != "optional" }

func (r *Rule) need() int {
	if r.Approval == nil || r.Approval.Automatic {
		return 0
	}
	return r.Approval.Need
}

func (w *Who) essence() map[string]any {
	e := map[string]any{"everyone": w.Everyone, "groups": texts(w.Groups), "people": texts(w.People)}
	if w.Except != nil {
		e["except"] = w.Except.essence()
	}
	return e
}

func (w *Where) essence() map[string]any {
	tags := map[string][]string{}
	for k, v := range w.Tags {
		tags[k] = slices.Sorted(slices.Values(v))
	}
	e := map[string]any{"accounts": texts(w.Accounts), "ous": texts(w.OUs), "tags": tags}
	if w.Except != nil {
		e["except"] = w.Except.essence()
	}
	return e
}

func texts(words []strict.Word) []string {
	all := make([]string, len(words))
	for i, w := range words {
		all[i] = w.Text
	}
	slices.Sort(all)
	return all
}
