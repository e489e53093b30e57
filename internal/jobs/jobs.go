package jobs

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/riverdriver/riversqlite"

	"sparekey/access"
	"sparekey/internal/broker"
	"sparekey/internal/store"
)

// Options say how promises are kept. The zero value is right for most.
type Options struct {
	Limits       Limits
	MirrorEvery  time.Duration // how often the organization is read; 5 minutes by default
	LeaversEvery time.Duration // how often those who ask and hold are looked up; 2 minutes by default
}

// Keeper keeps promises: it is what the broker leaves them with.
type Keeper struct {
	lane  *lane
	river engine
	log   *slog.Logger
}

// engine is River on either database.
type engine interface {
	insert(tx *store.Tx, jobs []river.InsertManyParams) error
	start(ctx context.Context) error
	stop(ctx context.Context) error
}

// New makes a keeper and tells the broker about it.
func New(b *broker.Broker, s *store.Store, c Clock, log *slog.Logger, holder string, o Options) (*Keeper, error) {
	if o.MirrorEvery == 0 {
		o.MirrorEvery = 5 * time.Minute
	}
	if o.LeaversEvery == 0 {
		o.LeaversEvery = 2 * time.Minute
	}
	config, workers, err := configure(b, log, holder, o)
	if err != nil {
		return nil, err
	}
	k := &Keeper{lane: newLane(b, s, c, log, o.Limits, holder), log: log}
	if s.Engine() == store.PostgreSQL {
		k.river, err = onPostgreSQL(s, config, workers)
	} else {
		k.river, err = onSQLite(s, config, workers)
	}
	if err != nil {
		return nil, fmt.Errorf("setting up River: %w", err)
	}
	b.Keep(k)
	return k, nil
}

// Promise leaves promises in the transaction that made them.
func (k *Keeper) Promise(tx *store.Tx, promises []access.Promise) error {
	if len(promises) == 0 {
		return nil
	}
	var jobs []river.InsertManyParams
	for _, p := range promises {
		switch p.Kind {
		case access.PromiseLapse:
			jobs = append(jobs, river.InsertManyParams{Args: lapse{p.Subject}, InsertOpts: &river.InsertOpts{ScheduledAt: p.At}})
		case access.PromiseKill: // once and now; the watch goes on with it
			jobs = append(jobs, river.InsertManyParams{Args: kill{p.Subject}, InsertOpts: &river.InsertOpts{MaxAttempts: 1}})
		default:
			return fmt.Errorf("nobody keeps promises of the kind %q", p.Kind)
		}
	}
	if err := k.river.insert(tx, jobs); err != nil {
		return fmt.Errorf("leaving a promise: %w", err)
	}
	return nil
}

// Wake makes the lane look at once.
func (k *Keeper) Wake() { k.lane.Wake() }

// Holds reports whether the lane is this process's, as the broker asks right before it changes something in AWS.
func (k *Keeper) Holds() bool { return k.lane.holds() }

// Run keeps promises until the context ends, and then finishes what it has begun.
func (k *Keeper) Run(ctx context.Context) error {
	if err := k.river.start(context.WithoutCancel(ctx)); err != nil {
		return fmt.Errorf("starting River: %w", err)
	}
	var running sync.WaitGroup
	running.Go(func() { k.lane.run(ctx) })
	running.Go(func() { k.follow(ctx) })
	running.Go(func() { k.beat(ctx) })
	<-ctx.Done()
	running.Wait()
	stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if err := k.river.stop(stopping); err != nil {
		return fmt.Errorf("stopping River: %w", err)
	}
	return nil
}

// Follow takes over what others have read and changed, and keeps no promises: they are left for another process, which runs.
func (k *Keeper) Follow(ctx context.Context) { k.follow(ctx) }

// follow takes over what other replicas have read of the organization, and notices when a newer one takes the database over.
func (k *Keeper) follow(ctx context.Context) {
	told := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(followEvery):
		}
		if err := k.lane.store.MayWrite(ctx); errors.Is(err, store.ErrNewer) && !told {
			told = true
			k.log.Error("this program writes nothing more, and starts and ends nothing", "error", err)
		}
		if err := k.lane.broker.Follow(ctx); err != nil && ctx.Err() == nil {
			k.log.Error("the mirror could not be followed", "error", err)
		}
	}
}

const (
	followEvery = 10 * time.Second
	beatEvery   = 10 * time.Second // what must end is written to the second place, changed or not
)

// beat writes the ledger while the lane is ours, soon after it came to be so: a database that is behind, as a standby is that was
// promoted, must be found to be so at once, and what keeps background work may take a minute to find itself again after that.
// [broker.Broker.Beat] itself says in the log what is wrong.
func (k *Keeper) beat(ctx context.Context) {
	if !k.lane.broker.Ledger.On() {
		return
	}
	var last time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(lookEvery):
		}
		if now := time.Now(); k.Holds() && now.Sub(last) >= beatEvery {
			last = now
			within, cancel := context.WithTimeout(ctx, beatEvery)
			_ = k.lane.broker.Beat(within)
			cancel()
		}
	}
}

// riverOn is River over one kind of transaction.
type riverOn[T any] struct {
	client *river.Client[T]
	within func(tx *store.Tx, do func(T) error) error
}

func onSQLite(s *store.Store, config *river.Config, workers *known) (engine, error) {
	return newRiver(riversqlite.New(s.SQLite()), config, workers, func(tx *store.Tx, do func(*sql.Tx) error) error { return do(tx.SQL()) })
}

func onPostgreSQL(s *store.Store, config *river.Config, workers *known) (engine, error) {
	return newRiver(riverpgxv5.New(s.PostgreSQL()), config, workers, func(tx *store.Tx, do func(pgx.Tx) error) error { return tx.PGX(do) })
}

func newRiver[T any](driver riverdriver.Driver[T], config *river.Config, workers *known, within func(*store.Tx, func(T) error) error) (engine, error) {
	client, err := river.NewClient(discerning[T]{driver, stranger{workers, config.Logger}}, config)
	return riverOn[T]{client, within}, err
}

func (r riverOn[T]) insert(tx *store.Tx, jobs []river.InsertManyParams) error {
	return r.within(tx, func(t T) error {
		_, err := r.client.InsertManyTx(tx.Context(), t, jobs)
		return err
	})
}

func (r riverOn[T]) start(ctx context.Context) error { return r.client.Start(ctx) }
func (r riverOn[T]) stop(ctx context.Context) error  { return r.client.StopAndCancel(ctx) }
