package org

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"sparekey/strict"
)

// Description is an organization as people write it down: for tests of rules, for the sandbox, for the demo. Ids that are
// left out are made from the names, the same ones each time.
type Description struct {
	Management  string          `yaml:"management-account"`
	Partition   string          `yaml:"partition"`
	OUs         []DescribedOU   `yaml:"ous"` // only those that carry tags
	Accounts    []DescribedItem `yaml:"accounts"`
	Sets        []DescribedSet  `yaml:"permission-sets"`
	People      []DescribedUser `yaml:"people"`
	Groups      []strict.Word   `yaml:"groups"` // groups without members; those of people need not be listed
	Assignments []DescribedLend `yaml:"assignments"`
	Roles       []DescribedRole `yaml:"roles"` // for the sandbox; see [DescribeRoles]
}

// DescribedOU is the tags of an OU.
type DescribedOU struct {
	At   strict.Position
	Path string            `yaml:"path,required"`
	Tags map[string]string `yaml:"tags,required"`
}

// DescribedItem is one account. Its OU is a path; the OUs of the path need not be listed anywhere else.
type DescribedItem struct {
	At   strict.Position
	ID   string            `yaml:"id,required"`
	Name string            `yaml:"name,required"`
	OU   string            `yaml:"ou"`
	Tags map[string]string `yaml:"tags"`
}

// DescribedSet is one permission set. Its sessions last an hour unless said otherwise.
type DescribedSet struct {
	At          strict.Position
	Name        string `yaml:"name,required"`
	Description string `yaml:"description"`
	Session     string `yaml:"session"`
}

// DescribedUser is one person. They are enabled unless said otherwise.
type DescribedUser struct {
	At     strict.Position
	User   string   `yaml:"user,required"`
	Name   string   `yaml:"name"`
	Email  string   `yaml:"email"`
	Status string   `yaml:"status"`
	Groups []string `yaml:"groups"`
}

// DescribedLend is one standing assignment, of a person or a group.
type DescribedLend struct {
	At      strict.Position
	User    string `yaml:"user"`
	Group   string `yaml:"group"`
	Set     string `yaml:"permission-set,required"`
	Account string `yaml:"account,required"`
}

// Describe reads a description. The error is [strict.Errors].
func Describe(file string, text []byte) (Organization, []Assignment, error) {
	b, err := describe(file, text)
	if err != nil {
		return Organization{}, nil, err
	}
	return b.o, b.assignments, b.wrong.Err()
}

func describe(file string, text []byte) (*builder, error) {
	var d Description
	if err := strict.Decode(file, text, &d); err != nil {
		return nil, err
	}
	b := &builder{d: d, ous: map[string]OUID{}, groups: map[string]GroupID{}}
	b.build()
	return b, nil
}

type builder struct {
	d           Description
	o           Organization
	ous         map[string]OUID
	groups      map[string]GroupID
	assignments []Assignment
	roles       []Role
	wrong       strict.Errors
}

func (b *builder) say(at strict.Position, format string, args ...any) {
	b.wrong = append(b.wrong, at.Errorf(format, args...))
}

// hexID makes n hexadecimal digits of the words.
func hexID(n int, words ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(words, "\x00")))
	return hex.EncodeToString(sum[:])[:n]
}

// storeID makes an id of the form that the identity store uses.
func storeID(kind, name string) string {
	h := hexID(32, kind, name)
	return fmt.Sprintf("%s-%s-%s-%s-%s", h[:8], h[8:12], h[12:16], h[16:20], h[20:])
}

func (b *builder) build() {
	partition := b.d.Partition
	if partition == "" {
		partition = "aws"
	}
	instance := ARN{partition, "sso", "", "", "instance/ssoins-" + hexID(16, "instance", partition)}
	b.o = Organization{
		ID: "o-" + hexID(10, "organization"), ManagementAccount: AccountID(b.d.Management), Instance: instance.String(),
		IdentityStore: "d-" + hexID(10, "identity store"), Root: OUID("r-" + hexID(4, "root")),
	}
	if b.d.Management == "" && len(b.d.Accounts) > 0 {
		b.o.ManagementAccount = AccountID(b.d.Accounts[0].ID)
	}
	b.ous[""] = b.o.Root
	b.addOUs()
	b.addAccounts()
	b.addSets(instance)
	b.addPeople()
	b.addAssignments()
	b.addRoles()
}

func (b *builder) ou(path string) OUID {
	path = strings.Trim(path, "/")
	if id, ok := b.ous[path]; ok {
		return id
	}
	above, name := "", path
	if slash := strings.LastIndexByte(path, '/'); slash >= 0 {
		above, name = path[:slash], path[slash+1:]
	}
	parent := b.ou(above)
	id := OUID("ou-" + string(b.o.Root[2:]) + "-" + hexID(8, "ou", path))
	b.ous[path] = id
	b.o.OUs = append(b.o.OUs, OU{ID: id, Name: name, Parent: parent})
	return id
}

func (b *builder) addOUs() {
	for _, described := range b.d.OUs {
		id := b.ou(described.Path)
		for i := range b.o.OUs {
			if b.o.OUs[i].ID == id {
				b.o.OUs[i].Tags = described.Tags
			}
		}
		if id == b.o.Root {
			b.say(described.At, "the root's tags are not looked at; name an OU")
		}
	}
}

func (b *builder) addAccounts() {
	seen := map[string]bool{}
	for _, a := range b.d.Accounts {
		if !ValidAccountID(a.ID) {
			b.say(a.At, "the account id %q is not twelve digits", a.ID)
		}
		if seen[a.ID] {
			b.say(a.At, "the account id %q is here twice", a.ID)
		}
		seen[a.ID] = true
		b.o.Accounts = append(b.o.Accounts, Account{AccountID(a.ID), a.Name, b.ou(a.OU), AccountActive, a.Tags})
	}
	if b.d.Management != "" && !seen[b.d.Management] {
		b.wrong = append(b.wrong, &strict.Error{Problem: "the management account " + b.d.Management + " is not among the accounts"})
	}
}

func (b *builder) addSets(instance ARN) {
	for _, s := range b.d.Sets {
		session := time.Hour
		if s.Session != "" {
			var err error
			if session, err = time.ParseDuration(s.Session); err != nil || session < time.Hour || session > 12*time.Hour {
				b.say(s.At, "the session of %s is %q; sessions last from 1h to 12h", s.Name, s.Session)
			}
		}
		arn := PermissionSetARN(instance, "ps-"+hexID(16, "permission set", s.Name))
		if slices.ContainsFunc(b.o.PermissionSets, func(o PermissionSet) bool { return o.ARN == arn }) {
			b.say(s.At, "the permission set %q is here twice", s.Name)
		}
		b.o.PermissionSets = append(b.o.PermissionSets, PermissionSet{ARN: arn, Name: s.Name, Description: s.Description, Session: session})
	}
}

func (b *builder) group(name string) GroupID {
	id, ok := b.groups[name]
	if !ok {
		id = GroupID(storeID("group", name))
		b.groups[name] = id
		b.o.Groups = append(b.o.Groups, Group{id, name})
	}
	return id
}

func (b *builder) addPeople() {
	for _, g := range b.d.Groups {
		b.group(g.Text)
	}
	for _, u := range b.d.People {
		p := Person{ID: PersonID(storeID("user", u.User)), User: u.User, Name: u.Name, Email: u.Email, Status: StatusEnabled}
		switch Status(u.Status) {
		case "", StatusEnabled:
		case StatusDisabled:
			p.Status = StatusDisabled
		case "unknown":
			p.Status = StatusUnknown
		default:
			b.say(u.At, "the status of %s is %q; it may be enabled, disabled or unknown", u.User, u.Status)
		}
		for _, g := range u.Groups {
			p.Groups = append(p.Groups, b.group(g))
		}
		slices.Sort(p.Groups)
		if slices.ContainsFunc(b.o.People, func(o Person) bool { return o.ID == p.ID }) {
			b.say(u.At, "the user %q is here twice", u.User)
		}
		b.o.People = append(b.o.People, p)
	}
}

func (b *builder) addAssignments() {
	m := NewMirror(b.o)
	for _, a := range b.d.Assignments {
		set, ok := m.PermissionSet(a.Set)
		if !ok {
			b.say(a.At, "there is no permission set %q here", a.Set)
		}
		accounts := m.AccountsNamed(a.Account)
		if len(accounts) != 1 {
			b.say(a.At, "%d accounts are called %q", len(accounts), a.Account)
			continue
		}
		given := Assignment{Target: Target{accounts[0].ID, set.ARN}}
		person, isPerson := m.PersonNamed(a.User)
		group, isGroup := m.Group(a.Group)
		switch {
		case isPerson == isGroup:
			b.say(a.At, "an assignment names a user or a group that is described here, one of the two")
		case isPerson:
			given.Kind, given.Principal = User, string(person.ID)
		default:
			given.Kind, given.Principal = GroupOfAWS, string(group.ID)
		}
		b.assignments = append(b.assignments, given)
	}
}
