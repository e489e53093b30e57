package access

import (
	"bytes"
	"cmp"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"sparekey/audit"
	"sparekey/org"
)

// Ledger is what must end, as it is written outside of the database: with it alone, and a key to check it by, anybody who may
// delete can end what a dead Sparekey gave (design rule 6). The place in the log, the epoch and the time are signed with it, so
// that an old ledger in the place of a newer one shows.
type Ledger struct {
	Epoch      int64         `json:"epoch"`           // counts how often people have released a restored database
	Seq        int64         `json:"seq"`             // place of the newest event of the log
	Event      string        `json:"event,omitempty"` // digest of that event
	WrittenAt  time.Time     `json:"writtenAt"`       // also a sign of life
	Management org.AccountID `json:"management,omitempty"`
	Owed       []Owed        `json:"owed"`
}

// Owed is an end that is owed: of a grant that is or may be in AWS.
type Owed struct {
	Grant   string    `json:"grant"`
	Key     Key       `json:"key"`
	HardEnd time.Time `json:"hardEnd"`
	EndsAt  time.Time `json:"endsAt,omitzero"` // if it is known: it is active, or is being ended
	// Kept access was there before the grant. It is not ours to delete, unless another grant made it anew.
	Kept bool `json:"kept,omitempty"`
}

// End is when what is owed is due.
func (o Owed) End() time.Time {
	if o.EndsAt.IsZero() {
		return o.HardEnd
	}
	return earliest(o.HardEnd, o.EndsAt)
}

// LedgerOf is what live grants owe. Sessions are not in it, since each carries its end; nor is what waits, since nothing of
// it is in AWS. What has ended is left out once AWS has confirmed that.
func LedgerOf(live iter.Seq[Grant], epoch, seq int64, management org.AccountID, now time.Time) Ledger {
	l := Ledger{Epoch: epoch, Seq: seq, WrittenAt: moment(now), Management: management, Owed: []Owed{}}
	for g := range live {
		if g.Live() && g.Way.Leaves() && !g.BegunAt.IsZero() {
			o := Owed{Grant: g.ID, Key: g.Key(), HardEnd: g.HardEnd, Kept: g.Held == PreExisting}
			if due := g.EndDue(); !due.Equal(g.HardEnd) {
				o.EndsAt = due
			}
			l.Owed = append(l.Owed, o)
		}
	}
	slices.SortFunc(l.Owed, func(a, b Owed) int { return cmp.Compare(a.Grant, b.Grant) })
	return l
}

// Overdue lists the accesses that should have ended some time ago, the longest overdue first. What an entry that is not yet due
// needs is not overdue, nor is what was there before every grant.
func (l Ledger) Overdue(now time.Time, after time.Duration) []Key {
	due, ours := map[Key]time.Time{}, map[Key]bool{}
	for _, o := range l.Owed {
		due[o.Key] = latest(due[o.Key], o.End())
		ours[o.Key] = ours[o.Key] || !o.Kept
	}
	var keys []Key
	for k, at := range due {
		if ours[k] && !now.Before(at.Add(after)) {
			keys = append(keys, k)
		}
	}
	slices.SortFunc(keys, func(a, b Key) int {
		return cmp.Or(due[a].Compare(due[b]), cmp.Compare(fmt.Sprint(a), fmt.Sprint(b)))
	})
	return keys
}

// Before reports whether a database at an epoch and a place in the log is behind the ledger: it lacks what the ledger has seen.
func (l Ledger) Before(epoch, seq int64) bool {
	return cmp.Or(cmp.Compare(epoch, l.Epoch), cmp.Compare(seq, l.Seq)) < 0
}

// Lacks reports whether a database lacks what the ledger has seen: it is behind, or it was and has gone on since, so that another
// event has the place. That one's digest is given where the database has one there.
func (l Ledger) Lacks(epoch, seq int64, event string) bool {
	return l.Before(epoch, seq) || epoch == l.Epoch && l.Event != "" && event != l.Event
}

const (
	ledgerHead    = "sparekey-ledger-v1 "
	longestLedger = 256 << 20 // bytes
)

// ErrLedger is wrapped by what is wrong with a ledger.
var ErrLedger = errors.New("not a ledger of this Sparekey")

func wrongLedger(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrLedger, fmt.Sprintf(format, args...))
}

// signed is what the signature is over. Its first words keep it from being taken for anything else that the key has signed.
func signed(body []byte) []byte { return append([]byte(ledgerHead+"\n"), body...) }

// Sign returns the ledger as it is written: a line with the signature, and a line of canonical JSON.
func (l Ledger) Sign(key ed25519.PrivateKey) ([]byte, error) {
	body, err := audit.Canonical(l)
	if err != nil {
		return nil, fmt.Errorf("writing the ledger: %w", err)
	}
	line := ledgerHead + base64.StdEncoding.EncodeToString(ed25519.Sign(key, signed(body))) + "\n"
	return append(append([]byte(line), body...), '\n'), nil
}

// OpenLedger reads a ledger. Nothing of it is looked at before its signature was found right.
func OpenLedger(text []byte, key ed25519.PublicKey) (Ledger, error) {
	if len(text) > longestLedger {
		return Ledger{}, wrongLedger("it has more than %d bytes", longestLedger)
	}
	line, rest, _ := bytes.Cut(text, []byte("\n"))
	body, ended := bytes.CutSuffix(rest, []byte("\n"))
	words, ok := strings.CutPrefix(string(line), ledgerHead)
	if !ok || !ended {
		return Ledger{}, wrongLedger("it does not begin and end as one does")
	}
	signature, err := base64.StdEncoding.Strict().DecodeString(words)
	if err != nil || len(signature) != ed25519.SignatureSize {
		return Ledger{}, wrongLedger("its first line has no signature")
	}
	if len(key) != ed25519.PublicKeySize || !ed25519.Verify(key, signed(body), signature) {
		return Ledger{}, wrongLedger("it was signed with another key, or changed since")
	}
	return parseLedger(body)
}

// parseLedger reads the body of a ledger: canonical JSON with nothing more and nothing less in it.
func parseLedger(body []byte) (Ledger, error) {
	var l Ledger
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(&l); err != nil {
		return Ledger{}, wrongLedger("%v", err)
	}
	again, err := audit.Canonical(l)
	if err != nil || !bytes.Equal(again, body) {
		return Ledger{}, wrongLedger("it is not in its canonical form")
	}
	if l.Epoch < 1 || l.Seq < 0 || l.WrittenAt.IsZero() {
		return Ledger{}, wrongLedger("its epoch, its place in the log or its time is missing")
	}
	seen := map[string]bool{}
	for _, o := range l.Owed {
		k := o.Key
		switch {
		case o.Grant == "" || seen[o.Grant]:
			return Ledger{}, wrongLedger("an entry names no grant, or one again: %q", o.Grant)
		case k.Way != Assignment && k.Way != Membership || k.Person == "" || k.Account == "" || k.PermissionSet == "" || (k.Way == Membership) != (k.Group != ""):
			return Ledger{}, wrongLedger("the entry of %s does not say what is to end", o.Grant)
		case o.HardEnd.IsZero():
			return Ledger{}, wrongLedger("the entry of %s has no end", o.Grant)
		}
		seen[o.Grant] = true
	}
	return l, nil
}
