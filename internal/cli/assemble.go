package cli

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/aws"

	"sparekey/access"
	"sparekey/audit"
	"sparekey/internal/api"
	"sparekey/internal/aws"
	"sparekey/internal/awsconn"
	"sparekey/internal/broker"
	"sparekey/internal/config"
	"sparekey/internal/jobs"
	"sparekey/internal/metrics"
	"sparekey/internal/store"
	"sparekey/org"
	"sparekey/rules"
)

// server is Sparekey, put together and not yet running.
type server struct {
	config *config.Config
	store  *store.Store
	broker *broker.Broker
	keeper *jobs.Keeper
	api    *api.Server
	meter  *metrics.Meter
	log    *slog.Logger
	clock  jobs.Clock
	skew   *awsconn.Skew // nil where the clock is none of the world's
	part   part
}

// setup is what a server is put together from, beside its configuration.
type setup struct {
	config     *config.Config
	connection awsconn.Settings
	management *awsconn.Settings // of the management account, where it is lent
	kill       *awsconn.Settings // of the policy of session kills, where there is one
	ledger     *awsconn.Settings // of the second place, where it is in S3
	clock      jobs.Clock
	log        *slog.Logger
	database   []store.Option // none but in tests
	part       part
}

// part is what of a server runs in this process (design rule 9).
type part string

const (
	whole   part = ""      // everything
	serving part = "serve" // faces people, and changes nothing in AWS
	working part = "work"  // changes AWS, and has no port for people
)

// assemble opens the database, takes over the rules in force or those of the folder, and joins the parts.
func assemble(ctx context.Context, s setup) (*server, error) {
	v := &server{config: s.config, meter: metrics.New(version()), clock: s.clock, log: s.log, part: s.part}
	files, unread := config.RuleFiles(s.config.Path(s.config.Rules.Text))
	address, err := s.config.DatabaseAddress()
	if err != nil {
		return nil, err
	}
	if _, wall := s.clock.(wallClock); wall { // a clock that tests move is not AWS's
		v.skew = awsconn.NewSkew(func() time.Time { return v.clock.Now() })
	}
	connection, err := v.connect(s.connection)
	if err != nil {
		return nil, err
	}
	if v.store, err = store.Open(ctx, address, s.database...); err != nil {
		return nil, err
	}
	if store.Unchecked != "" && v.store.Engine() == store.SQLite {
		s.log.Warn(store.Unchecked)
	}
	if s.part != whole && v.store.Engine() == store.SQLite {
		v.store.Close()
		return nil, usage("database: postgres://…", "serving and working in two processes takes PostgreSQL: a SQLite database is one process's")
	}
	v.clock = timed(ctx, s.clock, v.store, s.log)
	if err := v.join(audit.By(ctx, "start"), s, connection, files, unread); err != nil {
		v.store.Close()
		return nil, err
	}
	return v, nil
}

// connect opens a connection to AWS. Where only people are served, nothing can be changed over it.
func (v *server) connect(s awsconn.Settings) (sdk.Config, error) {
	s.Watch, s.Skew = v.meter.Called, v.skew
	c, err := awsconn.Open(s)
	if err == nil && v.part == serving {
		c = aws.Serving(c)
	}
	return c, err
}

// join makes the broker, who keeps its promises, and who answers for it.
func (v *server) join(ctx context.Context, s setup, connection sdk.Config, files []rules.File, unread error) error {
	c := v.config
	parts, err := v.parts(s, connection)
	if err != nil {
		return err
	}
	if v.broker, err = broker.New(parts); err != nil {
		return err
	}
	v.keeper, err = jobs.New(v.broker, v.store, v.clock, s.log, "sparekey-"+rand.Text()[:10], jobs.Options{
		Limits:      jobs.Limits{Outstanding: c.Limits.Outstanding, CallsPerSecond: float64(c.Limits.CallsPerSecond)},
		MirrorEvery: c.Limits.MirrorEvery.Duration,
	})
	if err != nil {
		return err
	}
	if err := v.broker.Begin(ctx, files, unread); err != nil {
		if p := (*access.Problem)(nil); errors.As(err, &p) {
			return &failure{exitFailed, p.Message, p.Hint}
		}
		return err
	}
	if err := v.broker.Beat(ctx); err != nil {
		v.log.Error("what must end was not written to the second place; nothing starts before it is", "error", err)
	}
	tokens, err := tokensOf(c.Tokens)
	if err != nil {
		return err
	}
	v.api = api.New(v.broker, tokens, s.log, version())
	v.measure(v.clock)
	return nil
}

// parts are what the broker is made of.
func (v *server) parts(s setup, connection sdk.Config) (broker.Parts, error) {
	c := v.config
	tickets, rota, err := lookups(c, v.clock.Now)
	if err != nil {
		return broker.Parts{}, err
	}
	center := aws.NewCenter(connection, c.Identity.Instance.Text, c.Identity.Store)
	missing := org.StatusUnknown
	if c.Identity.MissingStatus.Text == "enabled" {
		missing = org.StatusEnabled
	}
	ways, err := v.ways(s, connection, center)
	if err != nil {
		return broker.Parts{}, err
	}
	kills, err := v.killSettings(s)
	if err != nil {
		return broker.Parts{}, err
	}
	ledger, err := v.ledgerOf(s)
	if err != nil {
		return broker.Parts{}, err
	}
	halts := []func() string{v.store.Room}
	if v.skew != nil {
		halts = append(halts, v.skew.Halt)
	}
	return broker.Parts{
		Store: v.store, Ways: ways, Directory: aws.NewDirectory(connection, center, missing), Groups: aws.NewGroups(connection, center), Tickets: tickets, Rota: rota,
		Roles: rolesOf(c.Roles), Management: s.management != nil, PerHour: c.Limits.PerHour, Longest: c.Limits.Longest.Duration, Quota: quotaOf(c.Limits),
		ScansPerSecond: c.Reconcile.CallsPerSecond, Enforce: broker.Enforcement{Orphaned: c.Reconcile.Enforces("orphaned"), People: c.Reconcile.Enforces("people")},
		Now: v.clock.Now, Random: rand.Reader, Log: s.log, Meter: v.meter, Halts: halts, KillPolicy: kills, Ledger: ledger,
	}, nil
}

// ways are the ways to give access. The management account has its own, or none.
func (v *server) ways(s setup, connection sdk.Config, center *aws.Center) (map[access.Way]broker.Way, error) {
	account := func() org.AccountID { return v.broker.ManagementAccount() }
	var second aws.Way
	if s.management != nil {
		c, err := v.connect(*s.management)
		if err != nil {
			return nil, fmt.Errorf("connecting to the management account: %w", err)
		}
		own := aws.NewCenter(c, s.config.Identity.Instance.Text, s.config.Identity.Store)
		second = aws.NewAssignments(c, own)
	}
	return map[access.Way]broker.Way{
		access.Assignment: aws.Split(aws.NewAssignments(connection, center), second, account),
		access.Membership: aws.Split(aws.NewMemberships(connection, center), nil, account),
		access.Session:    aws.NewSessions(connection),
	}, nil
}

// killSettings are those of session kills. They have a connection of their own, or there are none.
func (v *server) killSettings(s setup) (broker.KillSettings, error) {
	k := s.config.Kill
	if k == nil || s.kill == nil {
		return broker.KillSettings{}, nil
	}
	c, err := v.connect(*s.kill)
	if err != nil {
		return broker.KillSettings{}, fmt.Errorf("connecting for session kills: %w", err)
	}
	return broker.KillSettings{Policy: aws.NewKillPolicy(c, k.Policy.Text), Size: k.Size, EmergencyOU: org.OUID(k.EmergencyOU.Text)}, nil
}

func rolesOf(r config.Roles) broker.Roles {
	var roles broker.Roles
	if r.Administrators != nil {
		roles.Administrators = *r.Administrators
	}
	if r.Security != nil {
		roles.Security = *r.Security
	}
	if r.Auditors != nil {
		roles.Auditors = *r.Auditors
	}
	return roles
}

// quotaOf is what the lane will take of AWS, for estimates.
func quotaOf(l config.Limits) access.Quota {
	return access.Quota{Outstanding: cmp.Or(l.Outstanding, access.TypicalQuota.Outstanding), CallsPerSecond: cmp.Or(float64(l.CallsPerSecond), 15), Operation: access.TypicalQuota.Operation}
}

func tokensOf(tokens []config.Token) ([]api.Token, error) {
	all := make([]api.Token, len(tokens))
	for i, t := range tokens {
		raw, err := hex.DecodeString(t.SHA256)
		if err != nil || len(raw) != len(all[i].Digest) {
			return nil, t.At.Errorf("the token's sha256 is not 64 hexadecimal digits")
		}
		copy(all[i].Digest[:], raw)
		all[i].Person = t.Person
	}
	return all, nil
}

// work keeps promises until the context ends, and then finishes what it has begun.
func (s *server) work(ctx context.Context) error {
	defer s.store.Close()
	s.followClock(ctx)
	return s.keeper.Run(ctx)
}

func (s *server) followClock(ctx context.Context) {
	if c, ok := s.clock.(*databaseClock); ok {
		go c.follow(ctx, s.store, s.log)
	}
}

// keep keeps promises, or, where another process does, follows what others read and change.
func (s *server) keep(ctx context.Context) error {
	if s.part == serving {
		s.keeper.Follow(ctx)
		return nil
	}
	return s.keeper.Run(ctx)
}

// run serves until the context ends, and then finishes what it has begun.
func (s *server) run(ctx context.Context, l net.Listener) error {
	defer s.store.Close()
	web := &http.Server{
		Handler: s.api.Handler(), ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 30 * time.Second, WriteTimeout: 90 * time.Second, IdleTimeout: 2 * time.Minute,
		MaxHeaderBytes: 16 << 10, ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	web.RegisterOnShutdown(s.api.Release)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	kept := make(chan error, 1)
	go func() { kept <- s.keep(ctx) }()
	s.followClock(ctx)
	go func() {
		if err := s.listen(web, l); !errors.Is(err, http.ErrServerClosed) {
			cancel(fmt.Errorf("serving: %w", err))
		}
	}()
	<-ctx.Done()
	s.api.Leave()
	stopping, done := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer done()
	if err := web.Shutdown(stopping); err != nil {
		web.Close() // somebody takes their time
	}
	err := <-kept
	s.broker.RecordUnproven(stopping)
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.Canceled) {
		return errors.Join(cause, err)
	}
	return err
}

func (s *server) listen(web *http.Server, l net.Listener) error {
	if t := s.config.TLS; t != nil {
		return web.ServeTLS(l, s.config.Path(t.Certificate), s.config.Path(t.Key))
	}
	return web.Serve(l)
}

// logger makes the log as the configuration wants it.
func logger(w io.Writer, c config.Log) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.Level.Text)); err != nil {
		level = slog.LevelInfo // the configuration was checked; this is the demo's empty one
	}
	options := &slog.HandlerOptions{Level: level}
	if c.Format.Text == "json" {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}

// container is what a container's environment says about its credentials. It is the one thing that is taken from there, and
// only when the configuration says so.
func container() awsconn.Container {
	c := awsconn.Container{URI: os.Getenv("AWS_CONTAINER_CREDENTIALS_FULL_URI"), TokenFile: os.Getenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE")}
	if relative := os.Getenv("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"); c.URI == "" && relative != "" {
		c.URI = "http://169.254.170.2" + relative // "Task IAM role", Amazon ECS Developer Guide
	}
	return c
}
