package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sparekey/internal/awsconn"
	"sparekey/rules"
)

const small = `
database: sqlite:sparekey.db
rules: rules
aws:
  region: eu-west-1
  credentials: {instance: true}
`

const full = `
listen: 0.0.0.0:8340
tls: {certificate: c.pem, key: k.pem}
database-file: db.txt
rules: /etc/sparekey/rules
aws:
  region: eu-west-1
  endpoint: http://127.0.0.1:9000
  proxy: http://proxy:3128
  credentials: {web-identity: {token-file: token, role: "arn:aws:iam::111111111111:role/pod"}, role: "arn:aws:iam::222222222222:role/sparekey"}
identity-center: {instance: "arn:aws:sso:::instance/ssoins-1", identity-store: d-1, missing-status: enabled}
limits: {longest: 48h, outstanding-operations: 5, calls-per-second: 10, read-organization-every: 10m}
roles: {administrators: {groups: [admins]}, auditors: {people: [amy]}}
tokens:
  - {sha256: e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855, person: id-1, note: dana's laptop}
log: {format: json, level: debug}
metrics: {listen: "[::]:9340", expose: true}
session-kill: {policy: p-1234567890, credentials: {file: kill.json, role: "arn:aws:iam::222222222222:role/kill"}, size: 10240, emergency-ou: ou-ab12-11111111}
ledger: {key: l.key, s3: {bucket: ends-elsewhere, object: sparekey/ends.ledger, region: eu-north-1, owner: "111122223333", credentials: {file: ledger.json}}}
`

func TestASmallConfigurationIsEnough(t *testing.T) {
	c, err := Parse("/etc/sparekey/sparekey.yaml", []byte(small))
	if err != nil {
		t.Fatal(err)
	}
	address, err := c.DatabaseAddress()
	if err != nil || address != "sqlite:/etc/sparekey/sparekey.db" || c.Path(c.Rules.Text) != "/etc/sparekey/rules" {
		t.Errorf("%s, %v, %s", address, err, c.Path(c.Rules.Text))
	}
	if c.Listen.Text != DefaultListen || c.Limits.Longest.Duration != rules.DefaultLongest || c.Identity.MissingStatus.Text != "unknown" || c.Log.Format.Text != "text" {
		t.Errorf("%+v", c)
	}
	if k, err := c.KillConnection(awsconn.Container{}); k != nil || err != nil {
		t.Errorf("%+v, %v", k, err)
	}
	if l, err := c.LedgerConnection(awsconn.Container{}); l != nil || err != nil {
		t.Errorf("%+v, %v", l, err)
	}
	s, err := c.Connection(awsconn.Container{})
	if err != nil || !s.Credentials.Instance || s.Region != "eu-west-1" {
		t.Errorf("%+v, %v", s, err)
	}
}

func TestEverythingCanBeSet(t *testing.T) {
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "db.txt"), []byte("postgres://u:p@h/d\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := Parse(filepath.Join(folder, "s.yaml"), []byte(full))
	if err != nil {
		t.Fatal(err)
	}
	if address, err := c.DatabaseAddress(); err != nil || address != "postgres://u:p@h/d" {
		t.Errorf("%s, %v", address, err)
	}
	s, err := c.Connection(awsconn.Container{})
	if err != nil || s.Credentials.WebIdentity.TokenFile != filepath.Join(folder, "token") || s.Credentials.Role == "" || s.Proxy == "" || s.Endpoint == "" {
		t.Errorf("%+v, %v", s, err)
	}
	if c.Limits.Longest.Duration != 48*time.Hour || c.Roles.Administrators.Groups[0].Text != "admins" || c.Tokens[0].Person != "id-1" || c.Metrics.Listen.Text != "[::]:9340" {
		t.Errorf("%+v", c)
	}
	k, err := c.KillConnection(awsconn.Container{})
	if err != nil || k.Credentials.File != filepath.Join(folder, "kill.json") || k.Credentials.Role == s.Credentials.Role || k.Endpoint != s.Endpoint || c.Kill.Size != 10240 {
		t.Errorf("%+v, %v", k, err)
	}
	l, err := c.LedgerConnection(awsconn.Container{})
	if err != nil || l.Credentials.File != filepath.Join(folder, "ledger.json") || l.Region != "eu-north-1" || l.Endpoint != "" || l.Proxy != s.Proxy {
		t.Errorf("%+v, %v", l, err)
	}
}

func TestWhatIsWrongIsNamedWithItsPlace(t *testing.T) {
	change := func(old, new string) string {
		if !strings.Contains(full, old) {
			t.Fatalf("%q is not in the configuration", old)
		}
		return strings.Replace(full, old, new, 1)
	}
	for _, c := range []struct{ name, text, want string }{
		{"unknown key", change("aws:", "awz:"), `s.yaml:6:1: unknown key "awz" in the document (did you mean "aws"?)`},
		{"two places of the ledger", change("key: l.key,", "key: l.key, file: x,"), "ledger names not exactly one of file and s3"},
		{"no place of the ledger", strings.Replace(full, "s3: {bucket: ends-elsewhere, object: sparekey/ends.ledger, region: eu-north-1, owner: \"111122223333\", credentials: {file: ledger.json}}", "", 1), "ledger names not exactly one of file and s3"},
		{"bucket", change("ends-elsewhere", "Ends"), `s.yaml:19:35: "Ends" is not the name of a bucket`},
		{"owner", change(`owner: "111122223333"`, "owner: acme"), `"acme" is not the id of an account`},
		{"object", change("sparekey/ends.ledger", "sparekey/"), `"sparekey/" is not the name of an object`},
		{"no AWS", "rules: r\ndatabase: sqlite:x\n", `lacks the key "aws"`},
		{"clear text", change("tls: {certificate: c.pem, key: k.pem}\n", ""), "s.yaml:2:9: tokens would travel in clear text on 0.0.0.0:8340"},
		{"address", change("0.0.0.0:8340", "8340"), `"8340" is not an address with a port`},
		{"no database", change("database-file: db.txt", ""), "names not exactly one of database and database-file"},
		{"two databases", change("database-file: db.txt", "database-file: db.txt\ndatabase: sqlite:x"), "names not exactly one of"},
		{"database kind", change("database-file: db.txt", "database: mysql://hunter2"), "the database's address is of no kind that is known"},
		{"two sources", change("{web-identity:", "{instance: true, web-identity:"), "2 sources of AWS credentials are named"},
		{"no source", strings.Replace(small, "{instance: true}", `{role: "arn:aws:iam::1:role/x"}`, 1), "0 sources of AWS credentials are named"},
		{"role", change(`"arn:aws:iam::222222222222:role/sparekey"`, "sparekey"), `"sparekey" is not an ARN`},
		{"instance", change(`"arn:aws:sso:::instance/ssoins-1"`, "ssoins-1"), `"ssoins-1" is not an ARN`},
		{"missing status", change("missing-status: enabled", "missing-status: maybe"), `missing-status is "maybe" (known: unknown, enabled)`},
		{"log", change("format: json", "format: xml"), `format is "xml"`},
		{"level", change("level: debug", "level: loud"), `level is "loud"`},
		{"outstanding", change("outstanding-operations: 5", "outstanding-operations: 1"), "outstanding-operations is 1"},
		{"calls", change("calls-per-second: 10", "calls-per-second: -1"), "calls-per-second is -1"},
		{"mirror", change("read-organization-every: 10m", "read-organization-every: 48h"), "read-organization-every is 48h"},
		{"longest", change("longest: 48h", "longest: forever"), "is not a duration in whole minutes"},
		{"metrics for everybody", change(`"[::]:9340", expose: true`, `"[::]:9340"`), "s.yaml:17:19: whoever reaches [::]:9340 would read the metrics: no token is asked for there (set expose: true beside it"},
		{"metrics, no port", change(`"[::]:9340"`, "localhost"), `"localhost" is not an address with a port`},
		{"metrics of the API", change(`"[::]:9340"`, "0.0.0.0:8340"), "the API listens on 0.0.0.0:8340 already"},
		{"metrics, unknown key", change("expose: true", "exposed: true"), `unknown key "exposed" in "metrics" (did you mean "expose"?)`},
		{"kill policy", change("policy: p-1234567890", "policy: FullAWSAccess"), `"FullAWSAccess" is not the id of a policy`},
		{"kill size", change("size: 10240", "size: 100"), "size is 100"},
		{"kill credentials", change("{file: kill.json, role", "{role"), "0 sources of AWS credentials are named"},
		{"emergency OU", change("ou-ab12-11111111", "Emergency"), `"Emergency" is not the id of an organizational unit`},
		{"token", change("sha256: e3b0", "sha256: xyz0"), "the token's sha256 is not 64 hexadecimal digits"},
		{"token twice", change("log:", "  - {sha256: E3B0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855, person: id-2}\nlog:"), "this token is here twice"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Parse("s.yaml", []byte(c.text))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v\nwant %s", err, c.want)
			}
			if err != nil && strings.Contains(err.Error(), "hunter2") {
				t.Error("the database's address is in the error")
			}
		})
	}
}

func TestMetricsAreOnLoopbackUnlessTheyAreExposed(t *testing.T) {
	for text, want := range map[string]string{"": "", "metrics: {}\n": DefaultMetricsListen, "metrics: {listen: \"[::1]:1\"}\n": "[::1]:1", "metrics: {listen: \"127.0.0.1:0\"}\n": "127.0.0.1:0"} {
		c, err := Parse("s.yaml", []byte(small+text))
		if err != nil || (c.Metrics == nil) != (want == "") || c.Metrics != nil && c.Metrics.Listen.Text != want {
			t.Errorf("%q: %+v, %v", text, c.Metrics, err)
		}
	}
}

func TestContainerCredentialsNeedTheContainersEnvironment(t *testing.T) {
	c, err := Parse("s.yaml", []byte(strings.Replace(small, "instance", "container", 1)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Connection(awsconn.Container{}); err == nil {
		t.Error("accepted without an address")
	}
	s, err := c.Connection(awsconn.Container{URI: "http://169.254.170.2/v2/x"})
	if err != nil || s.Credentials.Container.URI == "" {
		t.Errorf("%+v, %v", s, err)
	}
}

func TestRulesAreReadFromAFolder(t *testing.T) {
	folder := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(filepath.Join(folder, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := ReadRules(folder, rules.DefaultLongest); err == nil || !strings.Contains(err.Error(), "there is no .yaml file") {
		t.Errorf("an empty folder: %v", err)
	}
	write("a.yaml", "rules: [{name: a, deny: true, where: {ous: [x]}}]\n")
	write("sub/b.yml", "rules: [{name: b, deny: true, where: {ous: [x]}}]\n")
	write(OrganizationFile, "accounts: [{id: 100000000001, name: a}]\n")
	write("notes.txt", "not yaml: [")
	b, err := ReadRules(folder, rules.DefaultLongest)
	if err != nil || len(b.Rules) != 2 || b.Rules[1].At.File != filepath.Join(folder, "sub", "b.yml") {
		t.Errorf("%+v, %v", b, err)
	}
	write("c.yaml", "rulez: []\n")
	if _, err := ReadRules(folder, rules.DefaultLongest); err == nil || !strings.Contains(err.Error(), `c.yaml:1:1: unknown key "rulez"`) {
		t.Errorf("a bad file: %v", err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(small))
	f.Add([]byte(full))
	f.Add([]byte(allLookups))
	f.Fuzz(func(t *testing.T, text []byte) {
		if c, err := Parse("s.yaml", text); err == nil && (c.AWS.Region == "" || c.Listen.Text == "") {
			t.Errorf("accepted %q as %+v", text, c)
		}
	})
}
