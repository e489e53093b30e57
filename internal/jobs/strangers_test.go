package jobs

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/riverdriver/riversqlite"
	"github.com/riverqueue/river/rivertype"

	"sparekey/internal/rig"
	"sparekey/internal/store"
)

// ahead is a job of a newer Sparekey. It has one attempt.
type ahead struct{}

func (ahead) Kind() string                 { return "from-a-newer-one" }
func (ahead) InsertOpts() river.InsertOpts { return river.InsertOpts{MaxAttempts: 1} }

// leave inserts jobs as a newer program does, and returns the driver, which hides nothing.
func leave(t *testing.T, s *store.Store, args ...river.JobArgs) riverdriver.Executor {
	t.Helper()
	var params []river.InsertManyParams
	for _, a := range args {
		params = append(params, river.InsertManyParams{Args: a})
	}
	if s.Engine() == store.PostgreSQL {
		return insert(t, riverpgxv5.New(s.PostgreSQL()), params)
	}
	return insert(t, riversqlite.New(s.SQLite()), params)
}

func insert[T any](t *testing.T, d riverdriver.Driver[T], params []river.InsertManyParams) riverdriver.Executor {
	t.Helper()
	c, err := river.NewClient(d, &river.Config{})
	if err == nil {
		_, err = c.InsertMany(t.Context(), params)
	}
	if err != nil {
		t.Fatal(err)
	}
	return d.GetExecutor()
}

func jobsOf(t *testing.T, e riverdriver.Executor, kind string) []*rivertype.JobRow {
	t.Helper()
	all, err := e.JobGetByKindMany(t.Context(), &riverdriver.JobGetByKindManyParams{Kind: []string{kind}})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// untouched checks that the jobs of a newer program wait with all of their attempts.
func untouched(t *testing.T, e riverdriver.Executor, want int) {
	t.Helper()
	all := jobsOf(t, e, ahead{}.Kind())
	if len(all) != want {
		t.Fatalf("%d jobs, want %d", len(all), want)
	}
	for _, j := range all {
		if j.State != rivertype.JobStateScheduled || j.Attempt != 0 || len(j.Errors) != 0 || j.FinalizedAt != nil || time.Until(j.ScheduledAt) < leaveFor/2 {
			t.Errorf("the job is %s, attempt %d, at %s, errors %v", j.State, j.Attempt, j.ScheduledAt, j.Errors)
		}
	}
}

func TestJobsOfANewerProgramAreLeftToIt(t *testing.T) {
	rig.OnBoth(t, func(t *testing.T, r *rig.Rig) {
		plain := leave(t, r.Store, ahead{}, ahead{})
		k, err := New(r.Broker, r.Store, r.Clock, r.Broker.Log, "old", Options{})
		if err != nil {
			t.Fatal(err)
		}
		var worked <-chan *river.Event
		var cancel func()
		switch c := k.river.(type) {
		case riverOn[*sql.Tx]:
			worked, cancel = c.client.Subscribe(river.EventKindJobCompleted, river.EventKindJobFailed)
		case riverOn[pgx.Tx]:
			worked, cancel = c.client.Subscribe(river.EventKindJobCompleted, river.EventKindJobFailed)
		}
		defer cancel()
		if err := k.river.start(t.Context()); err != nil {
			t.Fatal(err)
		}
		// Jobs come in the order in which they were inserted: when the reading of the organization is done, they were met.
		for e := range worked {
			if e.Job.Kind == (refresh{}).Kind() {
				break
			}
			if e.Job.Kind == (ahead{}).Kind() {
				t.Errorf("the job was worked: %+v", e.Job)
			}
		}
		if err := k.river.stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		untouched(t, plain, 2)
	})
}

// TestJobsOfANewerProgramAreNotThrownAway has a newer replica die with its jobs, and the rescuer of an older one come by.
func TestJobsOfANewerProgramAreNotThrownAway(t *testing.T) {
	rig.OnBoth(t, func(t *testing.T, r *rig.Rig) {
		plain := leave(t, r.Store, ahead{}, lapse{"req-1"}, ahead{}, ahead{}, lapse{"req-2"}, lapse{"req-3"})
		fetched, err := plain.JobGetAvailable(t.Context(), &riverdriver.JobGetAvailableParams{ClientID: "dead", MaxAttemptedBy: 10, MaxToLock: 10, Queue: river.QueueDefault})
		if err != nil || len(fetched) != 6 {
			t.Fatalf("%d jobs, %v", len(fetched), err)
		}
		workers := newKnown()
		if err := add(workers, &worker[lapse]{}); err != nil {
			t.Fatal(err)
		}
		old := executor{plain, stranger{workers, r.Broker.Log}}
		for most, want := range map[int][]int{1: {1}, 2: {1, 4}, 3: {1, 4, 5}, 10: {1, 4, 5}} {
			stuck, err := old.JobGetStuck(t.Context(), &riverdriver.JobGetStuckParams{Max: most, StuckHorizon: time.Now().Add(time.Hour)})
			var ids, wanted []int64
			for _, j := range stuck {
				ids = append(ids, j.ID)
			}
			for _, i := range want {
				wanted = append(wanted, fetched[i].ID)
			}
			if err != nil || !slices.Equal(ids, wanted) {
				t.Errorf("at most %d: %v, want %v, %v", most, ids, wanted, err)
			}
		}
	})
}

// TestAProgramThatMayNotWriteKeepsTheAttemptsOfItsJobs has a newer program take the database over meanwhile.
func TestAProgramThatMayNotWriteKeepsTheAttemptsOfItsJobs(t *testing.T) {
	w := worker[lapse]{do: func(context.Context, lapse) error { return store.ErrNewer }}
	err := w.Work(t.Context(), &river.Job[lapse]{JobRow: &rivertype.JobRow{}, Args: lapse{"req-1"}})
	if s := (*river.JobSnoozeError)(nil); !errors.As(err, &s) || s.Duration != leaveFor {
		t.Error(err)
	}
}
