package broker

import (
	"fmt"
	"strings"

	"sparekey/access"
	"sparekey/org"
	"sparekey/strict"
)

// target turns names into a target, or says what there is instead.
func target(m *org.Mirror, n Names) (org.Target, error) {
	accounts := m.AccountsNamed(n.Account)
	set, ok := m.PermissionSet(n.PermissionSet)
	if strings.HasPrefix(n.PermissionSet, org.RolePrefix) {
		set, ok = org.PermissionSet{ARN: n.PermissionSet}, true // whether any rule lends it is the rules' business
	}
	switch {
	case len(accounts) == 0:
		return org.Target{}, nameless("account", n.Account, m.Names().Accounts)
	case len(accounts) > 1:
		return org.Target{}, &access.Problem{Kind: access.ErrInvalid, Message: fmt.Sprintf("%d accounts are called %q", len(accounts), n.Account), Hint: "name it by its id: " + accountIDs(accounts)}
	case !ok:
		return org.Target{}, nameless("permission set", n.PermissionSet, m.Names().PermissionSets)
	}
	return org.Target{Account: accounts[0].ID, PermissionSet: set.ARN}, nil
}

func nameless(kind, name string, known []string) error {
	p := &access.Problem{Kind: access.ErrUnknown, Message: fmt.Sprintf("there is no %s called %q", kind, name)}
	switch near := strict.Nearest(name, known); {
	case near != "":
		p.Hint = fmt.Sprintf("did you mean %q?", near)
	case len(holding(name, known)) > 0:
		p.Hint = "there is " + strings.Join(holding(name, known), ", ")
	case kind == "person":
		p.Hint = "write the user name as the directory has it, or the person's id"
	case kind == "rule":
		p.Hint = "`sparekey rules show` has those in force"
	default:
		p.Hint = "`sparekey access list` shows what you may ask for"
	}
	return p
}

// holding names some of what is known that has a text in its name.
func holding(text string, known []string) []string {
	const most = 5
	var found []string
	for _, name := range known {
		switch {
		case len(text) < 3 || !strings.Contains(strings.ToLower(name), strings.ToLower(text)):
		case len(found) == most:
			return append(found, "and others")
		default:
			found = append(found, name)
		}
	}
	return found
}

func accountIDs(accounts []org.Account) string {
	text := ""
	for i, a := range accounts {
		if i > 0 {
			text += ", "
		}
		text += string(a.ID)
	}
	return text
}
