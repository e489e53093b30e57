package jobs

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sparekey/access"
	"sparekey/internal/rig"
	"sparekey/internal/sandbox"
	"sparekey/internal/store"
	"sparekey/org"
)

// kept is a rig with a keeper that runs, and waits for what it does.
type kept struct {
	*rig.Rig
	keeper *Keeper
	clock  *restClock
	stop   func()
}

// restClock is the clock of a lane, and knows whether the lane waits for it. Nothing but the lane asks it.
type restClock struct {
	*sandbox.ManualClock
	lane    *lane
	mu      sync.Mutex
	resting bool
	until   time.Time
	changed chan struct{}
}

func (c *restClock) Now() time.Time {
	c.rest(false, time.Time{})
	return c.ManualClock.Now()
}

func (c *restClock) After(d time.Duration) <-chan time.Time {
	fires := c.ManualClock.After(d)
	c.rest(len(c.lane.carrying) == 0, c.ManualClock.Now().Add(d))
	return fires
}

func (c *restClock) rest(is bool, until time.Time) {
	c.mu.Lock()
	c.resting, c.until = is, until
	c.mu.Unlock()
	select {
	case c.changed <- struct{}{}:
	default:
	}
}

// idle reports whether the lane waits for the clock, and for nothing else.
func (c *restClock) idle() bool {
	if len(c.lane.wake) > 0 {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.resting && c.ManualClock.Now().Before(c.until)
}

func keep(t *testing.T, r *rig.Rig, holder string, o Options) *kept {
	t.Helper()
	o.Limits.CallsPerSecond = 10000 // the clock stands between calls, and so would the lane
	clock := &restClock{ManualClock: r.Clock, changed: make(chan struct{}, 1)}
	k, err := New(r.Broker, r.Store, clock, slog.New(slog.NewTextHandler(r.Log, nil)), holder, o)
	if err != nil {
		t.Fatal(err)
	}
	clock.lane = k.lane
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- k.Run(ctx) }()
	v := &kept{Rig: r, keeper: k, clock: clock}
	v.stop = func() {
		cancel()
		if done == nil {
			return
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
		done = nil
	}
	t.Cleanup(v.stop)
	return v
}

// until moves the clock on while the lane waits for it, until something is true.
func (k *kept) until(what string, most time.Duration, is func() bool) {
	k.Helper()
	patience := time.NewTimer(2 * time.Minute)
	defer patience.Stop()
	for end := k.Clock.Now().Add(most); !is(); {
		if !k.Clock.Now().Before(end) {
			k.Fatalf("not within %s: %s\n%s", most, what, k.Log)
		}
		if k.clock.idle() {
			k.Clock.Advance(step(k.Rig))
			continue
		}
		select {
		case <-k.clock.changed:
			patience.Reset(2 * time.Minute)
		case <-patience.C:
			k.Fatalf("%s: the lane never rests\n%s", what, k.Log)
		}
	}
}

// step is how far the clock is moved at once: little while something is under way, and much while nothing is.
func step(r *rig.Rig) time.Duration {
	r.Helper()
	var due []access.Grant
	var next time.Time
	now := r.Clock.Now()
	if err := r.Store.View(r.Context(), func(tx *store.Tx) (err error) {
		if due, err = tx.DueGrants(now, 1); err != nil {
			return err
		}
		next, err = tx.NextDue(now)
		return err
	}); err != nil {
		r.Fatal(err)
	}
	if wait := next.Sub(now); len(due) == 0 && !next.IsZero() && wait > 2*time.Second {
		return wait - time.Second
	}
	return 200 * time.Millisecond
}

func (k *kept) state(id string) func(access.GrantState) func() bool {
	return func(s access.GrantState) func() bool { return func() bool { return k.Grant(id).State == s } }
}

func TestTheLaneStartsAndEndsByItself(t *testing.T) {
	rig.OnBoth(t, func(t *testing.T, r *rig.Rig) {
		k := keep(t, r, "one", Options{})
		id := r.Ask("dana", "play ReadOnly").Lines[0].Grant
		k.until("it is active", time.Minute, k.state(id)(access.Active))
		k.until("it has ended", 35*time.Minute, k.state(id)(access.Ended))
		k.until("it is verified", 20*time.Minute, k.state(id)(access.Verified))
		if r.Box.Assigned(r.Assignment("dana", "play", "ReadOnly")) {
			t.Error("the access is there")
		}
	})
}

// many is an organization with room for quotas to matter.
func many(accounts int) string {
	var b strings.Builder
	b.WriteString("accounts:\n  - {id: \"100000000001\", name: management}\n")
	for i := range accounts {
		fmt.Fprintf(&b, "  - {id: \"2000000000%02d\", name: play-%d, ou: Sandbox}\n", i, i)
	}
	b.WriteString("permission-sets: [{name: ReadOnly}, {name: PowerUser}]\npeople: [{user: dana, groups: [developers]}]\n")
	return b.String()
}

// overlaps counts how many operations of the sandbox were under way at once, in all and in one account.
func overlaps(box *sandbox.Sandbox) (all, account int) {
	ops := box.State().Operations
	for _, one := range ops {
		in, own := 0, 0
		for _, other := range ops {
			if !other.Accepted.After(one.Accepted) && other.Ended.After(one.Accepted) {
				in++
				if other.Account == one.Account {
					own++
				}
			}
		}
		all, account = max(all, in), max(account, own)
	}
	return all, account
}

func TestTheLaneKeepsWithinAWSsQuotasAndEndsBeforeItStarts(t *testing.T) {
	rig.OnBoth(t, func(t *testing.T, r *rig.Rig) {
		r.Describe(many(24), sandbox.Behaviour{AssignmentTakes: 10 * time.Second})
		r.Together()
		k := keep(t, r, "one", Options{})
		var ending []string
		for i := range 24 {
			q := r.Ask("dana", fmt.Sprintf("play-%d ReadOnly", i), fmt.Sprintf("play-%d PowerUser", i))
			ending = append(ending, q.Lines[0].Grant, q.Lines[1].Grant)
		}
		active := func() bool {
			return !slices.ContainsFunc(ending, func(id string) bool { return r.Grant(id).State != access.Active })
		}
		k.until("48 grants are active", 5*time.Minute, active)
		if all, account := overlaps(r.Box); all != 9 || account != 1 {
			t.Errorf("%d operations at once, %d in one account; AWS takes 10, of which one is for emergencies, and 1", all, account)
		}
		// Everything ends at once, and somebody asks for more: ends leave one slot to starts, and take the rest.
		for _, id := range ending {
			if _, err := r.Broker.End(r.As("dana"), id, "done"); err != nil {
				t.Fatal(err)
			}
		}
		again := r.Ask("dana", "play-3 ReadOnly").Lines[0].Grant
		k.until("the new one is active", 5*time.Minute, k.state(again)(access.Active))
		over := func() bool {
			return !slices.ContainsFunc(ending, func(id string) bool { return r.Grant(id).EndedAt.IsZero() })
		}
		k.until("everything has ended", 5*time.Minute, over)
		for _, c := range r.Box.Calls() {
			if c.Code != "" && c.Operation != "GetPermissionsBoundaryForPermissionSet" { // which answers so where there is none
				t.Errorf("%s: %s", c.Operation, c.Code)
			}
		}
	})
}

func TestOneReplicaHasTheLaneAndAnotherTakesItOver(t *testing.T) {
	rig.OnBoth(t, func(t *testing.T, r *rig.Rig) {
		// A replica that died a moment ago holds the lane, and can give nothing back.
		if _, ok, err := r.Store.TakeLease(t.Context(), "lane", "dead", r.Clock.Now(), r.Clock.Now().Add(laneLease)); !ok || err != nil {
			t.Fatal(ok, err)
		}
		k := keep(t, r, "alive", Options{})
		id := r.Ask("dana", "play ReadOnly").Lines[0].Grant
		before := len(r.Box.Calls())
		k.until("fourteen seconds have passed", time.Minute, func() bool { return !r.Clock.Now().Before(rig.Start.Add(laneLease - time.Second)) })
		if g := r.Grant(id); g.State != access.Waiting || slices.ContainsFunc(r.Box.Calls()[before:], func(c sandbox.Call) bool { return c.Changed }) {
			t.Errorf("%s worked although another has the lane", g.State)
		}
		k.until("it is active", time.Minute, k.state(id)(access.Active))
		k.stop()
		// Stopped in order, it gives the lane back at once.
		if _, ok, err := r.Store.TakeLease(t.Context(), "lane", "next", r.Clock.Now(), r.Clock.Now().Add(laneLease)); !ok || err != nil {
			t.Error(ok, err)
		}
	})
}

// TestAPromiseToLapseIsKept runs on the machine's clock, since River does: the request was made three hours ago.
func TestAPromiseToLapseIsKept(t *testing.T) {
	for name, address := range rig.Engines {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := rig.NewAt(t, time.Now().Add(-access.LapseAfter), address(t), sandbox.Behaviour{})
			k, err := New(r.Broker, r.Store, r.Clock, slog.New(slog.NewTextHandler(r.Log, nil)), "one", Options{})
			if err != nil {
				t.Fatal(err)
			}
			q := r.Ask("dana", "payments-prod ReadOnly")
			r.Clock.Advance(access.LapseAfter)
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() { done <- k.Run(ctx) }()
			// Other things change too when a Sparekey starts, the first refresh of the mirror among them.
			for tired, changed := time.After(30*time.Second), r.Broker.Changed(); r.Request(q.ID).Lines[0].State == access.Pending; changed = r.Broker.Changed() {
				select {
				case <-changed:
					continue
				case <-tired:
					t.Errorf("nothing happened: %s", r.Log)
				}
				break
			}
			if l := r.Request(q.ID).Lines[0]; l.State != access.Lapsed || l.Decided.By.ID != "clock" {
				t.Errorf("%+v", l)
			}
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
	}
}

// TestAPromisedKillIsSent runs on the machine's clock as well, and nobody carries the grant on.
func TestAPromisedKillIsSent(t *testing.T) {
	for name, address := range rig.Engines {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := rig.NewAt(t, time.Now(), address(t), sandbox.Behaviour{})
			r.Kills("Sandbox")
			id := r.Ask("dana", "play ReadOnly").Lines[0].Grant
			r.Become(id, access.Active, time.Minute)
			k, err := New(r.Broker, r.Store, r.Clock, slog.New(slog.NewTextHandler(r.Log, nil)), "one", Options{})
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() { done <- k.Run(ctx) }()
			changed := r.Broker.Changed()
			_, killed, err := r.Broker.EndAndKill(r.As("dana"), id, "stolen")
			if err != nil {
				t.Fatal(err)
			}
			for tired := time.After(30 * time.Second); ; {
				var now access.Kill
				if err := r.Store.View(t.Context(), func(tx *store.Tx) (err error) { now, err = tx.Kill(killed.Kill.ID); return err }); err != nil {
					t.Fatal(err)
				}
				if now.State != access.KillWanted {
					break
				}
				select {
				case <-changed:
					changed = r.Broker.Changed()
					continue
				case <-tired:
					t.Errorf("nothing was sent: %s", r.Log)
				}
				break
			}
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
	}
}

func TestTheOrganizationIsReadInTheBackground(t *testing.T) {
	rig.OnBoth(t, func(t *testing.T, r *rig.Rig) {
		r.Says("dana", org.StatusDisabled)
		keep(t, r, "one", Options{})
		deadline := time.Now().Add(30 * time.Second)
		for {
			if _, err := r.Broker.Me(r.As("dana")); err != nil {
				return // the mirror was read, and says that dana is disabled
			}
			if time.Now().After(deadline) {
				t.Fatalf("the organization is not read: %s", r.Log)
			}
			runtime.Gosched()
		}
	})
}

func TestWhatCannotBePromisedIsNotTaken(t *testing.T) {
	rig.OnBoth(t, func(t *testing.T, r *rig.Rig) {
		k, err := New(r.Broker, r.Store, r.Clock, slog.New(slog.DiscardHandler), "one", Options{})
		if err != nil {
			t.Fatal(err)
		}
		if err := k.Promise(nil, []access.Promise{{Kind: "dance"}}); err == nil {
			t.Error("it was promised")
		}
	})
}
