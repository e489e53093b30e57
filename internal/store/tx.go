package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"time"

	"sparekey/access"
	"sparekey/audit"
	"sparekey/internal/store/query"
	"sparekey/org"
)

// Tx is a transaction. It is used by one goroutine, and not after the function that received it has returned.
type Tx struct {
	ctx    context.Context
	engine Engine
	conn   *sql.Conn
	tx     *sql.Tx
	q      *query.Queries
	seq    int64 // of the newest event, once the log is locked
	writes bool
}

// Update runs fn in a writing transaction and commits it if fn returns nil. It is [ErrNewer] once a newer program has made the
// tables such that this one must not write to them.
func (s *Store) Update(ctx context.Context, fn func(*Tx) error) error {
	return s.room.relieve(s.run(ctx, s.write, &sql.TxOptions{}, func(tx *Tx) error {
		head, err := tx.q.LockLog(ctx)
		if err != nil {
			return fmt.Errorf("locking the log: %w", err)
		}
		if err := s.outdated(head.LeastWriter); err != nil {
			return err
		}
		tx.seq, tx.writes = head.Seq, true
		return fn(tx)
	}))
}

// View runs fn in a transaction that sees one state of the database and cannot change it.
func (s *Store) View(ctx context.Context, fn func(*Tx) error) error {
	options := &sql.TxOptions{ReadOnly: true}
	if s.engine == PostgreSQL {
		options.Isolation = sql.LevelRepeatableRead
	}
	return s.run(ctx, s.read, options, fn)
}

func (s *Store) run(ctx context.Context, db *sql.DB, options *sql.TxOptions, fn func(*Tx) error) error {
	conn, err := db.Conn(ctx)
	if err != nil {
		return fmt.Errorf("getting a connection: %w", err)
	}
	defer conn.Close()
	tx, err := conn.BeginTx(ctx, options)
	if err != nil {
		return fmt.Errorf("beginning a transaction: %w", err)
	}
	defer func() { _ = tx.Rollback() }() // after a commit it does nothing
	if err := fn(&Tx{ctx: ctx, engine: s.engine, conn: conn, tx: tx, q: query.New(tx)}); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("committing: %w", err)
	}
	return nil
}

// Apply carries out a change: its values, then its events, each with who asked for it and with what. A value whose version
// in the database is not the one that the change began with is [ErrChanged].
func (tx *Tx) Apply(c access.Change, cause audit.Cause) error {
	was := map[audit.Subject]int64{}
	for _, e := range c.Events {
		if _, seen := was[e.Subject]; !seen {
			was[e.Subject] = 0
			if e.Before != nil {
				was[e.Subject] = e.Before.Version
			}
		}
	}
	if c.Request != nil {
		if err := tx.putRequest(*c.Request, was[audit.Subject{Kind: "request", ID: c.Request.ID}]); err != nil {
			return err
		}
	}
	for _, g := range c.Grants {
		if err := tx.putGrant(g, was[audit.Subject{Kind: "grant", ID: g.ID}]); err != nil {
			return err
		}
	}
	for _, r := range c.Reviews {
		if err := tx.putReview(r, was[audit.Subject{Kind: "review", ID: r.ID}]); err != nil {
			return err
		}
	}
	for _, s := range c.Stops {
		if err := tx.putStop(s, was[audit.Subject{Kind: "stop", ID: s.ID}]); err != nil {
			return err
		}
	}
	for _, k := range c.Kills {
		if err := tx.putKill(k, was[audit.Subject{Kind: "kill", ID: k.ID}]); err != nil {
			return err
		}
	}
	for _, r := range c.Recoveries {
		if err := tx.putRecovery(r, was[audit.Subject{Kind: "recovery", ID: r.ID}]); err != nil {
			return err
		}
	}
	return tx.Append(cause, c.Events...)
}

// Append adds events to the log. What a person caused gets the key and the request of the cause.
func (tx *Tx) Append(cause audit.Cause, events ...audit.Event) error {
	for _, e := range events {
		if e.Actor.Kind == cause.Actor.Kind && e.Actor.ID == cause.Actor.ID {
			e.Actor.Key = cause.Actor.Key
		}
		e.Request = cause.Request
		body, err := e.Encode()
		if err != nil {
			return fmt.Errorf("encoding the event %s: %w", e.Kind, err)
		}
		tx.seq++
		if err := tx.q.AppendEvent(tx.ctx, query.AppendEventParams{
			Seq: tx.seq, At: millis(e.At), Kind: e.Kind, Actor: e.Actor.ID, SubjectKind: e.Subject.Kind, SubjectID: e.Subject.ID, Body: string(body),
		}); err != nil {
			return fmt.Errorf("appending the event %s: %w", e.Kind, err)
		}
	}
	if len(events) == 0 {
		return nil
	}
	return tx.q.AdvanceLog(tx.ctx, tx.seq)
}

func (tx *Tx) putRequest(r access.Request, was int64) error {
	body, err := audit.Canonical(r)
	if err != nil {
		return err
	}
	open := bit(r.Open())
	if was == 0 {
		return wrap("inserting request", r.ID, tx.q.InsertRequest(tx.ctx, query.InsertRequestParams{
			ID: r.ID, Version: r.Version, Requester: string(r.Requester.ID), Open: open, AskedAt: millis(r.AskedAt), Body: string(body),
		}))
	}
	n, err := tx.q.UpdateRequest(tx.ctx, query.UpdateRequestParams{Version: r.Version, Open: open, Body: string(body), ID: r.ID, Was: was})
	return changed("request", r.ID, n, err)
}

func (tx *Tx) putGrant(g access.Grant, was int64) error {
	body, err := audit.Canonical(g)
	if err != nil {
		return err
	}
	live, due, urgency, ends := bit(g.Live()), millis(g.Due()), int64(g.Urgency()), int64(0)
	if g.Live() {
		ends = millis(g.EndDue())
	}
	underWay := bit(g.Outstanding() && (g.State == access.Granting || g.State == access.Ending))
	if was == 0 {
		return wrap("inserting grant", g.ID, tx.q.InsertGrant(tx.ctx, query.InsertGrantParams{
			ID: g.ID, Version: g.Version, Request: g.Request, Person: string(g.Person.ID), Way: string(g.Way), Account: string(g.Target.Account),
			PermissionSet: g.Target.PermissionSet, State: string(g.State), Live: live, Due: due, Urgency: urgency, EndsAt: ends, UnderWay: underWay, ApprovedAt: millis(g.ApprovedAt), Body: string(body),
		}))
	}
	n, err := tx.q.UpdateGrant(tx.ctx, query.UpdateGrantParams{
		Version: g.Version, State: string(g.State), Live: live, Due: due, Urgency: urgency, EndsAt: ends, UnderWay: underWay, Body: string(body), ID: g.ID, Was: was,
	})
	return changed("grant", g.ID, n, err)
}

func changed(kind, id string, rows int64, err error) error {
	if err == nil && rows == 0 {
		err = ErrChanged
	}
	return wrap("updating "+kind, id, err)
}

func wrap(doing, id string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s %s: %w", doing, id, err)
}

func bit(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// Context is the one that the transaction was begun with.
func (tx *Tx) Context() context.Context { return tx.ctx }

// Request reads a request; [ErrNotFound] when there is none.
func (tx *Tx) Request(id string) (access.Request, error) {
	body, err := tx.q.Request(tx.ctx, id)
	return one[access.Request]("request", id, body, err)
}

// RequestsOf lists a person's newest requests, the newest first.
func (tx *Tx) RequestsOf(p org.PersonID, most int) ([]access.Request, error) {
	bodies, err := tx.q.RequestsOf(tx.ctx, query.RequestsOfParams{Requester: string(p), Most: int32(most)})
	return many[access.Request](bodies, err)
}

// OpenRequests lists every request that waits for a decision, the oldest first.
func (tx *Tx) OpenRequests() ([]access.Request, error) {
	bodies, err := tx.q.OpenRequests(tx.ctx)
	return many[access.Request](bodies, err)
}

// Grant reads a grant; [ErrNotFound] when there is none.
func (tx *Tx) Grant(id string) (access.Grant, error) {
	body, err := tx.q.Grant(tx.ctx, id)
	return one[access.Grant]("grant", id, body, err)
}

// DueGrants lists grants that have something to be done at a time, most urgent first, and at most so many of each urgency.
func (tx *Tx) DueGrants(now time.Time, most int) ([]access.Grant, error) {
	var due []access.Grant
	for urgency := range int64(access.Urgencies) { // each of them is the beginning of an index, however many are live
		bodies, err := tx.q.DueGrants(tx.ctx, query.DueGrantsParams{Urgency: urgency, Now: millis(now), Most: int32(most)})
		some, err := many[access.Grant](bodies, err)
		if due = append(due, some...); err != nil {
			return due, err
		}
	}
	return due, nil
}

// BusyGrants lists the grants for which AWS has an operation under way, as far as is known, and that are not stuck.
func (tx *Tx) BusyGrants() ([]access.Grant, error) {
	bodies, err := tx.q.BusyGrants(tx.ctx)
	return many[access.Grant](bodies, err)
}

// NextDue is the first time after a moment at which some grant has something to be done; the zero time means never.
func (tx *Tx) NextDue(after time.Time) (time.Time, error) {
	due, err := tx.q.NextDue(tx.ctx, millis(after))
	if errors.Is(err, sql.ErrNoRows) {
		return time.Time{}, nil
	}
	return instant(due), err
}

// GrantsOfKey lists the grants of one access that are not over, the oldest first.
func (tx *Tx) GrantsOfKey(k access.Key) ([]access.Grant, error) {
	bodies, err := tx.q.GrantsOfKey(tx.ctx, query.GrantsOfKeyParams{Person: string(k.Person), Account: string(k.Account), PermissionSet: k.PermissionSet, Way: string(k.Way)})
	return many[access.Grant](bodies, err)
}

// GrantsOf lists a person's newest grants, the newest first.
func (tx *Tx) GrantsOf(p org.PersonID, most int) ([]access.Grant, error) {
	bodies, err := tx.q.GrantsOfPerson(tx.ctx, query.GrantsOfPersonParams{Person: string(p), Most: int32(most)})
	return many[access.Grant](bodies, err)
}

// GrantsOfRequest lists the grants that came of a request.
func (tx *Tx) GrantsOfRequest(id string) ([]access.Grant, error) {
	bodies, err := tx.q.GrantsOfRequest(tx.ctx, id)
	return many[access.Grant](bodies, err)
}

// LiveGrants goes through every grant that gives access, may give it or will, the newest first. There may be a hundred thousand,
// so they are read some at a time; an error is the last thing that it yields.
func (tx *Tx) LiveGrants() iter.Seq2[access.Grant, error] {
	return func(yield func(access.Grant, error) bool) {
		for from := (Page{}); ; {
			some, err := tx.LiveGrantsBefore(from, liveAtOnce)
			for _, g := range some {
				if !yield(g, nil) {
					return
				}
				from = Page{At: g.ApprovedAt, ID: g.ID}
			}
			if err != nil {
				yield(access.Grant{}, err)
			}
			if err != nil || len(some) < liveAtOnce {
				return
			}
		}
	}
}

const liveAtOnce = 500

// LiveGrantsOf lists the grants of a person that are not over, the oldest first.
func (tx *Tx) LiveGrantsOf(p org.PersonID) ([]access.Grant, error) {
	bodies, err := tx.q.LiveGrantsOfPerson(tx.ctx, string(p))
	return many[access.Grant](bodies, err)
}

// RecentGrants lists the newest grants of everybody, the newest first.
func (tx *Tx) RecentGrants(most int) ([]access.Grant, error) {
	bodies, err := tx.q.RecentGrants(tx.ctx, int32(most))
	return many[access.Grant](bodies, err)
}

func one[T any](kind, id, body string, err error) (T, error) {
	var v T
	if errors.Is(err, sql.ErrNoRows) {
		return v, fmt.Errorf("%s %s: %w", kind, id, ErrNotFound)
	}
	if err != nil {
		return v, err
	}
	if err := json.Unmarshal([]byte(body), &v); err != nil {
		return v, fmt.Errorf("reading %s %s: %w", kind, id, err)
	}
	return v, nil
}

func many[T any](bodies []string, err error) ([]T, error) {
	if err != nil {
		return nil, err
	}
	all := make([]T, len(bodies))
	for i, body := range bodies {
		if err := json.Unmarshal([]byte(body), &all[i]); err != nil {
			return nil, fmt.Errorf("reading a row: %w", err)
		}
	}
	return all, nil
}
