package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"sparekey/internal/store/query"
)

// A lease is the right to do something alone until a time. It is one row; whoever holds it may renew it, and anybody may take
// it once its time is over. Its epoch counts its holders. Leases are not part of the record, and do not lock the log.

// TakeLease takes or renews a lease, and reports whether the holder has it now. A program that may not write gets none, so
// that it does nothing in AWS either.
func (s *Store) TakeLease(ctx context.Context, name, holder string, now, until time.Time) (epoch int64, ok bool, err error) {
	epoch, err = query.New(s.write).TakeLease(ctx, query.TakeLeaseParams{Name: name, Holder: holder, Until: millis(until), Ours: s.schema, Now: millis(now)})
	if errors.Is(err, sql.ErrNoRows) {
		return 0, false, nil
	}
	return epoch, err == nil, err
}

// DropLease gives a lease back, if the holder has it.
func (s *Store) DropLease(ctx context.Context, name, holder string) error {
	return query.New(s.write).DropLease(ctx, query.DropLeaseParams{Name: name, Holder: holder})
}

// ForgetLeases deletes leases that ended before a time.
func (s *Store) ForgetLeases(ctx context.Context, before time.Time) error {
	return query.New(s.write).ForgetLeases(ctx, millis(before))
}

// Reply is what a person's request with an idempotency key was answered with.
type Reply struct {
	Digest  string // of the request, which must be the same when the key comes again
	Subject string // the id of what it made
}

// Reply finds the answer to an earlier request with the same key; [ErrNotFound] when there was none.
func (tx *Tx) Reply(person, key string) (Reply, error) {
	row, err := tx.q.Reply(tx.ctx, query.ReplyParams{Person: person, Key: key})
	if errors.Is(err, sql.ErrNoRows) {
		return Reply{}, ErrNotFound
	}
	return Reply{row.Digest, row.Subject}, err
}

// PutReply remembers the answer to a request with a key.
func (tx *Tx) PutReply(person, key string, r Reply, at time.Time) error {
	return tx.q.InsertReply(tx.ctx, query.InsertReplyParams{Person: person, Key: key, Digest: r.Digest, Subject: r.Subject, At: millis(at)})
}

// ForgetReplies deletes answers from before a time.
func (tx *Tx) ForgetReplies(before time.Time) error {
	return tx.q.ForgetReplies(tx.ctx, millis(before))
}
