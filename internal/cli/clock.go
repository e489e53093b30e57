package cli

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"sparekey/internal/jobs"
	"sparekey/internal/store"
)

// wallClock is the machine's clock.
type wallClock struct{}

func (wallClock) Now() time.Time                         { return time.Now() }
func (wallClock) After(d time.Duration) <-chan time.Time { return time.After(d) }

// databaseClock is PostgreSQL's clock, by which all replicas say what is due (design rule 11). In between it goes as the
// machine's does.
type databaseClock struct {
	offset atomic.Int64
	asked  bool // and answered at least once; only whoever asks looks
}

// Now implements [jobs.Clock].
func (c *databaseClock) Now() time.Time { return time.Now().Add(time.Duration(c.offset.Load())) }

// After implements [jobs.Clock].
func (c *databaseClock) After(d time.Duration) <-chan time.Time { return time.After(d) }

const (
	clockEvery  = 10 * time.Second
	clockMargin = time.Second // by how much the machine's clock may differ before the log says so, and the database's may go back
)

// ask looks how far the database's clock is from the machine's. While the database does not answer, what was known holds.
func (c *databaseClock) ask(ctx context.Context, s *store.Store, log *slog.Logger) {
	off, err := s.ClockOffset(ctx)
	if err != nil {
		if ctx.Err() == nil {
			log.Warn("the database was not asked for the time; its clock is taken to be as far off as before", "error", err)
		}
		return
	}
	was := time.Duration(c.offset.Load())
	if c.asked && was-off > clockMargin {
		log.Error("the database's clock has gone back, and is not followed: what ends would end later; if it was wrong before, start this server anew", "by", (was - off).Round(time.Millisecond))
		return
	}
	c.asked = true
	c.offset.Store(int64(off))
	if off.Abs() > clockMargin && (was-off).Abs() > clockMargin {
		log.Warn("this machine's clock differs from the database's, by which everything is due", "databaseIsAheadBy", off.Round(time.Millisecond))
	}
}

// follow asks until the context ends.
func (c *databaseClock) follow(ctx context.Context, s *store.Store, log *slog.Logger) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(clockEvery):
			c.ask(ctx, s, log)
		}
	}
}

// timed is the clock that a server on a store goes by: the database's where it has one, unless the caller brought a clock.
func timed(ctx context.Context, own jobs.Clock, s *store.Store, log *slog.Logger) jobs.Clock {
	if _, wall := own.(wallClock); !wall || s.Engine() == store.SQLite {
		return own
	}
	c := &databaseClock{}
	c.ask(ctx, s, log)
	return c
}
