package org

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// Mirror is an organization with look-ups. It is made once and only read afterwards, by any number of goroutines.
//
// Names are matched to the letter. A name that two things share finds neither: a rule that names it must not come to mean
// the other one.
type Mirror struct {
	o          Organization
	accounts   map[AccountID]*Account
	byName     map[string][]*Account
	ous        map[OUID]*OU
	paths      map[OUID]string
	byPath     map[string]*OUID
	sets       map[string]*PermissionSet
	setNames   map[string]*PermissionSet
	people     map[PersonID]*Person
	users      map[string]*Person
	groups     map[GroupID]*Group
	groupNames map[string]*Group
	members    map[GroupID][]PersonID
}

// NewMirror indexes o, which must not change afterwards.
func NewMirror(o Organization) *Mirror {
	m := &Mirror{
		o: o, accounts: make(map[AccountID]*Account, len(o.Accounts)), byName: make(map[string][]*Account, len(o.Accounts)),
		ous: make(map[OUID]*OU, len(o.OUs)), paths: make(map[OUID]string, len(o.OUs)+1), byPath: make(map[string]*OUID, len(o.OUs)+1),
		sets: make(map[string]*PermissionSet, len(o.PermissionSets)), setNames: make(map[string]*PermissionSet, len(o.PermissionSets)),
		people: make(map[PersonID]*Person, len(o.People)), users: make(map[string]*Person, len(o.People)),
		groups: make(map[GroupID]*Group, len(o.Groups)), groupNames: make(map[string]*Group, len(o.Groups)),
		members: make(map[GroupID][]PersonID, len(o.Groups)),
	}
	m.indexPlaces()
	for i := range o.PermissionSets {
		s := &o.PermissionSets[i]
		m.sets[s.ARN] = s
		unique(m.setNames, s.Name, s)
	}
	for i := range o.Groups {
		g := &o.Groups[i]
		m.groups[g.ID] = g
		unique(m.groupNames, g.Name, g)
	}
	for i := range o.People {
		p := &o.People[i]
		m.people[p.ID] = p
		unique(m.users, p.User, p)
		for _, g := range p.Groups {
			m.members[g] = append(m.members[g], p.ID)
		}
	}
	return m
}

func (m *Mirror) indexPlaces() {
	for i := range m.o.OUs {
		m.ous[m.o.OUs[i].ID] = &m.o.OUs[i]
	}
	m.paths[m.o.Root] = ""
	unique(m.byPath, "", &m.o.Root)
	for i := range m.o.OUs {
		ou := &m.o.OUs[i]
		m.paths[ou.ID] = m.path(ou.ID)
		unique(m.byPath, m.paths[ou.ID], &ou.ID)
	}
	for i := range m.o.Accounts {
		a := &m.o.Accounts[i]
		m.accounts[a.ID] = a
		m.byName[a.Name] = append(m.byName[a.Name], a)
	}
}

// unique keeps v under the name, or nothing when the name is already taken.
func unique[V any](names map[string]*V, name string, v *V) {
	if _, taken := names[name]; taken {
		v = nil
	}
	names[name] = v
}

const deepest = 16 // AWS nests OUs five deep; this only keeps a loop in bad data from hanging us

func (m *Mirror) path(id OUID) string {
	var names []string
	for range deepest {
		ou, ok := m.ous[id]
		if !ok {
			break
		}
		names = append(names, ou.Name)
		id = ou.Parent
	}
	slices.Reverse(names)
	return strings.Join(names, "/")
}

// Organization returns what the mirror was made of. It must not be changed.
func (m *Mirror) Organization() Organization { return m.o }

// ReadAt is when the organization was read; the zero time means never.
func (m *Mirror) ReadAt() time.Time { return m.o.ReadAt }

// Path returns an OU's names from below the root, as in "Workloads/Prod"; the root's is empty.
func (m *Mirror) Path(id OUID) string { return m.paths[id] }

// OU finds an OU or the root by its id, or by its path from below the root ("/" is the root).
func (m *Mirror) OU(text string) (OUID, bool) {
	if _, ok := m.paths[OUID(text)]; ok && text != "" {
		return OUID(text), true
	}
	if id := m.byPath[strings.Trim(text, "/")]; id != nil && text != "" {
		return *id, true
	}
	return "", false
}

// OUTags returns the tags of an OU. The root's are not read.
func (m *Mirror) OUTags(id OUID) map[string]string {
	if ou, ok := m.ous[id]; ok {
		return ou.Tags
	}
	return nil
}

// Above returns the OU that holds the account and all that hold that one, the nearest first; the root is the last.
func (m *Mirror) Above(a Account) []OUID {
	above := make([]OUID, 0, 6)
	for at := a.Parent; at != "" && len(above) < deepest; {
		above = append(above, at)
		ou, ok := m.ous[at]
		if !ok {
			break
		}
		at = ou.Parent
	}
	return above
}

// Account finds an account by id.
func (m *Mirror) Account(id AccountID) (Account, bool) { return found(m.accounts[id]) }

// AccountsNamed finds the accounts of that id or name, by id. Several accounts may share a name.
func (m *Mirror) AccountsNamed(text string) []Account {
	if a, ok := m.accounts[AccountID(text)]; ok {
		return []Account{*a}
	}
	var named []Account
	for _, a := range m.byName[text] {
		named = append(named, *a)
	}
	slices.SortFunc(named, func(a, b Account) int { return cmp.Compare(a.ID, b.ID) })
	return named
}

// PermissionSet finds a permission set by its ARN or its name.
func (m *Mirror) PermissionSet(text string) (PermissionSet, bool) {
	return found(cmp.Or(m.sets[text], m.setNames[text]))
}

// Person finds a person by id.
func (m *Mirror) Person(id PersonID) (Person, bool) { return found(m.people[id]) }

// PersonNamed finds a person by id or by user name.
func (m *Mirror) PersonNamed(text string) (Person, bool) {
	return found(cmp.Or(m.people[PersonID(text)], m.users[text]))
}

// Group finds a group by its id or its name.
func (m *Mirror) Group(text string) (Group, bool) {
	return found(cmp.Or(m.groups[GroupID(text)], m.groupNames[text]))
}

func found[V any](v *V) (V, bool) {
	if v == nil {
		var none V
		return none, false
	}
	return *v, true
}

// Members returns who is in the group.
func (m *Mirror) Members(g GroupID) []PersonID { return m.members[g] }

// GroupNames returns the names of a person's groups, sorted; a group that the mirror does not know stands with its id.
func (m *Mirror) GroupNames(p Person) []string {
	names := make([]string, 0, len(p.Groups))
	for _, id := range p.Groups {
		if g, ok := m.groups[id]; ok {
			names = append(names, g.Name)
		} else {
			names = append(names, string(id))
		}
	}
	slices.Sort(names)
	return names
}

// Names are the names of everything, each kind sorted, for "did you mean".
type Names struct {
	Accounts, PermissionSets, Groups, Users, OUs []string
}

// Names lists the names of everything.
func (m *Mirror) Names() Names {
	return Names{
		Accounts:       names(m.o.Accounts, func(a Account) string { return a.Name }),
		PermissionSets: names(m.o.PermissionSets, func(s PermissionSet) string { return s.Name }),
		Groups:         names(m.o.Groups, func(g Group) string { return g.Name }),
		Users:          names(m.o.People, func(p Person) string { return p.User }),
		OUs:            names(m.o.OUs, func(ou OU) string { return m.paths[ou.ID] }),
	}
}

func names[T any](of []T, name func(T) string) []string {
	all := make([]string, len(of))
	for i, v := range of {
		all[i] = name(v)
	}
	slices.Sort(all)
	return all
}
