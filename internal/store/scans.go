package store

import (
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"sparekey/access"
	"sparekey/audit"
	"sparekey/internal/store/query"
	"sparekey/org"
)

// Scan is what a look at the assignments of an account found.
type Scan struct {
	Account org.AccountID
	At      time.Time
	Found   []access.Finding
}

// PutScan keeps what a look found, in the place of what the one before did.
func (tx *Tx) PutScan(s Scan) error {
	body, err := audit.Canonical(s.Found)
	if err != nil {
		return err
	}
	return tx.q.PutScan(tx.ctx, query.PutScanParams{Account: string(s.Account), At: millis(s.At), Found: int64(len(s.Found)), Body: string(body)})
}

// Scan reads what the last look at an account found; the zero Scan when there was none.
func (tx *Tx) Scan(account org.AccountID) (Scan, error) {
	row, err := tx.q.Scan(tx.ctx, string(account))
	if errors.Is(err, sql.ErrNoRows) {
		return Scan{}, nil
	}
	if err != nil {
		return Scan{}, err
	}
	return scanOf(string(account), row.At, row.Body)
}

func scanOf(account string, at int64, body string) (Scan, error) {
	s := Scan{Account: org.AccountID(account), At: time.UnixMilli(at).UTC()}
	if err := json.Unmarshal([]byte(body), &s.Found); err != nil {
		return s, fmt.Errorf("reading the scan of %s: %w", account, err)
	}
	return s, nil
}

// ScanTimes says when each account was looked at last.
func (tx *Tx) ScanTimes() (map[org.AccountID]time.Time, error) {
	rows, err := tx.q.ScanTimes(tx.ctx)
	times := make(map[org.AccountID]time.Time, len(rows))
	for _, r := range rows {
		times[org.AccountID(r.Account)] = time.UnixMilli(r.At).UTC()
	}
	return times, err
}

// ScansWithFindings reads the looks that found something.
func (tx *Tx) ScansWithFindings() ([]Scan, error) {
	rows, err := tx.q.ScansWithFindings(tx.ctx)
	if err != nil {
		return nil, err
	}
	var scans []Scan
	for _, r := range rows {
		s, err := scanOf(r.Account, r.At, r.Body)
		if err != nil {
			return nil, err
		}
		scans = append(scans, s)
	}
	return scans, nil
}

// DropScan forgets an account that is no longer looked at.
func (tx *Tx) DropScan(account org.AccountID) error { return tx.q.DropScan(tx.ctx, string(account)) }

// GrantsInAccount lists the grants by assignment in an account that are not done with, or were approved since a time.
func (tx *Tx) GrantsInAccount(account org.AccountID, since time.Time) ([]access.Grant, error) {
	bodies, err := tx.q.GrantsInAccount(tx.ctx, query.GrantsInAccountParams{Account: string(account), Since: millis(since)})
	return many[access.Grant](bodies, err)
}
