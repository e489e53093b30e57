package rules

import (
	"slices"
	"strings"

	"sparekey/org"
)

// Targets lists the permission sets in active accounts that some rule lends in a way to somebody who is there, by account and
// set. What is denied to everybody is not among them; what is denied to some is.
func (s Set) Targets(way string) []org.Target {
	if !s.Ready() {
		return nil
	}
	accounts := s.m.Organization().Accounts
	found := map[org.Target]bool{}
	for i := range s.rules {
		r := &s.rules[i]
		if r.Deny || len(r.broken) > 0 || r.way() != way || !slices.ContainsFunc(s.m.Organization().People, r.who.includes) {
			continue
		}
		for place, a := range accounts {
			if !r.accounts.has(place) || !s.live.has(place) {
				continue
			}
			for set := range r.sets {
				t := org.Target{Account: a.ID, PermissionSet: set}
				if !strings.HasPrefix(set, org.RolePrefix) && !s.deniedToAll(t, place) && (s.facts.NotLent == nil || s.facts.NotLent(t, way) == "") {
					found[t] = true
				}
			}
		}
	}
	all := make([]org.Target, 0, len(found))
	for t := range found {
		all = append(all, t)
	}
	slices.SortFunc(all, func(a, b org.Target) int {
		if c := strings.Compare(string(a.Account), string(b.Account)); c != 0 {
			return c
		}
		return strings.Compare(a.PermissionSet, b.PermissionSet)
	})
	return all
}

func (s Set) deniedToAll(t org.Target, place int) bool {
	return slices.ContainsFunc(s.rules, func(r bound) bool {
		return r.Deny && r.who.everyone && r.who.except == nil && r.accounts.has(place) && (r.sets == nil || r.sets[t.PermissionSet])
	})
}
