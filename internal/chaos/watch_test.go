package chaos

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"sparekey/access"
	"sparekey/audit"
	"sparekey/internal/rig"
	"sparekey/internal/store"
	"sparekey/org"
)

// settles is how long access may be there that no grant in the database answers for, while nobody could look: a database that was
// replaced learns of it from the ledger.
const settles = 40 * time.Second

// watch looks at what must hold until the context ends.
func (w *world) watch(ctx context.Context) {
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			w.look()
		}
	}
}

// opened is the database to look at, or nil while there is none.
func (w *world) opened() *store.Store {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.store == nil {
		s, err := store.OpenReading(w.Context(), w.address)
		if err != nil {
			return nil
		}
		w.store = s
	}
	return w.store
}

// grants are all in the database; ok is false while it cannot be read.
func (w *world) grants() (all []access.Grant, ok bool) {
	s := w.opened()
	if s == nil {
		return nil, false
	}
	ctx, cancel := context.WithTimeout(w.Context(), 2*time.Second)
	defer cancel()
	err := s.View(ctx, func(tx *store.Tx) (err error) { all, err = tx.RecentGrants(1000); return err })
	return all, err == nil
}

// there is what AWS gives to single people beside what was there before.
func (w *world) there() map[access.Key]bool {
	all := map[access.Key]bool{}
	for _, a := range w.box.Assignments() {
		if a.Kind == org.User && !slices.Contains(w.foreign, a) {
			all[access.Key{Way: access.Assignment, Person: org.PersonID(a.Principal), Target: a.Target}] = true
		}
	}
	return all
}

// look checks what must hold at every moment. Grants are read before AWS and after it, so that what is said of a grant is said of a
// moment at which it was so.
func (w *world) look() {
	for _, f := range w.foreign {
		if !w.box.Assigned(f) {
			w.fail("%v is gone, which somebody else gave", f)
		}
	}
	before, ok := w.grants()
	if !ok {
		return
	}
	there, now := w.there(), time.Now()
	grants, ok := w.grants()
	if !ok {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	versions := map[string]int64{}
	for _, g := range before {
		versions[g.ID] = g.Version
	}
	for _, g := range grants {
		was := w.known[g.ID]
		if g.Version < was.Version && was.State != access.Active { // the database is another one, and knows less than was seen
			w.exempt[g.ID] = true
		}
		if g.State != access.Active || g.Held == access.PreExisting || there[g.Key()] || versions[g.ID] != g.Version {
			continue
		}
		if !w.switched.IsZero() && now.Sub(w.switched) < leaseTime { // ended by what had the old database, or is being ended by it
			w.exempt[g.ID] = true
		}
		if !w.exempt[g.ID] && w.trouble == nil {
			w.trouble = fmt.Errorf("something was removed that a live grant needs: %s", rig.Story(g))
		}
	}
	for _, g := range grants {
		w.known[g.ID] = g
	}
	w.strayed(there, grants, now)
}

// strayed checks that access which no grant answers for does not stay.
func (w *world) strayed(there map[access.Key]bool, grants []access.Grant, now time.Time) {
	for k := range there {
		answered := slices.ContainsFunc(grants, func(g access.Grant) bool {
			return g.Key() == k && !g.BegunAt.IsZero() && (g.Live() || g.Unsure && g.Checks < 2)
		})
		if answered {
			delete(w.strays, k)
			continue
		}
		if w.strays[k].IsZero() {
			w.strays[k] = now
		}
		if now.Sub(w.strays[k]) > settles && w.trouble == nil {
			w.trouble = fmt.Errorf("there is access that no grant answers for: %v", k)
		}
	}
	for k := range w.strays {
		if !there[k] {
			delete(w.strays, k)
		}
	}
}

// chained checks the record: its places have no gap, each change of a subject begins where the one before ended, and each grant is
// what its last event says.
func (w *world) chained() error {
	s := w.opened()
	if s == nil {
		return fmt.Errorf("the database cannot be read")
	}
	return s.View(w.Context(), func(tx *store.Tx) error {
		last := map[audit.Subject]*audit.Image{}
		for seq := int64(0); ; {
			records, err := tx.EventsAfter(seq, 500)
			if err != nil || len(records) == 0 {
				return joined(tx, last, err)
			}
			for _, e := range records {
				if seq++; e.Seq != seq {
					return fmt.Errorf("the record has a gap before %d", e.Seq)
				}
				if e.After == nil || e.Subject.Kind != "grant" && e.Subject.Kind != "request" {
					continue
				}
				was := last[e.Subject]
				if (was == nil) != (e.Before == nil) || was != nil && (e.Before.Digest != was.Digest || e.After.Version != was.Version+1) {
					return fmt.Errorf("%v: the event %s at %d does not follow on the one before", e.Subject, e.Kind, seq)
				}
				last[e.Subject] = e.After
			}
		}
	})
}

// joined holds the rows against the record's last words of them.
func joined(tx *store.Tx, last map[audit.Subject]*audit.Image, err error) error {
	if err != nil {
		return err
	}
	grants, err := tx.RecentGrants(1000)
	for _, g := range grants {
		digest, wrong := audit.Digest(g)
		if image := last[audit.Subject{Kind: "grant", ID: g.ID}]; wrong != nil || image == nil || image.Digest != digest {
			return fmt.Errorf("%s is not what its last event says: %v", g.ID, wrong)
		}
	}
	return err
}

// heads says how far the record and the ledger are.
func (w *world) heads() string {
	text, err := os.ReadFile(filepath.Join(w.folder, "kept.ledger"))
	said := fmt.Sprintf("the ledger (%v): %s\n", err, text)
	if s := w.opened(); s != nil {
		err = s.View(w.Context(), func(tx *store.Tx) error {
			head, err := tx.Head()
			said += fmt.Sprintf("the record has %d events\n", head)
			return err
		})
	}
	if err != nil {
		said += err.Error() + "\n"
	}
	return said
}

// story is what to read beside a failure.
func (w *world) story() string {
	var b strings.Builder
	fmt.Fprintf(&b, "it is %s; %d processes, SQLite: %v, apart: %v, AWS takes %s, %s\n", time.Now().UTC().Format("15:04:05.000"), w.plan.slots, !w.plan.postgres, w.plan.apart, w.plan.takes, w.plan.great)
	for _, a := range w.plan.acts {
		fmt.Fprintf(&b, "  %s\n", a)
	}
	grants, ok := w.grants()
	fmt.Fprintf(&b, "the database answers: %v\n", ok)
	for _, g := range grants {
		fmt.Fprintf(&b, "  %s\n", rig.Story(g))
	}
	for k := range w.there() {
		fmt.Fprintf(&b, "AWS gives %v\n", k)
	}
	for _, op := range w.box.State().Operations {
		fmt.Fprintf(&b, "AWS did %s of %s in %s for %s, accepted %s: %s\n", op.Kind, op.PermissionSet, op.Account, op.Principal, op.Accepted.UTC().Format("15:04:05.000"), op.Status)
	}
	b.WriteString(w.heads())
	w.mu.Lock()
	b.WriteString(strings.Join(w.remarks, "\n") + "\n")
	w.mu.Unlock()
	for _, l := range w.lives() {
		if l != nil {
			fmt.Fprintf(&b, "%s says at the end (alive: %v):\n%s\n", l.name, l.alive(), l.said.last(15))
		}
	}
	return b.String()
}
