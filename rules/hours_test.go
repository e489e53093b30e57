package rules

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"sparekey/strict"
)

// TestHoursWithinOthersAreOpenOnlyWhileThoseAre looks at every half hour of a month in which a zone's clocks are put back.
func TestHoursWithinOthersAreOpenOnlyWhileThoseAre(t *testing.T) {
	begin := time.Date(2026, 10, 15, 0, 0, 0, 0, time.UTC)
	some := func(t *rapid.T, label string, texts ...string) (words []strict.Word) {
		for _, text := range texts {
			if rapid.Bool().Draw(t, label) {
				words = append(words, strict.Word{Text: text})
			}
		}
		return words
	}
	hours := func(t *rapid.T) *week {
		h := anyHours(t)
		h.Zone.Text = rapid.SampledFrom([]string{"Europe/Berlin", "Asia/Tokyo"}).Draw(t, "zone")
		h.Days, h.Holidays = some(t, "day", weekdays...), some(t, "holiday", "2026-10-20", "2026-10-25")
		return h.ready(func(_ strict.Position, format string, args ...any) *strict.Error {
			t.Fatalf(format, args...)
			return nil
		}, nil)
	}
	found := 0
	rapid.Check(t, func(t *rapid.T) {
		w, o := hours(t), hours(t)
		if !w.within(o) {
			// Hours made of others by leaving something out must be found within them.
			less := *o
			less.days[rapid.IntRange(0, 6).Draw(t, "day off")] = false
			if less.off = map[string]bool{"2026-10-22": true}; !rapid.Bool().Draw(t, "other holidays") {
				for date := range o.off {
					less.off[date] = true
				}
				if !less.within(o) {
					t.Fatalf("%s is not within %s", less.text(), o.text())
				}
			}
			w = &less
			if !w.within(o) {
				return
			}
		}
		found++
		for at := begin; at.Before(begin.AddDate(0, 1, 0)); at = at.Add(30 * time.Minute) {
			if end := w.open(at); !end.IsZero() && o.open(at).Before(end) {
				t.Fatalf("at %s %s is open until %s and %s until %s", at, w.text(), end, o.text(), o.open(at))
			}
		}
	})
	if found == 0 {
		t.Error("no hours were within others")
	}
}
