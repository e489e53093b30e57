package rules

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"sparekey/org"
	"sparekey/strict"
)

// Result is the outcome of one test.
type Result struct {
	Test
	OK  bool
	Got string // what the rules say instead, or why the test means nothing here
}

// Try runs the book's tests against the organization that the set is bound to.
func (s Set) Try() []Result {
	results := make([]Result, 0, len(s.book.Tests))
	for _, t := range s.book.Tests {
		got := s.try(t)
		results = append(results, Result{t, got == "", got})
	}
	return results
}

// try says what is wrong with a test's claim, or nothing.
func (s Set) try(t Test) string {
	person, ok := s.m.PersonNamed(t.person)
	if !ok {
		return notHere("person", t.person, s.m.Names().Users)
	}
	set, ok := s.set(t.set)
	if !ok {
		return notHere("permission set", t.set, s.m.Names().PermissionSets)
	}
	accounts := s.m.AccountsNamed(t.place)
	if len(accounts) == 0 {
		if accounts = s.below(t.place); len(accounts) == 0 {
			return notHere("account, and no OU that holds one,", t.place, append(s.m.Names().Accounts, s.m.Names().OUs...))
		}
	}
	s, wrong := s.supposing(t.supposed, person.ID)
	if wrong != "" {
		return wrong
	}
	if person, ok = s.person(person.ID); !ok {
		return notHere("person", t.person, s.m.Names().Users)
	}
	for _, a := range accounts {
		target := org.Target{Account: a.ID, PermissionSet: set.ARN}
		wrong := ""
		if t.requester != "" {
			wrong = s.tryApprover(t, person, target)
		} else {
			wrong = s.tryHave(t, person, target)
		}
		if wrong != "" {
			return strings.Replace(wrong, " here", fmt.Sprintf(" in %s (%s)", a.Name, a.ID), 1)
		}
	}
	return ""
}

func (t Test) ask(target org.Target) Ask {
	return Ask{Target: target, For: t.long, Reason: "a test of the rules", Ticket: t.ticket}
}

func (s Set) tryHave(t Test, person org.Person, target org.Target) string {
	d := s.Judge(person, t.ask(target))
	switch {
	case t.allowed && !d.Allowed:
		return "no here: " + strings.Join(d.Why, "; ")
	case t.allowed && d.Waits != "":
		return fmt.Sprintf("%s lets it wait here: %s", d.Rule, d.Waits)
	case !t.allowed && d.Allowed && d.Waits == "":
		return fmt.Sprintf("%s allows it here for %s, %s", d.Rule, Short(d.Longest), d.Needs)
	case !t.allowed:
		return ""
	}
	return s.tryClaims(t.has, d)
}

// tryClaims says what of a decision is otherwise than claimed.
func (s Set) tryClaims(c claims, d Decision) string {
	switch {
	case c.approvals >= 0 && d.Needs.Approvals != c.approvals:
		return fmt.Sprintf("%s decides it here: %s", d.Rule, d.Needs)
	case c.way != "" && d.Way != c.way:
		return fmt.Sprintf("%s gives it here by %s", d.Rule, d.Way)
	case c.comment && !d.Needs.Comment:
		return fmt.Sprintf("%s wants no comment here", d.Rule)
	case c.sensitive && !d.Sensitive:
		return "it is not marked as sensitive here"
	case c.extend != 0 && d.Extend == 0:
		return fmt.Sprintf("%s gives it here without an extension", d.Rule)
	case c.extend != 0 && d.Extend != c.extend:
		return fmt.Sprintf("%s lets it be extended here by %s", d.Rule, Short(d.Extend))
	case c.reviewer == "":
		return ""
	case d.Review == nil:
		return fmt.Sprintf("%s lets nobody review it here", d.Rule)
	case c.within != 0 && time.Duration(d.Review.Within)*time.Minute != c.within:
		return fmt.Sprintf("%s wants it reviewed here within %s", d.Rule, Short(time.Duration(d.Review.Within)*time.Minute))
	}
	reviewers := d.Review.Quorum.base()
	if c.late != 0 {
		reviewers = Members{}
		for _, step := range d.Review.Quorum.Ladder {
			if time.Duration(step.After)*time.Minute == c.late {
				reviewers = step.Members
			}
		}
	}
	if !slices.Contains(reviewers.names(), c.reviewer) {
		return fmt.Sprintf("%s lets it be reviewed here by %s", d.Rule, d.Review.Quorum)
	}
	return ""
}

// tryApprover asks whether by may approve. Where the test does not say who has agreed, every stage is asked in turn, as if
// those before it had agreed.
func (s Set) tryApprover(t Test, by org.Person, target org.Target) string {
	requester, ok := s.m.PersonNamed(t.requester)
	if !ok {
		return notHere("person", t.requester, s.m.Names().Users)
	}
	d := s.Judge(requester, t.ask(target))
	if !d.Allowed {
		return fmt.Sprintf("%s may not have it here: %s", requester.User, strings.Join(d.Why, "; "))
	}
	c := Case{Needs: d.Needs, Requester: requester.ID, Asked: s.facts.Now.Add(-t.approves.after), Sensitive: d.Sensitive}
	if wrong := s.agreed(&c, t.approves.agreed); wrong != "" {
		return wrong
	}
	why := d.Rule.String() + " needs nobody here"
	for i := range d.Needs.asked() {
		if !t.approves.first && len(t.approves.agreed) == 0 {
			c.Needs = d.Needs.from(i)
		}
		_, not := s.MayApprove(c, by)
		switch {
		case not != "":
			why = fmt.Sprintf("%s decides it here: %s", d.Rule, not)
		case !t.allowed:
			return fmt.Sprintf("%s may approve under %s here", by.User, d.Rule)
		case t.approves.comment && !d.Needs.Comment:
			return fmt.Sprintf("%s wants no comment here", d.Rule)
		case t.approves.untold && slices.ContainsFunc(s.Told(c), func(p org.Person) bool { return p.ID == by.ID }):
			return fmt.Sprintf("%s is told under %s here", by.User, d.Rule)
		default:
			return ""
		}
	}
	if t.allowed {
		return why
	}
	return ""
}

// from are the needs from a stage on.
func (n Needs) from(stage int) Needs {
	left := Needs{Stages: n.Stages[stage:], Comment: n.Comment}
	for _, s := range left.Stages {
		for _, q := range s {
			left.Approvals += q.Need
		}
	}
	return left
}

// agreed lets people agree to a case in their order, or says who cannot.
func (s Set) agreed(c *Case, users []string) string {
	for _, user := range users {
		p, ok := s.m.PersonNamed(user)
		if !ok {
			return notHere("person", user, s.m.Names().Users)
		}
		if live, ok := s.facts.Live[p.ID]; ok {
			p = live
		}
		v, not := s.MayApprove(*c, p)
		if not != "" {
			return fmt.Sprintf("%s cannot have agreed here: %s", user, not)
		}
		v.At = c.Asked
		c.Votes = append(c.Votes, v)
	}
	return ""
}

func notHere(kind, name string, known []string) string {
	if near := strict.Nearest(name, known); near != "" {
		return fmt.Sprintf("there is no %s called %q; did you mean %q?", kind, name, near)
	}
	return fmt.Sprintf("there is no %s called %q", kind, name)
}

// below lists the active accounts below an OU.
func (s Set) below(path string) []org.Account {
	ou, ok := s.m.OU(path)
	if !ok {
		return nil
	}
	var found []org.Account
	for _, a := range s.m.Organization().Accounts {
		if a.State == org.AccountActive && slices.Contains(s.m.Above(a), ou) {
			found = append(found, a)
		}
	}
	return found
}
