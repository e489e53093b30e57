package broker

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"sync"
	"sync/atomic"
	"time"

	"sparekey/access"
	"sparekey/audit"
	"sparekey/internal/store"
)

// SecondPlace is where what must end is written outside of the database.
type SecondPlace interface {
	// Put replaces what is there, whole or not at all.
	Put(ctx context.Context, text []byte) error
	// Get reads it; [fs.ErrNotExist] when nothing was ever put there.
	Get(ctx context.Context) ([]byte, error)
}

// LedgerSettings are those of the ledger (design rule 6).
type LedgerSettings struct {
	Place SecondPlace
	Key   ed25519.PrivateKey
}

// On reports whether there is a ledger.
func (s LedgerSettings) On() bool { return s.Place != nil }

// ledger is what this process knows of it.
type ledger struct {
	mu       sync.Mutex                           // of one write at a time; who waits for it may find that theirs was written as well
	written  atomic.Pointer[map[string]time.Time] // hard ends by grant, as they were written last; nil: nothing was
	trouble  atomic.Pointer[string]               // why nothing may start
	lastSaid string                               // of that, with its details, in the log
	recovery atomic.Pointer[access.Recovery]      // the newest, as it was last seen
}

// The words of halts. They stay the same while the reason does.
const (
	notYetWritten = "what must end was not written to the second place yet"
	notWritten    = "what must end cannot be written to the second place"
	behind        = "the database is behind what was written outside of it, as one is that was restored; two administrators release it"
	ledgerWrong   = "what stands in the second place was not signed with the key of this Sparekey"
)

var (
	errBehind = errors.New(behind)
	errWrong  = errors.New(ledgerWrong)
	errBusy   = errors.New("another server writes the ledger at this moment")
)

func (b *Broker) ledgerHalt() string {
	if r := b.ledger.recovery.Load(); r != nil && r.State == access.Recovering {
		return r.ID + ": " + behind
	}
	switch why := b.ledger.trouble.Load(); {
	case !b.Ledger.On():
		return ""
	case why != nil:
		return *why
	case b.ledger.written.Load() == nil:
		return notYetWritten
	}
	return ""
}

// Beat writes the ledger, changed or not: its time is a sign of life.
func (b *Broker) Beat(ctx context.Context) error {
	if err := b.followRecovery(ctx); err != nil || !b.Ledger.On() {
		return err
	}
	b.ledger.mu.Lock()
	defer b.ledger.mu.Unlock()
	if err := b.writeLedger(ctx); !errors.Is(err, errBusy) {
		return err
	}
	return nil // whoever writes it does what we would
}

// secured has the grant's hard end written to the second place, before AWS may be called to create: ok is false when it is
// not, and the grant waits. One write serves all whose intents were recorded before it.
func (c carrier) secured(ctx context.Context) (ok bool, err error) {
	if !c.Ledger.On() || c.g.End != nil || c.owedInLedger() {
		return true, nil
	}
	c.ledger.mu.Lock()
	if !c.owedInLedger() {
		err = c.writeLedger(ctx)
	}
	c.ledger.mu.Unlock()
	if err == nil && c.owedInLedger() {
		return true, nil
	}
	why := c.ledgerHalt()
	if why == "" {
		why = notYetWritten
	}
	return false, c.turn(ctx, func(_ *store.Tx, g access.Grant) (access.Change, error) { return g.Wait(why, c.Now()) })
}

func (c carrier) owedInLedger() bool {
	written := c.ledger.written.Load()
	if written == nil {
		return false
	}
	at, ok := (*written)[c.g.ID]
	return ok && at.Equal(c.g.HardEnd)
}

// writeLedger reads what stands in the second place, and replaces it unless it knows of more than the database. b.ledger.mu is
// held, and by a lease only one process does this; so what is read there is never newer than a database that is what it was.
func (b *Broker) writeLedger(ctx context.Context) error {
	err := b.replaceLedger(ctx)
	if errors.Is(err, errBusy) {
		return err
	}
	var why *string
	if err != nil {
		words := notWritten
		for _, known := range []error{errBehind, errWrong} {
			if errors.Is(err, known) {
				words = known.Error()
			}
		}
		why = &words
		if said := err.Error(); said != b.ledger.lastSaid {
			b.ledger.lastSaid = said
			b.Log.Error("nothing starts, since the second place is not what it should be", "error", err)
		}
	} else {
		b.ledger.lastSaid = ""
	}
	b.ledger.trouble.Store(why)
	return err
}

func (b *Broker) replaceLedger(ctx context.Context) error {
	now := b.Now()
	if _, ok, err := b.Store.TakeLease(ctx, "ledger", b.holder, now, now.Add(leaseTime)); err != nil || !ok {
		return errors.Join(err, errIf(err == nil, errBusy))
	}
	defer func() {
		if err := b.Store.DropLease(context.WithoutCancel(ctx), "ledger", b.holder); err != nil {
			b.Log.Error("a lease could not be given back", "error", err)
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, leaseTime-b.CallTimeout/2)
	defer cancel()
	stands, there, err := b.readLedger(ctx)
	if err != nil {
		return err
	}
	l, err := b.owed(ctx)
	if err != nil {
		return err
	}
	if there {
		var lacks bool
		if err := b.Store.View(ctx, func(tx *store.Tx) (err error) { lacks, err = lacking(tx, stands, l.Epoch, l.Seq); return err }); err != nil {
			return err
		}
		if lacks {
			return b.enterRecovery(ctx, stands)
		}
	}
	text, err := l.Sign(b.Ledger.Key)
	if err != nil {
		return err
	}
	if err := b.Ledger.Place.Put(ctx, text); err != nil {
		return err
	}
	written := make(map[string]time.Time, len(l.Owed))
	for _, o := range l.Owed {
		written[o.Grant] = o.HardEnd
	}
	b.ledger.written.Store(&written)
	return nil
}

func errIf(so bool, err error) error {
	if so {
		return err
	}
	return nil
}

// readLedger reads what stands in the second place.
func (b *Broker) readLedger(ctx context.Context) (l access.Ledger, there bool, err error) {
	text, err := b.Ledger.Place.Get(ctx)
	if errors.Is(err, fs.ErrNotExist) {
		return l, false, nil
	}
	if err != nil {
		return l, false, err
	}
	l, err = access.OpenLedger(text, b.Ledger.Key.Public().(ed25519.PublicKey))
	if err != nil {
		return l, true, fmt.Errorf("%w: %w", errWrong, err)
	}
	return l, true, nil
}

// alive goes through the live grants, and leaves the trouble that it met.
func alive(tx *store.Tx) (iter.Seq[access.Grant], *error) {
	var failed error
	return func(yield func(access.Grant) bool) {
		for g, err := range tx.LiveGrants() {
			if err != nil {
				failed = err
				return
			}
			if !yield(g) {
				return
			}
		}
	}, &failed
}

// owed is the ledger of this moment. In a recovery there is none: what stands in the second place stays until people have
// looked at it.
func (b *Broker) owed(ctx context.Context) (l access.Ledger, err error) {
	err = b.Store.View(ctx, func(tx *store.Tx) error {
		r, err := tx.Recovery()
		if err == nil && r.State == access.Recovering {
			b.ledger.recovery.Store(&r)
			err = errBehind
		}
		if err != nil {
			return err
		}
		head, err := tx.Head()
		if err != nil {
			return err
		}
		live, failed := alive(tx)
		l = access.LedgerOf(live, r.EpochNow(), head, b.ManagementAccount(), b.Now())
		if *failed != nil {
			return *failed
		}
		l.Event, err = eventAt(tx, head)
		return err
	})
	return l, err
}

// lacking reports whether the database lacks what a ledger has seen.
func lacking(tx *store.Tx, l access.Ledger, epoch, head int64) (bool, error) {
	event, err := eventAt(tx, l.Seq)
	return err == nil && l.Lacks(epoch, head, event), err
}

// eventAt is the digest of the event at a place in the log; empty when there is none.
func eventAt(tx *store.Tx, seq int64) (string, error) {
	if seq == 0 {
		return "", nil
	}
	records, err := tx.EventsAfter(seq-1, 1)
	if err != nil || len(records) == 0 {
		return "", err
	}
	return audit.DigestOf(records[0].Text), nil
}
