package rules

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"sparekey/strict"
)

// Hours are the same every week, but for holidays. Without days they are of every day; without from and to, of the whole day.
// Where to is not after from, they go on past midnight.
type Hours struct {
	At       strict.Position
	Days     []strict.Word `yaml:"days"`          // mon, tue, wed, thu, fri, sat, sun
	From     strict.Word   `yaml:"from"`          // 09:00
	To       strict.Word   `yaml:"to"`            // 18:00; 24:00 is the end of the day
	Zone     strict.Word   `yaml:"zone,required"` // Asia/Tokyo, Europe/Berlin, UTC: a name of the IANA time zone database
	Holidays []strict.Word `yaml:"holidays"`      // dates (2026-12-31), or names of calendars
}

var weekdays = []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}

// week is hours made ready to be asked.
type week struct {
	days     [7]bool
	from, to int // minutes of the day
	zone     *time.Location
	off      map[string]bool // dates
}

const dateForm = "2006-01-02"

// ready reads the hours. calendars are the dates by the names that holidays may use.
func (h *Hours) ready(say sayer, calendars map[string][]strict.Word) *week {
	w := &week{to: 24 * 60, off: map[string]bool{}}
	if len(h.Days) == 0 {
		w.days = [7]bool{true, true, true, true, true, true, true}
	}
	for _, d := range h.Days {
		i := slices.Index(weekdays, d.Text)
		if i < 0 {
			say(d.At, "names the day %q", d.Text).WithHint("known: mon, tue, wed, thu, fri, sat, sun")
			continue
		}
		w.days[i] = true
	}
	h.minutes(h.From, &w.from, say)
	h.minutes(h.To, &w.to, say)
	if w.from == 24*60 {
		say(h.From.At, "has hours that begin at 24:00").WithHint("from: 00:00")
	}
	var err error
	if w.zone, err = time.LoadLocation(h.Zone.Text); err != nil || h.Zone.Text == "" || h.Zone.Text == "Local" {
		say(h.Zone.At, "names the time zone %q, which is not known", h.Zone.Text).WithHint("as in Asia/Tokyo, Europe/Berlin or UTC")
		w.zone = time.UTC
	}
	for _, d := range h.Holidays {
		dates, isCalendar := calendars[d.Text]
		if !isCalendar {
			dates = []strict.Word{d}
		}
		for _, date := range dates {
			if _, err := time.Parse(dateForm, date.Text); err != nil {
				say(date.At, "names the holiday %q, which is neither a date nor a calendar", date.Text).WithHint("write dates as 2026-12-31; calendars stand below `calendars:`")
			}
			w.off[date.Text] = true
		}
	}
	return w
}

func (h *Hours) minutes(from strict.Word, into *int, say sayer) {
	if from.Text == "" {
		return
	}
	t, err := time.Parse("15:04", from.Text)
	switch {
	case from.Text == "24:00":
		*into = 24 * 60
	case err != nil || len(from.Text) != 5:
		say(from.At, "has the time of day %q", from.Text).WithHint("write it as 09:00")
	default:
		*into = t.Hour()*60 + t.Minute()
	}
}

// String writes hours as in "mon–fri 09:00–18:00 Asia/Tokyo".
func (w *week) String() string {
	var days []string
	for first := 1; first <= 7; first++ { // from Monday on
		if !w.days[first%7] {
			continue
		}
		last := first
		for last < 7 && w.days[(last+1)%7] {
			last++
		}
		switch text := weekdays[first%7]; {
		case last == first:
			days = append(days, text)
		case last == first+1:
			days = append(days, text, weekdays[last%7])
		default:
			days = append(days, text+"–"+weekdays[last%7])
		}
		first = last
	}
	text := strings.Join(days, ", ")
	if text == "mon–sun" {
		text = "daily"
	}
	if w.from != 0 || w.to != 24*60 {
		text += fmt.Sprintf(" %02d:%02d–%02d:%02d", w.from/60, w.from%60, w.to/60, w.to%60)
	}
	text += " " + w.zone.String()
	if len(w.off) > 0 {
		text += " but holidays"
	}
	return text
}

// within reports whether o is open whenever w is, as far as their words show it: hours of one time zone, or none of which o
// leaves out anything.
func (w *week) within(o *week) bool {
	if w == nil || o == nil {
		return o == nil
	}
	end := func(w *week) int {
		if w.to <= w.from {
			return w.to + 24*60
		}
		return w.to
	}
	if o.days == [7]bool{true, true, true, true, true, true, true} && o.from == 0 && end(o) == 24*60 && len(o.off) == 0 {
		return true
	}
	for day, on := range w.days {
		if on && !o.days[day] {
			return false
		}
	}
	for date := range o.off {
		if !w.off[date] {
			return false
		}
	}
	return w.zone.String() == o.zone.String() && w.from >= o.from && end(w) <= end(o)
}

// on reports whether the hours of a date are held.
func (w *week) on(day time.Time) bool { return w.days[day.Weekday()] && !w.off[day.Format(dateForm)] }

// span is the hours of the day that t is in, whether they are held or not.
func (w *week) span(t time.Time) (from, to time.Time) {
	y, m, d := t.In(w.zone).Date()
	from = time.Date(y, m, d, 0, w.from, 0, 0, w.zone)
	to = time.Date(y, m, d, 0, w.to, 0, 0, w.zone)
	if w.to <= w.from {
		to = time.Date(y, m, d+1, 0, w.to, 0, 0, w.zone)
	}
	return from, to
}

// open returns the end of the hours that t is in; the zero time when it is in none. Hours that follow on each other without
// a gap are one.
func (w *week) open(t time.Time) time.Time {
	var end time.Time
	at := t.In(w.zone)
	for day := -1; day <= 370; day++ {
		date := at.AddDate(0, 0, day)
		from, to := w.span(date)
		if !w.on(date) || to.Before(t) || to.Equal(t) {
			continue
		}
		switch {
		case end.IsZero() && !from.After(t), !end.IsZero() && !from.After(end):
			end = to
		default:
			return end
		}
	}
	return end
}

// next returns when hours begin after t; the zero time when none do within a year.
func (w *week) next(t time.Time) time.Time {
	at := t.In(w.zone)
	for day := range 370 {
		date := at.AddDate(0, 0, day)
		if from, _ := w.span(date); w.on(date) && from.After(t) {
			return from
		}
	}
	return time.Time{}
}
