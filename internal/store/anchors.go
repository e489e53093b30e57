package store

import (
	"sparekey/access"
	"sparekey/audit"
	"sparekey/internal/store/query"
	"sparekey/org"
)

// PutAnchor keeps a group that keeps the role of a permission set in an account.
func (tx *Tx) PutAnchor(g access.LentGroup) error {
	body, err := audit.Canonical(g)
	if err != nil {
		return err
	}
	return tx.q.PutAnchor(tx.ctx, query.PutAnchorParams{Account: string(g.Target.Account), PermissionSet: g.Target.PermissionSet, Body: string(body)})
}

// Anchor reads the anchor of a target; [ErrNotFound] when none was made.
func (tx *Tx) Anchor(t org.Target) (access.LentGroup, error) {
	body, err := tx.q.Anchor(tx.ctx, query.AnchorParams{Account: string(t.Account), PermissionSet: t.PermissionSet})
	return one[access.LentGroup]("the anchor for", string(t.Account)+" "+t.PermissionSet, body, err)
}

// Anchors lists the anchors, and those that are being made.
func (tx *Tx) Anchors() ([]access.LentGroup, error) {
	bodies, err := tx.q.Anchors(tx.ctx)
	return many[access.LentGroup](bodies, err)
}
