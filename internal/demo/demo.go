package demo

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"sparekey/access"
	"sparekey/internal/awsconn"
	"sparekey/internal/config"
	"sparekey/internal/sandbox"
	"sparekey/org"
	"sparekey/rules"
	"sparekey/strict"
)

// Demo is a demo that is being set up or runs.
type Demo struct {
	Sandbox      *sandbox.Sandbox
	Organization org.Organization
	Endpoint     Endpoint
	Config       *config.Config    // of the server, as if it had been read from a file
	Connection   awsconn.Settings  // to the sandbox
	Tokens       map[string]string // by user name

	folder string
	server *http.Server
	remove func()
}

// Options say how the demo's AWS behaves. The zero value behaves as AWS does.
type Options struct {
	Clock     sandbox.Clock
	Behaviour sandbox.Behaviour
}

// Start makes a sandbox on loopback, and a folder with everything that a server needs.
func Start(o Options) (d *Demo, err error) {
	d = &Demo{Tokens: map[string]string{}, remove: func() {}}
	defer func() {
		if err != nil {
			d.Close()
		}
	}()
	organization, assignments, err := org.Describe("organization.yaml", Organization)
	if err != nil {
		return nil, err
	}
	roles, err := org.DescribeRoles("organization.yaml", Organization)
	if err != nil {
		return nil, err
	}
	d.Organization = organization
	var seed [8]byte
	if _, err := rand.Read(seed[:]); err != nil {
		return nil, err
	}
	d.Sandbox = sandbox.New(sandbox.Options{
		Organization: organization, Assignments: assignments, Roles: roles, Clock: o.Clock, Seed: binary.LittleEndian.Uint64(seed[:]), Behaviour: o.Behaviour,
	})
	if err := d.listen(); err != nil {
		return nil, err
	}
	return d, d.fill()
}

func (d *Demo) listen() error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("starting the simulated AWS: %w", err)
	}
	d.server = &http.Server{Handler: d.Sandbox, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = d.server.Serve(l) }() // it ends with Close
	key := d.Sandbox.Key(d.Organization.ManagementAccount, "sparekey")
	d.Endpoint = Endpoint{"http://" + l.Addr().String(), "us-east-1", key.AccessKeyID, key.SecretAccessKey, d.Sandbox.Control()}
	return nil
}

// fill makes the folder: the access key, the rules and the configuration that names them.
func (d *Demo) fill() error {
	var err error
	if d.folder, err = os.MkdirTemp("", "sparekey-demo-"); err != nil {
		return err
	}
	keys, err := json.Marshal(map[string]string{"accessKeyId": d.Endpoint.AccessKeyID, "secretAccessKey": d.Endpoint.SecretAccessKey})
	if err != nil {
		return err
	}
	keyFile := filepath.Join(d.folder, "aws.json")
	if err := os.WriteFile(keyFile, keys, 0o600); err != nil {
		return err
	}
	if err := WriteRules(filepath.Join(d.folder, "rules")); err != nil {
		return err
	}
	d.Connection = awsconn.Settings{Region: d.Endpoint.Region, Endpoint: d.Endpoint.URL, Credentials: awsconn.Credentials{File: keyFile}}
	d.Config = &config.Config{
		Database: strict.Word{Text: "sqlite:" + filepath.Join(d.folder, "sparekey.db")}, Rules: strict.Word{Text: filepath.Join(d.folder, "rules")},
		AWS: config.AWS{Region: d.Endpoint.Region, Endpoint: d.Endpoint.URL}, Limits: config.Limits{Longest: rules.Duration{Duration: rules.DefaultLongest}},
		Roles: config.Roles{
			Administrators: &rules.Who{Groups: []strict.Word{{Text: "platform-admins"}, {Text: "security"}}}, Auditors: &rules.Who{Groups: []strict.Word{{Text: "auditors"}}},
		},
	}
	if err := d.addKills(); err != nil {
		return err
	}
	for _, p := range d.Organization.People {
		token := "demo-" + rand.Text()
		d.Tokens[p.User] = token
		digest := sha256.Sum256([]byte(token))
		d.Config.Tokens = append(d.Config.Tokens, config.Token{SHA256: hex.EncodeToString(digest[:]), Person: string(p.ID), Note: p.User})
	}
	return nil
}

// addKills makes the policy of session kills, attached to every OU below the root.
func (d *Demo) addKills() error {
	var ous []string
	for _, ou := range d.Organization.OUs {
		if ou.Parent == d.Organization.Root {
			ous = append(ous, string(ou.ID))
		}
	}
	return d.Sandbox.Change(func(w *sandbox.Directory) error {
		id, err := w.AddPolicy("sparekey-session-kills", access.EmptyKillPolicy(), ous...)
		d.Config.Kill = &config.Kill{Policy: strict.Word{Text: id}, Size: access.KillSize}
		return err
	})
}

// RulesFolder is where the demo's rules lie, to be edited.
func (d *Demo) RulesFolder() string { return d.Config.Rules.Text }

// Running says where the demo is, without the tokens of its people.
func (d *Demo) Running(address string) Running {
	return Running{Address: address, PID: os.Getpid(), Rules: d.RulesFolder(), AWS: d.Endpoint}
}

// Announce leaves the address and the tokens for the command line.
func (d *Demo) Announce(address string) error {
	running := d.Running(address)
	running.Tokens = d.Tokens
	remove, err := leave(running)
	if err == nil {
		d.remove = remove
	}
	return err
}

// Close ends the demo and leaves nothing behind.
func (d *Demo) Close() {
	d.remove()
	if d.server != nil {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = d.server.Shutdown(ctx)
		_ = d.server.Close()
	}
	if d.folder != "" {
		_ = os.RemoveAll(d.folder)
	}
}

// WriteRules writes the example rules into a folder, with the organization that their tests are about. It does not write
// over anything.
func WriteRules(folder string) error {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	files := map[string][]byte{config.OrganizationFile: Organization}
	entries, err := fs.ReadDir(Rules, "rules")
	if err != nil {
		return err
	}
	for _, e := range entries {
		if files[e.Name()], err = Rules.ReadFile("rules/" + e.Name()); err != nil {
			return err
		}
	}
	for name := range files {
		if _, err := os.Lstat(filepath.Join(folder, name)); !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%s is there already", filepath.Join(folder, name))
		}
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(folder, name), text, 0o644); err != nil {
			return err
		}
	}
	return nil
}
