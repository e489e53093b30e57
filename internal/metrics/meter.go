package metrics

import (
	"slices"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sparekey/access"
	"sparekey/audit"
	"sparekey/internal/awsconn"
	"sparekey/internal/broker"
)

// The steps of an end whose lateness is measured.
const (
	sent      = "sent"      // AWS was asked to take the access away
	confirmed = "confirmed" // AWS no longer lists it, or nothing of it was to be taken away
)

// decisions on requests, by the event that records them.
var decisions = map[string]string{
	"request.asked": "asked", "request.approved": "approved", "request.rejected": "rejected", "request.withdrawn": "withdrawn", "request.lapsed": "lapsed",
}

// automatic is the decision of a rule that needs nobody.
const automatic = "automatic"

// troubles are events of grants that alerts look for: they are there, at zero, from the start.
var troubles = []string{"grant.hindered", "grant.stuck", "grant.failed", "grant.reappeared"}

// Meter counts what happens. Its methods may be called by any number of goroutines.
type Meter struct {
	registry *prometheus.Registry

	lateness *prometheus.HistogramVec
	starts   prometheus.Histogram
	requests *prometheus.CounterVec
	steps    *prometheus.CounterVec
	refusals *prometheus.CounterVec
	calls    *prometheus.CounterVec
	took     *prometheus.HistogramVec
	answers  *prometheus.CounterVec
}

// New makes a meter for a version of the program.
func New(version string) *Meter {
	m := &Meter{
		registry: prometheus.NewRegistry(),
		lateness: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "sparekey_end_lateness_seconds", Help: "Time from when access was to end until its removal was sent to AWS, and until its end was confirmed.",
			Buckets: []float64{0.1, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600},
		}, []string{"step"}),
		starts: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "sparekey_start_delay_seconds", Help: "Time from the approval of a grant, or from when it was to start, until AWS listed it.",
			Buckets: []float64{1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600},
		}),
		requests: counter("sparekey_requests_total", "Requests by what was decided; one whose lines are decided apart counts for each decision.", "decision"),
		steps:    counter("sparekey_grant_events_total", "Events of grants, as the record names them.", "event"),
		refusals: counter("sparekey_refusals_total", "Commands that were refused, by the kind of refusal.", "kind"),
		calls:    counter("sparekey_aws_calls_total", "Calls of AWS by outcome; each try is one.", "service", "operation", "outcome"),
		took: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "sparekey_aws_call_duration_seconds", Help: "How long calls of AWS took, whatever the outcome.",
			Buckets: []float64{0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30},
		}, []string{"service", "operation"}),
		answers: counter("sparekey_http_requests_total", "Requests to the API by route and status.", "route", "code"),
	}
	m.begin()
	m.registry.MustRegister(m.lateness, m.starts, m.requests, m.steps, m.refusals, m.calls, m.took, m.answers)
	m.runtime(version)
	return m
}

func counter(name, help string, labels ...string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
}

// begin makes the series that are known beforehand: the first of something that happens rarely would otherwise not show as
// an increase.
func (m *Meter) begin() {
	for _, step := range []string{sent, confirmed} {
		m.lateness.WithLabelValues(step)
	}
	m.requests.WithLabelValues(automatic)
	for _, d := range decisions {
		m.requests.WithLabelValues(d)
	}
	for _, event := range troubles {
		m.steps.WithLabelValues(event)
	}
	m.refusals.WithLabelValues(broker.Unproven)
}

// Changed implements [broker.Meter].
func (m *Meter) Changed(c access.Change) {
	for _, e := range c.Events {
		switch e.Subject.Kind {
		case "request":
			m.decided(e)
		case "grant":
			m.steps.WithLabelValues(e.Kind).Inc()
			if i := slices.IndexFunc(c.Grants, func(g access.Grant) bool { return g.ID == e.Subject.ID }); i >= 0 {
				m.stepped(e, c.Grants[i])
			}
		}
	}
}

func (m *Meter) decided(e audit.Event) {
	d, known := decisions[e.Kind]
	if !known {
		return
	}
	if e.Detail["automatic"] == "true" {
		d = automatic
	}
	m.requests.WithLabelValues(d).Inc()
}

// stepped measures how long after its time a grant was ended, or begun. A delete that AWS took and did not carry out is sent
// again, and counts again.
func (m *Meter) stepped(e audit.Event, g access.Grant) {
	due := g.EndDue()
	switch e.Kind {
	case "grant.active":
		from := g.ApprovedAt
		if g.StartAt.After(from) {
			from = g.StartAt
		}
		m.starts.Observe(seconds(g.ActiveAt.Sub(from)))
	case "grant.delete-accepted":
		if g.Delete != nil && !due.IsZero() {
			m.lateness.WithLabelValues(sent).Observe(seconds(g.Delete.SentAt.Sub(due)))
		}
	case "grant.ended", "grant.released", "grant.failed":
		if !due.IsZero() && !g.EndedAt.IsZero() {
			m.lateness.WithLabelValues(confirmed).Observe(seconds(g.EndedAt.Sub(due)))
		}
	}
}

// seconds is a duration as Prometheus wants it. Clocks that disagree make none negative.
func seconds(d time.Duration) float64 { return max(d, 0).Seconds() }

// Refused implements [broker.Meter].
func (m *Meter) Refused(kind string) { m.refusals.WithLabelValues(kind).Inc() }

// Called counts a call of AWS.
func (m *Meter) Called(c awsconn.Call) {
	m.calls.WithLabelValues(c.Service, c.Operation, string(c.Outcome)).Inc()
	m.took.WithLabelValues(c.Service, c.Operation).Observe(c.Took.Seconds())
}

// Answered counts a request to the API. route is one of the API's own patterns, not what was sent.
func (m *Meter) Answered(route string, status int) {
	m.answers.WithLabelValues(route, strconv.Itoa(status)).Inc()
}
