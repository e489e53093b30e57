package config

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"sparekey/internal/awsconn"
	"sparekey/org"
	"sparekey/rules"
	"sparekey/strict"
)

// Config is what `sparekey serve` is told.
type Config struct {
	At           strict.Position
	Listen       strict.Word `yaml:"listen"`        // address and port; 127.0.0.1:8340 by default
	TLS          *TLS        `yaml:"tls"`           // certificate and key; without it, only loopback is listened on
	BehindProxy  bool        `yaml:"behind-proxy"`  // something in front speaks TLS: plain HTTP is listened on wherever told
	Database     strict.Word `yaml:"database"`      // sqlite:PATH or postgres://…
	DatabaseFile string      `yaml:"database-file"` // a file that holds the database's address, where that has a password in it
	Rules        strict.Word `yaml:"rules,required"`
	AWS          AWS         `yaml:"aws,required"`
	Identity     Identity    `yaml:"identity-center"`
	Limits       Limits      `yaml:"limits"`
	Roles        Roles       `yaml:"roles"`
	Tokens       []Token     `yaml:"tokens"`
	Log          Log         `yaml:"log"`
	Lookup       Lookup      `yaml:"lookup"`
	Reconcile    Reconcile   `yaml:"reconcile"`
	Metrics      *Metrics    `yaml:"metrics"`      // where Prometheus asks; nowhere by default
	Kill         *Kill       `yaml:"session-kill"` // without it, no session kills are sent
	Ledger       *Ledger     `yaml:"ledger"`       // without it, what must end is written in the database only

	folder string
}

// TLS names the certificate and the key to listen with.
type TLS struct {
	Certificate string `yaml:"certificate,required"`
	Key         string `yaml:"key,required"`
}

// AWS says where AWS is and as whom it is called. See [awsconn.Settings].
type AWS struct {
	At          strict.Position
	Region      string      `yaml:"region,required"`
	Endpoint    string      `yaml:"endpoint"`
	Proxy       string      `yaml:"proxy"`
	Credentials Credentials `yaml:"credentials,required"`
	Management  *Management `yaml:"management"` // how access to the management account is given; without it, it is not lent
}

// Management is a second way into AWS, of which nothing but access to the management account is asked.
type Management struct {
	Credentials Credentials `yaml:"credentials,required"`
}

// Credentials names one source of AWS credentials, and perhaps a role to assume with them.
type Credentials struct {
	At          strict.Position
	File        string       `yaml:"file"`
	Instance    bool         `yaml:"instance"`
	Container   bool         `yaml:"container"`
	WebIdentity *WebIdentity `yaml:"web-identity"`
	Role        strict.Word  `yaml:"role"`
}

// WebIdentity is a token in a file, and the role that it is exchanged for.
type WebIdentity struct {
	TokenFile string `yaml:"token-file,required"`
	Role      string `yaml:"role,required"`
}

// Identity names the Identity Center instance. What is left out is looked up, where the account sees one instance only.
type Identity struct {
	Instance      strict.Word `yaml:"instance"`
	Store         string      `yaml:"identity-store"`
	MissingStatus strict.Word `yaml:"missing-status"` // what a person is whose status AWS leaves out: unknown (default) or enabled
}

// Limits bound what is given and what is taken of AWS.
type Limits struct {
	At             strict.Position
	Longest        rules.Duration `yaml:"longest"`                 // that a rule may give; 24h by default
	Outstanding    int            `yaml:"outstanding-operations"`  // of Identity Center at once; 10 by default
	CallsPerSecond int            `yaml:"calls-per-second"`        // of Identity Center; 15 by default
	MirrorEvery    rules.Duration `yaml:"read-organization-every"` // 5m by default
	PerHour        int            `yaml:"requests-per-hour"`       // of one person; 100 by default
}

// Reconcile says what is done about access that no grant has.
type Reconcile struct {
	CallsPerSecond float64       `yaml:"calls-per-second"` // with which what is given is read; 2 by default
	Enforce        []strict.Word `yaml:"enforce"`          // orphaned: what Sparekey gave once; people: what others gave to single people where a rule lends
}

// Enforces reports whether something is to be taken away.
func (r Reconcile) Enforces(what string) bool {
	return slices.ContainsFunc(r.Enforce, func(w strict.Word) bool { return w.Text == what })
}

// Roles are the people who may do more than ask and approve.
type Roles struct {
	Administrators *rules.Who `yaml:"administrators"` // may end every grant, read everything and change the rules
	Security       *rules.Who `yaml:"security"`       // may end every grant, stop everything and read everything
	Auditors       *rules.Who `yaml:"auditors"`
}

// Token lets a bearer of the token with this digest act as a person. `sparekey token` makes one.
type Token struct {
	At     strict.Position
	SHA256 string `yaml:"sha256,required"`
	Person string `yaml:"person,required"` // the immutable id in the identity store
	Note   string `yaml:"note"`
}

// Log says how the log is written, to standard error.
type Log struct {
	Format strict.Word `yaml:"format"` // text (default) or json
	Level  strict.Word `yaml:"level"`  // info (default), debug, warn or error
}

// DefaultListen is where serve listens unless told otherwise.
const DefaultListen = "127.0.0.1:8340"

// Read reads a configuration file. Paths in it are relative to its folder.
func Read(file string) (*Config, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("reading the configuration: %w", err)
	}
	return Parse(file, text)
}

// Parse reads a configuration. The error is [strict.Errors] with every problem found.
func Parse(file string, text []byte) (*Config, error) {
	c := &Config{folder: filepath.Dir(file)}
	if err := strict.Decode(file, text, c); err != nil {
		return nil, err
	}
	return c, c.check().Err()
}

func (c *Config) check() strict.Errors {
	var wrong strict.Errors
	say := func(at strict.Position, hint, format string, args ...any) {
		wrong = append(wrong, at.Errorf(format, args...).WithHint("%s", hint))
	}
	if c.Listen.Text == "" {
		c.Listen = strict.Word{Text: DefaultListen, At: c.At}
	}
	if host, _, err := net.SplitHostPort(c.Listen.Text); err != nil {
		say(c.Listen.At, "write it as 127.0.0.1:8340", "%q is not an address with a port", c.Listen.Text)
	} else if c.TLS == nil && !c.BehindProxy && !loopback(host) {
		say(c.Listen.At, "set tls, or behind-proxy: true when something in front of it speaks TLS", "tokens would travel in clear text on %s", c.Listen.Text)
	}
	if (c.Database.Text == "") == (c.DatabaseFile == "") {
		say(c.At, "sqlite:/var/lib/sparekey/sparekey.db, for instance", "the configuration names not exactly one of database and database-file")
	}
	if t := c.Database.Text; t != "" && !strings.HasPrefix(t, "sqlite:") && !strings.HasPrefix(t, "postgres:") && !strings.HasPrefix(t, "postgresql:") {
		say(c.Database.At, "sqlite:PATH or postgres://…", "the database's address is of no kind that is known")
	}
	c.AWS.Credentials.check(say)
	if c.AWS.Management != nil {
		c.AWS.Management.Credentials.check(say)
	}
	oneOf(&c.Identity.MissingStatus, []string{"unknown", "enabled"}, "missing-status", say)
	oneOf(&c.Log.Format, []string{"text", "json"}, "format", say)
	oneOf(&c.Log.Level, []string{"info", "debug", "warn", "error"}, "level", say)
	if c.Identity.Instance.Text != "" {
		if _, err := org.ParseARN(c.Identity.Instance.Text); err != nil {
			say(c.Identity.Instance.At, "arn:aws:sso:::instance/ssoins-…", "%v", err)
		}
	}
	c.Limits.check(say)
	for i := range c.Reconcile.Enforce {
		if c.Reconcile.Enforce[i].Text == "" {
			say(c.Reconcile.Enforce[i].At, "known: orphaned, people", "enforce has an empty word")
		}
		oneOf(&c.Reconcile.Enforce[i], []string{"orphaned", "people"}, "enforce", say)
	}
	if r := c.Reconcile.CallsPerSecond; r < 0 || r > 15 {
		say(c.At, "2 leaves most of AWS's 20 to others", "reconcile.calls-per-second is %v", r)
	}
	c.Lookup.check(say)
	c.Metrics.check(c.Listen.Text, say)
	c.Ledger.check(say)
	if c.Kill != nil {
		c.Kill.check(say)
	}
	seen := map[string]bool{}
	for _, t := range c.Tokens {
		if raw, err := hex.DecodeString(t.SHA256); err != nil || len(raw) != 32 {
			say(t.At, "`sparekey token` prints one", "the token's sha256 is not 64 hexadecimal digits")
		}
		if seen[strings.ToLower(t.SHA256)] {
			say(t.At, "each person needs one of their own", "this token is here twice")
		}
		seen[strings.ToLower(t.SHA256)] = true
	}
	return wrong
}

type sayer = func(at strict.Position, hint, format string, args ...any)

// oneOf checks a word against those that are known; the first is the default.
func oneOf(w *strict.Word, known []string, key string, say sayer) {
	if w.Text == "" {
		w.Text = known[0]
	}
	if !slices.Contains(known, w.Text) {
		say(w.At, "known: "+strings.Join(known, ", "), "%s is %q", key, w.Text)
	}
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func (c Credentials) check(say sayer) {
	sources := 0
	for _, set := range []bool{c.File != "", c.Instance, c.Container, c.WebIdentity != nil} {
		if set {
			sources++
		}
	}
	if sources != 1 {
		say(c.At, "file, instance, container or web-identity", "%d sources of AWS credentials are named; it takes exactly one", sources)
	}
	if c.Role.Text != "" {
		if _, err := org.ParseARN(c.Role.Text); err != nil {
			say(c.Role.At, "arn:aws:iam::123456789012:role/sparekey", "%v", err)
		}
	}
}

func (l *Limits) check(say sayer) {
	if l.Longest.Duration == 0 {
		l.Longest.Duration = rules.DefaultLongest
	}
	if l.Outstanding < 0 || l.Outstanding == 1 || l.Outstanding > 100 {
		say(l.At, "AWS lets 10 be; one is kept for emergencies", "outstanding-operations is %d", l.Outstanding)
	}
	if l.CallsPerSecond < 0 || l.CallsPerSecond > 1000 {
		say(l.At, "AWS gives 20 to everybody together", "calls-per-second is %d", l.CallsPerSecond)
	}
	if l.PerHour < 0 || l.PerHour > 100000 {
		say(l.At, "100 is the default", "requests-per-hour is %d", l.PerHour)
	}
	if l.MirrorEvery.Duration != 0 && (l.MirrorEvery.Duration < time.Minute || l.MirrorEvery.Duration > 24*time.Hour) {
		say(l.At, "from 1m to 24h", "read-organization-every is %s", l.MirrorEvery.Duration)
	}
}

// Path returns a path of the configuration as it is from here.
func (c *Config) Path(p string) string {
	if p == "" || filepath.IsAbs(p) {
		return p
	}
	return filepath.Join(c.folder, p)
}

// DatabaseAddress returns where the database is, reading the file that holds it if there is one.
func (c *Config) DatabaseAddress() (string, error) {
	if c.DatabaseFile == "" {
		if path, ok := strings.CutPrefix(c.Database.Text, "sqlite:"); ok {
			return "sqlite:" + c.Path(path), nil
		}
		return c.Database.Text, nil
	}
	text, err := os.ReadFile(c.Path(c.DatabaseFile))
	if err != nil {
		return "", fmt.Errorf("reading the database's address: %w", err)
	}
	return strings.TrimSpace(string(text)), nil
}

// Connection returns the settings with which AWS is called. container is what the container's environment says, for
// credentials: container.
func (c *Config) Connection(container awsconn.Container) (awsconn.Settings, error) {
	return c.connection(c.AWS.Credentials, container)
}

// ManagementConnection returns those with which access to the management account is given; nil where it is not.
func (c *Config) ManagementConnection(container awsconn.Container) (*awsconn.Settings, error) {
	if c.AWS.Management == nil {
		return nil, nil
	}
	s, err := c.connection(c.AWS.Management.Credentials, container)
	return &s, err
}

func (c *Config) connection(from Credentials, container awsconn.Container) (awsconn.Settings, error) {
	s := awsconn.Settings{Region: c.AWS.Region, Endpoint: c.AWS.Endpoint, Proxy: c.AWS.Proxy, Credentials: awsconn.Credentials{
		File: c.Path(from.File), Instance: from.Instance, Role: from.Role.Text,
	}}
	if from.WebIdentity != nil {
		s.Credentials.WebIdentity = &awsconn.WebIdentity{TokenFile: c.Path(from.WebIdentity.TokenFile), Role: from.WebIdentity.Role}
	}
	if from.Container {
		if container.URI == "" {
			return s, errors.New("credentials: container is set, but AWS_CONTAINER_CREDENTIALS_FULL_URI or _RELATIVE_URI is not: this is no ECS or EKS container with a role")
		}
		s.Credentials.Container = &container
	}
	return s, nil
}

// OrganizationFile is the file beside the rules that describes the organization in which their tests hold.
const OrganizationFile = "organization.yaml"

// RuleFiles reads the files of rules below a folder: every .yaml and .yml file in it but the description of an organization.
// Their names are paths below the folder.
func RuleFiles(folder string) ([]rules.File, error) {
	files, _, err := ruleFiles(folder)
	return files, err
}

func ruleFiles(folder string) (files []rules.File, root string, err error) {
	if root, err = filepath.EvalSymlinks(folder); err != nil {
		return nil, root, fmt.Errorf("reading the rules: %w", err)
	}
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && path != root && strings.HasPrefix(d.Name(), ".") {
			return fs.SkipDir // a mounted ConfigMap keeps its versions in such folders, and links to one of them
		}
		if d.IsDir() {
			return nil
		}
		if ext := filepath.Ext(path); ext != ".yaml" && ext != ".yml" || filepath.Base(path) == OrganizationFile {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(root, path)
		files = append(files, rules.File{Name: filepath.ToSlash(name), Text: text})
		return err
	})
	if err != nil {
		return nil, root, fmt.Errorf("reading the rules: %w", err)
	}
	if len(files) == 0 {
		return nil, root, fmt.Errorf("reading the rules: there is no .yaml file in %s", folder)
	}
	return files, root, nil
}

// ReadRules reads the rules below a folder. Messages name their files as they are found from here.
func ReadRules(folder string, longest time.Duration) (*rules.Book, error) {
	files, root, err := ruleFiles(folder)
	if err != nil {
		return nil, err
	}
	for i := range files {
		files[i].Name = filepath.Join(root, filepath.FromSlash(files[i].Name))
	}
	return rules.Parse(files, longest)
}
