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
	if b.Approval != nil {
		c.groups(b, b.Approval.Groups)
		c.people(b, b.Approval.People)
	}
	c.reach(b)
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
		if nobody := c.s.nobody(b.needs, ""); nobody != "" {
			c.say(b.At, b, "cannot be approved by anybody: %s", nobody)
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
