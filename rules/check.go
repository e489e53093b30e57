package rules

import (
	"fmt"
	"slices"

	"sparekey/org"
	"sparekey/strict"
)

// Check reports what is wrong with the book in an organization: names that find nothing there, and rules that can match
// nothing or that nobody could approve. Everything that [Parse] refuses is not in a book in the first place.
func (b *Book) Check(m *org.Mirror) strict.Errors {
	c := checker{s: b.In(m), names: m.Names()}
	for i := range c.s.rules {
		c.rule(&c.s.rules[i])
	}
	c.sensitive(b.Sensitive)
	_ = c.wrong.Err() // sorts
	return c.wrong
}

type checker struct {
	s     Set
	names org.Names
	wrong strict.Errors
}

func (c *checker) say(at strict.Position, b *bound, format string, args ...any) *strict.Error {
	e := at.Errorf("rule %q "+format, append([]any{b.Name}, args...)...)
	c.wrong = append(c.wrong, e)
	return e
}

func (c *checker) rule(b *bound) {
	if b.Who != nil {
		c.who(b, b.Who)
	}
	if b.What != nil {
		c.known(b, b.What.PermissionSets, "permission set", c.names.PermissionSets, func(n string) bool { _, ok := c.s.m.PermissionSet(n); return ok })
	}
	if b.Where != nil {
		c.where(b, b.Where)
	}
	c.approval(b)
	if b.Review != nil {
		c.party(b, b.Review.Party)
		c.ladder(b, b.Review.Ladder)
	}
	c.reach(b)
}

func (c *checker) approval(b *bound) {
	for _, stage := range b.Approval.stages() {
		for _, p := range stage {
			c.party(b, Party{Groups: p.Groups, People: p.People})
			if p.Silent != nil {
				c.party(b, *p.Silent)
			}
			c.ladder(b, p.Ladder)
		}
	}
}

func (c *checker) party(b *bound, p Party) {
	c.groups(b, p.Groups)
	c.people(b, p.People)
}

func (c *checker) ladder(b *bound, ladder []Rung) {
	for _, r := range ladder {
		c.party(b, r.Party)
	}
}

// sensitive reports names that find nothing in what is marked as sensitive.
func (c *checker) sensitive(s Sensitive) {
	say := func(at strict.Position, kind, name string, names []string) {
		e := at.Errorf("what is sensitive names the %s %q, which does not exist", kind, name)
		if near := strict.Nearest(name, names); near != "" {
			e.WithHint("did you mean %q?", near)
		}
		c.wrong = append(c.wrong, e)
	}
	for _, a := range s.Accounts {
		if _, ok := c.s.m.Account(org.AccountID(a.Text)); !ok {
			say(a.At, "account", a.Text, nil)
		}
	}
	for _, set := range s.PermissionSets {
		if _, ok := c.s.m.PermissionSet(set.Text); !ok {
			say(set.At, "permission set", set.Text, c.names.PermissionSets)
		}
	}
	if s.Review == nil {
		return
	}
	for _, g := range s.Review.Groups {
		if _, ok := c.s.m.Group(g.Text); !ok {
			say(g.At, "group", g.Text, c.names.Groups)
		}
	}
	for _, p := range s.Review.People {
		if _, ok := c.s.m.PersonNamed(p.Text); !ok {
			say(p.At, "person", p.Text, c.names.Users)
		}
	}
}

func (c *checker) known(b *bound, words []strict.Word, kind string, names []string, exists func(string) bool) {
	for _, w := range words {
		if exists(w.Text) {
			continue
		}
		e := c.say(w.At, b, "names the %s %q, which does not exist", kind, w.Text)
		if near := strict.Nearest(w.Text, names); near != "" {
			e.WithHint("did you mean %q?", near)
		}
	}
}

func (c *checker) groups(b *bound, words []strict.Word) {
	c.known(b, words, "group", c.names.Groups, func(n string) bool { _, ok := c.s.m.Group(n); return ok })
}

func (c *checker) people(b *bound, words []strict.Word) {
	c.known(b, words, "person", c.names.Users, func(n string) bool { _, ok := c.s.m.PersonNamed(n); return ok })
}

func (c *checker) who(b *bound, w *Who) {
	c.groups(b, w.Groups)
	c.people(b, w.People)
	if w.Except != nil {
		c.who(b, w.Except)
	}
}

func (c *checker) where(b *bound, w *Where) {
	c.known(b, w.Accounts, "account", nil, func(n string) bool { _, ok := c.s.m.Account(org.AccountID(n)); return ok })
	c.known(b, w.OUs, "OU", c.names.OUs, func(n string) bool { _, ok := c.s.m.OU(n); return ok })
	for key, values := range w.Tags {
		for _, v := range values {
			if !slices.ContainsFunc(c.s.m.Organization().Accounts, func(a org.Account) bool { got, ok := a.Tags[key]; return ok && got == v }) {
				c.say(w.At, b, "names the tag %s=%s, which no account carries", key, v)
			}
		}
	}
	if w.Except != nil {
		c.where(b, w.Except)
	}
}

// reach reports a rule that can match nothing, or that nobody could approve.
func (c *checker) reach(b *bound) {
	nothing := func(why string) { c.say(b.At, b, "can match nothing: %s", why) }
	somebody := slices.ContainsFunc(c.s.m.Organization().People, func(p org.Person) bool { return b.who.includes(p) })
	reached := slices.Clone(b.accounts)
	reached.keep(c.s.live)
	switch {
	case !somebody:
		nothing("nobody is in its who")
	case reached.empty():
		nothing("no active account is in its where")
	case b.sets != nil && len(b.sets) == 0:
		nothing("none of its permission sets exists")
	case b.Deny:
	case len(b.broken) > 0:
		nothing(b.broken[0])
	case c.deniedAlways(b):
		nothing("a deny rule takes away all that it gives")
	default:
		c.approvable(b, reached)
		if b.review != nil {
			if nobody := c.s.nobody(Needs{Approvals: 1, Stages: [][]Quorum{{b.review.Quorum}}}, ""); nobody != "" {
				c.say(b.At, b, "cannot be reviewed by anybody: %s", nobody)
			}
		}
	}
}

// approvable reports a rule that nobody could approve; where the owners of accounts approve, for the first such account.
func (c *checker) approvable(b *bound, reached bits) {
	if !b.owned {
		if nobody := c.s.nobody(b.common, ""); nobody != "" {
			c.say(b.At, b, "cannot be approved by anybody: %s", nobody)
		}
	}
	c.reviewed(b, reached)
	if !b.owned {
		return
	}
	short := 0
	var first string
	for i, a := range c.s.m.Organization().Accounts {
		if !reached.has(i) {
			continue
		}
		if nobody := c.s.nobody(c.s.needs(b, a), ""); nobody != "" {
			if short++; short == 1 {
				first = fmt.Sprintf("in %s (%s): %s", a.Name, a.ID, nobody)
			}
		}
	}
	if short > 0 {
		c.say(b.At, b, "cannot be approved by anybody in %d of its accounts, the first %s", short, first)
	}
}

// reviewed reports a rule that gives a sensitive target by itself, with nobody to look at it afterwards.
func (c *checker) reviewed(b *bound, reached bits) {
	if !b.needsNobody() && b.Approval.AutomaticOnCall == nil || b.review != nil || c.s.care.review != nil {
		return
	}
	for i, a := range c.s.m.Organization().Accounts {
		for arn := range b.sets {
			if reached.has(i) && c.s.Sensitive(org.Target{Account: a.ID, PermissionSet: arn}) {
				c.say(b.At, b, "gives a sensitive target by itself, and does not say who reviews it").WithHint("review: {groups: [security]}, or a review below `sensitive:`")
				return
			}
		}
	}
}

// deniedAlways reports whether one deny rule covers every person, account and permission set of an allow rule.
func (c *checker) deniedAlways(b *bound) bool {
	return slices.ContainsFunc(c.s.rules, func(d bound) bool {
		if !d.Deny {
			return false
		}
		left := slices.Clone(b.accounts)
		left.drop(d.accounts)
		left.keep(c.s.live)
		if !left.empty() {
			return false
		}
		for arn := range b.sets {
			if d.sets != nil && !d.sets[arn] {
				return false
			}
		}
		return !slices.ContainsFunc(c.s.m.Organization().People, func(p org.Person) bool { return b.who.includes(p) && !d.who.includes(p) })
	})
}

// String says how the outcome reads in a list of tests.
func (r Result) String() string {
	if r.OK {
		return fmt.Sprintf("ok    %s  %s", r.At, r.Sentence)
	}
	return fmt.Sprintf("FAIL  %s  %s\n      %s", r.At, r.Sentence, r.Got)
}
