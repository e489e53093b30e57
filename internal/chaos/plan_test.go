package chaos

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// great is what at most happens once in a run.
type great string

const (
	nothing   great = "nothing"
	restore   great = "restore"   // everything dies, and goes on from an old backup
	upgrade   great = "upgrade"   // one process after the other is replaced by another version
	promotion great = "promotion" // the database dies, and a standby goes on that had stopped to follow
)

// plan is the plot of a run.
type plan struct {
	seed     uint64
	postgres bool
	slots    int           // processes
	apart    bool          // the first one serves people, and the others work
	takes    time.Duration // an operation of AWS
	great    great
	acts     []act
	patient  bool // administrators release a recovery after everything has ended, and not at once
	rough    bool // an upgrade kills what it replaces
}

// act is one thing that happens.
type act struct {
	what  string        // ask, extend, end, stop, kill, pause, return or the great thing
	who   int           // which person or process
	place int           // what is asked for; an even one: what was killed lives again at once
	calls int           // of AWS by the process that pass before it is killed or stopped
	after bool          // AWS does what the last of them asks
	then  time.Duration // until the next act, or until the people are answered, whichever is later
	away  time.Duration // of a stopped process
}

func (a act) String() string {
	return fmt.Sprintf("%s(who %d, place %d, calls %d, after %v, away %s, then %s)", a.what, a.who, a.place, a.calls, a.after, a.away, a.then)
}

// drawn is the plan of a seed.
func drawn(seed uint64) plan {
	r := rand.New(rand.NewPCG(seed, 3))
	p := plan{seed: seed, postgres: r.IntN(5) < 3, slots: 1, patient: r.IntN(2) == 0, rough: r.IntN(2) == 0}
	p.takes = []time.Duration{-1, 100 * time.Millisecond, time.Second, 2 * time.Second}[r.IntN(4)]
	greats := []great{nothing, nothing, restore, upgrade}
	if p.postgres {
		p.slots = 1 + r.IntN(3)
		p.apart = p.slots > 1 && r.IntN(3) == 0
		greats = append(greats, promotion)
	}
	p.great = greats[r.IntN(len(greats))]
	kinds := []string{"ask", "ask", "ask", "end", "end", "extend", "stop", "kill", "kill", "kill", "pause", "return", "return"}
	p.acts = []act{p.act(r, "ask"), p.act(r, "ask")}
	n := 7 + r.IntN(6)
	for i := range n {
		if i == n/2 && p.great != nothing {
			p.acts = append(p.acts, p.act(r, string(p.great)))
		}
		p.acts = append(p.acts, p.act(r, kinds[r.IntN(len(kinds))]))
	}
	return p
}

func (p plan) act(r *rand.Rand, what string) act {
	return act{
		what: what, who: r.IntN(100), place: r.IntN(100), calls: r.IntN(8), after: r.IntN(2) == 0,
		then: time.Duration(r.IntN(2000)) * time.Millisecond, away: 16*time.Second + time.Duration(r.IntN(4000))*time.Millisecond,
	}
}

// short is the plan that the ordinary tests play: a death before a call and one after, and nothing that takes a minute.
func short() plan {
	return plan{seed: 1, slots: 1, takes: 100 * time.Millisecond, great: nothing, acts: []act{
		{what: "ask"}, {what: "kill", calls: 2}, {what: "ask", who: 1, place: 1}, {what: "kill", place: 1, calls: 3, after: true}, {what: "return"}, {what: "clear"},
	}}
}
