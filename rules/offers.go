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

// Offers yields what the person may ask for, by account name and id, then permission set name. A person who is gone may ask
// for nothing.
func (s Set) Offers(p org.Person) iter.Seq[Offer] {
	return func(yield func(Offer) bool) {
		if !s.Ready() || p.Status.Gone() {
			return
		}
		allow, deny, sets := s.about(p)
		accounts := s.m.Organization().Accounts
		for _, i := range s.byName(allow) {
			for _, set := range sets {
				ways := waysTo(allow, deny, i, set.ARN)
				if len(ways) == 0 {
					continue
				}
				offer := Offer{accounts[i], s.m.Path(accounts[i].Parent), set, s.Sensitive(org.Target{Account: accounts[i].ID, PermissionSet: set.ARN}), s.prune(p, accounts[i], ways)}
				if !yield(offer) {
					return
				}
			}
		}
	}
}

// about returns the rules that name the person, and the permission sets that those lend, by name.
func (s Set) about(p org.Person) (allow, deny []*bound, sets []org.PermissionSet) {
	lent := map[string]bool{}
	for i := range s.rules {
		b := &s.rules[i]
		switch {
		case !b.who.includes(p):
		case b.Deny:
			deny = append(deny, b)
		case len(b.broken) == 0:
			allow = append(allow, b)
			for arn := range b.sets {
				lent[arn] = true
			}
		}
	}
	for arn := range lent {
		set, _ := s.set(arn)
		sets = append(sets, set)
	}
	slices.SortFunc(sets, func(a, b org.PermissionSet) int { return strings.Compare(a.Name, b.Name) })
	return allow, deny, sets
}

// byName returns the places of the active accounts that any of the rules reaches, in the order of their names.
func (s Set) byName(rules []*bound) []int {
	accounts := s.m.Organization().Accounts
	reached := newBits(len(accounts))
	for _, b := range rules {
		reached.add(b.accounts)
	}
	reached.keep(s.live)
	var places []int
	for i := range accounts {
		if reached.has(i) {
			places = append(places, i)
		}
	}
	slices.SortFunc(places, func(a, b int) int {
		return cmp.Or(strings.Compare(accounts[a].Name, accounts[b].Name), cmp.Compare(accounts[a].ID, accounts[b].ID))
	})
	return places
}

func waysTo(allow, deny []*bound, account int, set string) []*bound {
	for _, d := range deny {
		if d.accounts.has(account) && (d.sets == nil || d.sets[set]) {
			return nil
		}
	}
	var ways []*bound
	for _, b := range allow {
		if b.sets[set] && b.accounts.has(account) {
			ways = append(ways, b)
		}
	}
	return ways
}

// prune orders the ways and leaves out each that gives no more than one before it.
func (s Set) prune(p org.Person, account org.Account, rules []*bound) []Way {
	options := make([]option, len(rules))
	for i, b := range rules {
		options[i] = s.option(b, p, account)
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
