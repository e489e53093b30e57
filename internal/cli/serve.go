package cli

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net"

	"github.com/spf13/cobra"

	"sparekey/internal/api/client"
	"sparekey/internal/config"
)

func (a *app) serveCommand() *cobra.Command {
	var file string
	var only bool
	c := &cobra.Command{
		Use: "serve --config FILE", Short: "Run the server for an organization", Args: none,
		Long: "Run the server for an organization. SIGTERM (or SIGINT, SIGHUP) ends it after what it has begun. The folder of rules counts at the very first start; later,\n`sparekey rules apply` changes them.\n\n" +
			"With --only-serve it faces people and can change nothing in AWS, whatever its credentials; `sparekey work`, another process over the\n" +
			"same PostgreSQL database, starts and ends access then.",
		RunE: func(c *cobra.Command, _ []string) error {
			role := whole
			if only {
				role = serving
			}
			s, err := a.configured(c.Context(), file, role)
			if err != nil {
				return err
			}
			l, err := net.Listen("tcp", s.config.Listen.Text)
			if err != nil {
				s.store.Close()
				return fmt.Errorf("listening: %w", err)
			}
			stop, err := s.answerPrometheus()
			if err != nil {
				l.Close()
				s.store.Close()
				return err
			}
			defer stop()
			s.log.Info("serving", "address", l.Addr().String(), "version", version())
			return s.run(c.Context(), l)
		},
	}
	c.Flags().StringVar(&file, "config", "", "the configuration file")
	c.Flags().BoolVar(&only, "only-serve", false, "face people only; another process works")
	return c
}

func (a *app) workCommand() *cobra.Command {
	var file string
	c := &cobra.Command{
		Use: "work --config FILE", Short: "Start and end access for servers that only serve", Args: none,
		Long: "Start and end access, and do everything in the background, for servers that run with --only-serve over the same PostgreSQL\n" +
			"database. It listens on no port for people, and derives each decision anew from the rules in force and the recorded approvals before\n" +
			"it gives anything. SIGTERM (or SIGINT, SIGHUP) ends it after what it has begun. Several may run; one at a time works.",
		RunE: func(c *cobra.Command, _ []string) error {
			s, err := a.configured(c.Context(), file, working)
			if err != nil {
				return err
			}
			stop, err := s.answerPrometheus()
			if err != nil {
				s.store.Close()
				return err
			}
			defer stop()
			s.log.Info("working", "version", version())
			return s.work(c.Context())
		},
	}
	c.Flags().StringVar(&file, "config", "", "the configuration file")
	return c
}

// configured puts a server together as a configuration file says.
func (a *app) configured(ctx context.Context, file string, role part) (*server, error) {
	if err := needed("config", file, "sparekey.yaml"); err != nil {
		return nil, err
	}
	settings, err := config.Read(file)
	if err != nil {
		return nil, err
	}
	connection, err := settings.Connection(container())
	if err != nil {
		return nil, err
	}
	management, err := settings.ManagementConnection(container())
	if err != nil {
		return nil, err
	}
	kill, err := settings.KillConnection(container())
	if err != nil {
		return nil, err
	}
	ledger, err := settings.LedgerConnection(container())
	if err != nil {
		return nil, err
	}
	return assemble(ctx, setup{
		config: settings, ledger: ledger, connection: connection, management: management, kill: kill, clock: wallClock{}, log: logger(a.err, settings.Log), part: role,
	})
}

func (a *app) tokenCommand() *cobra.Command {
	var person string
	c := &cobra.Command{
		Use: "token --person ID", Short: "Make a token for a person, and the line for the configuration", Args: none,
		Long: "Make a token. It is shown once and kept nowhere; the configuration holds its digest. ID is the person's immutable UserId in\nthe identity store, not the user name.",
		RunE: func(*cobra.Command, []string) error {
			if err := needed("person", person, "97671b36-a0d1-70f3-…"); err != nil {
				return err
			}
			token := "spk_" + rand.Text()
			digest := sha256.Sum256([]byte(token))
			if a.output == "json" {
				return a.json(map[string]string{"token": token, "sha256": hex.EncodeToString(digest[:]), "person": person})
			}
			fmt.Fprintln(a.out, token)
			fmt.Fprintf(a.err, "The configuration gets this line below \"tokens:\":\n  - {sha256: %s, person: %s}\n", hex.EncodeToString(digest[:]), person)
			return nil
		},
	}
	c.Flags().StringVar(&person, "person", "", "the person's UserId in the identity store")
	return c
}

func (a *app) statusCommand() *cobra.Command {
	return &cobra.Command{
		Use: "status", Short: "Say how far the server is, and how old what it knows", Args: none,
		RunE: func(c *cobra.Command, _ []string) error {
			r, err := a.remote()
			if err != nil {
				return err
			}
			s, err := answer[client.Status](r.Status(c.Context()))
			if err != nil {
				return err
			}
			if a.output == "json" {
				return a.json(s)
			}
			fmt.Fprintf(a.out, "server        %s\n", plain(s.Version))
			switch {
			case s.MirrorAt != nil:
				fmt.Fprintf(a.out, "organization  %d accounts, %d people, read %s ago\n", s.Accounts, s.People, span(s.Now.Sub(*s.MirrorAt)))
			default:
				fmt.Fprintln(a.out, "organization  not read yet; nothing can be decided")
			}
			if s.MirrorError != nil {
				fmt.Fprintf(a.out, "              the last attempt failed: %s\n", plain(*s.MirrorError))
			}
			if s.Book != nil {
				fmt.Fprintf(a.out, "rules         %s; `sparekey rules show` has them\n", short(*s.Book))
			}
			if s.Halted != nil {
				fmt.Fprintf(a.out, "starts        none, and ends go on: %s\n", plain(*s.Halted))
			}
			if s.FolderDiffers {
				fmt.Fprintln(a.out, "              the folder of rules said something else at the start; `sparekey rules apply` proposes it")
			}
			return nil
		},
	}
}
