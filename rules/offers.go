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
	Ways          []Way
}

// Way is one rule under which a target may be asked for.
type Way struct {
	Rule    Ref
	Longest time.Duration
	Needs   Needs
	Nobody  string // why nobody could approve now
	Reason  bool   // whether a reason is required
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
				offer := Offer{accounts[i], s.m.Path(accounts[i].Parent), set, s.prune(p, ways)}
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
		set, _ := s.m.PermissionSet(arn)
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
func (s Set) prune(p org.Person, rules []*bound) []Way {
	options := make([]option, len(rules))
	for i, b := range rules {
		options[i] = option{b, b.For.Duration, s.nobody(b.needs, p.ID)}
	}
	slices.SortFunc(options, func(a, b option) int {
		if a.before(b) {
			return -1
		}
		return 1
	})
	var ways []Way
	for _, o := range options {
		if len(ways) > 0 && o.long <= ways[len(ways)-1].Longest {
			continue
		}
		ways = append(ways, Way{o.rule.ref, o.long, o.rule.needs, o.nobody, o.rule.needsReason()})
	}
	return ways
}
