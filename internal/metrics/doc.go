// Package metrics tells Prometheus how Sparekey is doing.
//
// What can be counted at any moment (grants by state, ends that are late, the lane, the mirror, the queue) is read when
// Prometheus asks. What happens is counted as it happens: the broker, the API and the AWS clients tell a [Meter], and know
// nothing of Prometheus.
//
// Labels come from fixed lists of this program: states, ways, events, AWS operations, routes. No person, account, id or
// anything else that somebody typed is ever one, so that the number of series has a bound, and whoever reads them learns no
// names.
package metrics
