package config

import (
	"os"
	"strings"
	"testing"
)

const allLookups = small + `
lookup:
  proxy: http://proxy.example.com:3128
  tickets:
    - name: jira
      jira: {url: "https://example.atlassian.net", email: bot@example.com, token-file: jira.token, window: {from: customfield_10042, to: customfield_10043}}
    - name: jira-dc
      jira: {url: "http://localhost:8080/jira", site: "https://jira.example.com", token-file: dc.token, api: 2}
    - name: snow
      servicenow:
        url: https://example.service-now.com
        user: sparekey
        password-file: snow.password
        tables:
          - {prefix: INC, table: incident, states: ["1", "2", "3"]}
          - {prefix: CHG, table: change_request, states: ["-2", "-1"], change: true}
    - name: own
      generic: {url: "https://tickets.example.com/check", secret-file: own.secret}
    - {name: small, file: tickets.yaml}
  schedules:
    - {name: payments, pagerduty: {schedule: PI7DH85}}
  pagerduty: {token-file: pagerduty.token}
`

func TestEveryLookupCanBeSet(t *testing.T) {
	c, err := Parse("/etc/sparekey/s.yaml", []byte(allLookups))
	if err != nil {
		t.Fatal(err)
	}
	l := c.Lookup
	if len(l.Tickets) != 5 || l.Tickets[0].Jira.API.Text != "3" || l.Tickets[1].Jira.API.Text != "2" || l.Tickets[0].Jira.Window.To.Text != "customfield_10043" ||
		!l.Tickets[2].ServiceNow.Tables[1].Change || l.Schedules[0].PagerDuty.Schedule.Text != "PI7DH85" || l.PagerDuty.TokenFile != "pagerduty.token" {
		t.Errorf("%+v", l)
	}
}

func TestWhatIsWrongWithALookupIsNamedWithItsPlace(t *testing.T) {
	for _, c := range []struct{ name, old, new, want string }{
		{"unknown key", "token-file: jira.token", "token: SECRET", `unknown key "token"`},
		{"no token", ", token-file: dc.token", "", `lacks the key "token-file"`},
		{"clear text", "https://example.atlassian.net", "http://example.atlassian.net", "s.yaml:12:19: the URL is not https; secrets would travel in clear text"},
		{"a secret in the URL", "https://example.service-now.com", "https://u:SECRET@example.service-now.com", "the URL has a user or a password in it"},
		{"a site", "https://jira.example.com", "jira.example.com", "s.yaml:14:55: the URL is none"},
		{"a query", "tickets.example.com/check", "tickets.example.com/check?key=SECRET", "the URL goes on after its path"},
		{"no URL", `"https://tickets.example.com/check"`, "tickets", "the URL is none"},
		{"only a port", `"https://tickets.example.com/check"`, `"https://:443"`, "the URL is none"},
		{"version", "api: 2", "api: 4", `api is "4" (known: 3, 2)`},
		{"field", "from: customfield_10042", "from: Begin", `"Begin" is not a custom field`},
		{"half a window", ", to: customfield_10043", "", `lacks the key "to"`},
		{"no user", "        user: sparekey\n", "", "it is not said as whom ServiceNow is asked"},
		{"user and token", "password-file", "token-file", "it is not said as whom ServiceNow is asked"},
		{"prefix", "prefix: INC", "prefix: 1NC", `"1NC" is not what the number of a ticket begins with`},
		{"prefix twice", "prefix: CHG", "prefix: INC", `the prefix "INC" is here twice`},
		{"table", "table: incident", "table: ../incident", `"../incident" is not the name of a table`},
		{"no kind", "{name: small, file: tickets.yaml}", "{name: small}", `0 kinds of ticket service are named for "small"; it takes exactly one (jira, servicenow, generic or file)`},
		{"two kinds", "{name: small, file: tickets.yaml}", `{name: small, file: t.yaml, generic: {url: "https://x.test", secret-file: s}}`, "2 kinds of ticket service"},
		{"name", "name: small", "name: Small Ones", `"Small Ones" is not a name`},
		{"name twice", "name: small", "name: jira", `the name "jira" is here twice`},
		{"schedule", "PI7DH85", "payments/x", `"payments/x" is not the id of a schedule`},
		{"schedules alone", "  pagerduty: {token-file: pagerduty.token}\n", "", "there are schedules, but pagerduty is not set"},
		{"PagerDuty in clear text", "{token-file: pagerduty.token}", `{token-file: p, url: "http://api.pagerduty.com"}`, "the URL is not https"},
		{"proxy", "http://proxy.example.com:3128", "proxy:SECRET", "the proxy is not a URL"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if !strings.Contains(allLookups, c.old) {
				t.Fatalf("%q is not in the configuration", c.old)
			}
			_, err := Parse("s.yaml", []byte(strings.Replace(allLookups, c.old, c.new, 1)))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v\nwant %s", err, c.want)
			}
			if err != nil && strings.Contains(err.Error(), "SECRET") {
				t.Error("a secret is in the error")
			}
		})
	}
}

// TestTheExampleOfTheDocsIsRight reads the first example of docs/lookup.md, also with everything that is commented out in it.
func TestTheExampleOfTheDocsIsRight(t *testing.T) {
	page, err := os.ReadFile("../../docs/lookup.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(page), "```yaml\n")
	example, _, ok2 := strings.Cut(rest, "```")
	if !ok || !ok2 || !strings.HasPrefix(example, "lookup:") {
		t.Fatal("there is no example")
	}
	for _, text := range []string{example, strings.NewReplacer("# api:", "api:", "# window:", "window:", "# url:", "url:", "# proxy:", "proxy:").Replace(example)} {
		c, err := Parse("s.yaml", []byte(small+text))
		if err != nil || len(c.Lookup.Tickets) != 4 {
			t.Errorf("%v", err)
		}
	}
}
