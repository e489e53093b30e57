package metrics

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"sparekey/access"
	"sparekey/internal/awsconn"
	"sparekey/internal/broker"
	"sparekey/internal/jobs"
	"sparekey/internal/rig"
	"sparekey/internal/sandbox"
	"sparekey/internal/store"
)

var now = time.Date(2026, 11, 22, 3, 0, 0, 0, time.UTC)

var quiet = slog.New(slog.DiscardHandler)

// still is a state and a lane that stand.
type still struct {
	figures broker.Figures
	err     error
	use     jobs.LaneUse
}

func (s still) Figures(context.Context) (broker.Figures, error) { return s.figures, s.err }
func (s still) Lane() jobs.LaneUse                              { return s.use }

func busy() still {
	return still{
		figures: broker.Figures{
			Known: true, MirrorReadAt: now.Add(-90 * time.Second), Now: now,
			Figures: store.Figures{
				Grants:   []store.GrantCount{{State: access.Active, Way: access.Assignment, Count: 7}, {State: access.Stuck, Way: access.Membership, Count: 1}},
				LateEnds: 2, FirstEnd: now.Add(-3 * time.Minute), OpenRequests: 4, QueuedSince: now.Add(-time.Second),
			},
		},
		use: jobs.LaneUse{Until: now.Add(time.Second), Slots: 9, InUse: 3, Carried: 5, CallsPerSecond: 15},
	}
}

func watching(s still) *Meter {
	m := New("v1")
	m.Watch(s, s, func() time.Time { return now }, quiet)
	return m
}

// whole asks as Prometheus does.
func whole(t testing.TB, m *Meter) string {
	t.Helper()
	w := httptest.NewRecorder()
	m.Handler(quiet).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	if w.Code != http.StatusOK {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	return w.Body.String()
}

// scrape keeps the lines of Sparekey's own metrics.
func scrape(t testing.TB, m *Meter) []string {
	t.Helper()
	return slices.DeleteFunc(strings.Split(whole(t, m), "\n"), func(line string) bool { return !strings.HasPrefix(line, "sparekey_") })
}

func has(t testing.TB, lines []string, want ...string) {
	t.Helper()
	for _, line := range want {
		if !slices.Contains(lines, line) {
			t.Errorf("missing: %s in\n%s", line, strings.Join(lines, "\n"))
		}
	}
}

func TestTheStateIsReadWhenItIsAskedFor(t *testing.T) {
	t.Parallel()
	has(t, scrape(t, watching(busy())),
		`sparekey_grants{state="active",way="assignment"} 7`, `sparekey_grants{state="stuck",way="membership"} 1`, `sparekey_grants{state="ending",way="session"} 0`,
		"sparekey_ends_overdue 2", "sparekey_end_overdue_seconds 180", "sparekey_requests_open 4", "sparekey_queue_oldest_seconds 1",
		"sparekey_mirror_known 1", "sparekey_mirror_age_seconds 90", "sparekey_database_up 1",
		"sparekey_lane_held 1", "sparekey_lane_slots 9", "sparekey_lane_slots_in_use 3", "sparekey_lane_grants_carried 5", "sparekey_lane_calls_per_second 15")
}

func TestALeaseThatHasRunOutIsNotHeld(t *testing.T) {
	t.Parallel()
	s := busy()
	s.use.Until = now
	s.figures.FirstEnd = now.Add(time.Minute)
	has(t, scrape(t, watching(s)), "sparekey_lane_held 0", "sparekey_end_overdue_seconds 0")
}

// TestWhatIsNotKnownIsLeftOut: an old number would be believed.
func TestWhatIsNotKnownIsLeftOut(t *testing.T) {
	t.Parallel()
	s := busy()
	s.err, s.figures = errors.New("the database is away"), broker.Figures{Now: now}
	lines := scrape(t, watching(s))
	has(t, lines, "sparekey_database_up 0", "sparekey_mirror_known 0", "sparekey_lane_held 1")
	for _, line := range lines {
		if regexp.MustCompile("^sparekey_(grants|end_overdue|ends_overdue|queue|mirror_age|requests_open)").MatchString(line) {
			t.Errorf("shown all the same: %s", line)
		}
	}
}

// full has something of everything.
func full() *Meter {
	m := watching(busy())
	m.Called(awsconn.Call{Service: "SSO Admin", Operation: "CreateAccountAssignment", Outcome: awsconn.Throttled, Took: time.Second})
	m.Answered("GET /v1/me", http.StatusOK)
	m.Refused("refused")
	return m
}

func TestNamesUnitsAndHelpAreAsPrometheusWantsThem(t *testing.T) {
	t.Parallel()
	problems, err := testutil.GatherAndLint(full().registry)
	if err != nil || len(problems) > 0 {
		t.Errorf("%v, %v", problems, err)
	}
	lines := scrape(t, full())
	has(t, lines, `sparekey_aws_calls_total{operation="CreateAccountAssignment",outcome="throttled",service="SSO Admin"} 1`,
		`sparekey_http_requests_total{code="200",route="GET /v1/me"} 1`, `sparekey_refusals_total{kind="refused"} 1`,
		`sparekey_requests_total{decision="automatic"} 0`, `sparekey_grant_events_total{event="grant.stuck"} 0`)
	if !slices.ContainsFunc(lines, func(l string) bool {
		return strings.HasPrefix(l, "sparekey_build_info{") && strings.Contains(l, `version="v1"`)
	}) {
		t.Error("it does not say which Sparekey it is")
	}
}

func TestNothingButGetMetricsIsAnswered(t *testing.T) {
	t.Parallel()
	h := full().Handler(quiet)
	for _, c := range []struct{ method, path string }{{"POST", "/metrics"}, {"GET", "/"}, {"GET", "/debug/pprof/"}, {"GET", "/metrics/x"}} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(c.method, c.path, nil))
		if w.Code != http.StatusNotFound && w.Code != http.StatusMethodNotAllowed {
			body, _ := io.ReadAll(w.Body)
			t.Errorf("%s %s: %d %s", c.method, c.path, w.Code, body)
		}
	}
}

// TestEndsAreMeasuredFromWhenTheyWereDue follows grants through the sandbox: one ends by its time, one early.
func TestEndsAreMeasuredFromWhenTheyWereDue(t *testing.T) {
	rig.OnBoth(t, func(t *testing.T, r *rig.Rig) {
		m := New("v1")
		r.Broker.Meter = m
		m.Watch(r.Broker, still{}, r.Clock.Now, quiet)
		short, early := r.Ask("dana", "play ReadOnly"), r.Ask("eli", "play-two ReadOnly")
		r.Become(short.Lines[0].Grant, access.Active, time.Minute)
		r.Become(early.Lines[0].Grant, access.Active, time.Minute)
		has(t, scrape(t, m), `sparekey_grants{state="active",way="assignment"} 2`, "sparekey_start_delay_seconds_count 2", `sparekey_requests_total{decision="asked"} 2`,
			`sparekey_requests_total{decision="automatic"} 2`, "sparekey_ends_overdue 0")
		if _, err := r.Broker.End(r.As("eli"), early.Lines[0].Grant, ""); err != nil {
			t.Fatal(err)
		}
		r.Become(early.Lines[0].Grant, access.Ended, time.Minute)
		r.Clock.Advance(r.Grant(short.Lines[0].Grant).EndsAt.Add(5 * time.Minute).Sub(r.Clock.Now())) // nobody holds the lane
		has(t, scrape(t, m), "sparekey_ends_overdue 1", "sparekey_end_overdue_seconds 300")
		r.Become(short.Lines[0].Grant, access.Ended, time.Minute)
		has(t, scrape(t, m), "sparekey_ends_overdue 0", "sparekey_end_overdue_seconds 0",
			`sparekey_end_lateness_seconds_count{step="sent"} 2`, `sparekey_end_lateness_seconds_bucket{step="sent",le="120"} 1`,
			`sparekey_end_lateness_seconds_bucket{step="sent",le="600"} 2`, `sparekey_end_lateness_seconds_count{step="confirmed"} 2`)
	})
}

// TestTheQueuesAgeIsThatOfTheOldestJobWhoseTimeHasCome: a request's lapse waits in River, which does not run here.
func TestTheQueuesAgeIsThatOfTheOldestJobWhoseTimeHasCome(t *testing.T) {
	rig.OnBoth(t, func(t *testing.T, r *rig.Rig) {
		k, err := jobs.New(r.Broker, r.Store, r.Clock, quiet, "test", jobs.Options{})
		if err != nil {
			t.Fatal(err)
		}
		m := New("v1")
		m.Watch(r.Broker, k, r.Clock.Now, quiet)
		q := r.Ask("dana", "payments-prod ReadOnly")
		has(t, scrape(t, m), "sparekey_queue_oldest_seconds 0", "sparekey_requests_open 1", "sparekey_lane_slots 9", "sparekey_lane_held 0")
		r.Clock.Advance(q.LapsesAt.Add(7 * time.Minute).Sub(r.Clock.Now()))
		has(t, scrape(t, m), "sparekey_queue_oldest_seconds 420")
	})
}

// TestNoLabelIsSomebodysText does everything that a stranger and a person can, and looks for what they typed.
func TestNoLabelIsSomebodysText(t *testing.T) {
	t.Parallel()
	r := rig.New(t, rig.Engines["SQLite"](t), sandbox.Behaviour{})
	m := New("v1")
	r.Broker.Meter = m
	m.Watch(r.Broker, still{}, r.Clock.Now, quiet)
	r.Broker.Unproven(t.Context(), "no token")
	r.Broker.Malformed(r.As("dana"), "GET /typed", "typed")
	r.Become(r.Ask("dana", "play ReadOnly").Lines[0].Grant, access.Active, time.Minute)
	if _, err := r.Broker.Ask(r.As("dana"), broker.Wish{Targets: []broker.Names{{Account: "typed", PermissionSet: "typed"}}, Reason: "typed", Duration: time.Hour, Key: "typed"}); err == nil {
		t.Fatal("there is such an account")
	}
	lines := strings.Join(scrape(t, m), "\n")
	has(t, strings.Split(lines, "\n"), `sparekey_refusals_total{kind="`+broker.Unproven+`"} 1`)
	for _, word := range []string{"typed", "dana", string(r.Person("dana").ID), "play", "ReadOnly", "g-", "req-", "1000000"} {
		if strings.Contains(lines, word) {
			t.Errorf("%q is shown:\n%s", word, lines)
		}
	}
}

var _ prometheus.Collector = collector{}
