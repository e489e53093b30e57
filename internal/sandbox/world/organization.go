package world

import (
	"cmp"
	"fmt"
	"maps"
	"strings"
	"time"

	"sparekey/org"
)

// Account finds an account.
func (w *World) Account(id org.AccountID) (*Account, bool) {
	a, ok := w.accounts[id]
	return a, ok
}

// Accounts lists the accounts, by id.
func (w *World) Accounts() []*Account { return values(w.accounts) }

// OU finds an organizational unit, but not the root.
func (w *World) OU(id org.OUID) (org.OU, bool) {
	ou, ok := w.ous[id]
	return ou, ok
}

// OUs lists the organizational units, by id.
func (w *World) OUs() []org.OU { return values(w.ous) }

// IsParent reports whether the id is the root's or an organizational unit's.
func (w *World) IsParent(id org.OUID) bool {
	_, ok := w.ous[id]
	return ok || id == w.Root
}

// Path returns the path of an organizational unit, of the root or of nothing: o-…/r-…/ou-…/. It ends with a slash.
func (w *World) Path(id org.OUID) string {
	below := ""
	for ou, ok := w.ous[id]; ok; ou, ok = w.ous[ou.Parent] {
		below = string(ou.ID) + "/" + below
	}
	return w.ID + "/" + string(w.Root) + "/" + below
}

// Depth counts the organizational units from the root down to this one.
func (w *World) Depth(id org.OUID) int { return strings.Count(w.Path(id), "/ou-") }

// ARN makes the ARN of something of Organizations: an account, an ou, a root, the organization.
func (w *World) ARN(kind, id string) string {
	resource := kind + "/" + w.ID + "/" + id
	if kind == "organization" {
		resource = kind + "/" + w.ID
	}
	return org.ARN{Partition: w.Partition, Service: "organizations", Account: string(w.Management), Resource: resource}.String()
}

// AddOU makes an organizational unit. Names are unique below a parent.
func (w *World) AddOU(parent org.OUID, name string, tags map[string]string) (org.OU, error) {
	if !w.IsParent(parent) {
		return org.OU{}, fmt.Errorf("the parent %s: %w", parent, ErrNotFound)
	}
	for _, ou := range w.ous {
		if ou.Parent == parent && ou.Name == name {
			return org.OU{}, fmt.Errorf("the organizational unit %q: %w", name, ErrExists)
		}
	}
	ou := org.OU{ID: org.OUID("ou-" + strings.TrimPrefix(string(w.Root), "r-") + "-" + w.source.Hex(8, "ou")), Name: name, Parent: parent}
	w.ous[ou.ID] = ou
	w.ouTags[ou.ID] = maps.Clone(tags)
	return ou, nil
}

// AddAccount adds an account that somebody else made.
func (w *World) AddAccount(now time.Time, a org.Account) error {
	if !org.ValidAccountID(string(a.ID)) {
		return fmt.Errorf("%q is not an account id", a.ID)
	}
	if _, ok := w.accounts[a.ID]; ok {
		return fmt.Errorf("the account %s: %w", a.ID, ErrExists)
	}
	a.Parent = cmp.Or(a.Parent, w.Root)
	if !w.IsParent(a.Parent) {
		return fmt.Errorf("the parent %s: %w", a.Parent, ErrNotFound)
	}
	w.addAccount(a, "", now, true)
	return nil
}

func (w *World) addAccount(a org.Account, email string, now time.Time, created bool) {
	a.State = cmp.Or(a.State, org.AccountActive)
	a.Parent = cmp.Or(a.Parent, w.Root)
	a.Tags = maps.Clone(a.Tags)
	if a.Tags == nil {
		a.Tags = map[string]string{}
	}
	w.accounts[a.ID] = &Account{a, cmp.Or(email, "aws+"+string(a.ID)+"@example.com"), now, created}
}

// MoveAccount puts an account below another parent.
func (w *World) MoveAccount(id org.AccountID, to org.OUID) error {
	a, ok := w.accounts[id]
	if !ok {
		return fmt.Errorf("the account %s: %w", id, ErrNotFound)
	}
	if !w.IsParent(to) {
		return fmt.Errorf("the parent %s: %w", to, ErrNotFound)
	}
	a.Parent = to
	return nil
}

// SetAccountState suspends an account, or makes it active again.
func (w *World) SetAccountState(id org.AccountID, state org.AccountState) error {
	a, ok := w.accounts[id]
	if !ok {
		return fmt.Errorf("the account %s: %w", id, ErrNotFound)
	}
	a.State = state
	return nil
}

// Tags returns the tags of an account, an organizational unit or the root, to be changed in place.
func (w *World) Tags(resource string) (map[string]string, bool) {
	if a, ok := w.accounts[org.AccountID(resource)]; ok {
		return a.Tags, true
	}
	if !w.IsParent(org.OUID(resource)) {
		return nil, false
	}
	if w.ouTags[org.OUID(resource)] == nil {
		w.ouTags[org.OUID(resource)] = map[string]string{}
	}
	return w.ouTags[org.OUID(resource)], true
}

// AccountCreation is a request to create an account.
type AccountCreation struct {
	ID                   string // car-…
	Name, Email          string
	Tags                 map[string]string
	Requested, Completed time.Time // Completed is when it will be, while Status is InProgress
	Status               Status
	Account              org.AccountID
	Reason               string // a CreateAccountFailureReason
}

// CreateAccount accepts a request to create an account below the root.
func (w *World) CreateAccount(now time.Time, name, email string, tags map[string]string) AccountCreation {
	c := &AccountCreation{
		ID: "car-" + w.source.Hex(32, "car"), Name: name, Email: email, Tags: tags,
		Requested: now, Completed: now.Add(w.timing.Account), Status: InProgress,
	}
	w.creations = append(w.creations, c)
	return *c
}

// AccountCreation finds a request to create an account.
func (w *World) AccountCreation(id string) (AccountCreation, bool) {
	for _, c := range w.creations {
		if c.ID == id {
			return *c, true
		}
	}
	return AccountCreation{}, false
}

func (w *World) settleAccounts(now time.Time) {
	for _, c := range w.creations {
		if c.Status != InProgress || c.Completed.After(now) {
			continue
		}
		c.Status, c.Reason = Succeeded, ""
		for _, a := range w.accounts {
			if strings.EqualFold(a.Email, c.Email) {
				c.Status, c.Reason = Failed, "EMAIL_ALREADY_EXISTS"
			}
		}
		if c.Status == Failed {
			continue
		}
		for c.Account == "" || w.accounts[c.Account] != nil {
			c.Account = org.AccountID(w.source.Digits(12, "account"))
		}
		w.addAccount(org.Account{ID: c.Account, Name: c.Name, Tags: c.Tags}, c.Email, c.Completed, true)
	}
}
