package broker_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"sparekey/access"
	"sparekey/internal/aws"
	"sparekey/internal/broker"
	"sparekey/internal/rig"
	"sparekey/internal/sandbox"
	"sparekey/internal/store"
)

// others gives and takes away as somebody else does, past Sparekey.
type others struct {
	*rig.Rig
	*aws.Assignments
}

func othersOf(r *rig.Rig) others {
	return others{r, aws.NewAssignments(r.Connection, aws.NewCenter(r.Connection, r.O.Instance, r.O.IdentityStore))}
}

func (o others) key(user, account, set string) access.Key {
	return access.Key{Way: access.Assignment, Person: o.Person(user).ID, Target: o.Target(account, set)}
}

func (o others) gives(user, account, set string) {
	o.Helper()
	if _, err := o.Broker.Directory.Person(o.Context(), o.Person(user).ID); err != nil { // the rig watches that nobody gets access unseen
		o.Fatal(err)
	}
	if _, err := o.Create(o.Context(), o.key(user, account, set)); err != nil {
		o.Fatal(err)
	}
	o.Clock.Advance(time.Minute)
}

func (o others) takes(user, account, set string) {
	o.Helper()
	if _, err := o.Delete(o.Context(), o.key(user, account, set)); err != nil {
		o.Fatal(err)
	}
	o.Clock.Advance(time.Minute)
}

// finds reconciles an hour later and says what is found, "kind user account set".
func (o others) finds() []string {
	o.Helper()
	o.Clock.Advance(time.Hour)
	if err := o.Broker.Reconcile(o.Context()); err != nil {
		o.Fatal(err)
	}
	d, m, err := o.Broker.Drift(o.As("ana"))
	if err != nil {
		o.Fatal(err)
	}
	if d.Seen != d.Accounts || !d.Oldest.Equal(o.Clock.Now().Truncate(time.Millisecond)) {
		o.Errorf("%d of %d accounts were looked at, the last %s ago", d.Seen, d.Accounts, o.Clock.Now().Sub(d.Oldest))
	}
	var found []string
	for _, f := range d.Found {
		p, place := f.Assignment.Principal, access.PlaceOf(f.Assignment.Target, m)
		for _, known := range m.Organization().People {
			if string(known.ID) == p {
				p = known.User
			}
		}
		found = append(found, fmt.Sprintf("%s %s %s %s", f.Kind, p, place.AccountName, place.PermissionSetName))
	}
	slices.Sort(found)
	return found
}

func (o others) want(want ...string) {
	o.Helper()
	if got := o.finds(); !slices.Equal(got, want) {
		o.Errorf("found %q, want %q", got, want)
	}
}

// drifts are the recorded findings, "kind finding".
func (o others) drifts() (all []string) {
	o.Helper()
	err := o.Store.View(o.Context(), func(tx *store.Tx) error {
		events, err := tx.EventsAfter(0, 10000)
		for _, e := range events {
			if strings.HasPrefix(e.Kind, "drift.") {
				all = append(all, e.Kind+" "+e.Detail["finding"])
			}
		}
		return err
	})
	if err != nil {
		o.Fatal(err)
	}
	return all
}

func TestWhatNoGrantHasIsFoundAndStays(t *testing.T) {
	t.Parallel()
	rig.OnBoth(t, func(t *testing.T, r *rig.Rig) {
		o := othersOf(r)
		o.want()
		r.Clock.Advance(time.Second)
		o.gives("eli", "play", "PowerUser")
		live := r.Ask("dana", "play PowerUser").Lines[0].Grant
		r.Become(live, access.Active, time.Minute)
		if err := r.Broker.Reconcile(t.Context()); err != nil { // within the hour: only where a grant lives
			t.Fatal(err)
		}
		o.takes("dana", "play", "PowerUser")
		if g := r.Grant(live); g.State != access.Active {
			t.Fatal(g.State)
		}
		r.Clock.Advance(10 * time.Minute)
		if err := r.Broker.Reconcile(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := o.drifts(); !slices.Equal(got, []string{"drift.found foreign", "drift.found missing"}) {
			t.Errorf("recorded: %q", got)
		}
		if !strings.Contains(r.Log.String(), "what AWS gives is not what Sparekey gave") {
			t.Error("nobody is told that access is missing")
		}
		if _, err := r.Broker.End(r.As("dana"), live, "done"); err != nil {
			t.Fatal(err)
		}
		r.Become(live, access.Verified, 30*time.Minute)
		o.want("foreign eli play PowerUser")
		o.gives("dana", "play", "PowerUser")
		o.want("foreign eli play PowerUser", "orphaned dana play PowerUser")
		o.want("foreign eli play PowerUser", "orphaned dana play PowerUser")
		if n := len(o.drifts()); n != 4 { // what is found again is no news
			t.Errorf("%d recorded: %q", n, o.drifts())
		}
		for _, c := range r.Box.Calls()[len(r.Box.Calls())-10:] {
			if c.Changed {
				t.Errorf("%s changed something", c.Operation)
			}
		}
		o.takes("dana", "play", "PowerUser")
		o.takes("eli", "play", "PowerUser")
		o.want()
		_, _, err := r.Broker.Drift(r.As("dana"))
		refusedWith(t, err, access.ErrRefused, "dana")
	})
}

func TestWhatIsChosenIsTakenAwayAndNothingThatAGrantHas(t *testing.T) {
	t.Parallel()
	for name, address := range rig.Engines {
		for _, chosen := range []broker.Enforcement{{Orphaned: true}, {People: true}, {Orphaned: true, People: true}} {
			t.Run(fmt.Sprintf("%s %+v", name, chosen), func(t *testing.T) {
				t.Parallel()
				r := rig.New(t, address(t), sandbox.Behaviour{})
				r.Broker.Enforce = chosen
				o := othersOf(r)
				before := r.Ask("eli", "play ReadOnly").Lines[0].Grant
				r.Become(before, access.Active, time.Minute)
				if _, err := r.Broker.End(r.As("eli"), before, "done"); err != nil {
					t.Fatal(err)
				}
				r.Become(before, access.Verified, 30*time.Minute)
				o.gives("eli", "play", "ReadOnly")
				o.gives("kim", "play", "PowerUser")
				o.gives("kim", "management", "PowerUser") // no rule lends there
				held := r.Ask("dana", "play PowerUser").Lines[0].Grant
				r.Become(held, access.Active, time.Minute)
				first := o.finds()
				if len(first) != 3 {
					t.Fatalf("found %q", first)
				}
				if r.Grant(held).Live() {
					r.Pass(2 * time.Hour)
				}
				o.finds() // found again: taken away
				r.Clock.Advance(time.Minute)
				var want []string
				if !chosen.People {
					want = append(want, "foreign kim play PowerUser")
				}
				want = append(want, "foreign kim management PowerUser")
				if !chosen.Orphaned {
					want = append(want, "orphaned eli play ReadOnly")
				}
				slices.Sort(want)
				o.want(want...)
				removals := 3 - len(want)
				if n := strings.Count(strings.Join(o.drifts(), "\n"), "drift.removing"); n != removals {
					t.Errorf("%d removals recorded, want %d: %q", n, removals, o.drifts())
				}
			})
		}
	}
}
