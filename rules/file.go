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
	Name        string      `yaml:"name,required"`
	Description string      `yaml:"description"`
	Deny        bool        `yaml:"deny"`
	Who         *Who        `yaml:"who"`
	What        *What       `yaml:"what"`
	Where       *Where      `yaml:"where"`
	For         Duration    `yaml:"for"`
	During      *Hours      `yaml:"during"` // when the access may be there: all of it lies within these hours
	By          strict.Word `yaml:"by"`     // the way: assignment (default), membership or session
	With        With        `yaml:"with"`
	Approval    *Approval   `yaml:"approval"`
	Extend      Duration    `yaml:"extend"` // by so much in all it may be extended without being approved anew
	Review      *Review     `yaml:"review"` // who looks at it afterwards

	digest string
	weeks  map[*Hours]*week
	ticket *regexp.Regexp
}

// Who is people: everyone, or those named and the members of the groups named, but never those in Except.
type Who struct {
	At       strict.Position
	Everyone bool          `yaml:"everyone"`
	Groups   []strict.Word `yaml:"groups"`
	People   []strict.Word `yaml:"people"`
	Except   *Who          `yaml:"except"`
}

// What is permission sets, by name, or IAM roles by path and name, of which sessions are vended.
type What struct {
	At             strict.Position
	PermissionSets []strict.Word `yaml:"permission-sets"`
	Roles          []strict.Word `yaml:"roles"`
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
	Reason string      `yaml:"reason"`
	Ticket *TicketRule `yaml:"ticket"`
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
	Calendars map[string][]strict.Word `yaml:"calendars"` // dates, by names that hours may use
	Sensitive *Sensitive               `yaml:"sensitive"`
	Rules     []*Rule                  `yaml:"rules"`
	Tests     []strict.Word            `yaml:"tests"`
}

// Book is rules as they were written, in the order of their names, what is sensitive, and the sentences that test them.
type Book struct {
	Rules     []*Rule
	Sensitive Sensitive
	Tests     []Test
	digest    string
}

// Digest names the rules of the book whatever file they stand in: the same rules, the same digest.
func (b *Book) Digest() string { return b.digest }

// Digest names what the rule says, whatever file and line it stands in, and without its description.
func (r *Rule) Digest() string { return r.digest }

var ruleName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,63}$`)

// Parse reads files of rules. No rule may give more than longest. The error is [strict.Errors] with every problem found.
func Parse(files []File, longest time.Duration) (*Book, error) {
	p := parser{book: &Book{}, longest: longest, names: map[string]strict.Position{}, calendars: map[string][]strict.Word{}}
	documents := make([]document, len(files))
	for i, f := range files {
		if err := strict.Decode(f.Name, f.Text, &documents[i]); err != nil {
			p.wrong = append(p.wrong, strict.Problems(err)...)
			documents[i] = document{}
		}
		for name, dates := range documents[i].Calendars {
			if _, twice := p.calendars[name]; twice && len(dates) > 0 {
				p.wrong = append(p.wrong, dates[0].At.Errorf("a second calendar is called %q", name))
			}
			p.calendars[name] = dates
		}
	}
	for _, d := range documents {
		p.document(d)
	}
	if err := p.wrong.Err(); err != nil {
		return nil, err
	}
	slices.SortFunc(p.book.Rules, func(x, y *Rule) int { return strings.Compare(x.Name, y.Name) })
	return p.book, p.book.seal()
}

type parser struct {
	book      *Book
	longest   time.Duration
	names     map[string]strict.Position
	calendars map[string][]strict.Word
	wrong     strict.Errors
}

func (p *parser) document(d document) {
	for _, r := range d.Rules {
		p.wrong = append(p.wrong, r.check(p.longest, p.calendars)...)
		if first, taken := p.names[r.Name]; taken {
			p.wrong = append(p.wrong, r.At.Errorf("a second rule is called %q", r.Name).WithHint("the first is at %s", first))
		}
		p.names[r.Name] = r.At
		p.book.Rules = append(p.book.Rules, r)
	}
	if s := d.Sensitive; s != nil {
		s.check(func(at strict.Position, format string, args ...any) *strict.Error {
			e := at.Errorf("the file "+format, args...)
			p.wrong = append(p.wrong, e)
			return e
		})
		if p.book.Sensitive.Review != nil && s.Review != nil {
			p.wrong = append(p.wrong, s.At.Errorf("a second file says who reviews automatic use of sensitive targets").WithHint("the first is at %s", p.book.Sensitive.At))
		}
		p.book.Sensitive.add(*s)
	}
	for _, w := range d.Tests {
		test, err := parseTest(w)
		if err != nil {
			p.wrong = append(p.wrong, err)
		}
		p.book.Tests = append(p.book.Tests, test)
	}
}

// add joins what several files say.
func (s *Sensitive) add(more Sensitive) {
	s.Accounts, s.PermissionSets = append(s.Accounts, more.Accounts...), append(s.PermissionSets, more.PermissionSets...)
	if more.Review != nil {
		s.At, s.Review = more.At, more.Review
	}
}

// seal computes the digests.
func (b *Book) seal() error {
	all := make([]string, len(b.Rules), len(b.Rules)+1)
	for i, r := range b.Rules {
		digest, err := audit.Digest(r.essence())
		if err != nil {
			return err
		}
		r.digest, all[i] = digest, digest
	}
	if !b.Sensitive.empty() {
		digest, err := audit.Digest(b.Sensitive.essence())
		if err != nil {
			return err
		}
		all = append(all, digest)
	}
	var err error
	b.digest, err = audit.Digest(all)
	return err
}

func (r *Rule) check(longest time.Duration, calendars map[string][]strict.Word) strict.Errors {
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
		if r.For.Duration != 0 || r.Approval != nil || r.With != (With{}) || r.During != nil || r.By.Text != "" || r.Extend.Duration != 0 || r.Review != nil {
			say(r.At, "denies, and so has no use for the keys for, during, by, with, approval, extend and review").WithHint("remove them, or remove deny")
		}
		if r.Who == nil && r.What == nil && r.Where == nil {
			say(r.At, "denies everything to everyone").WithHint("say who, what or where")
		}
	} else {
		r.checkAllow(say, longest)
		r.ready(say, calendars)
	}
	if r.What != nil {
		r.What.check(say)
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
	if !slices.Contains([]string{"", byAssignment, byMembership, bySession}, r.By.Text) {
		say(r.By.At, "gives access by %q", r.By.Text).WithHint("by: assignment, membership or session")
	}
	if r.What != nil && (len(r.What.Roles) > 0) != (r.By.Text == bySession) {
		say(r.At, "does not lend roles by sessions").WithHint("roles go with `by: session`, permission sets with assignment and membership")
	}
	if r.Review != nil {
		r.Review.check(say)
	}
	if t := r.With.Ticket; t != nil && !slices.Contains([]string{"", "wait", "pass"}, t.WhenDown.Text) {
		say(t.WhenDown.At, "says when-down: %q", t.WhenDown.Text).WithHint("when the service does not answer, a request waits, or its ticket passes")
	} else if t != nil && t.WhenDown.Text != "" && t.Check.Text == "" {
		say(t.At, "says when-down, and no service that checks the ticket").WithHint("check: the name of a service of the configuration")
	}
}

// The words for the ways to give access.
const (
	byAssignment = "assignment"
	byMembership = "membership"
	bySession    = "session"
)

// ready makes what needs to be made once: hours and patterns.
func (r *Rule) ready(say sayer, calendars map[string][]strict.Word) {
	r.weeks = map[*Hours]*week{}
	if r.During != nil {
		r.weeks[r.During] = r.During.ready(say, calendars)
	}
	for _, stage := range r.Approval.stages() {
		for _, p := range stage {
			if p.Hours != nil {
				r.weeks[p.Hours] = p.Hours.ready(say, calendars)
			}
		}
	}
	if t := r.With.Ticket; t != nil {
		var err error
		if r.ticket, err = regexp.Compile("^(?:" + t.Pattern.Text + ")$"); err != nil {
			say(t.Pattern.At, "has a pattern for tickets that cannot be read: %v", err).WithHint("INC-[0-9]+, for instance")
		}
	}
}

var roleName = regexp.MustCompile(`^([\w+=,.@-]{1,64}/){0,8}[\w+=,.@-]{1,64}$`)

func (w *What) check(say sayer) {
	if len(w.PermissionSets)+len(w.Roles) == 0 {
		say(w.At, "lends no permission sets and no roles")
	}
	for _, r := range w.Roles {
		if !roleName.MatchString(r.Text) {
			say(r.At, "names the role %q", r.Text).WithHint("its path and name, as in ops/Deployer; no wildcards")
		}
	}
}

func validAccount(text string) bool { return org.ValidAccountID(text) }

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
