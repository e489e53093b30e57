package world

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"sparekey/org"
)

// Person finds a person by id.
func (w *World) Person(id org.PersonID) (*Person, bool) {
	p, ok := w.people[id]
	return p, ok
}

// PersonNamed finds a person by id or user name.
func (w *World) PersonNamed(text string) (*Person, bool) {
	if p, ok := w.people[org.PersonID(text)]; ok {
		return p, true
	}
	for _, p := range w.people {
		if p.User == text {
			return p, true
		}
	}
	return nil, false
}

// People lists the people, by id.
func (w *World) People() []*Person { return values(w.people) }

// AddPerson gives a user an id and adds it. User names are unique.
func (w *World) AddPerson(p *Person) error {
	if _, taken := w.PersonNamed(p.User); taken {
		return fmt.Errorf("the user %q: %w", p.User, ErrExists)
	}
	p.ID = org.PersonID(w.source.UUID("user"))
	w.people[p.ID] = p
	return nil
}

// SetStatus changes what the identity store says about a person.
func (w *World) SetStatus(now time.Time, id org.PersonID, status org.Status) error {
	p, ok := w.people[id]
	switch {
	case !ok:
		return fmt.Errorf("the person %s: %w", id, ErrNotFound)
	case status == org.StatusRemoved:
		return w.RemovePerson(id)
	}
	p.Status, p.Updated = status, now
	return nil
}

// RemovePerson removes a user and their memberships. Their assignments stay, as they do in AWS (aws-sso-util issue 93).
func (w *World) RemovePerson(id org.PersonID) error {
	if _, ok := w.people[id]; !ok {
		return fmt.Errorf("the person %s: %w", id, ErrNotFound)
	}
	for _, m := range w.GroupsOf(id) {
		w.RemoveMembership(m.ID)
	}
	delete(w.people, id)
	return nil
}

// Group finds a group by id.
func (w *World) Group(id org.GroupID) (*Group, bool) {
	g, ok := w.groups[id]
	return g, ok
}

// GroupNamed finds a group by id or name.
func (w *World) GroupNamed(text string) (*Group, bool) {
	if g, ok := w.groups[org.GroupID(text)]; ok {
		return g, true
	}
	for _, g := range w.groups {
		if g.Name == text {
			return g, true
		}
	}
	return nil, false
}

// Groups lists the groups, by id.
func (w *World) Groups() []*Group { return values(w.groups) }

// AddGroup makes a group. Names are unique.
func (w *World) AddGroup(now time.Time, name, description string) (*Group, error) {
	if _, taken := w.GroupNamed(name); taken {
		return nil, fmt.Errorf("the group %q: %w", name, ErrExists)
	}
	g := &Group{Group: org.Group{ID: org.GroupID(w.source.UUID("group")), Name: name}, Description: description, Created: now}
	w.groups[g.ID] = g
	return g, nil
}

// RemoveGroup removes a group and its memberships. Its assignments stay.
func (w *World) RemoveGroup(id org.GroupID) error {
	if _, ok := w.groups[id]; !ok {
		return fmt.Errorf("the group %s: %w", id, ErrNotFound)
	}
	for _, m := range w.Members(id) {
		w.RemoveMembership(m.ID)
	}
	delete(w.groups, id)
	return nil
}

// Membership finds a membership by id.
func (w *World) Membership(id string) (Membership, bool) {
	m, ok := w.memberships[id]
	return m, ok
}

// Members lists who is in a group, in no order.
func (w *World) Members(group org.GroupID) []Membership {
	var all []Membership
	for _, m := range w.memberships {
		if m.Group == group {
			all = append(all, m)
		}
	}
	return all
}

// GroupsOf lists the groups that a person is in, in no order.
func (w *World) GroupsOf(person org.PersonID) []Membership {
	var all []Membership
	for _, id := range w.groupsOf[person] {
		all = append(all, w.memberships[id])
	}
	return all
}

// Member reports whether the person is in the group.
func (w *World) Member(person org.PersonID, group org.GroupID) bool {
	_, ok := w.groupsOf[person][group]
	return ok
}

func (w *World) remember(m Membership) {
	w.memberships[m.ID] = m
	if w.groupsOf[m.Person] == nil {
		w.groupsOf[m.Person] = map[org.GroupID]string{}
	}
	w.groupsOf[m.Person][m.Group] = m.ID
}

// RemoveMembership removes a membership by id.
func (w *World) RemoveMembership(id string) {
	m := w.memberships[id]
	delete(w.memberships, id)
	delete(w.groupsOf[m.Person], m.Group)
}

// Join puts a person into a group.
func (w *World) Join(now time.Time, person org.PersonID, group org.GroupID) (Membership, error) {
	if w.people[person] == nil || w.groups[group] == nil {
		return Membership{}, fmt.Errorf("the person %s or the group %s: %w", person, group, ErrNotFound)
	}
	if w.Member(person, group) {
		return Membership{}, fmt.Errorf("the membership of %s in %s: %w", person, group, ErrExists)
	}
	m := Membership{w.source.UUID("membership"), group, person, now}
	w.remember(m)
	return m, nil
}

// Leave takes a person out of a group.
func (w *World) Leave(person org.PersonID, group org.GroupID) error {
	id, ok := w.groupsOf[person][group]
	if !ok {
		return fmt.Errorf("the membership of %s in %s: %w", person, group, ErrNotFound)
	}
	w.RemoveMembership(id)
	return nil
}

// PermissionSet finds a permission set by its ARN or its name.
func (w *World) PermissionSet(text string) (*PermissionSet, bool) {
	if s, ok := w.sets[text]; ok {
		return s, true
	}
	for _, s := range w.sets {
		if s.Name == text {
			return s, true
		}
	}
	return nil, false
}

// PermissionSets lists the permission sets, by ARN.
func (w *World) PermissionSets() []*PermissionSet { return values(w.sets) }

// AddPermissionSet makes a permission set. Names are unique.
func (w *World) AddPermissionSet(p PermissionSet) (*PermissionSet, error) {
	for _, s := range w.sets {
		if s.Name == p.Name {
			return nil, fmt.Errorf("the permission set %q: %w", p.Name, ErrExists)
		}
	}
	instance, _ := org.ParseARN(w.Instance)
	p.ARN = org.PermissionSetARN(instance, "ps-"+w.source.Hex(16, "permission set"))
	w.sets[p.ARN] = &p
	return &p, nil
}

// RemovePermissionSet removes a permission set that is neither assigned nor about to be.
func (w *World) RemovePermissionSet(arn string) error {
	if _, ok := w.sets[arn]; !ok {
		return fmt.Errorf("the permission set %s: %w", arn, ErrNotFound)
	}
	for a := range w.assignments {
		if a.PermissionSet == arn {
			return fmt.Errorf("the permission set %s: %w", arn, ErrInUse)
		}
	}
	for _, op := range w.unfinished {
		if op.Assignment.PermissionSet == arn && op.Status == InProgress {
			return fmt.Errorf("the permission set %s: %w", arn, ErrInUse)
		}
	}
	delete(w.sets, arn)
	return nil
}

// PrincipalName is the user name or the group's name of an assignment's principal; it is empty when the store has none.
func (w *World) PrincipalName(a org.Assignment) string {
	if p, ok := w.people[org.PersonID(a.Principal)]; ok && a.Kind == org.User {
		return p.User
	}
	if g, ok := w.groups[org.GroupID(a.Principal)]; ok && a.Kind == org.GroupOfAWS {
		return g.Name
	}
	return ""
}

// roleARN makes the ARN of a role that Identity Center keeps. Its path names the Region of Identity Center, except us-east-1
// (IAM Identity Center User Guide, "Referencing permission sets in resource policies").
func (w *World) roleARN(account org.AccountID, name string) string {
	path := []string{"role", "aws-reserved", "sso.amazonaws.com", w.Region, name}
	if w.Region == "us-east-1" {
		path = slices.Delete(path, 3, 4)
	}
	return org.ARN{Partition: w.Partition, Service: "iam", Account: string(account), Resource: strings.Join(path, "/")}.String()
}
