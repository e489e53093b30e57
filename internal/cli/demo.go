package cli

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"sparekey/internal/broker"
	"sparekey/internal/config"
	"sparekey/internal/demo"
	"sparekey/internal/sandbox"
	"sparekey/org"
)

func (a *app) demoCommand() *cobra.Command {
	var listen string
	c := &cobra.Command{
		Use: "demo", Short: "Run Sparekey on a simulated organization", Args: none,
		Long: "Run Sparekey on a simulated organization: 60 accounts, 12 permission sets, 80 people. It needs no AWS account, no configuration\n" +
			"and no network, listens on this machine only, and leaves nothing behind when it ends (Ctrl-C, or its terminal\nis closed). It prints where its rules are, and `sparekey rules apply` changes what is in force.",
		RunE: func(c *cobra.Command, _ []string) error { return a.demo(c.Context(), listen) },
	}
	c.Flags().StringVar(&listen, "listen", config.DefaultListen, "address and port of the server; on this machine only")
	return c
}

func (a *app) demo(ctx context.Context, listen string) error {
	if err := here(listen); err != nil {
		return err
	}
	if running, err := demo.Find(); err == nil && running.Alive() {
		return &failure{exitFailed, "a demo is running already at " + running.Address, fmt.Sprintf("speak to it with --as, or end it with Ctrl-C where it was started, or with kill %d", running.PID)}
	}
	l, err := listenHere(listen)
	if err != nil {
		return err
	}
	d, err := demo.Start(demo.Options{})
	if err != nil {
		return err
	}
	defer d.Close()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	log := slog.New(slog.NewTextHandler(a.err, &slog.HandlerOptions{Level: slog.LevelWarn})) // what goes well is on standard output
	s, err := assemble(ctx, setup{config: d.Config, connection: d.Connection, kill: &d.Connection, clock: wallClock{}, log: log})
	if err != nil {
		return err
	}
	address := "http://" + l.Addr().String()
	if err := d.Announce(address); err != nil {
		s.store.Close()
		return err
	}
	ran := make(chan error, 1)
	go func() { ran <- s.run(ctx, l) }()
	if !read(ctx, s.broker, ran) {
		return <-ran
	}
	if a.output != "json" {
		a.script(d, address)
	} else if err := a.json(d.Running(address)); err != nil {
		stop()
		return errors.Join(err, <-ran)
	}
	return <-ran
}

// read waits until the organization has been read, so that nobody is told to try what cannot work yet. It is false when the
// server ended before.
func read(ctx context.Context, b *broker.Broker, ran chan error) bool {
	for {
		changed := b.Changed()
		if b.Known() {
			return true
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return false
		case err := <-ran:
			ran <- err
			return false
		}
	}
}

// here refuses an address that is not on loopback.
func here(address string) error {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return usage("--listen 127.0.0.1:8340, or --listen 127.0.0.1:0 for any free port", "%q is not an address with a port", address)
	}
	if !isLoopback(host) {
		return usage("--listen 127.0.0.1:8340", "what is simulated listens on this machine only, not on %q", host)
	}
	return nil
}

// listenHere listens on loopback and nowhere else.
func listenHere(address string) (net.Listener, error) {
	if err := here(address); err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, &failure{exitFailed, err.Error(), "--listen 127.0.0.1:0 takes any free port"}
	}
	return l, nil
}

// script prints what is there, and what to try first.
func (a *app) script(d *demo.Demo, address string) {
	var target org.Account
	for _, account := range d.Organization.Accounts {
		if account.Name == "payments-prod" {
			target = account
		}
	}
	set, _ := org.NewMirror(d.Organization).PermissionSet("PowerUser")
	sparekey := me()
	fmt.Fprintf(a.out, `Sparekey's demo is running. Nothing leaves this machine; Ctrl-C ends it and leaves nothing behind.

  server   %s
  AWS      %s  (simulated: %d accounts, %d permission sets, %d people)
  rules    %s  (after an edit: %[7]s --as amy rules apply %[6]s)

In a second terminal:

  1. What may dana ask for?
       %[7]s --as dana access list --account payments
  2. She asks for production, and waits.
       %[7]s --as dana access request --account payments-prod --permission-set PowerUser --for 30m --reason "INC-4711 rollback" --wait
  3. In a third terminal, kim sees it and approves (put in the id that step 2 printed).
       %[7]s --as kim approvals
       %[7]s --as kim approve REQUEST
  4. Who holds what, and until which last minute?
       %[7]s --as amy grants --all
  5. Why may eli not have it?
       %[7]s --as amy why eli PowerUser payments-prod
  6. dana is done (the id is in step 4).
       %[7]s --as dana end GRANT

The same organization, seen by the AWS CLI:

  export AWS_ACCESS_KEY_ID=%s AWS_SECRET_ACCESS_KEY=%s AWS_DEFAULT_REGION=%s
  aws --endpoint-url %s sso-admin list-account-assignments --instance-arn %s \
      --account-id %s --permission-set-arn %s

People to be: dana, eli (developers; eli is a contractor), kim, ren, mori, ito (approve production), amy, lee, sato
(administrators; sato is of security), ana (auditor), and 70 others.
`, address, d.Endpoint.URL, len(d.Organization.Accounts), len(d.Organization.PermissionSets), len(d.Organization.People), d.RulesFolder(),
		sparekey, d.Endpoint.AccessKeyID, d.Endpoint.SecretAccessKey, d.Endpoint.Region, d.Endpoint.URL, d.Organization.Instance, target.ID, set.ARN)
}

// me is how this program is called: by its name, or as go run has built it.
func me() string {
	if path, err := os.Executable(); err == nil && strings.Contains(path, "go-build") {
		return "go run ./cmd/sparekey"
	}
	return "sparekey"
}

func (a *app) sandboxCommand() *cobra.Command {
	var listen, file, region string
	c := &cobra.Command{
		Use: "sandbox", Short: "Run the simulated AWS alone, for tests of your own", Args: none,
		Long: "Run the simulated AWS alone: Organizations, IAM Identity Center, its identity store and its portal, STS. SDKs and the AWS CLI\n" +
			"talk to it unchanged. It listens on this machine only and keeps everything in memory. GET / on it says what it can do.",
		RunE: func(c *cobra.Command, _ []string) error {
			text := demo.Organization
			if file != "" {
				var err error
				if text, err = os.ReadFile(file); err != nil {
					return fmt.Errorf("reading the organization: %w", err)
				}
			} else {
				file = config.OrganizationFile
			}
			organization, assignments, err := org.Describe(file, text)
			if err != nil {
				return err
			}
			roles, err := org.DescribeRoles(file, text)
			if err != nil {
				return err
			}
			l, err := listenHere(listen)
			if err != nil {
				return err
			}
			return a.sandbox(c.Context(), l, sandbox.Options{Organization: organization, Assignments: assignments, Roles: roles, Region: region})
		},
	}
	c.Flags().StringVar(&listen, "listen", "127.0.0.1:0", "address and port; on this machine only")
	c.Flags().StringVar(&file, "organization", "", "a description of the organization; the demo's by default")
	c.Flags().StringVar(&region, "region", "us-east-1", "the Region of Identity Center")
	return c
}

func (a *app) sandbox(ctx context.Context, l net.Listener, o sandbox.Options) error {
	var seed [8]byte
	if _, err := rand.Read(seed[:]); err != nil {
		return err
	}
	o.Seed = binary.LittleEndian.Uint64(seed[:])
	s := sandbox.New(o)
	key := s.Key(o.Organization.ManagementAccount, "administrator")
	about := map[string]string{
		"endpoint": "http://" + l.Addr().String(), "region": o.Region, "accessKeyId": key.AccessKeyID, "secretAccessKey": key.SecretAccessKey,
		"control": s.Control(), "instance": o.Organization.Instance, "identityStore": o.Organization.IdentityStore,
	}
	if a.output == "json" {
		if err := a.json(about); err != nil {
			return err
		}
	} else {
		fmt.Fprintf(a.out, "endpoint        %s\ncontrol token   %s\ninstance        %s\nidentity store  %s\n\nexport AWS_ACCESS_KEY_ID=%s AWS_SECRET_ACCESS_KEY=%s AWS_DEFAULT_REGION=%s\naws --endpoint-url %s organizations list-accounts\n",
			about["endpoint"], about["control"], about["instance"], about["identityStore"], key.AccessKeyID, key.SecretAccessKey, o.Region, about["endpoint"])
	}
	web := &http.Server{Handler: s, ReadHeaderTimeout: 10 * time.Second}
	go func() {
		<-ctx.Done()
		web.Close()
	}()
	if err := web.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
