package world

import (
	"errors"
	"testing"
	"time"

	"sparekey/org"
)

var start = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

const described = `
accounts:
  - {id: "100000000001", name: management}
  - {id: "100000000002", name: other, ou: A/B}
permission-sets: [{name: Admin}]
people: [{user: dana, groups: [ops]}]
`

func world(t *testing.T, lag time.Duration) (*World, org.Assignment) {
	t.Helper()
	o, _, err := org.Describe("w", []byte(described))
	if err != nil {
		t.Fatal(err)
	}
	w := New(Seed{
		Organization: o, Region: "us-east-1", Timing: Timing{Assignment: 2 * time.Second, Account: time.Minute, Listing: lag}, Source: NewSource(1), Now: start,
	})
	return w, org.Assignment{Kind: org.User, Principal: string(o.People[0].ID), Target: org.Target{Account: "100000000002", PermissionSet: o.PermissionSets[0].ARN}}
}

func at(seconds float64) time.Time { return start.Add(time.Duration(seconds * float64(time.Second))) }

func begin(t *testing.T, w *World, seconds float64, kind Kind, a org.Assignment, fate Fate) string {
	t.Helper()
	w.Settle(at(seconds))
	op, err := w.Begin(at(seconds), kind, a, fate)
	if err != nil {
		t.Fatal(err)
	}
	return op.ID
}

// TestAFateMovesTheEffectAwayFromTheEnd follows one creation through its first ten seconds, under every fate.
func TestAFateMovesTheEffectAwayFromTheEnd(t *testing.T) {
	type moment struct {
		status   Status
		assigned bool
	}
	progress, done, failed := InProgress, Succeeded, Failed
	for name, c := range map[string]struct {
		fate Fate
		want map[float64]moment
	}{
		"a good day":              {Fate{}, map[float64]moment{1.9: {progress, false}, 2: {done, true}}},
		"lost":                    {Fate{Fails: true, Lost: true}, map[float64]moment{1.9: {progress, false}, 2: {failed, false}, 10: {failed, false}}},
		"failed, but it happened": {Fate{Fails: true}, map[float64]moment{1.9: {progress, false}, 2: {failed, true}}},
		"late":                    {Fate{Fails: true, Lands: 5 * time.Second}, map[float64]moment{2: {failed, false}, 4.9: {failed, false}, 5: {failed, true}}},
		"early":                   {Fate{Lands: time.Second}, map[float64]moment{0.9: {progress, false}, 1: {progress, true}, 2: {done, true}}},
		"slow":                    {Fate{Slower: time.Second, Factor: 3}, map[float64]moment{6.9: {progress, false}, 7: {done, true}}},
	} {
		t.Run(name, func(t *testing.T) {
			for seconds, want := range c.want { // each on a world of its own: nobody looked before
				w, a := world(t, 0)
				id := begin(t, w, 0, Create, a, c.fate)
				w.Settle(at(seconds))
				op, _ := w.Operation(id)
				if got := (moment{op.Status, w.Assigned(a)}); got != want {
					t.Errorf("after %v s: %+v, want %+v", seconds, got, want)
				}
			}
		})
	}
}

func TestADelayedCreationCanLandAfterADeletion(t *testing.T) {
	w, a := world(t, 0)
	begin(t, w, 0, Create, a, Fate{Fails: true, Lands: 10 * time.Second})
	id := begin(t, w, 3, Delete, a, Fate{})
	w.Settle(at(6))
	if op, _ := w.Operation(id); op.Status != Succeeded || w.Assigned(a) || !w.Unlanded() {
		t.Errorf("%+v, assigned %v", op, w.Assigned(a))
	}
	w.Settle(at(60))
	if !w.Assigned(a) || w.Since(a) != at(10) || w.Unlanded() {
		t.Errorf("assigned %v since %v", w.Assigned(a), w.Since(a))
	}
}

func TestAHiddenOperationIsNowhere(t *testing.T) {
	w, a := world(t, 0)
	id := begin(t, w, 0, Create, a, Fate{Hidden: true})
	if _, ok := w.Operation(id); ok || len(w.Operations(Create)) != 0 || w.Outstanding() != 0 {
		t.Error("it is to be seen")
	}
	begin(t, w, 0, Delete, a, Fate{}) // no conflict
	w.Settle(at(2))
	if !w.Assigned(a) {
		t.Error("it did not happen")
	}
}

func TestEffectsHappenInTheOrderOfTheirTimes(t *testing.T) {
	w, a := world(t, 0)
	begin(t, w, 0, Create, a, Fate{Fails: true, Lost: true})
	begin(t, w, 2, Create, a, Fate{Fails: true, Lands: 20 * time.Second})
	begin(t, w, 5, Delete, a, Fate{Fails: true, Lands: 10 * time.Second})
	w.Settle(at(100)) // deleted at 15, created at 22, all in one look
	if !w.Assigned(a) || w.Since(a) != at(22) {
		t.Errorf("assigned %v since %v", w.Assigned(a), w.Since(a))
	}
}

func TestAnUnfinishedOperationKeepsItsPermissionSet(t *testing.T) {
	w, a := world(t, 0)
	begin(t, w, 0, Create, a, Fate{Fails: true, Lost: true})
	if err := w.RemovePermissionSet(a.PermissionSet); !errors.Is(err, ErrInUse) {
		t.Error(err)
	}
	w.Settle(at(2))
	if err := w.RemovePermissionSet(a.PermissionSet); err != nil {
		t.Error(err)
	}
	id := begin(t, w, 3, Create, a, Fate{})
	w.Settle(at(9))
	if op, _ := w.Operation(id); op.Status != Failed || w.Assigned(a) || len(w.Roles()) != 0 {
		t.Errorf("%+v", op)
	}
}

func TestListingsUndoWhatHappenedLately(t *testing.T) {
	w, a := world(t, 10*time.Second)
	w.Assign(at(0), a)
	w.Unassign(at(4), a)
	w.Assign(at(8), a)
	for seconds, want := range map[float64]int{8: 0, 9.9: 0, 10: 1, 13.9: 1, 14: 0, 17.9: 0, 18: 1} {
		if got := w.Listed(at(seconds), func(org.Assignment) bool { return true }); len(got) != want {
			t.Errorf("at %v s: %d, want %d", seconds, len(got), want)
		}
	}
}

func TestOldOperationsAreForgotten(t *testing.T) {
	w, a := world(t, 0)
	first := begin(t, w, 0, Create, a, Fate{})
	for i := range most {
		w.keep(&Operation{ID: string(rune(i)), Kind: Create})
	}
	if _, ok := w.Operation(first); ok || len(w.Operations(Create)) != most {
		t.Errorf("%d are kept", len(w.Operations(Create)))
	}
}

func TestTheSameSeedMakesTheSameWorld(t *testing.T) {
	one, a := world(t, 0)
	two, _ := world(t, 0)
	one.Assign(start, a)
	two.Assign(start, a)
	if one.Roles()[0] != two.Roles()[0] || NewSource(1).UUID("x") == NewSource(2).UUID("x") {
		t.Errorf("%+v, %+v", one.Roles(), two.Roles())
	}
}

func TestPathsNameEveryUnitAbove(t *testing.T) {
	w, _ := world(t, 0)
	account, _ := w.Account("100000000002")
	inner, _ := w.OU(account.Parent)
	if want := w.ID + "/" + string(w.Root) + "/" + string(inner.Parent) + "/" + string(inner.ID) + "/"; w.Path(inner.ID) != want || w.Depth(inner.ID) != 2 || w.Depth(w.Root) != 0 {
		t.Errorf("%s, depth %d; want %s", w.Path(inner.ID), w.Depth(inner.ID), want)
	}
}
