package store

import (
	"database/sql"
	"errors"
	"time"

	"sparekey/access"
)

// Figures are what the store can count of how things stand, whatever the number of grants that are over.
type Figures struct {
	Grants       []GrantCount
	LateEnds     int64     // grants whose access should have been taken away by now
	FirstEnd     time.Time // the earliest time at which some access is, or was, to be taken away; zero: there is none
	OpenRequests int64     // requests that wait for a decision
	QueuedSince  time.Time // since when the oldest background job could have been worked on; zero: none waits
}

// GrantCount is how many grants of one way are in one state. Those for which nothing is left to do are not counted.
type GrantCount struct {
	State access.GrantState
	Way   access.Way
	Count int64
}

// Figures counts. Each part is read from an index.
func (tx *Tx) Figures(now time.Time) (Figures, error) {
	var f Figures
	counts, err := tx.q.CountGrants(tx.ctx)
	if err != nil {
		return f, err
	}
	for _, c := range counts {
		f.Grants = append(f.Grants, GrantCount{access.GrantState(c.State), access.Way(c.Way), c.Grants})
	}
	first, err := tx.q.FirstEnd(tx.ctx)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return f, err
	}
	f.FirstEnd = instant(first)
	if f.LateEnds, err = tx.q.CountEnds(tx.ctx, millis(now)); err != nil {
		return f, err
	}
	if f.OpenRequests, err = tx.q.CountOpenRequests(tx.ctx); err != nil {
		return f, err
	}
	f.QueuedSince, err = tx.queuedSince(now)
	return f, err
}

// waiting are River's states of a job that is worked on once its time has come. The last two are moved to the first by the
// replica that leads River: where none does, they stay, and that is to be seen.
var waiting = []string{"available", "scheduled", "retryable"}

// queuedSince looks for the oldest job whose time has come. River's tables are not in our queries; its own index holds jobs
// by state, queue, priority and time, so that each state is one look. All jobs are of its default queue and priority.
func (tx *Tx) queuedSince(now time.Time) (time.Time, error) {
	var oldest time.Time
	for _, state := range waiting {
		var at time.Time
		err := tx.tx.QueryRowContext(tx.ctx, "SELECT scheduled_at FROM river_job WHERE state = '"+state+"' AND queue = 'default' AND priority = 1 ORDER BY scheduled_at LIMIT 1").Scan(&at)
		if errors.Is(err, sql.ErrNoRows) {
			continue
		}
		if err != nil {
			return time.Time{}, err
		}
		if !at.After(now) && (oldest.IsZero() || at.Before(oldest)) {
			oldest = at.UTC()
		}
	}
	return oldest, nil
}
