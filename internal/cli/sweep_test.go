package cli

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sparekey/access"
	"sparekey/internal/broker"
	"sparekey/internal/place"
	"sparekey/internal/rig"
	"sparekey/internal/sandbox"
	"sparekey/org"
)

// keptBy has a rig's broker keep a ledger, and returns a sweep of it that lives by the rig's clock.
func keptBy(t *testing.T, r *rig.Rig) (sweep func(dry bool) (code int, said string), file string) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "ledger")
	key := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, 32))
	r.Broker.Ledger = broker.LedgerSettings{Place: place.File{Path: file}, Key: key}
	keys := filepath.Join(t.TempDir(), "sweep.json")
	text, err := json.Marshal(r.Box.Key(r.O.ManagementAccount, "sweep"))
	if err == nil {
		err = os.WriteFile(keys, text, 0o600)
	}
	if err == nil {
		err = r.Broker.Beat(r.As("sparekey"))
	}
	if err != nil {
		t.Fatal(err)
	}
	return func(dry bool) (int, string) {
		var out bytes.Buffer
		a := &app{out: &out, err: &out, output: "text"}
		b := &broom{
			app: a, key: key.Public().(ed25519.PublicKey), from: place.File{Path: file}, dry: dry, now: r.Clock.Now, halt: func() string { return "" },
			sleep: func(_ context.Context, d time.Duration) error { r.Clock.Advance(d); return nil },
		}
		if b.ways, err = (sweeping{region: "us-east-1", endpoint: r.AWS, credentials: keys}).ways(nil, func() org.AccountID { return b.management }); err != nil {
			t.Fatal(err)
		}
		code := exitDone
		if err := b.sweep(t.Context()); err != nil {
			code = a.explain(err)
		}
		return code, out.String()
	}, file
}

// sweptCalls are the operations that AWS was asked for since there were so many.
func sweptCalls(r *rig.Rig, before int) []string {
	calls := slices.Clone(r.Calls()[before:])
	slices.Sort(calls)
	return slices.Compact(calls)
}

// TestASweepEndsWhatADeadSparekeyOwes has Sparekey die with one grant due, one not, and one access that an extension needs:
// only the first is ended, by listing and deleting alone, and a second sweep finds nothing to do.
func TestASweepEndsWhatADeadSparekeyOwes(t *testing.T) {
	rig.OnBoth(t, func(t *testing.T, r *rig.Rig) {
		sweep, _ := keptBy(t, r)
		due := r.Ask("dana", "play ReadOnly").Lines[0].Grant
		r.Become(due, access.Active, time.Minute)
		r.Pass(20 * time.Minute)
		later := r.Ask("eli", "play-two ReadOnly").Lines[0].Grant
		r.Become(later, access.Active, time.Minute)
		if err := r.Broker.Beat(r.As("sparekey")); err != nil {
			t.Fatal(err)
		}
		r.Clock.Advance(15 * time.Minute) // and nobody does anything
		before := len(r.Calls())
		if code, said := sweep(true); code != 0 || !strings.Contains(said, "would end  assignment") || !r.Box.Assigned(r.Assignment("dana", "play", "ReadOnly")) {
			t.Errorf("%d\n%s", code, said)
		}
		code, said := sweep(false)
		if code != 0 || !strings.Contains(said, "2 ends owed, 1 overdue") || !strings.Contains(said, "\nended      assignment") {
			t.Errorf("%d\n%s", code, said)
		}
		if r.Box.Assigned(r.Assignment("dana", "play", "ReadOnly")) || !r.Box.Assigned(r.Assignment("eli", "play-two", "ReadOnly")) {
			t.Error("not what was due, and only that, has ended")
		}
		if code, said := sweep(false); code != 0 || !strings.Contains(said, "not listed assignment") {
			t.Errorf("again: %d\n%s", code, said)
		}
		allowed := []string{"DeleteAccountAssignment", "DescribeAccountAssignmentDeletionStatus", "ListAccountAssignments", "ListInstances"}
		if calls := sweptCalls(r, before); !slices.Equal(calls, allowed) {
			t.Errorf("asked for %v", calls)
		}
		r.Become(due, access.Verified, 30*time.Minute) // it lives again, and finds what was done
	})
}

// TestASweepLeavesWhatCannotBeCheckedAlone: a ledger that was changed, or is not there, ends nothing.
func TestASweepLeavesWhatCannotBeCheckedAlone(t *testing.T) {
	r := rig.New(t, "sqlite:"+filepath.Join(t.TempDir(), "s.db"), sandbox.Behaviour{})
	sweep, file := keptBy(t, r)
	r.Become(r.Ask("dana", "play ReadOnly").Lines[0].Grant, access.Active, time.Minute)
	r.Clock.Advance(3 * time.Hour)
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	before := len(r.Calls())
	for _, wrong := range [][]byte{bytes.Replace(text, []byte(r.Person("dana").ID), []byte(r.Person("eli").ID), 1), text[:len(text)-1], nil} {
		if err := os.WriteFile(file, wrong, 0o600); err != nil {
			t.Fatal(err)
		}
		if code, said := sweep(false); code != exitFailed || !strings.Contains(said, access.ErrLedger.Error()) {
			t.Errorf("%d\n%s", code, said)
		}
	}
	if n := len(r.Calls()); n != before {
		t.Errorf("AWS was asked %d times", n-before)
	}
}

// TestASweepSaysWhatItCouldNotEnd: AWS refuses, and the exit code says so.
func TestASweepSaysWhatItCouldNotEnd(t *testing.T) {
	r := rig.New(t, "sqlite:"+filepath.Join(t.TempDir(), "s.db"), sandbox.Behaviour{})
	sweep, _ := keptBy(t, r)
	r.Become(r.Ask("dana", "play ReadOnly").Lines[0].Grant, access.Active, time.Minute)
	r.Clock.Advance(3 * time.Hour)
	r.Box.Script(sandbox.Fault{Operation: "DeleteAccountAssignment", Kind: sandbox.Denied})
	if code, said := sweep(false); code != exitFailed || !strings.Contains(said, "error: 1 access that is overdue could not be ended") {
		t.Errorf("%d\n%s", code, said)
	}
}
