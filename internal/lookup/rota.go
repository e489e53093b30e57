package lookup

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
)

// Rota asks PagerDuty who is on call. It may be used by any number of goroutines.
type Rota struct {
	schedules map[string]string // our name → PagerDuty's id
	base      string
	wire      *wire
	timeout   time.Duration
	asking    singleflight.Group
	mu        sync.Mutex
	shifts    map[string]shift // by our name: the last that was told
}

// shift is who is on call in a schedule, and how long that is known.
type shift struct {
	emails []string
	until  time.Time
	asked  time.Time
}

const (
	shiftFor   = time.Minute     // that a shift is remembered
	shiftStale = 5 * time.Minute // that a shift is used when PagerDuty is down; also how far ahead is asked
	pageSize   = 100             // the most that PagerDuty gives
	mostPages  = 10
)

// Known reports whether the configuration has a schedule of this name.
func (r *Rota) Known(schedule string) bool { return r.schedules[schedule] != "" }

// OnCall returns the e-mail addresses of those who are on call in a schedule at now, sorted and each once, and until when it
// stays so as far as PagerDuty knows: the end of the shift that ends first, the begin of another, or five minutes from now when
// nobody is on call. Somebody may take a shift over at any time.
//
// What PagerDuty says holds for a minute, and never past the shift. While PagerDuty is down, what it said last is used for
// five minutes, and never past the shift; after that it is an error, in words for people.
func (r *Rota) OnCall(ctx context.Context, schedule string, now time.Time) ([]string, time.Time, error) {
	id := r.schedules[schedule]
	if id == "" {
		return nil, time.Time{}, fmt.Errorf("the configuration has no schedule %q", clip(schedule))
	}
	if s, ok := r.recall(schedule, now, shiftFor); ok {
		return slices.Clone(s.emails), s.until, nil
	}
	done := r.asking.DoChan(schedule, func() (any, error) {
		call, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.timeout)
		defer cancel()
		s, err := r.ask(call, id, now)
		if err == nil {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.shifts[schedule] = s
		}
		return s, err
	})
	var s shift
	var err error
	select {
	case result := <-done:
		s, err = result.Val.(shift), result.Err
	case <-ctx.Done():
		err = silent("had not answered when nobody waited any longer")
	}
	if err != nil {
		last, ok := r.recall(schedule, now, shiftStale)
		if !ok {
			return nil, time.Time{}, fmt.Errorf("asking who is on call in %s: pagerduty %w", schedule, err)
		}
		s = last
	}
	return slices.Clone(s.emails), s.until, nil
}

// recall returns the last shift that was told if it is younger than age and not over.
func (r *Rota) recall(schedule string, now time.Time, age time.Duration) (shift, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s, ok := r.shifts[schedule]
	return s, ok && now.Sub(s.asked) < age && now.Before(s.until)
}

// ask asks for the entries of the next minutes: "List all of the on-calls", GET /oncalls, PagerDuty REST API v2. Only
// schedules that an escalation policy uses have entries there.
func (r *Rota) ask(ctx context.Context, id string, now time.Time) (shift, error) {
	var entries []onCall
	for page := range mostPages {
		reply, err := r.wire.get(ctx, r.base+"/oncalls", url.Values{
			"schedule_ids[]": {id}, "include[]": {"users"}, "since": {now.UTC().Format(time.RFC3339)}, "until": {now.Add(shiftStale).UTC().Format(time.RFC3339)},
			"limit": {strconv.Itoa(pageSize)}, "offset": {strconv.Itoa(page * pageSize)},
		}, "application/vnd.pagerduty+json;version=2")
		if err != nil {
			return shift{}, err
		}
		if !reply.found {
			return shift{}, silent("does not know the schedule %s", id)
		}
		some, more, err := readOnCalls(reply.body)
		if err != nil {
			return shift{}, err
		}
		entries = append(entries, some...)
		if !more {
			return shiftAt(entries, id, now)
		}
	}
	return shift{}, silent("has more than %d entries for one schedule", mostPages*pageSize)
}

// onCall is one entry: a person, and from when to when they are on call.
type onCall struct {
	User struct {
		Email string `json:"email"` // only with include[]=users; a deleted user has none
	} `json:"user"`
	Schedule *struct {
		ID string `json:"id"`
	} `json:"schedule"` // null: on call always, by the escalation policy itself
	Start *time.Time `json:"start"`
	End   *time.Time `json:"end"`
}

func readOnCalls(body []byte) ([]onCall, bool, error) {
	var answer struct {
		OnCalls *[]onCall `json:"oncalls"`
		More    bool      `json:"more"`
	}
	if !parse(body, &answer) || answer.OnCalls == nil {
		return nil, false, silent("answered with something that is not a list of on-calls")
	}
	return *answer.OnCalls, answer.More, nil
}

// shiftAt makes the shift of now from the entries of a schedule, which has one for each escalation policy that uses it.
func shiftAt(entries []onCall, id string, now time.Time) (shift, error) {
	s := shift{asked: now}
	nameless := false
	until := func(t time.Time) {
		if s.until.IsZero() || t.Before(s.until) {
			s.until = t
		}
	}
	for _, e := range entries {
		switch {
		case e.Schedule == nil || e.Schedule.ID != id || e.End != nil && !now.Before(*e.End):
		case e.Start != nil && now.Before(*e.Start):
			until(*e.Start)
		default:
			if e.End != nil {
				until(*e.End)
			}
			if e.User.Email == "" {
				nameless = true
				continue
			}
			s.emails = append(s.emails, strings.ToLower(e.User.Email))
		}
	}
	if s.until.IsZero() {
		s.until = now.Add(shiftStale)
	}
	slices.Sort(s.emails)
	s.emails = slices.Compact(s.emails)
	if nameless && len(s.emails) == 0 {
		return shift{}, silent("names nobody's e-mail address in this schedule")
	}
	return s, nil
}
