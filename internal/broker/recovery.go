package broker

import (
	"context"
	"errors"
	"slices"

	"sparekey/access"
	"sparekey/audit"
	"sparekey/internal/store"
	"sparekey/org"
)

// enterRecovery takes over what a ledger knows of and the database does not. From then on only ends happen.
func (b *Broker) enterRecovery(ctx context.Context, l access.Ledger) error {
	ctx = audit.By(context.WithoutCancel(ctx), "recovery")
	c, err := b.update(ctx, func(tx *store.Tx) (access.Change, error) {
		was, err := tx.Recovery()
		if err != nil || was.State == access.Recovering {
			return access.Change{}, err
		}
		head, err := tx.Head()
		if err != nil {
			return access.Change{}, err
		}
		if lacks, err := lacking(tx, l, was.EpochNow(), head); err != nil || !lacks {
			return access.Change{}, err
		}
		some, failed := alive(tx)
		live := slices.Collect(some)
		if *failed != nil {
			return access.Change{}, *failed
		}
		_, c, err := access.BeginRecovery(b.newID("recovery"), access.Behind{Was: was, Head: head, Ledger: l, Live: live, Named: b.names, Known: func(id string) (access.Grant, bool, error) {
			g, err := tx.Grant(id)
			if errors.Is(err, store.ErrNotFound) {
				return g, false, nil
			}
			return g, err == nil, err
		}}, b.Now())
		return c, err
	})
	if err != nil {
		return err
	}
	for _, r := range c.Recoveries {
		b.ledger.recovery.Store(&r)
		b.Log.Error("the database is behind what was written outside of it: nothing starts until two administrators release it with `sparekey recovery release`; ends go on",
			"recovery", r.ID, "events", r.Head, "eventsThere", r.Ledger.Seq, "epoch", r.Was, "epochThere", r.Ledger.Epoch, "writtenThere", r.Ledger.WrittenAt, "grantsTakenOver", r.Taken, "cancelled", r.Cancel)
	}
	return errBehind
}

// names names what a ledger names by ids, as far as the organization knows it.
func (b *Broker) names(k access.Key) (string, access.Place) {
	user, place := access.Nameless(k)
	if !b.rules().Ready() {
		return user, place
	}
	m := b.rules().Organization()
	if p, ok := m.Person(k.Person); ok {
		user = p.User
	}
	if a, ok := m.Account(k.Account); ok {
		place.AccountName = a.Name
	}
	if s, ok := m.PermissionSet(k.PermissionSet); ok {
		place.PermissionSetName, place.SessionMinutes = s.Name, int(s.Session.Minutes())
	}
	return user, place
}

// followRecovery learns whether the database is in a recovery, whoever found that.
func (b *Broker) followRecovery(ctx context.Context) error {
	return b.Store.View(ctx, func(tx *store.Tx) error {
		r, err := tx.Recovery()
		if err == nil {
			b.ledger.recovery.Store(&r)
		}
		return err
	})
}

// ReleaseRecovery says that starts may go on after a restore. It takes two administrators, as AWS knows them now.
func (b *Broker) ReleaseRecovery(ctx context.Context, why string) (access.Recovery, error) {
	by, err := b.administrator(ctx)
	var r access.Recovery
	if err == nil {
		r, err = b.release(ctx, by, why)
	}
	if err != nil {
		return r, b.refuse(ctx, "release a recovery", audit.Subject{Kind: "recovery", ID: r.ID}, err)
	}
	return r, nil
}

func (b *Broker) release(ctx context.Context, by org.Person, why string) (access.Recovery, error) {
	var r access.Recovery
	_, err := b.update(ctx, func(tx *store.Tx) (c access.Change, err error) {
		if r, err = tx.Recovery(); err == nil {
			r, c, err = r.Release(access.Named{ID: by.ID, User: by.User}, why, b.Now())
		}
		return c, err
	})
	if err != nil {
		return r, err
	}
	b.ledger.recovery.Store(&r)
	b.Log.Warn("a recovery is being released", "recovery", r.ID, "state", string(r.State), "by", by.User, "why", why)
	if r.State == access.Released {
		if err := b.Beat(ctx); err != nil {
			b.Log.Error("what must end was not written to the second place", "error", err)
		}
	}
	return r, nil
}
