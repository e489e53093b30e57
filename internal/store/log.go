package store

import (
	"sparekey/audit"
	"sparekey/internal/store/query"
)

// Record is an event with its place in the log. Places count from 1, without gaps.
type Record struct {
	Seq int64
	audit.Event
	Text []byte // the canonical form, as it is kept
}

// Head is the place of the newest event; zero when there is none.
func (tx *Tx) Head() (int64, error) { return tx.q.HeadOfLog(tx.ctx) }

// EventsAfter lists events in the order of the log.
func (tx *Tx) EventsAfter(seq int64, most int) ([]Record, error) {
	rows, err := tx.q.EventsAfter(tx.ctx, query.EventsAfterParams{After: seq, Most: int32(most)})
	if err != nil {
		return nil, err
	}
	records := make([]Record, len(rows))
	for i, r := range rows {
		if records[i], err = record(r.Seq, r.Body); err != nil {
			return nil, err
		}
	}
	return records, nil
}

// EventsOf lists what happened to one subject, in the order of the log.
func (tx *Tx) EventsOf(s audit.Subject) ([]Record, error) {
	rows, err := tx.q.EventsOf(tx.ctx, query.EventsOfParams{Kind: s.Kind, ID: s.ID})
	if err != nil {
		return nil, err
	}
	records := make([]Record, len(rows))
	for i, r := range rows {
		if records[i], err = record(r.Seq, r.Body); err != nil {
			return nil, err
		}
	}
	return records, nil
}

func record(seq int64, body string) (Record, error) {
	e, err := audit.Decode([]byte(body))
	return Record{seq, e, []byte(body)}, err
}
