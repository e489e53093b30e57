package world

import (
	"fmt"
	"slices"

	"sparekey/org"
)

// SCP is a service control policy.
type SCP struct {
	ID, Name, Description string
	Content               string
	Targets               []string // ids of the root, of organizational units and of accounts, in order
}

// SCPs lists the service control policies.
func (w *World) SCPs() []*SCP { return values(w.scps) }

// SCP finds a service control policy by its id.
func (w *World) SCP(id string) (*SCP, bool) {
	p, ok := w.scps[id]
	return p, ok
}

// AddSCP makes a service control policy that is attached to nothing.
func (w *World) AddSCP(name, description, content string) *SCP {
	p := &SCP{ID: "p-" + w.source.Hex(10, "policy"), Name: name, Description: description, Content: content}
	w.scps[p.ID] = p
	return p
}

// AttachSCP attaches a policy to the root, an organizational unit or an account.
func (w *World) AttachSCP(id, target string) error {
	p, ok := w.scps[id]
	_, account := w.accounts[org.AccountID(target)]
	if !ok || !account && !w.IsParent(org.OUID(target)) {
		return fmt.Errorf("the policy %s or its target %s: %w", id, target, ErrNotFound)
	}
	if slices.Contains(p.Targets, target) {
		return fmt.Errorf("the policy %s at %s: %w", id, target, ErrExists)
	}
	p.Targets = append(p.Targets, target)
	slices.Sort(p.Targets)
	return nil
}

// SCPsOf lists the policies that are in effect in an account: attached to it, or to anything above it. There is none in the
// management account ("Service control policies", AWS Organizations User Guide).
func (w *World) SCPsOf(account org.AccountID) []*SCP {
	a, ok := w.accounts[account]
	if !ok || account == w.Management {
		return nil
	}
	above := []string{string(account), string(w.Root)}
	for ou, ok := w.ous[a.Parent]; ok; ou, ok = w.ous[ou.Parent] {
		above = append(above, string(ou.ID))
	}
	return slices.DeleteFunc(w.SCPs(), func(p *SCP) bool {
		return !slices.ContainsFunc(p.Targets, func(t string) bool { return slices.Contains(above, t) })
	})
}
