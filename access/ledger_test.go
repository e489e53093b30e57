package access

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"sparekey/org"
)

var ledgerKey = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, ed25519.SeedSize))

func public(k ed25519.PrivateKey) ed25519.PublicKey { return k.Public().(ed25519.PublicKey) }

var ledgerStart = time.Date(2026, 11, 22, 3, 0, 0, 0, time.UTC)

func owed(grant, person string, hard, ends time.Duration, kept bool) Owed {
	o := Owed{Grant: grant, Key: Key{Way: Assignment, Person: org.PersonID(person), Target: org.Target{Account: "1", PermissionSet: "s"}}, HardEnd: ledgerStart.Add(hard), Kept: kept}
	if ends != 0 {
		o.EndsAt = ledgerStart.Add(ends)
	}
	return o
}

func TestALedgerIsWhatLiveGrantsOwe(t *testing.T) {
	at := ledgerStart
	place := Place{Target: org.Target{Account: "1", PermissionSet: "s"}}
	begun := Grant{ID: "g-2", State: Granting, Person: Named{ID: "p"}, Target: place, Terms: Terms{Way: Assignment}, BegunAt: at, HardEnd: at.Add(time.Hour), Held: Ours}
	active := begun
	active.ID, active.State, active.EndsAt, active.Held = "g-1", Active, at.Add(time.Minute), PreExisting
	ending := begun
	ending.ID, ending.State, ending.EndsAt, ending.EndingAt, ending.End = "g-3", Ending, at.Add(time.Minute), at, &EndCause{}
	waiting, session, over := Grant{ID: "g-4", State: Waiting, Terms: Terms{Way: Assignment}}, begun, begun
	session.ID, session.Way = "g-5", Session
	over.ID, over.State = "g-6", Ended
	l := LedgerOf(slices.Values([]Grant{begun, active, ending, waiting, session, over}), 1, 7, "m", at)
	want := Ledger{Epoch: 1, Seq: 7, WrittenAt: at, Management: "m", Owed: []Owed{owed("g-1", "p", time.Hour, time.Minute, true), owed("g-2", "p", time.Hour, 0, false), owed("g-3", "p", time.Hour, 0, false)}}
	want.Owed[2].EndsAt = at
	if !reflect.DeepEqual(l, want) {
		t.Errorf("%+v\nwant\n%+v", l, want)
	}
}

func TestOverdueIsWhatNothingElseNeeds(t *testing.T) {
	l := Ledger{Owed: []Owed{
		owed("a", "due", time.Hour, 10*time.Minute, false), owed("b", "extended", time.Hour, 10*time.Minute, false), owed("c", "extended", time.Hour, 0, false),
		owed("d", "before", time.Hour, time.Minute, true), owed("e", "hard", 5*time.Minute, 0, false), owed("f", "relied-on", time.Hour, 0, true), owed("g", "relied-on", time.Minute, 0, false),
	}}
	people := func(after time.Duration) (all []org.PersonID) {
		for _, k := range l.Overdue(ledgerStart.Add(10*time.Minute), after) {
			all = append(all, k.Person)
		}
		return all
	}
	if got := people(0); !reflect.DeepEqual(got, []org.PersonID{"hard", "due"}) {
		t.Error(got)
	}
	if got := people(time.Minute); !reflect.DeepEqual(got, []org.PersonID{"hard"}) {
		t.Error(got)
	}
}

// TestWhatIsOverdueIsOwedByEntriesThatAreAllDue holds arbitrary ledgers against the definition.
func TestWhatIsOverdueIsOwedByEntriesThatAreAllDue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var l Ledger
		for range rapid.IntRange(0, 12).Draw(t, "entries") {
			l.Owed = append(l.Owed, owed("", rapid.SampledFrom([]string{"p", "q", "r"}).Draw(t, "person"), time.Duration(rapid.IntRange(1, 50).Draw(t, "hard"))*time.Minute,
				time.Duration(rapid.IntRange(0, 50).Draw(t, "ends"))*time.Minute, rapid.Bool().Draw(t, "kept")))
		}
		now := ledgerStart.Add(time.Duration(rapid.IntRange(0, 60).Draw(t, "now")) * time.Minute)
		overdue := map[Key]bool{}
		for _, k := range l.Overdue(now, 0) {
			overdue[k] = true
		}
		needed, ours := map[Key]bool{}, map[Key]bool{}
		for _, o := range l.Owed {
			needed[o.Key] = needed[o.Key] || now.Before(o.End())
			ours[o.Key] = ours[o.Key] || !o.Kept
		}
		for _, o := range l.Owed {
			if want := ours[o.Key] && !needed[o.Key]; overdue[o.Key] != want {
				t.Fatalf("%+v overdue: %v", o, overdue[o.Key])
			}
		}
	})
}

func TestASignedLedgerIsOpenedOnlyWhole(t *testing.T) {
	l := Ledger{Epoch: 2, Seq: 9, WrittenAt: ledgerStart, Owed: []Owed{owed("a", "p", time.Hour, time.Minute, true)}}
	text, err := l.Sign(ledgerKey)
	if err != nil {
		t.Fatal(err)
	}
	got, err := OpenLedger(text, public(ledgerKey))
	if err != nil || !reflect.DeepEqual(got, l) {
		t.Fatalf("%+v, %v", got, err)
	}
	if _, err := OpenLedger(text, public(ed25519.NewKeyFromSeed(make([]byte, 32)))); !errors.Is(err, ErrLedger) {
		t.Errorf("with another key: %v", err)
	}
	for i := range text {
		wrong := bytes.Clone(text)
		wrong[i] ^= 1
		if _, err := OpenLedger(wrong, public(ledgerKey)); !errors.Is(err, ErrLedger) {
			t.Fatalf("with byte %d changed: %v", i, err)
		}
		if _, err := OpenLedger(text[:i], public(ledgerKey)); !errors.Is(err, ErrLedger) {
			t.Fatalf("cut off at %d: %v", i, err)
		}
	}
}

func TestADatabaseIsBehindByItsEpochOrItsLog(t *testing.T) {
	l := Ledger{Epoch: 2, Seq: 9}
	for _, c := range []struct {
		epoch, seq int64
		behind     bool
	}{{2, 9, false}, {2, 10, false}, {2, 8, true}, {1, 100, true}, {3, 1, false}} {
		if got := l.Before(c.epoch, c.seq); got != c.behind {
			t.Errorf("%+v: %v", c, got)
		}
	}
}

func TestALedgerThatSaysTooLittleIsRefused(t *testing.T) {
	good := func() Ledger {
		return Ledger{Epoch: 1, WrittenAt: ledgerStart, Owed: []Owed{owed("a", "p", time.Hour, 0, false)}}
	}
	for name, change := range map[string]func(*Ledger){
		"no epoch": func(l *Ledger) { l.Epoch = 0 }, "no time": func(l *Ledger) { l.WrittenAt = time.Time{} }, "a place before the log": func(l *Ledger) { l.Seq = -1 },
		"no grant": func(l *Ledger) { l.Owed[0].Grant = "" }, "one twice": func(l *Ledger) { l.Owed = append(l.Owed, l.Owed[0]) }, "a session": func(l *Ledger) { l.Owed[0].Key.Way = Session },
		"no person": func(l *Ledger) { l.Owed[0].Key.Person = "" }, "no end": func(l *Ledger) { l.Owed[0].HardEnd = time.Time{} }, "no group": func(l *Ledger) { l.Owed[0].Key.Way = Membership },
		"no account": func(l *Ledger) { l.Owed[0].Key.Account = "" }, "no set": func(l *Ledger) { l.Owed[0].Key.PermissionSet = "" },
	} {
		l := good()
		change(&l)
		text, err := l.Sign(ledgerKey)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := OpenLedger(text, public(ledgerKey)); !errors.Is(err, ErrLedger) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzParseLedger(f *testing.F) {
	l := Ledger{Epoch: 2, Seq: 9, WrittenAt: ledgerStart, Owed: []Owed{owed("a", "p", time.Hour, time.Minute, true)}}
	text, err := l.Sign(ledgerKey)
	if err != nil {
		f.Fatal(err)
	}
	_, body, _ := bytes.Cut(bytes.TrimSpace(text), []byte("\n"))
	f.Add(body)
	f.Add([]byte(`{"epoch":1,"owed":null,"seq":0,"writtenAt":"2026-11-22T03:00:00Z"}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		l, err := parseLedger(body)
		if err != nil {
			return
		}
		text, err := l.Sign(ledgerKey)
		if err != nil {
			t.Fatal(err)
		}
		again, err := OpenLedger(text, public(ledgerKey))
		if err != nil || !reflect.DeepEqual(again, l) || !bytes.Contains(text, body) {
			t.Fatalf("%+v, %v", again, err)
		}
		l.Overdue(ledgerStart, 0)
	})
}
