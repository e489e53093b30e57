package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"sparekey/access"
	"sparekey/audit"
	"sparekey/internal/config"
	"sparekey/internal/demo"
	"sparekey/internal/sandbox"
	"sparekey/internal/store"
	"sparekey/org"
	"sparekey/strict"
)

// host is what a script's commands speak to: Sparekey as the program puts it together, over the demo's organization, in this
// process and by a clock that the script moves.
type host struct {
	vars    []string     // of the environment at the beginning
	after   func(func()) // does something at the end of the script
	runtime string       // folder
	tickets string       // the file that is the ticket service "desk"; empty: there is none

	address   string
	simulated *sandbox.Sandbox // of simulate
	clock     *laneClock
	demo      *demo.Demo
	server    *server
	mirror    *org.Mirror
	log       lines
	full      atomic.Bool // the disk with the database
	advanced  int64       // how often the lane had gone to rest when the clock was moved last
	stack     []byte      // room for stacks
	leavers   time.Time   // when those who ask and hold are looked up next
	processes map[string]*process
}

type hostKey struct{}

// room is how much is free on the disk with the database.
func (h *host) room(string) (uint64, error) {
	if h.full.Load() {
		return 0, nil
	}
	return 1 << 40, nil
}

func hostOf(ts *testscript.TestScript) *host { return ts.Value(hostKey{}).(*host) }

// monday is when scripts begin. It is a Monday morning, and no day on which anybody runs these tests.
var monday = time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)

// patience is how long anything may take in the machine's time. Only a defect takes so long.
const patience = 30 * time.Second

// laneClock is the clock of the lane. It remembers which goroutine the lane is, and how often it went to rest: only the
// lane waits on it.
type laneClock struct {
	*sandbox.ManualClock
	lane  atomic.Pointer[string]
	rests atomic.Int64
}

func (c *laneClock) After(d time.Duration) <-chan time.Time {
	if c.lane.Load() == nil {
		text := make([]byte, 64)
		id := strings.Fields(string(text[:runtime.Stack(text, false)]))[1] // "goroutine 7 [running]:"
		c.lane.Store(&id)
	}
	defer c.rests.Add(1)
	return c.ManualClock.After(d)
}

// lines is a log that is read while it is written.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// begin starts everything and waits until the organization was read, or could not be.
func (h *host) begin(b sandbox.Behaviour, faults ...sandbox.Fault) error {
	b.CallsPerSecond = -1 // the clock stands between calls
	h.clock = &laneClock{ManualClock: sandbox.NewManualClock(monday)}
	h.leavers = monday
	var err error
	if h.demo, err = demo.Start(demo.Options{Clock: h.clock.ManualClock, Behaviour: b}); err != nil {
		return err
	}
	h.after(h.demo.Close)
	h.mirror = org.NewMirror(h.demo.Organization)
	h.demo.Sandbox.Script(faults...)
	h.demo.Config.Limits.CallsPerSecond = 1000 // by the machine's clock
	if h.tickets != "" {
		h.demo.Config.Lookup.Tickets = []config.TicketService{{Name: strict.Word{Text: "desk"}, File: h.tickets}}
	}
	ctx, cancel := context.WithCancel(context.Background())
	log := slog.New(slog.NewTextHandler(&h.log, nil))
	if h.server, err = assemble(ctx, setup{config: h.demo.Config, connection: h.demo.Connection, kill: &h.demo.Connection, clock: h.clock, log: log, database: []store.Option{store.FreeBy(h.room)}}); err != nil {
		cancel()
		return err
	}
	if _, err := h.server.store.SQLite().Exec("PRAGMA synchronous = OFF"); err != nil { // nobody pulls the plug here
		cancel()
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		cancel()
		return err
	}
	over := make(chan error, 1)
	go func() { over <- h.server.run(ctx, l) }()
	h.after(func() {
		cancel()
		if err := <-over; err != nil {
			panic(err)
		}
	})
	h.address = "http://" + l.Addr().String()
	if err := h.announce(h.address); err != nil {
		return err
	}
	if err := h.server.broker.Refresh(audit.By(ctx, "test")); (err != nil) != (len(faults) > 0) { // River does so too, a second or two later
		return fmt.Errorf("reading the organization: %w", err)
	}
	return h.rest()
}

// announce leaves what a demo leaves for the command line.
func (h *host) announce(address string) error {
	text, err := json.Marshal(demo.Running{Address: address, Tokens: h.demo.Tokens, AWS: h.demo.Endpoint})
	if err != nil {
		return err
	}
	dir := filepath.Join(h.runtime, "sparekey")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "demo.json"), text, 0o600)
}

// within looks again and again until something is so. It takes no part in what is looked at: it fails only when a defect
// keeps it from coming.
func within(so func() bool, story func() string) error {
	deadline := time.Now().Add(patience)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !so() {
		if time.Now().After(deadline) {
			return fmt.Errorf("after %s: %s", patience, story())
		}
		<-tick.C
	}
	return nil
}

var (
	carries = "created by sparekey/internal/jobs.(*lane).carry in goroutine "
	resting = regexp.MustCompile(`^ \[select[^\]]*\]:\nsparekey/internal/jobs\.\(\*lane\)\.rest\(`)
)

// atRest reports whether the lane has done all that there is to do at this moment of its clock: it waits for time or for a
// change, and carries nothing. The stacks of all goroutines are of one moment, and whoever wakes the lane makes it runnable
// in the same step; so there is nothing between "woken" and "not at rest" that could be missed.
func (h *host) atRest() bool {
	id := h.clock.lane.Load()
	if id == nil || h.clock.rests.Load() <= h.advanced { // it has not even begun to rest
		return false
	}
	text := h.stacks()
	if strings.Contains(text, carries+*id+"\n") {
		return false
	}
	_, lane, ok := strings.Cut("\n"+text, "\ngoroutine "+*id)
	return ok && resting.MatchString(lane)
}

// stacks are those of all goroutines, stopped at one moment.
func (h *host) stacks() string {
	for {
		if n := runtime.Stack(h.stack, true); n < len(h.stack) {
			return string(h.stack[:n])
		}
		h.stack = make([]byte, 2*len(h.stack)+1<<18)
	}
}

// rest waits until the lane is at rest.
func (h *host) rest() error {
	return within(h.atRest, func() string { return "the lane does not come to rest\n" + h.story() })
}

// advance moves the clock. The lane, which waits for a second at most, wakes when a second has passed.
func (h *host) advance(d time.Duration) {
	if d >= time.Second {
		h.advanced = h.clock.rests.Load()
	}
	h.clock.Advance(d)
}

// pass lets time go by, and stops at every moment at which something is to be done.
func (h *host) pass(d time.Duration) error {
	for until := h.clock.Now().Add(d); ; {
		if err := h.rest(); err != nil {
			return err
		}
		if err := errors.Join(h.background(), h.rest()); err != nil {
			return err
		}
		now := h.clock.Now()
		if !now.Before(until) {
			return nil
		}
		next, err := h.next(now, until)
		if err != nil {
			return err
		}
		h.advance(next.Sub(now))
	}
}

// next is the next moment at which something is to be done. What is due already waits for AWS, which is asked every second,
// or every fifteen when it has not answered for a minute.
func (h *host) next(now, until time.Time) (time.Time, error) {
	next := until
	err := h.server.store.View(context.Background(), func(tx *store.Tx) error {
		due, err := tx.DueGrants(now, 100)
		if err != nil {
			return err
		}
		for _, g := range due {
			step := time.Second
			if op := operation(g); op != nil && now.Sub(op.SentAt) > time.Minute {
				step = 15 * time.Second
			}
			next = earliest(next, now.Add(step))
		}
		later, err := tx.NextDue(now)
		if !later.IsZero() {
			next = earliest(next, later)
		}
		return err
	})
	return next, err
}

func operation(g access.Grant) *access.Operation {
	if g.Delete != nil {
		return g.Delete
	}
	return g.Create
}

func earliest(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// background does what River does by the machine's clock: it lets requests lapse, and looks up who asks and holds every two
// minutes.
func (h *host) background() error {
	now := h.clock.Now()
	ctx := audit.By(context.Background(), "test")
	var open []access.Request
	err := h.server.store.View(ctx, func(tx *store.Tx) (err error) { open, err = tx.OpenRequests(); return err })
	for _, q := range open {
		if err == nil && !now.Before(q.LapsesAt) {
			_, err = h.server.broker.Lapse(ctx, q.ID)
		}
	}
	if err == nil && !now.Before(h.leavers) {
		h.leavers = now.Add(2 * time.Minute)
		err = h.server.broker.LetGo(ctx)
	}
	if err == nil {
		err = errors.Join(h.server.broker.Watch(ctx), h.server.broker.WatchTickets(ctx))
	}
	return err
}

// settle lets time go by until nothing is being started or ended.
func (h *host) settle() error {
	for until := h.clock.Now().Add(5 * time.Minute); ; {
		if err := h.rest(); err != nil {
			return err
		}
		moving, err := h.moving()
		if err != nil || !moving {
			return err
		}
		if h.clock.Now().After(until) {
			return fmt.Errorf("after five minutes of the script's time something is still being started or ended\n%s", h.story())
		}
		h.advance(time.Second)
	}
}

func (h *host) moving() (moving bool, err error) {
	err = h.server.store.View(context.Background(), func(tx *store.Tx) error {
		for g, err := range tx.LiveGrants() {
			if err != nil {
				return err
			}
			moving = moving || g.State == access.Waiting || g.State == access.Granting || g.State == access.Ending
		}
		return nil
	})
	return moving, err
}

// story tells how things stand, for whoever mends what a script finds.
func (h *host) story() string {
	var text strings.Builder
	fmt.Fprintf(&text, "it is %s\n", h.clock.Now())
	_ = h.server.store.View(context.Background(), func(tx *store.Tx) error {
		grants, err := tx.RecentGrants(100)
		for _, g := range grants {
			fmt.Fprintf(&text, "%s %s due %s: %s\n", g.ID, g.State, g.Due(), g.Trouble)
		}
		return err
	})
	return text.String() + h.log.String()
}
