package config

import (
	"net"

	"sparekey/strict"
)

// Metrics says where Prometheus may ask how Sparekey is doing. Nobody who asks there is asked for a token, over plain HTTP.
type Metrics struct {
	At     strict.Position
	Listen strict.Word `yaml:"listen"` // address and port; 127.0.0.1:9340 by default
	Expose bool        `yaml:"expose"` // it may be reached from other machines
}

// DefaultMetricsListen is where Prometheus is answered unless told otherwise.
const DefaultMetricsListen = "127.0.0.1:9340"

// check is given the address of the API, which must be another.
func (m *Metrics) check(api string, say sayer) {
	if m == nil {
		return
	}
	if m.Listen.Text == "" {
		m.Listen = strict.Word{Text: DefaultMetricsListen, At: m.At}
	}
	host, port, err := net.SplitHostPort(m.Listen.Text)
	switch {
	case err != nil:
		say(m.Listen.At, "write it as "+DefaultMetricsListen, "%q is not an address with a port", m.Listen.Text)
	case !m.Expose && !loopback(host):
		say(m.Listen.At, "set expose: true beside it, where a firewall or a network policy lets only Prometheus reach it",
			"whoever reaches %s would read the metrics: no token is asked for there", m.Listen.Text)
	case m.Listen.Text == api && port != "0":
		say(m.Listen.At, "metrics have a listener of their own, such as "+DefaultMetricsListen, "the API listens on %s already", m.Listen.Text)
	}
}
