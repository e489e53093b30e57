package metrics

import (
	"context"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sparekey/access"
	"sparekey/internal/broker"
	"sparekey/internal/jobs"
)

// State is what the broker knows when it is asked.
type State interface {
	Figures(ctx context.Context) (broker.Figures, error)
}

// Lane is the lane of this process.
type Lane interface {
	Lane() jobs.LaneUse
}

// patience is how long a scrape waits for the database. Prometheus itself gives up after 10 s unless told otherwise.
const patience = 5 * time.Second

// Watch has every scrape read the state. It is called once.
func (m *Meter) Watch(s State, l Lane, now func() time.Time, log *slog.Logger) {
	m.registry.MustRegister(collector{s, l, now, log})
}

func gauge(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, labels, nil)
}

var (
	grants       = gauge("sparekey_grants", "Grants for which something is left to do, by state; ended and failed ones are those still looked at for what lands late.", "state", "way")
	endsOverdue  = gauge("sparekey_ends_overdue", "Grants whose access was to end by now and has not.")
	endOverdue   = gauge("sparekey_end_overdue_seconds", "How long ago the access was to end that is most overdue; 0 when none is.")
	requestsOpen = gauge("sparekey_requests_open", "Requests that wait for a decision.")
	queueOldest  = gauge("sparekey_queue_oldest_seconds", "How long the background job has waited that waits longest; 0 when none does.")
	databaseUp   = gauge("sparekey_database_up", "Whether the database answered this scrape; where it did not, what is counted in it is missing.")
	mirrorKnown  = gauge("sparekey_mirror_known", "Whether the organization has been read, so that anything can be decided.")
	mirrorAge    = gauge("sparekey_mirror_age_seconds", "How old the organization is that decisions are taken with; missing until it was read.")
	laneHeld     = gauge("sparekey_lane_held", "Whether this process holds the lane, which starts and ends all access.")
	laneSlots    = gauge("sparekey_lane_slots", "Operations of Identity Center that the lane lets be under way at once.")
	laneInUse    = gauge("sparekey_lane_slots_in_use", "Operations of Identity Center that are under way; 0 where another process holds the lane.")
	laneCarried  = gauge("sparekey_lane_grants_carried", "Grants that this process works on at this moment.")
	lanePace     = gauge("sparekey_lane_calls_per_second", "Calls of Identity Center that the lane makes in a second at most.")
)

var all = []*prometheus.Desc{
	grants, endsOverdue, endOverdue, requestsOpen, queueOldest, databaseUp, mirrorKnown, mirrorAge, laneHeld, laneSlots, laneInUse, laneCarried, lanePace,
}

// counted are the states in which something may be left to do. They are shown also where no grant is in them.
var counted = []access.GrantState{access.Waiting, access.Granting, access.Active, access.Ending, access.Stuck, access.Ended, access.Failed}

var ways = []access.Way{access.Assignment, access.Membership, access.Session}

type collector struct {
	state State
	lane  Lane
	now   func() time.Time
	log   *slog.Logger
}

// Describe implements [prometheus.Collector].
func (c collector) Describe(to chan<- *prometheus.Desc) {
	for _, d := range all {
		to <- d
	}
}

// Collect implements [prometheus.Collector]. A database that does not answer leaves out what only it knows: a number that
// is not there is seen, and one that is old is believed.
func (c collector) Collect(to chan<- prometheus.Metric) {
	set := func(d *prometheus.Desc, value float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	c.collectLane(set)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	f, err := c.state.Figures(ctx)
	set(databaseUp, bit(err == nil))
	set(mirrorKnown, bit(f.Known))
	if f.Known {
		set(mirrorAge, seconds(f.Now.Sub(f.MirrorReadAt)))
	}
	if err != nil {
		c.log.Error("the figures for Prometheus could not be read", "error", err)
		return
	}
	for way, states := range countsOf(f) {
		for state, count := range states {
			set(grants, float64(count), string(state), string(way))
		}
	}
	set(endsOverdue, float64(f.LateEnds))
	set(endOverdue, since(f.FirstEnd, f.Now))
	set(requestsOpen, float64(f.OpenRequests))
	set(queueOldest, since(f.QueuedSince, f.Now))
}

func (c collector) collectLane(set func(d *prometheus.Desc, value float64, labels ...string)) {
	u := c.lane.Lane()
	set(laneHeld, bit(c.now().Before(u.Until)))
	set(laneSlots, float64(u.Slots))
	set(laneInUse, float64(u.InUse))
	set(laneCarried, float64(u.Carried))
	set(lanePace, u.CallsPerSecond)
}

// countsOf adds zeros to what was counted.
func countsOf(f broker.Figures) map[access.Way]map[access.GrantState]int64 {
	counts := map[access.Way]map[access.GrantState]int64{}
	for _, way := range ways {
		counts[way] = map[access.GrantState]int64{}
		for _, state := range counted {
			counts[way][state] = 0
		}
	}
	for _, c := range f.Grants {
		if counts[c.Way] == nil {
			counts[c.Way] = map[access.GrantState]int64{} // of a newer program over the same database
		}
		counts[c.Way][c.State] = c.Count
	}
	return counts
}

// since is how long ago a time was; 0 where it is still to come, or never.
func since(t, now time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return seconds(now.Sub(t))
}

func bit(is bool) float64 {
	if is {
		return 1
	}
	return 0
}
