package rules

import (
	"cmp"
	"iter"
	"slices"
	"strings"
	"time"

	"sparekey/org"
)

// Offer is one target that a person may ask for, and the ways to get it: the one that asks least first, then those that give
// it for longer.
type Offer struct {
	Account       org.Account
	Path          string // the account's OU
	PermissionSet org.PermissionSet
	Sensitive     bool
	Ways          []Way
}

// Way is one rule under which a target may be asked for.
type Way struct {
	Rule    Ref
	By      string // assignment, membership or session
	Longest time.Duration
	Needs   Needs
	Nobody  string // why nobody could approve
	Reason  bool   // whether a reason is required
	Ticket  string // the pattern of the tickets that it requires
	During  string // the hours outside of which it gives nothing
}

// Search narrows what is offered. The zero value lets everything through.
type Search struct {
	Account       string // any part of an account's name, id, OU path or tag ("key=value"), in any case
	PermissionSet string // any part of a permission set's name, in any case
	After         Spot   // what comes after it
}

// Spot is a place in the order of offers. It need not be one that is offered now.
type Spot struct {
	Account       org.AccountID
	PermissionSet string // its name
}

// Offers yields what the person may ask for now, by account name and id, then permission set name. A person who is gone may
// ask for nothing.
func (s Set) Offers(p org.Person) iter.Seq[Offer] { return s.Find(p, Search{}) }

// Find yields what [Set.Offers] does, as far as a search lets it through. What it costs grows with what is yielded, and hardly
// with what is passed over. A search after a spot whose account is not in the organization finds nothing.
func (s Set) Find(p org.Person, in Search) iter.Seq[Offer] {
	return func(yield func(Offer) bool) {
		if !s.Ready() || p.Status.Gone() {
			return
		}
		deny, lent := s.about(p, strings.ToLower(in.PermissionSet))
		accounts, text := s.m.Organization().Accounts, strings.ToLower(in.Account)
		order := s.from(in.After.Account)
		reached := s.reach(lent)
		for _, i := range order {
			if !reached.has(i) || !strings.Contains(s.find[i], text) {
				continue
			}
			for _, l := range lent {
				if accounts[i].ID == in.After.Account && l.set.Name <= in.After.PermissionSet {
					continue
				}
				ways := waysTo(l.rules, deny, i, l.set.ARN)
				if len(ways) == 0 {
					continue
				}
				to := place{accounts[i], i, l.set}
				open := s.prune(p, to, ways)
				if len(open) > 0 && !yield(Offer{accounts[i], s.m.Path(accounts[i].Parent), l.set, s.Sensitive(to.target()), open}) {
					return
				}
			}
		}
	}
}

// lent is a permission set, and the rules that lend it to a person.
type lent struct {
	set   org.PermissionSet
	rules []*bound
}

// about returns the rules that deny the person something, and the permission sets with some text in their names that others
// lend, by name.
func (s Set) about(p org.Person, text string) (deny []*bound, sets []lent) {
	lends := map[string][]*bound{}
	for i := range s.rules {
		b := &s.rules[i]
		switch {
		case !b.who.includes(p):
		case b.Deny:
			deny = append(deny, b)
		case len(b.broken) == 0:
			for arn := range b.sets {
				lends[arn] = append(lends[arn], b)
			}
		}
	}
	for arn, rules := range lends {
		if set, _ := s.set(arn); strings.Contains(strings.ToLower(set.Name), text) {
			sets = append(sets, lent{set, rules})
		}
	}
	slices.SortFunc(sets, func(a, b lent) int { return strings.Compare(a.set.Name, b.set.Name) })
	return deny, sets
}

// reach returns the active accounts in which any of these is lent.
func (s Set) reach(sets []lent) bits {
	reached := newBits(len(s.m.Organization().Accounts))
	for _, l := range sets {
		for _, b := range l.rules {
			reached.add(b.accounts)
		}
	}
	reached.keep(s.live)
	return reached
}

// indexNames makes the order of accounts by name and id, and the text in which each is found.
func (s *Set) indexNames() {
	accounts := s.m.Organization().Accounts
	s.order, s.find = make([]int, len(accounts)), make([]string, len(accounts))
	for i, a := range accounts {
		s.order[i] = i
		parts := []string{a.Name, string(a.ID), s.m.Path(a.Parent)}
		for k, v := range a.Tags {
			parts = append(parts, k+"="+v)
		}
		s.find[i] = strings.ToLower(strings.Join(parts, "\n")) // nobody searches for a line's end
	}
	slices.SortFunc(s.order, func(a, b int) int { return byName(accounts[a], accounts[b]) })
}

func byName(a, b org.Account) int {
	return cmp.Or(strings.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID))
}

// from returns the places of the accounts in their order, from one of them on; all without one.
func (s Set) from(first org.AccountID) []int {
	if first == "" {
		return s.order
	}
	i, ok := s.place[first]
	if !ok {
		return nil
	}
	accounts := s.m.Organization().Accounts
	at, _ := slices.BinarySearchFunc(s.order, accounts[i], func(place int, a org.Account) int { return byName(accounts[place], a) })
	return s.order[at:]
}

func waysTo(allow, deny []*bound, account int, set string) []*bound {
	for _, d := range deny {
		if d.accounts.has(account) && (d.sets == nil || d.sets[set]) {
			return nil
		}
	}
	var ways []*bound
	for _, b := range allow {
		if b.accounts.has(account) {
			ways = append(ways, b)
		}
	}
	return ways
}

// prune orders the ways and leaves out those that give nothing at present, and each that gives no more than one before it.
func (s Set) prune(p org.Person, to place, rules []*bound) []Way {
	var options []option
	for _, b := range rules {
		if o := s.option(b, p, to.account); len(s.shut(&o, p, to)) == 0 {
			options = append(options, o)
		}
	}
	slices.SortFunc(options, func(a, b option) int {
		if a.before(b) {
			return -1
		}
		return 1
	})
	var ways []Way
	for _, o := range options {
		if slices.ContainsFunc(ways, func(w Way) bool { return o.long <= w.Longest && w.asksNothingMore(o) }) {
			continue
		}
		w := Way{Rule: o.rule.ref, By: o.rule.way(), Longest: o.long, Needs: o.needs, Nobody: o.nobody, Reason: o.rule.needsReason()}
		if t := o.rule.With.Ticket; t != nil {
			w.Ticket = t.Pattern.Text
		}
		if o.rule.During != nil {
			w.During = o.rule.weeks[o.rule.During].String()
		}
		ways = append(ways, w)
	}
	return ways
}

// asksNothingMore reports whether whatever satisfies the option satisfies the way too.
func (w Way) asksNothingMore(o option) bool {
	return w.During == "" && (w.Ticket == "" || o.rule.With.Ticket != nil && o.rule.With.Ticket.Pattern.Text == w.Ticket) && (!w.Reason || o.rule.needsReason())
}
