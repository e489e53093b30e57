package store

import (
	"encoding/json"
	"fmt"
	"time"

	"sparekey/audit"
	"sparekey/internal/store/query"
	"sparekey/org"
)

// The mirror of the organization is kept one row a thing, so that a refresh writes only what has changed.
const (
	kindOU      = "ou"
	kindAccount = "account"
	kindSet     = "permission-set"
	kindGroup   = "group"
	kindPerson  = "person"
)

// MirrorHead says which mirror the store holds. Generation counts refreshes; zero means that there was none yet.
type MirrorHead struct {
	Generation int64
	ReadAt     time.Time
}

// MirrorHead reads it.
func (tx *Tx) MirrorHead() (MirrorHead, error) {
	head, err := tx.q.MirrorHead(tx.ctx)
	return MirrorHead{head.Generation, instant(head.ReadAt)}, err
}

// Mirror reads the organization as it was last read from AWS.
func (tx *Tx) Mirror() (org.Organization, MirrorHead, error) {
	var o org.Organization
	head, err := tx.q.MirrorHead(tx.ctx)
	if err != nil {
		return o, MirrorHead{}, err
	}
	if err := json.Unmarshal([]byte(head.Body), &o); err != nil {
		return o, MirrorHead{}, fmt.Errorf("reading the head of the mirror: %w", err)
	}
	items, err := tx.q.MirrorItems(tx.ctx)
	if err != nil {
		return o, MirrorHead{}, err
	}
	for _, item := range items {
		switch item.Kind {
		case kindOU:
			err = add(&o.OUs, item.Body)
		case kindAccount:
			err = add(&o.Accounts, item.Body)
		case kindSet:
			err = add(&o.PermissionSets, item.Body)
		case kindGroup:
			err = add(&o.Groups, item.Body)
		case kindPerson:
			err = add(&o.People, item.Body)
		}
		if err != nil {
			return o, MirrorHead{}, fmt.Errorf("reading %s %s of the mirror: %w", item.Kind, item.ID, err)
		}
	}
	o.ReadAt = instant(head.ReadAt)
	return o, MirrorHead{head.Generation, o.ReadAt}, nil
}

func add[T any](list *[]T, body string) error {
	var v T
	if err := json.Unmarshal([]byte(body), &v); err != nil {
		return err
	}
	*list = append(*list, v)
	return nil
}

// Difference counts what a refresh of the mirror changed.
type Difference struct {
	Put, Dropped int
}

// PutMirror replaces the mirror by o, and reports what that changed.
func (tx *Tx) PutMirror(o org.Organization) (Difference, error) {
	var d Difference
	wanted, err := mirrorRows(o)
	if err != nil {
		return d, err
	}
	items, err := tx.q.MirrorItems(tx.ctx)
	if err != nil {
		return d, err
	}
	for _, item := range items {
		key := [2]string{item.Kind, item.ID}
		body, stays := wanted[key]
		switch {
		case !stays:
			d.Dropped++
			err = tx.q.DropMirrorItem(tx.ctx, query.DropMirrorItemParams{Kind: item.Kind, ID: item.ID})
		case body == item.Body:
			delete(wanted, key)
		}
		if err != nil {
			return d, err
		}
	}
	for key, body := range wanted {
		d.Put++
		if err := tx.q.PutMirrorItem(tx.ctx, query.PutMirrorItemParams{Kind: key[0], ID: key[1], Body: body}); err != nil {
			return d, err
		}
	}
	return d, tx.advanceMirror(o)
}

// PutPerson replaces one person of the mirror, as they were just read from AWS.
func (tx *Tx) PutPerson(p org.Person) error { return tx.putItem(kindPerson, string(p.ID), p) }

// PutPermissionSet replaces one permission set of the mirror, as it was just read from AWS.
func (tx *Tx) PutPermissionSet(s org.PermissionSet) error { return tx.putItem(kindSet, s.ARN, s) }

func (tx *Tx) putItem(kind, id string, v any) error {
	body, err := audit.Canonical(v)
	if err != nil {
		return err
	}
	if err := tx.q.PutMirrorItem(tx.ctx, query.PutMirrorItemParams{Kind: kind, ID: id, Body: string(body)}); err != nil {
		return err
	}
	head, err := tx.q.MirrorHead(tx.ctx)
	if err != nil {
		return err
	}
	return tx.q.UpdateMirrorHead(tx.ctx, query.UpdateMirrorHeadParams{Generation: head.Generation + 1, ReadAt: head.ReadAt, Body: head.Body})
}

func (tx *Tx) advanceMirror(o org.Organization) error {
	head, err := tx.q.MirrorHead(tx.ctx)
	if err != nil {
		return err
	}
	at := o.ReadAt
	o.OUs, o.Accounts, o.PermissionSets, o.Groups, o.People = nil, nil, nil, nil, nil
	body, err := audit.Canonical(o)
	if err != nil {
		return err
	}
	return tx.q.UpdateMirrorHead(tx.ctx, query.UpdateMirrorHeadParams{Generation: head.Generation + 1, ReadAt: millis(at), Body: string(body)})
}

func mirrorRows(o org.Organization) (map[[2]string]string, error) {
	rows := make(map[[2]string]string, len(o.OUs)+len(o.Accounts)+len(o.PermissionSets)+len(o.Groups)+len(o.People))
	var failed error
	put := func(kind, id string, v any) {
		body, err := audit.Canonical(v)
		if err != nil && failed == nil {
			failed = fmt.Errorf("encoding %s %s: %w", kind, id, err)
		}
		rows[[2]string{kind, id}] = string(body)
	}
	for _, v := range o.OUs {
		put(kindOU, string(v.ID), v)
	}
	for _, v := range o.Accounts {
		put(kindAccount, string(v.ID), v)
	}
	for _, v := range o.PermissionSets {
		put(kindSet, v.ARN, v)
	}
	for _, v := range o.Groups {
		put(kindGroup, string(v.ID), v)
	}
	for _, v := range o.People {
		put(kindPerson, string(v.ID), v)
	}
	return rows, failed
}
