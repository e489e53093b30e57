package sandbox

import (
	"context"
	"errors"
	"testing"
	"time"
)

func TestAManualClockWakesInTheOrderOfTime(t *testing.T) {
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	c := NewManualClock(start)
	late, early := c.After(2*time.Second), c.After(time.Second)
	if c.Waiting() != 2 {
		t.Errorf("%d waiting", c.Waiting())
	}
	c.Advance(time.Second - 1)
	select {
	case <-early:
		t.Error("too early")
	default:
	}
	c.Advance(1)
	if at := <-early; !at.Equal(start.Add(time.Second)) || c.Waiting() != 1 {
		t.Errorf("%s, %d waiting", at, c.Waiting())
	}
	c.Advance(-time.Hour)
	if !c.Now().Equal(start.Add(time.Second)) {
		t.Errorf("it went backwards to %s", c.Now())
	}
	c.Advance(time.Hour)
	<-late
	<-c.After(0)
}

func TestAwaitBlocksUntilSomebodyWaits(t *testing.T) {
	c := NewManualClock(time.Time{})
	done := make(chan error)
	go func() { done <- c.Await(t.Context(), 2) }()
	c.After(time.Second)
	c.After(time.Second)
	if err := <-done; err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.Await(ctx, 3); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestWhoStopsSleepingNoLongerWaits(t *testing.T) {
	c := NewManualClock(time.Time{})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- c.Sleep(ctx, time.Second) }()
	if err := c.Await(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) || c.Waiting() != 0 {
		t.Errorf("%v, %d waiting", err, c.Waiting())
	}
	go func() { done <- c.Sleep(t.Context(), time.Second) }()
	if err := c.Await(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	c.Advance(time.Second)
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestTheMachinesClockIsSleptOnToo(t *testing.T) {
	if err := sleep(t.Context(), machineClock{}, time.Nanosecond); err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := sleep(ctx, machineClock{}, time.Hour); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
