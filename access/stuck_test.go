package access

import (
	"errors"
	"testing"
	"time"

	"sparekey/audit"
)

// Of a thousand ends at once most wait for longer than a single end may take. They are not stuck: nothing of AWS is in their way.
func TestAnEndThatWaitsForItsTurnIsNotStuck(t *testing.T) {
	at := start
	g := Grant{ID: "g-1", Version: 1, State: Active, Terms: Terms{Way: Assignment}, Held: Ours, Minutes: 30, BegunAt: at, ActiveAt: at, EndsAt: at.Add(30 * time.Minute), HardEnd: at.Add(45 * time.Minute),
		Create: &Operation{ID: "op", SentAt: at, Outcome: Succeeded}}
	c, err := g.EndIt(audit.Actor{Kind: audit.Sparekey, ID: "clock"}, "over", at)
	if err != nil {
		t.Fatal(err)
	}
	g = c.Grants[0]
	turn := at.Add(3 * time.Hour)
	if task := g.Task(turn); task != Remove || !g.Due().Equal(at) {
		t.Fatalf("%s, due %s", task, g.Due())
	}
	c, call, err := g.Remove(true, nil, turn)
	if err != nil || !call {
		t.Fatal(err)
	}
	if g = c.Grants[0]; !g.TriedAt.Equal(turn) {
		t.Fatal(g.TriedAt)
	}
	for _, now := range []time.Time{turn, turn.Add(StuckAfter - time.Second)} {
		if task := g.Task(now); task == Stick {
			t.Errorf("it is stuck %s after its turn", now.Sub(turn))
		}
	}
	// From its turn on it has as long as any other.
	c, err = g.DeleteAnswered(Seen{}, errors.New("throttled"), turn.Add(time.Second))
	if err != nil {
		t.Fatal(err)
	}
	g = c.Grants[0]
	if task := g.Task(turn.Add(StuckAfter)); task != Stick || g.Due().After(turn.Add(StuckAfter)) {
		t.Errorf("%s, due %s", task, g.Due())
	}
}

// Whoever cannot even look has tried.
func TestAnEndThatCannotBeLookedAtGetsStuck(t *testing.T) {
	at := start
	g := Grant{ID: "g-1", Version: 1, State: Ending, Terms: Terms{Way: Assignment}, Held: Ours, Minutes: 30, BegunAt: at, EndingAt: at, End: &EndCause{At: at}, HardEnd: at.Add(45 * time.Minute),
		Create: &Operation{ID: "op", SentAt: at, Outcome: Succeeded}}
	c, err := g.Hinder(errors.New("denied"), at.Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	if task := c.Grants[0].Task(at.Add(time.Hour + StuckAfter)); task != Stick {
		t.Error(task)
	}
}
