package broker_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"io/fs"
	"strings"
	"sync"
	"testing"
	"time"

	"sparekey/access"
	"sparekey/internal/broker"
	"sparekey/internal/rig"
)

// elsewhere is a second place in memory.
type elsewhere struct {
	mu     sync.Mutex
	text   []byte
	broken error
}

func (e *elsewhere) Put(_ context.Context, text []byte) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.broken != nil {
		return e.broken
	}
	e.text = bytes.Clone(text)
	return nil
}

func (e *elsewhere) Get(context.Context) ([]byte, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.text == nil {
		return nil, fs.ErrNotExist
	}
	return bytes.Clone(e.text), nil
}

func (e *elsewhere) breaks(err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.broken = err
}

var ledgerKey = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, 32))

func (e *elsewhere) ledger(t *testing.T) access.Ledger {
	t.Helper()
	text, err := e.Get(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	l, err := access.OpenLedger(text, ledgerKey.Public().(ed25519.PublicKey))
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func withLedger(r *rig.Rig) *elsewhere {
	e := &elsewhere{}
	r.Broker.Ledger = broker.LedgerSettings{Place: e, Key: ledgerKey}
	return e
}

func beat(t *testing.T, r *rig.Rig) {
	t.Helper()
	if err := r.Broker.Beat(r.As("sparekey")); err != nil {
		t.Fatal(err)
	}
}

// TestEveryCreateIsInTheSecondPlaceBefore looks into the second place at each create that AWS is asked for.
func TestEveryCreateIsInTheSecondPlaceBefore(t *testing.T) {
	rig.OnBoth(t, func(t *testing.T, r *rig.Rig) {
		e := withLedger(r)
		asked := map[string]bool{}
		r.Before(func(operation string) {
			if operation != "CreateAccountAssignment" {
				return
			}
			for _, o := range e.ledger(t).Owed {
				asked[o.Grant] = true
			}
		})
		beat(t, r)
		first, second := r.Ask("dana", "play ReadOnly").Lines[0].Grant, r.Ask("eli", "play-two ReadOnly").Lines[0].Grant
		for _, id := range []string{first, second} {
			if g := r.Become(id, access.Active, 2*time.Minute); !asked[id] {
				t.Errorf("%s was created before its end stood in the second place", rig.Story(g))
			}
		}
		beat(t, r)
		l := e.ledger(t)
		if len(l.Owed) != 2 || l.Seq != r.Head() || !l.Owed[0].End().Before(l.Owed[0].HardEnd) || l.Management != r.O.ManagementAccount {
			t.Errorf("%+v", l)
		}
		r.Pass(time.Hour)
		beat(t, r)
		if l := e.ledger(t); len(l.Owed) != 0 || !l.WrittenAt.Equal(r.Clock.Now().Truncate(time.Millisecond)) {
			t.Errorf("after the ends: %+v", l)
		}
	})
}

// TestNothingStartsWhileTheSecondPlaceIsBroken: what is held ends, and the rest waits until it is mended.
func TestNothingStartsWhileTheSecondPlaceIsBroken(t *testing.T) {
	rig.OnBoth(t, func(t *testing.T, r *rig.Rig) {
		e := withLedger(r)
		beat(t, r)
		held := r.Ask("dana", "play ReadOnly").Lines[0].Grant
		r.Become(held, access.Active, time.Minute)
		waiting := r.Ask("eli", "play-two ReadOnly").Lines[0].Grant
		before := creates(r)
		e.breaks(errors.New("stale file handle"))
		r.Pass(time.Minute)
		const words = "what must end cannot be written to the second place"
		if g := r.Grant(waiting); creates(r) != before || g.Trouble != words {
			t.Errorf("%d creates; %s", creates(r)-before, rig.Story(g))
		}
		if s, err := r.Broker.Status(r.As("dana")); err != nil || s.Halted != words || !strings.Contains(r.Log.String(), "stale file handle") {
			t.Errorf("%+v, %v", s, err)
		}
		if _, err := r.Broker.End(r.As("dana"), held, ""); err != nil {
			t.Error(err)
		}
		r.Become(held, access.Ended, time.Minute)
		e.breaks(nil)
		beat(t, r)
		r.Become(waiting, access.Active, 2*time.Minute)
	})
}
