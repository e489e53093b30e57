package store

import (
	"database/sql"
	"errors"

	"sparekey/access"
	"sparekey/audit"
	"sparekey/internal/store/query"
)

func (tx *Tx) putRecovery(r access.Recovery, was int64) error {
	body, err := audit.Canonical(r)
	if err != nil {
		return err
	}
	if was == 0 {
		return wrap("inserting recovery", r.ID, tx.q.InsertRecovery(tx.ctx, query.InsertRecoveryParams{
			ID: r.ID, Version: r.Version, State: string(r.State), At: millis(r.At), Body: string(body),
		}))
	}
	n, err := tx.q.UpdateRecovery(tx.ctx, query.UpdateRecoveryParams{Version: r.Version, State: string(r.State), Body: string(body), ID: r.ID, Was: was})
	return changed("recovery", r.ID, n, err)
}

// Recovery reads the newest recovery; the zero value when there was none.
func (tx *Tx) Recovery() (access.Recovery, error) {
	body, err := tx.q.NewestRecovery(tx.ctx)
	if errors.Is(err, sql.ErrNoRows) {
		return access.Recovery{}, nil
	}
	return one[access.Recovery]("recovery", "", body, err)
}
