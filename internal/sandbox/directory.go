package sandbox

import (
	"fmt"
	"maps"
	"time"

	"sparekey/internal/sandbox/world"
	"sparekey/org"
)

// Directory is the organization as the rest of its people change it: the identity provider, other administrators, other
// tools. What is changed here is changed at once, without a call that anybody could see. It is valid only within [Sandbox.Change].
type Directory struct {
	w   *world.World
	now time.Time
}

// Change plays the rest of the organization. Nobody's call is served meanwhile; f must not call the sandbox.
func (s *Sandbox) Change(f func(*Directory) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return f(&Directory{s.world, s.settle()})
}

// SetStatus changes what the identity store says about a person. Unknown leaves UserStatus out; removed removes them.
func (d *Directory) SetStatus(person org.PersonID, status org.Status) error {
	switch status {
	case org.StatusEnabled, org.StatusDisabled, org.StatusUnknown, org.StatusRemoved:
		return d.w.SetStatus(d.now, person, status)
	}
	return fmt.Errorf("%q is not a status of a person", status)
}

// AddPerson makes a user, enabled, without groups.
func (d *Directory) AddPerson(user, name, email string) (org.PersonID, error) {
	p := world.NewPerson(org.Person{User: user, Name: name, Email: email, Status: org.StatusEnabled}, d.now)
	if err := d.w.AddPerson(p); err != nil {
		return "", err
	}
	return p.ID, nil
}

// Join puts a person into a group.
func (d *Directory) Join(person org.PersonID, group org.GroupID) error {
	_, err := d.w.Join(d.now, person, group)
	return err
}

// Leave takes a person out of a group.
func (d *Directory) Leave(person org.PersonID, group org.GroupID) error {
	return d.w.Leave(person, group)
}

// RemoveGroup removes a group. Its assignments stay.
func (d *Directory) RemoveGroup(group org.GroupID) error { return d.w.RemoveGroup(group) }

// AddAccount adds an account; without a parent it is below the root.
func (d *Directory) AddAccount(a org.Account) error { return d.w.AddAccount(d.now, a) }

// MoveAccount puts an account below another organizational unit or the root.
func (d *Directory) MoveAccount(account org.AccountID, to org.OUID) error {
	return d.w.MoveAccount(account, to)
}

// SetAccountState suspends an account or makes it active again.
func (d *Directory) SetAccountState(account org.AccountID, state org.AccountState) error {
	return d.w.SetAccountState(account, state)
}

// TagAccount replaces an account's tags.
func (d *Directory) TagAccount(account org.AccountID, tags map[string]string) error {
	own, ok := d.w.Tags(string(account))
	if !ok {
		return fmt.Errorf("the account %s: %w", account, world.ErrNotFound)
	}
	clear(own)
	maps.Copy(own, tags)
	return nil
}

// TagOU replaces the tags of an organizational unit.
func (d *Directory) TagOU(ou org.OUID, tags map[string]string) error {
	own, ok := d.w.Tags(string(ou))
	if !ok {
		return fmt.Errorf("the organizational unit %s: %w", ou, world.ErrNotFound)
	}
	clear(own)
	maps.Copy(own, tags)
	return nil
}

// Provision makes a group one that an identity provider keeps by SCIM, under an id of its own.
func (d *Directory) Provision(group org.GroupID, issuer, id string) error {
	g, ok := d.w.Group(group)
	if !ok {
		return fmt.Errorf("the group %s: %w", group, world.ErrNotFound)
	}
	g.External = append(g.External, world.ExternalID{Issuer: issuer, ID: id})
	return nil
}

// DescribeGroup changes a group's description.
func (d *Directory) DescribeGroup(group org.GroupID, description string) error {
	g, ok := d.w.Group(group)
	if !ok {
		return fmt.Errorf("the group %s: %w", group, world.ErrNotFound)
	}
	g.Description = description
	return nil
}

// Assign makes an assignment, as if another administrator's operation had just ended.
func (d *Directory) Assign(a org.Assignment) error {
	if _, ok := d.w.Account(a.Account); !ok || d.w.PrincipalName(a) == "" {
		return fmt.Errorf("the account %s or the principal %s: %w", a.Account, a.Principal, world.ErrNotFound)
	}
	if _, ok := d.w.PermissionSet(a.PermissionSet); !ok {
		return fmt.Errorf("the permission set %s: %w", a.PermissionSet, world.ErrNotFound)
	}
	d.w.Assign(d.now, a)
	return nil
}

// Unassign removes an assignment, as if another administrator's operation had just ended.
func (d *Directory) Unassign(a org.Assignment) error {
	if !d.w.Assigned(a) {
		return fmt.Errorf("the assignment of %s: %w", a.Principal, world.ErrNotFound)
	}
	d.w.Unassign(d.now, a)
	return nil
}

// AddPolicy makes a service control policy and attaches it to the root, organizational units or accounts. It returns its id.
func (d *Directory) AddPolicy(name, content string, targets ...string) (string, error) {
	p := d.w.AddSCP(name, "", content)
	for _, t := range targets {
		if err := d.w.AttachSCP(p.ID, t); err != nil {
			return "", err
		}
	}
	return p.ID, nil
}
