package jobs

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver"
	"github.com/riverqueue/river/rivertype"
)

// While replicas are brought up to date, a newer one may leave jobs that an older one does not know. River (v0.47) has the
// older one fail them, which uses up their attempts, and lets its rescuer throw them away. Both come by their jobs through
// the driver, so this driver hides strangers from them: what was fetched is put back for later with its attempt, and what a
// newer replica left running when it died is left to a newer one.

// leaveFor is how long a job that is not ours is put off.
const leaveFor = time.Minute

// known are River's workers, and the kinds of job that they work.
type known struct {
	*river.Workers
	kinds map[string]bool
	told  sync.Map // which strangers were spoken of
}

func newKnown() *known { return &known{Workers: river.NewWorkers(), kinds: map[string]bool{}} }

func add[T river.JobArgs](k *known, w river.Worker[T]) error {
	var args T
	k.kinds[args.Kind()] = true
	return river.AddWorkerSafely(k.Workers, w)
}

// discerning is a driver that hides strangers.
type discerning[T any] struct {
	riverdriver.Driver[T]
	stranger
}

func (d discerning[T]) GetExecutor() riverdriver.Executor {
	return executor{d.Driver.GetExecutor(), d.stranger}
}

// stranger tells what is none of ours.
type stranger struct {
	known *known
	log   *slog.Logger
}

func (s stranger) split(jobs []*rivertype.JobRow) (ours, others []*rivertype.JobRow) {
	for _, j := range jobs {
		if s.known.kinds[j.Kind] {
			ours = append(ours, j)
		} else {
			others = append(others, j)
		}
	}
	return ours, others
}

type executor struct {
	riverdriver.Executor
	stranger
}

// JobGetAvailable fetches jobs to work.
func (e executor) JobGetAvailable(ctx context.Context, p *riverdriver.JobGetAvailableParams) ([]*rivertype.JobRow, error) {
	jobs, err := e.Executor.JobGetAvailable(ctx, p)
	if err != nil {
		return jobs, err
	}
	ours, others := e.split(jobs)
	if len(others) == 0 {
		return ours, nil
	}
	until := time.Now().Add(leaveFor) // River's own clock is the machine's
	back := &riverdriver.JobSetStateIfRunningManyParams{Schema: p.Schema}
	for _, j := range others {
		if _, told := e.known.told.LoadOrStore(j.Kind, true); !told {
			e.log.Warn("jobs of a kind that this program does not know are left to a newer one", "kind", j.Kind)
		}
		s := riverdriver.JobSetStateSnoozed(j.ID, until, j.Attempt-1, nil)
		back.ID, back.Attempt, back.State = append(back.ID, s.ID), append(back.Attempt, s.Attempt), append(back.State, s.State)
		back.ScheduledAt, back.ErrData, back.FinalizedAt = append(back.ScheduledAt, s.ScheduledAt), append(back.ErrData, nil), append(back.FinalizedAt, nil)
		back.MetadataDoMerge, back.MetadataUpdates = append(back.MetadataDoMerge, false), append(back.MetadataUpdates, nil)
	}
	if _, err := e.JobSetStateIfRunningMany(ctx, back); err != nil { // they stay running, for the rescuer of who knows them
		e.log.Error("jobs that this program does not know could not be put back", "error", err)
	}
	return ours, nil
}

// JobGetStuck looks for jobs that whoever worked them has lost.
func (e executor) JobGetStuck(ctx context.Context, p *riverdriver.JobGetStuckParams) ([]*rivertype.JobRow, error) {
	page := *p
	var all []*rivertype.JobRow
	for len(all) < p.Max {
		jobs, err := e.Executor.JobGetStuck(ctx, &page)
		if err != nil {
			return nil, err
		}
		ours, _ := e.split(jobs)
		all = append(all, ours...)
		if len(jobs) < page.Max {
			break
		}
		page.AfterID = jobs[len(jobs)-1].ID
	}
	return all[:min(len(all), p.Max)], nil
}
