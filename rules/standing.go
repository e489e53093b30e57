package rules

import (
	"cmp"
	"slices"
	"strings"

	"sparekey/org"
)

// Holding is what a person or a group has now by standing assignments: one permission set in some accounts.
type Holding struct {
	Kind          org.PrincipalKind `json:"kind"`
	Name          string            `json:"name"` // user name or group name; the id of what the directory does not know
	PermissionSet string            `json:"permissionSet"`
	Strong        bool              `json:"strong"` // by its name, the set may change who may do what, or everything
	People        []Named           `json:"people"` // who have it by this: not those who are gone
	Accounts      []NamedPlace      `json:"accounts"`
	Where         string            `json:"where"` // the accounts in words
}

// StandingTotals sum up standing access.
type StandingTotals struct {
	Assignments    int `json:"assignments"`
	People         int `json:"people"`         // who have something
	Administrators int `json:"administrators"` // of them, those with a strong permission set
	Pairs          int `json:"pairs"`          // people × targets
	Strays         int `json:"strays"`         // assignments that give nobody anything: of people who are gone, to groups that are empty, in accounts that are closed
}

// Standing says who has what by standing assignments, what is strong first, then the largest.
func Standing(o org.Organization, assignments []org.Assignment) ([]Holding, StandingTotals) {
	s := &suggester{m: org.NewMirror(o), has: map[held]bool{}}
	d := &differ{m: s.m}
	totals := StandingTotals{Assignments: len(assignments)}
	type key struct {
		kind      org.PrincipalKind
		principal string
		set       string
	}
	places := map[key]bits{}
	place := map[org.AccountID]int{}
	for i, a := range o.Accounts {
		place[a.ID] = i
	}
	for _, a := range assignments {
		account, there := s.m.Account(a.Account)
		if _, known := s.m.PermissionSet(a.PermissionSet); !there || !known || account.State != org.AccountActive || !s.take(a) {
			totals.Strays++
			continue
		}
		k := key{a.Kind, a.Principal, a.PermissionSet}
		if places[k] == nil {
			places[k] = newBits(len(o.Accounts))
		}
		places[k].set(place[account.ID])
	}
	holdings := make([]Holding, 0, len(places))
	for k, accounts := range places {
		set, _ := s.m.PermissionSet(k.set)
		h := Holding{Kind: k.kind, PermissionSet: set.Name, Strong: strongNames.MatchString(set.Name), Where: d.where(accounts)}
		h.Name, h.People = s.holders(k.kind, k.principal)
		for i, a := range o.Accounts {
			if accounts.has(i) {
				h.Accounts = append(h.Accounts, NamedPlace{a.ID, a.Name})
			}
		}
		holdings = append(holdings, h)
	}
	slices.SortFunc(holdings, func(a, b Holding) int {
		if a.Strong != b.Strong {
			return map[bool]int{true: -1, false: 1}[a.Strong]
		}
		return cmp.Or(cmp.Compare(len(b.People)*len(b.Accounts), len(a.People)*len(a.Accounts)), strings.Compare(a.Name, b.Name), strings.Compare(a.PermissionSet, b.PermissionSet))
	})
	totals.People, totals.Administrators = s.count(holdings)
	totals.Pairs = len(s.has)
	return holdings, totals
}

// holders names a principal, and lists who has what it has.
func (s *suggester) holders(kind org.PrincipalKind, principal string) (string, []Named) {
	if kind == org.User {
		p, _ := s.m.Person(org.PersonID(principal))
		return p.User, []Named{{p.ID, p.User}}
	}
	g, _ := s.m.Group(principal)
	var people []Named
	for _, id := range s.m.Members(g.ID) {
		if p, ok := s.m.Person(id); ok && !p.Status.Gone() {
			people = append(people, Named{p.ID, p.User})
		}
	}
	slices.SortFunc(people, func(a, b Named) int { return cmp.Or(strings.Compare(a.User, b.User), cmp.Compare(a.ID, b.ID)) })
	return g.Name, people
}

func (s *suggester) count(holdings []Holding) (people, strong int) {
	all, administrators := map[org.PersonID]bool{}, map[org.PersonID]bool{}
	for _, h := range holdings {
		for _, p := range h.People {
			all[p.ID] = true
			if h.Strong {
				administrators[p.ID] = true
			}
		}
	}
	return len(all), len(administrators)
}

// Against says what becomes of standing access when it is taken away and the rules of a set are in force: what is lost in the
// effect is what somebody has now and could not ask for, what is gained is what they could ask for and have not now.
func Against(o org.Organization, assignments []org.Assignment, after Set) (Effect, error) {
	before := &Book{}
	if files := Suggest(o, assignments); len(files) > 0 {
		var err error
		if before, err = Parse(files, DefaultLongest); err != nil {
			return Effect{}, err
		}
	}
	return Diff(before.In(after.m), after), nil
}
