package jobs

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"sparekey/audit"
	"sparekey/internal/broker"
	"sparekey/internal/store"
)

// The jobs of River. Each is small and may run twice; River gives no heartbeat, so time-outs are short and the age at which
// a job counts as lost is near them.

type (
	refresh struct{}
	leavers struct{}
	watch   struct{}
	tickets struct{}
	tidy    struct{}
	scan    struct{}
	lapse   struct {
		Request string `json:"request"`
	}
	kill struct {
		Kill string `json:"kill"`
	}
)

func (refresh) Kind() string { return "read-organization" }
func (leavers) Kind() string { return "let-leavers-go" }
func (watch) Kind() string   { return "watch" }
func (tickets) Kind() string { return "watch-tickets" }
func (tidy) Kind() string    { return "tidy" }
func (scan) Kind() string    { return "reconcile" }
func (lapse) Kind() string   { return "lapse-request" }
func (kill) Kind() string    { return "send-kill" }

// once keeps a periodic job from being queued again while one waits or runs.
func once() *river.InsertOpts {
	return &river.InsertOpts{MaxAttempts: 1, UniqueOpts: river.UniqueOpts{ByState: []rivertype.JobState{
		rivertype.JobStateAvailable, rivertype.JobStatePending, rivertype.JobStateRetryable, rivertype.JobStateRunning, rivertype.JobStateScheduled,
	}}}
}

const (
	watchEvery = 15 * time.Second // tickets, what waits for other systems, reviews that are due, groups that are being made
	scanEvery  = time.Minute      // it goes on where it stopped
	shortJob   = time.Minute      // the longest that an ordinary job may take
	longJob    = 20 * time.Minute // the longest that reading an organization, or looking everybody up, may take
)

func configure(b *broker.Broker, log *slog.Logger, holder string, o Options) (*river.Config, *known, error) {
	workers := newKnown()
	if err := add(workers, &worker[refresh]{limit: longJob, do: func(ctx context.Context, _ refresh) error { return b.Refresh(ctx) }}); err != nil {
		return nil, nil, err
	}
	if err := add(workers, &worker[leavers]{limit: longJob, do: func(ctx context.Context, _ leavers) error { return b.LetGo(ctx) }}); err != nil {
		return nil, nil, err
	}
	if err := add(workers, &worker[watch]{limit: shortJob, do: func(ctx context.Context, _ watch) error { return b.Watch(ctx) }}); err != nil {
		return nil, nil, err
	}
	if err := add(workers, &worker[tickets]{limit: longJob, do: func(ctx context.Context, _ tickets) error { return b.WatchTickets(ctx) }}); err != nil {
		return nil, nil, err
	}
	if err := add(workers, &worker[scan]{limit: scanEvery - 10*time.Second, do: func(ctx context.Context, _ scan) error { return b.Reconcile(ctx) }}); err != nil {
		return nil, nil, err
	}
	if err := add(workers, &worker[tidy]{limit: shortJob, do: func(ctx context.Context, _ tidy) error {
		b.RecordUnproven(ctx)
		return b.Forget(ctx)
	}}); err != nil {
		return nil, nil, err
	}
	if err := add(workers, &worker[lapse]{limit: shortJob, do: func(ctx context.Context, l lapse) error {
		later, err := b.Lapse(ctx, l.Request)
		if err == nil && later > 0 {
			return river.JobSnooze(max(later, time.Second))
		}
		return err
	}}); err != nil {
		return nil, nil, err
	}
	if err := add(workers, &worker[kill]{limit: shortJob, do: func(ctx context.Context, _ kill) error {
		later, err := b.SendKills(ctx)
		if err == nil && later > 0 {
			return river.JobSnooze(later)
		}
		return err
	}}); err != nil {
		return nil, nil, err
	}
	every := func(d time.Duration, start bool, args river.JobArgs) *river.PeriodicJob {
		return river.NewPeriodicJob(river.PeriodicInterval(d), func() (river.JobArgs, *river.InsertOpts) { return args, once() }, &river.PeriodicJobOpts{RunOnStart: start})
	}
	periodic := []*river.PeriodicJob{every(o.MirrorEvery, true, refresh{}), every(o.LeaversEvery, false, leavers{}), every(watchEvery, false, watch{}), every(watchEvery, false, tickets{}), every(time.Minute, false, tidy{}), every(scanEvery, false, scan{})}
	return &river.Config{
		ID: holder, Logger: slog.New(onlyTrouble{log.Handler()}), Workers: workers.Workers,
		Queues:       map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: 8}},
		PeriodicJobs: periodic,
		JobTimeout:   shortJob, RescueStuckJobsAfter: longJob + time.Minute,
	}, workers, nil
}

// worker is a job's work and the longest that it may take.
type worker[T river.JobArgs] struct {
	river.WorkerDefaults[T]
	limit time.Duration
	do    func(context.Context, T) error
}

func (w *worker[T]) Work(ctx context.Context, job *river.Job[T]) error {
	err := w.do(audit.By(ctx, job.Args.Kind()), job.Args)
	if errors.Is(err, store.ErrNewer) { // it is a newer program's to do, and none of its attempts
		return river.JobSnooze(leaveFor)
	}
	return err
}

func (w *worker[T]) Timeout(*river.Job[T]) time.Duration { return w.limit }

// onlyTrouble lets River say what is wrong, and not what it does.
type onlyTrouble struct{ slog.Handler }

func (h onlyTrouble) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelWarn && h.Handler.Enabled(ctx, level)
}
