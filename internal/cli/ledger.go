package cli

import (
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"

	"github.com/spf13/cobra"

	"sparekey/internal/awsconn"
	"sparekey/internal/broker"
	"sparekey/internal/place"
)

// ledgerOf is the second place of a configuration, or none. One in S3 has a connection of its own.
func (v *server) ledgerOf(s setup) (broker.LedgerSettings, error) {
	c := s.config
	if c.Ledger == nil {
		return broker.LedgerSettings{}, nil
	}
	key, err := place.PrivateKey(c.Path(c.Ledger.Key))
	if err != nil {
		return broker.LedgerSettings{}, err
	}
	if s.ledger == nil {
		return broker.LedgerSettings{Place: place.File{Path: c.Path(c.Ledger.File)}, Key: key}, nil
	}
	s.ledger.Watch, s.ledger.Skew = v.meter.Called, v.skew
	connection, err := awsconn.Open(*s.ledger)
	if err != nil {
		return broker.LedgerSettings{}, fmt.Errorf("connecting to the second place: %w", err)
	}
	return broker.LedgerSettings{Place: place.NewObject(connection, c.Ledger.S3.Bucket.Text, c.Ledger.S3.Object.Text, c.Ledger.S3.Owner.Text), Key: key}, nil
}

func (a *app) ledgerCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "ledger", Short: "The ends that are owed, written outside of the database",
		Long: "The ledger is a signed list of what must end, in a place outside of the database. `sparekey sweep` ends what is overdue in it while\nSparekey is dead.",
	}
	parent(c, a.ledgerKeyCommand())
	return c
}

func (a *app) ledgerKeyCommand() *cobra.Command {
	return &cobra.Command{
		Use: "key FILE", Short: "Make the key that the ledger is signed with", Args: takes(1, 1, "FILE"),
		Long: "Make an Ed25519 key in a new file that only its owner can read, and its public key in FILE.pub. The configuration names the first\n" +
			"(ledger.key); whoever sweeps gets the second.",
		RunE: func(_ *cobra.Command, args []string) error {
			private, public := args[0], args[0]+".pub"
			_, key, err := ed25519.GenerateKey(rand.Reader)
			if err == nil {
				err = place.NewKey(key, private, public)
			}
			if errors.Is(err, fs.ErrExist) {
				return &failure{exitFailed, private + " or " + public + " is there already", "a key overwrites nothing; name a new file"}
			}
			if err != nil {
				return err
			}
			if a.output == "json" {
				return a.json(map[string]string{"key": private, "publicKey": public})
			}
			fmt.Fprintf(a.out, "key        %s\npublic     %s\n", private, public)
			return nil
		},
	}
}
