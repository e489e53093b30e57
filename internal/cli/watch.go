package cli

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"sparekey/internal/jobs"
)

// measure has the meter hear of what the API answers, and read the rest when it is asked.
func (s *server) measure(c jobs.Clock) {
	s.api.Measure(s.meter.Answered)
	s.meter.Watch(s.broker, s.keeper, c.Now, s.log)
}

// answerPrometheus serves metrics on a listener of their own, where the configuration says so, until stop is called.
func (s *server) answerPrometheus() (stop func(), err error) {
	m := s.config.Metrics
	if m == nil {
		return func() {}, nil
	}
	l, err := net.Listen("tcp", m.Listen.Text)
	if err != nil {
		return nil, fmt.Errorf("listening for Prometheus: %w", err)
	}
	web := &http.Server{
		Handler: s.meter.Handler(s.log), ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second, IdleTimeout: 2 * time.Minute,
		MaxHeaderBytes: 16 << 10, ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := web.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			s.log.Error("Prometheus is not answered any more", "error", err) // no reason to stop ending access
		}
	}()
	s.log.Info("answering Prometheus", "address", l.Addr().String())
	return func() {
		web.Close()
		<-ended
	}, nil
}
