package org

import (
	"regexp"
	"slices"
	"strings"
	"time"

	"sparekey/strict"
)

// Role is an IAM role of one account, as far as it matters who may assume it.
type Role struct {
	Account    AccountID
	Path       string // with a slash at both ends
	Name       string
	MaxSession time.Duration // 1 to 12 h ("CreateRole", IAM API Reference)
	Trusts     []AccountID   // whose principals its trust policy lets in
}

// ARN returns the role's ARN in a partition.
func (r Role) ARN(partition string) string {
	return ARN{partition, "iam", "", string(r.Account), RolePrefix + strings.TrimPrefix(r.Path, "/") + r.Name}.String()
}

// DescribedRole is one IAM role that several accounts have. It is trusted by the management account unless said otherwise,
// and its sessions last an hour at most.
type DescribedRole struct {
	At         strict.Position
	Name       string   `yaml:"name,required"`
	Path       string   `yaml:"path"`
	Accounts   []string `yaml:"accounts"`    // ids or names
	OUs        []string `yaml:"ous"`         // paths; every account below has the role
	MaxSession string   `yaml:"max-session"` // from 1h to 12h
	Trusts     []string `yaml:"trusts"`      // account ids
}

// DescribeRoles reads the IAM roles of a description. The error is [strict.Errors].
func DescribeRoles(file string, text []byte) ([]Role, error) {
	b, err := describe(file, text)
	if err != nil {
		return nil, err
	}
	return b.roles, b.wrong.Err()
}

var (
	roleName = regexp.MustCompile(`^[\w+=,.@-]{1,64}$`)
	rolePath = regexp.MustCompile(`^/([!-~]{1,510}/)?$`)
)

func (b *builder) addRoles() {
	m := NewMirror(b.o)
	for _, d := range b.d.Roles {
		role := Role{Path: d.Path, Name: d.Name, MaxSession: time.Hour}
		if role.Path == "" {
			role.Path = "/"
		}
		if !roleName.MatchString(role.Name) || !rolePath.MatchString(role.Path) {
			b.say(d.At, "the role %q with the path %q has a name that IAM does not take; a path looks like /ops/", clip(role.Name), clip(role.Path))
		}
		if d.MaxSession != "" {
			var err error
			if role.MaxSession, err = time.ParseDuration(d.MaxSession); err != nil || role.MaxSession < time.Hour || role.MaxSession > 12*time.Hour {
				b.say(d.At, "the max-session of %s is %q; a role's sessions last at most from 1h to 12h", d.Name, d.MaxSession)
			}
		}
		for _, id := range d.Trusts {
			if !ValidAccountID(id) {
				b.say(d.At, "%s trusts %q, which is not twelve digits", d.Name, id)
			}
			role.Trusts = append(role.Trusts, AccountID(id))
		}
		if d.Trusts == nil {
			role.Trusts = []AccountID{b.o.ManagementAccount}
		}
		for _, id := range b.having(m, d) {
			role.Account = id
			if slices.ContainsFunc(b.roles, func(o Role) bool { return o.Account == id && o.Name == role.Name }) {
				b.say(d.At, "the account %s has two roles %q", id, d.Name)
			}
			b.roles = append(b.roles, role)
		}
	}
}

// having lists the accounts that have a role.
func (b *builder) having(m *Mirror, d DescribedRole) []AccountID {
	var ids []AccountID
	for _, text := range d.Accounts {
		named := m.AccountsNamed(text)
		if len(named) != 1 {
			b.say(d.At, "%d accounts are called %q", len(named), text)
			continue
		}
		ids = append(ids, named[0].ID)
	}
	for _, path := range d.OUs {
		ou, ok := m.OU(path)
		if !ok {
			b.say(d.At, "there is no OU %q here", path)
		}
		for _, a := range b.o.Accounts {
			if ok && slices.Contains(m.Above(a), ou) && !slices.Contains(ids, a.ID) {
				ids = append(ids, a.ID)
			}
		}
	}
	if len(ids) == 0 {
		b.say(d.At, "no account has the role %s; it needs accounts or ous", d.Name)
	}
	return ids
}
