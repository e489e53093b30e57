package chaos

import (
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"sparekey/access"
	"sparekey/internal/judge"
)

// play plays the whole run.
func (w *world) play() {
	w.startAll()
	for i, a := range w.plan.acts {
		w.remark("act %d: %s", i, a)
		w.perform(a)
		w.within(a.then, func() bool { return false }) // the pace of the plot
	}
	w.heal()
}

// perform does one act.
func (w *world) perform(a act) {
	l := w.lives()[a.who%w.plan.slots]
	switch a.what {
	case "ask":
		_, _ = w.ask(a) // what they are told is among the remarks
	case "end":
		w.end(a)
	case "extend":
		w.extend(a)
	case "stop":
		w.stop(a)
	case "kill":
		if l.awake() {
			w.killed++
			w.befall(l, a, l.kill)
			if a.place%2 == 0 {
				w.start(l.slot)
			}
		}
	case "pause":
		if l.awake() {
			w.stopped++
			w.befall(l, a, func() { l.pause(a.away) })
			w.locked(l)
		}
	case "return":
		for slot, l := range w.lives() {
			if !l.alive() {
				w.start(slot)
			}
		}
	case "clear":
		w.settled(a)
	case string(restore):
		w.restored(a)
	case string(upgrade):
		w.upgraded()
	case string(promotion):
		w.promoted(a)
	default:
		w.Fatalf("there is no act %q", a.what)
	}
}

// settled has everything that is live ended.
func (w *world) settled(a act) {
	w.startAll()
	w.until("everything that is live is told to end", patience, func() bool {
		_, more := w.of(a)
		if more {
			w.end(a)
		}
		return !more
	})
}

// awaken waits until no process is stopped, and starts those that are dead.
func (w *world) awaken() {
	w.until("nobody is stopped any more", patience, func() bool {
		return !slices.ContainsFunc(w.lives(), func(l *life) bool { return l.alive() && !l.awake() })
	})
	w.startAll()
}

// restored has everything die and go on from a backup that does not know what was given last.
func (w *world) restored(a act) {
	w.awaken()
	w.given(a)
	backup := filepath.Join(w.folder, "old.gz")
	w.run("backup", backup, "--config", filepath.Join(w.folder, "sparekey-0.yaml"))
	a.who, a.place = a.who+1, a.place+1
	w.given(a)
	for _, l := range w.lives() {
		l.kill()
	}
	w.look() // the last that the old database says
	w.replaced(w.another())
	w.configure(0, w.box.Key(w.o.ManagementAccount, "sparekey-restore"))
	w.run("restore", backup, "--config", filepath.Join(w.folder, "sparekey-0.yaml"))
	w.startAll()
	w.recovers()
}

// another is an empty database, which is not there yet.
func (w *world) another() string {
	if w.plan.postgres {
		return judge.Postgres(w)
	}
	return "sqlite:" + filepath.Join(w.folder, "second.db")
}

// replaced makes another database the one that processes are started with.
func (w *world) replaced(address string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.store != nil {
		w.store.Close()
	}
	w.store, w.address = nil, address
}

// upgraded replaces one process after the other by another version.
func (w *world) upgraded() {
	w.program = programs[1]
	for slot, l := range w.lives() {
		if l.alive() && (w.plan.rough || !l.awake()) {
			l.kill()
		}
		if l.alive() {
			if err := l.Process.Signal(syscall.SIGTERM); err != nil {
				w.Fatal(err)
			}
			w.until("a process ends when it is told to", patience, func() bool { return !l.alive() })
		}
		l = w.start(slot)
		if l.address == "" {
			continue
		}
		w.until("the other version answers", patience, func() bool {
			s, err := w.status(l)
			return !l.awake() || err == nil && s.Version == versions[1]
		})
	}
}

// promoted has the database die, and a standby go on that does not know what was given last.
func (w *world) promoted(a act) {
	w.awaken()
	w.given(a)
	w.pair.Cut(w)
	w.remark("the standby follows no more")
	a.who, a.place = a.who+1, a.place+1
	w.given(a)
	w.mu.Lock()
	w.switched = time.Now()
	w.mu.Unlock()
	w.pair.Promote(w)
	w.remark("the standby is promoted")
	w.mu.Lock()
	w.switched = time.Now()
	w.mu.Unlock()
	w.startAll()
	w.recovers()
}

// heal ends what befalls, and waits until all has ended that is due.
func (w *world) heal() {
	w.awaken()
	w.ended()
	w.until("AWS gives nothing more", 7*time.Minute, func() bool { // what landed late is found five minutes after the end
		_, unlanded := w.box.Outstanding()
		return !unlanded && len(w.there()) == 0
	})
	if err := w.chained(); err != nil {
		w.Fatalf("%v\n%s", err, w.story())
	}
	w.tell()
}

// tell says in a line what a run that passed was about; the whole of it with -chaos.tell.
func (w *world) tell() {
	given := 0
	grants, _ := w.grants()
	for _, g := range grants {
		if !g.ActiveAt.IsZero() {
			given++
		}
	}
	w.mu.Lock()
	late := 0
	for _, r := range w.remarks {
		if strings.Contains(r, "has the lane: ") {
			late++
		}
	}
	w.Logf("great: %s; PostgreSQL %v, %d at once, apart %v: %d processes lived, %d held the lane, %d were killed and %d stopped; %d grants, %d given; %d calls too late to be called back",
		w.plan.great, w.plan.postgres, w.plan.slots, w.plan.apart, w.born, len(w.holders), w.killed, w.stopped, len(grants), given, late)
	w.mu.Unlock()
	if *tell {
		w.Log(w.story())
	}
}

// ended waits until every grant is over: each at its own end, and what AWS takes. What has not begun yet does so meanwhile.
func (w *world) ended() {
	w.until("everything that is due has ended", 3*time.Minute, func() bool {
		w.shorten()
		grants, ok := w.grants()
		return ok && !slices.ContainsFunc(grants, access.Grant.Live)
	})
}

// locked sees to it that nobody can take a SQLite database while the process that has it is stopped.
func (w *world) locked(l *life) {
	if w.plan.postgres || l.awake() || !l.alive() {
		return
	}
	said, err := w.try("serve", "--config", filepath.Join(w.folder, "sparekey-0.yaml"))
	if err == nil || !inUse.MatchString(said) {
		w.Fatalf("a second process opens the database of one that is stopped: %v\n%s", err, said)
	}
}
