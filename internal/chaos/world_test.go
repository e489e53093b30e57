package chaos

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sparekey/access"
	"sparekey/internal/demo"
	"sparekey/internal/judge"
	"sparekey/internal/sandbox"
	"sparekey/internal/store"
	"sparekey/org"
)

// patience is how long anything may take that is not waited for by the clock of a grant.
const patience = 60 * time.Second

// Who and what a run is about.
var (
	people         = []string{"dana", "eli", "kai", "lena", "milo"}
	places         = []string{"sandbox-1", "sandbox-2", "sandbox-3"}
	sets           = []string{"ReadOnly", "PowerUser"}
	administrators = []string{"amy", "lee"}
)

const book = `rules:
  - name: all
    who: {groups: [developers]}
    what: {permission-sets: [ReadOnly, PowerUser]}
    where: {ous: [Sandbox]}
    for: 8h
    extend: 1h
    with: {reason: optional}
    approval: {automatic: true}
`

// world is a run: a sandbox that outlives everything, and processes.
type world struct {
	*testing.T
	plan    plan
	program string // that is started
	folder  string
	o       org.Organization
	box     *sandbox.Sandbox
	url     string
	pair    *judge.Pair // of databases, where a standby is promoted
	foreign []org.Assignment
	killed  int // processes, at one of their calls
	stopped int

	mu       sync.Mutex
	address  string       // of the database
	store    *store.Store // to look at it
	born     int
	slots    []*life // the last of each
	byKey    map[string]*life
	holders  map[string]*life // who has taken the lane, by the name it calls itself
	trap     *trap
	trouble  error
	remarks  []string
	known    map[string]access.Grant // as they were when they were last seen
	switched time.Time               // when the database was another one
	exempt   map[string]bool         // grants that the database knows only as they were before
	strays   map[access.Key]time.Time
}

func newWorld(t *testing.T, p plan) *world {
	w := &world{
		T: t, plan: p, folder: t.TempDir(), slots: make([]*life, p.slots), byKey: map[string]*life{}, holders: map[string]*life{},
		known: map[string]access.Grant{}, exempt: map[string]bool{}, strays: map[access.Key]time.Time{}, program: programs[0],
	}
	o, given, err := org.Describe("organization.yaml", demo.Organization)
	if err != nil {
		t.Fatal(err)
	}
	w.o = o
	w.box = sandbox.New(sandbox.Options{Organization: o, Assignments: given, Seed: p.seed, Behaviour: sandbox.Behaviour{AssignmentTakes: p.takes, CallsPerSecond: -1}})
	w.foreign = []org.Assignment{w.assignment("dana", "sandbox-1", "ReadOnly"), w.assignment("eli", "sandbox-2", "PowerUser")}
	if err := w.box.Change(func(d *sandbox.Directory) error { return errors.Join(d.Assign(w.foreign[0]), d.Assign(w.foreign[1])) }); err != nil {
		t.Fatal(err)
	}
	for _, a := range given {
		if a.Kind == org.User {
			w.foreign = append(w.foreign, a)
		}
	}
	web := httptest.NewServer(w)
	w.url = web.URL
	t.Cleanup(func() {
		web.CloseClientConnections()
		web.Close()
	})
	t.Cleanup(w.clear)
	switch {
	case p.great == promotion:
		w.pair = judge.NewPair(t)
		w.address = w.pair.Address()
	case p.postgres:
		w.address = judge.Postgres(t)
	default:
		w.address = "sqlite:" + filepath.Join(w.folder, "first.db")
	}
	w.fill()
	return w
}

// clear ends every process of the run.
func (w *world) clear() {
	for _, l := range w.lives() {
		if l.alive() {
			l.kill()
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.store != nil {
		w.store.Close()
		w.store = nil
	}
}

func (w *world) lives() []*life {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.slots)
}

func (w *world) assignment(user, account, set string) org.Assignment {
	a := org.Assignment{Kind: org.User}
	for _, p := range w.o.People {
		if p.User == user {
			a.Principal = string(p.ID)
		}
	}
	for _, c := range w.o.Accounts {
		if c.Name == account {
			a.Account = c.ID
		}
	}
	for _, s := range w.o.PermissionSets {
		if s.Name == set {
			a.PermissionSet = s.ARN
		}
	}
	if a.Principal == "" || a.Account == "" || a.PermissionSet == "" {
		w.Fatalf("the demo's organization has no %s, %s or %s", user, account, set)
	}
	return a
}

// fill writes the rules and the key of the ledger; configurations are written when they are needed.
func (w *world) fill() {
	w.write("rules/rules.yaml", book)
	w.run("ledger", "key", filepath.Join(w.folder, "ledger.key"))
}

func (w *world) write(name, text string) {
	full := filepath.Join(w.folder, name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(full), 0o700), os.WriteFile(full, []byte(text), 0o600)); err != nil {
		w.Fatal(err)
	}
}

// run runs a command of the program to its end.
func (w *world) run(args ...string) {
	if said, err := w.try(args...); err != nil {
		w.Fatalf("sparekey %s: %v\n%s", strings.Join(args, " "), err, said)
	}
}

// try runs a command of the program, and returns what it says.
func (w *world) try(args ...string) (string, error) {
	c := exec.Command(w.program, args...)
	c.Dir, c.Env, c.SysProcAttr = w.folder, []string{"PATH=" + os.Getenv("PATH"), "TZ=UTC"}, leash()
	text, err := c.CombinedOutput()
	return string(text), err
}

// token is a person's; it is made of their name, since nobody is to be kept out here.
func token(user string) string { return "spk_chaos_" + user }

// configure writes the configuration of a slot, with the access key of the process that is to live there.
func (w *world) configure(slot int, keys sandbox.Credentials) string {
	text, err := json.Marshal(keys)
	if err != nil {
		w.Fatal(err)
	}
	w.write(fmt.Sprintf("aws-%d.json", slot), string(text))
	w.mu.Lock()
	address := w.address
	w.mu.Unlock()
	var b strings.Builder
	fmt.Fprintf(&b, "listen: 127.0.0.1:0\ndatabase: %q\nrules: rules\naws: {region: us-east-1, endpoint: %q, credentials: {file: aws-%d.json}}\n", address, w.url, slot)
	b.WriteString("ledger: {key: ledger.key, file: kept.ledger}\nlimits: {calls-per-second: 100}\nroles: {administrators: {groups: [platform-admins]}}\ntokens:\n")
	for _, p := range w.o.People {
		if slices.Contains(people, p.User) || slices.Contains(administrators, p.User) {
			digest := sha256.Sum256([]byte(token(p.User)))
			fmt.Fprintf(&b, "  - {sha256: %s, person: %s}\n", hex.EncodeToString(digest[:]), p.ID)
		}
	}
	name := fmt.Sprintf("sparekey-%d.yaml", slot)
	w.write(name, b.String())
	return filepath.Join(w.folder, name)
}

// start lets a process live in a slot, and returns once it says that it does.
func (w *world) start(slot int) *life {
	w.mu.Lock()
	w.born++
	name := fmt.Sprintf("%d.%d", slot, w.born)
	w.mu.Unlock()
	keys := w.box.Key(w.o.ManagementAccount, "sparekey-"+name)
	args := []string{"serve", "--config", w.configure(slot, keys)}
	if w.plan.apart && slot == 0 {
		args = append(args, "--only-serve")
	} else if w.plan.apart {
		args[0] = "work"
	}
	l := &life{Cmd: exec.Command(w.program, args...), name: name, slot: slot, ended: make(chan struct{})}
	l.Dir, l.Stdout, l.Stderr, l.SysProcAttr = w.folder, &l.said, &l.said, leash()
	l.Env = []string{"PATH=" + os.Getenv("PATH"), "TZ=UTC"}
	if err := l.Start(); err != nil {
		w.Fatal(err)
	}
	w.mu.Lock()
	w.slots[slot], w.byKey[keys.AccessKeyID] = l, l
	w.mu.Unlock()
	go func() {
		_ = l.Wait() // how it ends is no matter
		close(l.ended)
	}()
	w.until("a process lives", patience, func() bool {
		if !l.alive() {
			w.Fatalf("the process %s has ended:\n%s", name, l.said.last(20))
		}
		found := begun.FindStringSubmatch(l.said.String())
		if found != nil {
			l.address = found[2]
		}
		return found != nil
	})
	w.look()
	return l
}

// startAll lets a process live in each slot.
func (w *world) startAll() {
	for slot, l := range w.lives() {
		if !l.alive() {
			w.start(slot)
		}
	}
	w.until("every server has read the organization", patience, func() bool {
		for _, l := range w.lives() {
			if s, err := w.status(l); l.awake() && l.address != "" && (err != nil || !s.Ready) {
				return false
			}
		}
		return true
	})
}

// until looks again and again until something is so. It fails when that takes too long, or when what must hold does not.
func (w *world) until(what string, most time.Duration, so func() bool) {
	w.Helper()
	if !w.within(most, so) {
		w.Fatalf("after %s it is not so that %s\n%s", most, what, w.story())
	}
}

// within looks again and again until something is so, and reports whether it came to be in time.
func (w *world) within(most time.Duration, so func() bool) bool {
	w.Helper()
	ctx, cancel := context.WithTimeout(w.Context(), most)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		w.check()
		if so() {
			return true
		}
		select {
		case <-ctx.Done():
			return false
		case <-tick.C:
		}
	}
}

// check fails the run when what must hold does not.
func (w *world) check() {
	w.Helper()
	w.mu.Lock()
	err := w.trouble
	w.mu.Unlock()
	if err != nil {
		w.Fatalf("%v\n%s", err, w.story())
	}
}

// fail notes what must not be; the run ends when its own goroutine looks.
func (w *world) fail(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.trouble == nil {
		w.trouble = fmt.Errorf(format, args...)
	}
}

// remark notes what is worth to be read beside a failure.
func (w *world) remark(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.remarks = append(w.remarks, time.Now().UTC().Format("15:04:05.000 ")+fmt.Sprintf(format, args...))
}
