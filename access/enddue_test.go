package access

import (
	"testing"
	"time"
)

func TestEndDueIsWhenAccessIsToBeTakenAway(t *testing.T) {
	at := func(minute int) time.Time { return time.Date(2026, 11, 22, 3, minute, 0, 0, time.UTC) }
	never := time.Time{}
	for _, c := range []struct {
		name                    string
		hard, ends, ending, due time.Time
	}{
		{"not begun", never, never, never, never},
		{"being given", at(45), never, never, at(45)},
		{"active", at(45), at(30), never, at(30)},
		{"ended by its time", at(45), at(30), at(31), at(30)},
		{"ended early", at(45), at(30), at(10), at(10)},
		{"failed before it was there", at(45), never, at(5), at(5)},
		{"back after its end", at(45), at(30), at(36), at(30)},
	} {
		g := Grant{HardEnd: c.hard, EndsAt: c.ends, EndingAt: c.ending}
		if due := g.EndDue(); !due.Equal(c.due) {
			t.Errorf("%s: %s, want %s", c.name, due, c.due)
		}
	}
}
