package store

import (
	"math"

	"sparekey/access"
	"sparekey/audit"
	"sparekey/internal/store/query"
	"sparekey/org"
)

func (tx *Tx) putKill(k access.Kill, was int64) error {
	body, err := audit.Canonical(k)
	if err != nil {
		return err
	}
	if was == 0 {
		return wrap("inserting kill", k.ID, tx.q.InsertKill(tx.ctx, query.InsertKillParams{
			ID: k.ID, Version: k.Version, Person: string(k.Person.ID), Open: bit(k.Open()), WantedAt: millis(k.WantedAt), Body: string(body),
		}))
	}
	n, err := tx.q.UpdateKill(tx.ctx, query.UpdateKillParams{Version: k.Version, Open: bit(k.Open()), Body: string(body), ID: k.ID, Was: was})
	return changed("kill", k.ID, n, err)
}

// Kill reads a session kill; [ErrNotFound] when there is none.
func (tx *Tx) Kill(id string) (access.Kill, error) {
	body, err := tx.q.Kill(tx.ctx, id)
	return one[access.Kill]("kill", id, body, err)
}

// OpenKills lists the session kills that are not over, the oldest first.
func (tx *Tx) OpenKills() ([]access.Kill, error) {
	bodies, err := tx.q.OpenKills(tx.ctx)
	return many[access.Kill](bodies, err)
}

// KillsBefore lists the session kills of a person, or of everybody for an empty id, from a place on, the newest first.
func (tx *Tx) KillsBefore(p org.PersonID, from Page, most int) ([]access.Kill, error) {
	at := int64(math.MaxInt64)
	if from != (Page{}) {
		at = millis(from.At)
	}
	if p == "" {
		bodies, err := tx.q.KillsBefore(tx.ctx, query.KillsBeforeParams{At: at, ID: from.ID, Most: int32(most)})
		return many[access.Kill](bodies, err)
	}
	bodies, err := tx.q.KillsOfPersonBefore(tx.ctx, query.KillsOfPersonBeforeParams{Person: string(p), At: at, ID: from.ID, Most: int32(most)})
	return many[access.Kill](bodies, err)
}
