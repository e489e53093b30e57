package broker

import (
	"sparekey/org"
	"sparekey/rules"
)

// boundRoles are the roles with their names turned into ids, at one moment.
type boundRoles struct {
	administrators, security, auditors rules.People
}

func (b *Broker) bindRoles(m *org.Mirror) *boundRoles {
	return &boundRoles{rules.PeopleOf(b.Roles.Administrators, m), rules.PeopleOf(b.Roles.Security, m), rules.PeopleOf(b.Roles.Auditors, m)}
}

// stops reports whether p may end every grant, and stop what others hold.
func (b *Broker) stops(p org.Person) bool {
	return b.administers(p) || !p.Status.Gone() && b.roles.Load().security.Include(p)
}

// administers reports whether p may end every grant, read everything and change the rules.
func (b *Broker) administers(p org.Person) bool {
	return !p.Status.Gone() && b.roles.Load().administrators.Include(p)
}

// sees reports whether p may read what is not their own.
func (b *Broker) sees(p org.Person) bool {
	return b.stops(p) || !p.Status.Gone() && b.roles.Load().auditors.Include(p)
}
