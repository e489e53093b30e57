package store

import (
	"math"
	"time"

	"sparekey/access"
	"sparekey/audit"
	"sparekey/internal/store/query"
)

func (tx *Tx) putStop(s access.Stop, was int64) error {
	body, err := audit.Canonical(s)
	if err != nil {
		return err
	}
	if was == 0 {
		var until int64 // zero: it holds nothing
		if !s.Until.IsZero() {
			until = millis(s.Until)
		}
		return wrap("inserting stop", s.ID, tx.q.InsertStop(tx.ctx, query.InsertStopParams{
			ID: s.ID, Version: s.Version, State: string(s.State), At: millis(s.At), Until: until, Body: string(body),
		}))
	}
	n, err := tx.q.UpdateStop(tx.ctx, query.UpdateStopParams{Version: s.Version, State: string(s.State), Body: string(body), ID: s.ID, Was: was})
	return changed("stop", s.ID, n, err)
}

// Stop reads a stop; [ErrNotFound] when there is none.
func (tx *Tx) Stop(id string) (access.Stop, error) {
	body, err := tx.q.Stop(tx.ctx, id)
	return one[access.Stop]("stop", id, body, err)
}

// EndingStops lists the stops that have not told everything that they reach to end, the oldest first.
func (tx *Tx) EndingStops() ([]access.Stop, error) {
	bodies, err := tx.q.EndingStops(tx.ctx)
	return many[access.Stop](bodies, err)
}

// HoldingStops lists the stops that keep something from starting at a time.
func (tx *Tx) HoldingStops(now time.Time) ([]access.Stop, error) {
	bodies, err := tx.q.HoldingStops(tx.ctx, millis(now))
	return many[access.Stop](bodies, err)
}

// StopsBefore lists stops from a place on, the newest first.
func (tx *Tx) StopsBefore(from Page, most int) ([]access.Stop, error) {
	params := query.StopsBeforeParams{At: math.MaxInt64, Most: int32(most)}
	if from != (Page{}) {
		params.At, params.ID = millis(from.At), from.ID
	}
	bodies, err := tx.q.StopsBefore(tx.ctx, params)
	return many[access.Stop](bodies, err)
}
