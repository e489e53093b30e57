package cli

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sparekey/internal/config"
	"sparekey/org"
	"sparekey/rules"
)

func TestTheConfigurationSaysWhoIsAsked(t *testing.T) {
	var heard []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		heard = append(heard, strings.Join([]string{r.Method, r.URL.Path, r.URL.Query().Get("fields"), r.Header.Get("Authorization")}, " "))
		w.WriteHeader(http.StatusInternalServerError)
	}))
	defer server.Close()
	folder := t.TempDir()
	for name, text := range map[string]string{
		"jira.token": "JIRA", "dc.token": "DC", "snow.password": "SNOW", "own.secret": strings.Repeat("OWN!", 8), "pd.token": "PD",
		"tickets.yaml": "tickets: {INC-1: {state: open, assignee: dana}}",
	} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c, err := config.Parse(filepath.Join(folder, "s.yaml"), []byte(strings.ReplaceAll(`
database: sqlite:x
rules: rules
aws: {region: eu-west-1, credentials: {instance: true}}
lookup:
  tickets:
    - {name: jira, jira: {url: URL, email: bot, token-file: jira.token, window: {from: customfield_1, to: customfield_2}}}
    - {name: dc, jira: {url: URL, token-file: dc.token, api: 2}}
    - {name: snow, servicenow: {url: URL, user: sparekey, password-file: snow.password, tables: [{prefix: INC, table: u_incident}]}}
    - {name: own, generic: {url: URL/check, secret-file: own.secret}}
    - {name: file, file: tickets.yaml}
  schedules: [{name: payments, pagerduty: {schedule: P1}}]
  pagerduty: {url: URL, token-file: pd.token}
`, "URL", server.URL)))
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	tickets, rota, err := lookups(c, func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"jira", "dc", "snow", "own", "file"} {
		got := tickets.Ticket(t.Context(), rules.TicketQuestion{Service: name, ID: "INC-1", Person: org.Person{ID: "1", User: "dana"}, From: now, To: now.Add(time.Hour)})
		if (got.Down == "") != (name == "file") || got.OK != (name == "file") {
			t.Errorf("%s: %+v", name, got)
		}
	}
	if _, _, err := rota.OnCall(t.Context(), "payments", now); err == nil {
		t.Error("there is a shift")
	}
	want := strings.Join([]string{
		"GET /rest/api/3/issue/INC-1 summary,status,assignee,customfield_1,customfield_2 Basic Ym90OkpJUkE=", "GET /rest/api/2/issue/INC-1 summary,status,assignee Bearer DC",
		"GET /api/now/table/u_incident  Basic c3BhcmVrZXk6U05PVw==", "POST /check  ", "GET /oncalls  Token token=PD",
	}, "\n")
	if got := strings.Join(heard, "\n"); got != want {
		t.Errorf("heard\n%s\nwant\n%s", got, want)
	}
}
