package world

import (
	"cmp"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"sparekey/org"
)

// Errors of the methods that change an organization.
var (
	ErrNotFound = errors.New("there is no such thing in the organization")
	ErrExists   = errors.New("the organization has one already")
	ErrInUse    = errors.New("it is in use")
)

// Timing is how long AWS takes.
type Timing struct {
	Assignment time.Duration // from accepting an assignment operation to its end
	Account    time.Duration // from accepting the creation of an account to its end
	Listing    time.Duration // how long listings of assignments show the state before a change
}

// Account is an account with what Organizations tells beside.
type Account struct {
	org.Account
	Email   string
	Joined  time.Time
	Created bool // rather than invited
}

// PermissionSet is a permission set with what Identity Center tells beside.
type PermissionSet struct {
	org.PermissionSet
	Created      time.Time
	RelayState   string
	InlinePolicy string
	Managed      []string // ARNs
	Customers    []PolicyRef
	Boundary     *Boundary
	Tags         map[string]string
}

// PolicyRef names a customer managed policy, which is looked for in the account where the permission set is used.
type PolicyRef struct{ Path, Name string }

// Boundary is a permissions boundary: the ARN of a policy of AWS, or a customer managed one.
type Boundary struct {
	Managed  string
	Customer *PolicyRef
}

// Person is a user of the identity store. Their groups are memberships.
type Person struct {
	ID                  org.PersonID
	User, Name          string
	GivenName, LastName string
	Email               string
	Status              org.Status
	Created, Updated    time.Time
}

// Group is a group of the identity store.
type Group struct {
	org.Group
	Description string
	Created     time.Time
	External    []ExternalID
}

// ExternalID is what a group is called by the identity provider that provisions it.
type ExternalID struct{ Issuer, ID string }

// Membership says that a person is in a group.
type Membership struct {
	ID      string
	Group   org.GroupID
	Person  org.PersonID
	Created time.Time
}

// Role is a role that Identity Center keeps in an account while a permission set is assigned there.
type Role struct {
	org.Target
	Name    string // AWSReservedSSO_SETNAME_16HEX
	ID      string // AROA…
	ARN     string
	Created time.Time
}

// World is an organization with its Identity Center.
type World struct {
	ID, Partition, Region string
	Instance, Store       string
	Root                  org.OUID
	Management, Delegated org.AccountID
	Created               time.Time

	source      *Source
	timing      Timing
	orphansStay bool
	ous         map[org.OUID]org.OU
	ouTags      map[org.OUID]map[string]string
	accounts    map[org.AccountID]*Account
	sets        map[string]*PermissionSet
	people      map[org.PersonID]*Person
	groups      map[org.GroupID]*Group
	memberships map[string]Membership
	groupsOf    map[org.PersonID]map[org.GroupID]string // to the id of the membership
	assignments map[org.Assignment]time.Time            // since when
	roles       map[org.Target]Role
	iamRoles    map[string]IAMRole // by ARN
	scps        map[string]*SCP
	history     []change
	work
}

// Seed is what a world is made of.
type Seed struct {
	Organization org.Organization
	Assignments  []org.Assignment
	Roles        []org.Role
	Region       string
	Delegated    org.AccountID
	Timing       Timing
	OrphansStay  bool
	Source       *Source
	Now          time.Time
}

// New makes a world.
func New(s Seed) *World {
	o := s.Organization
	instance, _ := org.ParseARN(o.Instance)
	w := &World{
		ID: o.ID, Partition: instance.Partition, Region: s.Region, Instance: o.Instance, Store: o.IdentityStore, Root: o.Root,
		Management: o.ManagementAccount, Delegated: s.Delegated, Created: s.Now.Add(-365 * 24 * time.Hour),
		source: s.Source, timing: s.Timing, orphansStay: s.OrphansStay,
		ous: map[org.OUID]org.OU{}, ouTags: map[org.OUID]map[string]string{}, accounts: map[org.AccountID]*Account{},
		sets: map[string]*PermissionSet{}, people: map[org.PersonID]*Person{}, groups: map[org.GroupID]*Group{},
		memberships: map[string]Membership{}, groupsOf: map[org.PersonID]map[org.GroupID]string{}, assignments: map[org.Assignment]time.Time{}, roles: map[org.Target]Role{},
		iamRoles: map[string]IAMRole{}, scps: map[string]*SCP{},
		work: newWork(),
	}
	for _, ou := range o.OUs {
		w.ous[ou.ID] = ou
		w.ouTags[ou.ID] = maps.Clone(ou.Tags)
	}
	for _, r := range s.Roles {
		w.addIAMRole(r)
	}
	for _, a := range o.Accounts {
		w.addAccount(a, "", w.Created, false)
	}
	if w.accounts[w.Management] == nil {
		w.addAccount(org.Account{ID: w.Management, Name: "management"}, "", w.Created, false)
	}
	for _, p := range o.PermissionSets {
		p.Session = cmp.Or(p.Session, time.Hour)
		w.sets[p.ARN] = &PermissionSet{PermissionSet: p, Created: w.Created, Tags: map[string]string{}}
	}
	for _, g := range o.Groups {
		w.groups[g.ID] = &Group{Group: g, Created: w.Created}
	}
	for _, p := range o.People {
		w.people[p.ID] = NewPerson(p, w.Created)
		for _, g := range p.Groups {
			w.remember(Membership{w.source.UUID("membership"), g, p.ID, w.Created})
		}
	}
	for _, a := range s.Assignments {
		w.assign(w.Created, a)
	}
	w.history = nil // what was there from the beginning is in every listing
	return w
}

// NewPerson makes a user of a person, with what the identity store demands and the person may lack.
func NewPerson(p org.Person, now time.Time) *Person {
	given, last, _ := strings.Cut(p.Name, " ")
	return &Person{
		ID: p.ID, User: p.User, Name: cmp.Or(p.Name, p.User), GivenName: cmp.Or(given, p.User), LastName: cmp.Or(last, given, p.User),
		Email: p.Email, Status: p.Status, Created: now, Updated: now,
	}
}

func values[K cmp.Ordered, V any](m map[K]V) []V {
	all := make([]V, 0, len(m))
	for _, k := range slices.Sorted(maps.Keys(m)) {
		all = append(all, m[k])
	}
	return all
}
