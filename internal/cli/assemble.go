package cli

import (
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
	"sparekey/internal/store"
	"sparekey/org"
)

// server is Sparekey, put together and not yet running.
type server struct {
	config *config.Config
	store  *store.Store
	broker *broker.Broker
	keeper *jobs.Keeper
	api    *api.Server
	log    *slog.Logger
}

// setup is what a server is put together from, beside its configuration.
type setup struct {
	config     *config.Config
	connection awsconn.Settings
	management *awsconn.Settings // of the management account, where it is lent
	kill       *awsconn.Settings // of the policy of session kills, where there is one
	clock      jobs.Clock
	log        *slog.Logger
}

// wallClock is the machine's clock.
type wallClock struct{}

func (wallClock) Now() time.Time                         { return time.Now() }
func (wallClock) After(d time.Duration) <-chan time.Time { return time.After(d) }

// assemble opens the database, takes over the rules in force or those of the folder, and joins the parts.
func assemble(ctx context.Context, s setup) (*server, error) {
	c := s.config
	files, unread := config.RuleFiles(c.Path(c.Rules.Text))
	address, err := c.DatabaseAddress()
	if err != nil {
		return nil, err
	}
	connection, err := awsconn.Open(s.connection)
	if err != nil {
		return nil, err
	}
	tickets, rota, err := lookups(c, s.clock.Now)
	if err != nil {
		return nil, err
	}
	db, err := store.Open(ctx, address)
	if err != nil {
		return nil, err
	}
	v := &server{config: c, store: db, log: s.log}
	center := aws.NewCenter(connection, c.Identity.Instance.Text, c.Identity.Store)
	missing := org.StatusUnknown
	if c.Identity.MissingStatus.Text == "enabled" {
		missing = org.StatusEnabled
	}
	ways, err := v.ways(s, connection, center)
	var kills broker.KillSettings
	if err == nil {
		kills, err = killSettings(s)
	}
	if err == nil {
		v.broker, err = broker.New(broker.Parts{
			Store: db, Ways: ways, Directory: aws.NewDirectory(connection, center, missing), Groups: aws.NewGroups(connection, center), Tickets: tickets, Rota: rota,
			Roles: rolesOf(c.Roles), Management: s.management != nil, PerHour: c.Limits.PerHour, Now: s.clock.Now, Random: rand.Reader, Log: s.log,
			Longest: c.Limits.Longest.Duration, KillPolicy: kills,
		})
	}
	if err == nil {
		v.keeper, err = jobs.New(v.broker, db, s.clock, s.log, "sparekey-"+rand.Text()[:10], jobs.Options{
			Limits:      jobs.Limits{Outstanding: c.Limits.Outstanding, CallsPerSecond: float64(c.Limits.CallsPerSecond)},
			MirrorEvery: c.Limits.MirrorEvery.Duration,
		})
	}
	ctx = audit.By(ctx, "start")
	if err == nil {
		err = v.broker.Begin(ctx, files, unread)
		if p := (*access.Problem)(nil); errors.As(err, &p) {
			err = &failure{exitFailed, p.Message, p.Hint}
		}
	}
	var tokens []api.Token
	if err == nil {
		tokens, err = tokensOf(c.Tokens)
	}
	if err != nil {
		db.Close()
		return nil, err
	}
	v.api = api.New(v.broker, tokens, s.log, version())
	return v, nil
}

// ways are the ways to give access. The management account has its own, or none.
func (v *server) ways(s setup, connection sdk.Config, center *aws.Center) (map[access.Way]broker.Way, error) {
	account := func() org.AccountID { return v.broker.ManagementAccount() }
	var second aws.Way
	if s.management != nil {
		c, err := awsconn.Open(*s.management)
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
func killSettings(s setup) (broker.KillSettings, error) {
	k := s.config.Kill
	if k == nil || s.kill == nil {
		return broker.KillSettings{}, nil
	}
	c, err := awsconn.Open(*s.kill)
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
	if r.Auditors != nil {
		roles.Auditors = *r.Auditors
	}
	return roles
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
	go func() { kept <- s.keeper.Run(ctx) }()
	go func() {
		if err := s.listen(web, l); !errors.Is(err, http.ErrServerClosed) {
			cancel(fmt.Errorf("serving: %w", err))
		}
	}()
	<-ctx.Done()
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
