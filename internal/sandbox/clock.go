package sandbox

import (
	"context"
	"slices"
	"sync"
	"time"
)

// Clock tells the time. A fault that hangs waits on a [ManualClock], or else on the machine's clock.
type Clock interface {
	Now() time.Time
}

type machineClock struct{}

func (machineClock) Now() time.Time { return time.Now() }

// ManualClock is a clock that stands until somebody advances it. It may be used by any number of goroutines.
type ManualClock struct {
	mu      sync.Mutex
	now     time.Time
	waiters []waiter
	changed chan struct{} // closed, and replaced, when a waiter comes
}

type waiter struct {
	due time.Time
	ch  chan time.Time
}

// NewManualClock returns a clock that stands at start.
func NewManualClock(start time.Time) *ManualClock {
	return &ManualClock{now: start, changed: make(chan struct{})}
}

// Now returns where the clock stands.
func (c *ManualClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Advance moves the clock, never backwards, and wakes everybody whose time has come, in the order of their times.
func (c *ManualClock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(max(0, d))
	slices.SortStableFunc(c.waiters, func(a, b waiter) int { return a.due.Compare(b.due) })
	for len(c.waiters) > 0 && !c.waiters[0].due.After(c.now) {
		c.waiters[0].ch <- c.now
		c.waiters = c.waiters[1:]
	}
}

// After returns a channel that gets the time once the clock has been advanced by d or more; at once if d is not positive.
func (c *ManualClock) After(d time.Duration) <-chan time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	ch := make(chan time.Time, 1)
	if d <= 0 {
		ch <- c.now
		return ch
	}
	c.waiters = append(c.waiters, waiter{c.now.Add(d), ch})
	close(c.changed)
	c.changed = make(chan struct{})
	return ch
}

// Waiting counts the channels of After that have not fired. One whose reader has gone counts until its time comes, unless
// the reader used Sleep.
func (c *ManualClock) Waiting() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.waiters)
}

// Await blocks until at least n waiters are pending, or returns the context's error.
func (c *ManualClock) Await(ctx context.Context, n int) error {
	for {
		c.mu.Lock()
		pending, changed := len(c.waiters), c.changed
		c.mu.Unlock()
		if pending >= n {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Sleep blocks until the clock has been advanced by d, or returns the context's error and is no longer pending.
func (c *ManualClock) Sleep(ctx context.Context, d time.Duration) error {
	ch := c.After(d)
	select {
	case <-ch:
		return nil
	case <-ctx.Done():
		c.mu.Lock()
		defer c.mu.Unlock()
		c.waiters = slices.DeleteFunc(c.waiters, func(w waiter) bool { return w.ch == ch })
		return ctx.Err()
	}
}

// sleep waits on whatever clock there is.
func sleep(ctx context.Context, clock Clock, d time.Duration) error {
	if manual, ok := clock.(*ManualClock); ok {
		return manual.Sleep(ctx, d)
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
