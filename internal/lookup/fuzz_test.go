package lookup

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"sparekey/rules"
)

// serves fails when a record serves dana though it cannot be hers.
func serves(t *testing.T, r record, err error) {
	t.Helper()
	got := r.judge("desk", asks(dana, "INC-4711"))
	if err != nil || !got.OK {
		return
	}
	if r.none || r.closed != "" || !rules.SameEmail(r.email, dana.Email) || !r.from.IsZero() && (noon.Before(r.from) || !noon.Before(r.to)) || got.Until != r.to {
		t.Errorf("%+v serves: %+v", r, got)
	}
}

func FuzzJiraAnswer(f *testing.F) {
	f.Add([]byte(anIssue))
	f.Add([]byte(`{"errorMessages": []}`))
	j := &jira{base: "https://jira.test", from: "customfield_10042", to: "customfield_10043"}
	f.Fuzz(func(t *testing.T, body []byte) {
		r, err := j.read("INC-4711", body)
		serves(t, r, err)
	})
}

func FuzzServiceNowAnswer(f *testing.F) {
	f.Add([]byte(`{"result": [` + strings.ReplaceAll(anIncident, "INC0010001", "INC-4711") + `]}`))
	f.Add([]byte(`{"result": [` + strings.ReplaceAll(aChange, "CHG0030001", "INC-4711") + `]}`))
	f.Add([]byte(`{"result": []}`))
	f.Add([]byte(`{"error": {"message": "x"}}`))
	s := &serviceNow{base: "https://x.test"}
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, table := range DefaultTables() {
			r, err := s.read("INC-4711", table, body)
			serves(t, r, err)
			if err == nil && table.Change && r.closed == "" && !r.none && r.from.IsZero() {
				t.Errorf("a change without a window: %+v", r)
			}
		}
	})
}

func FuzzGenericAnswer(f *testing.F) {
	f.Add([]byte(`{"ok": true, "until": "2026-11-22T21:30:00+09:00", "title": "Payments", "link": "https://desk.test/OPS-1"}`))
	f.Add([]byte(`{"ok": false, "why": "no"}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		got, err := readVerdict(body)
		if err != nil {
			return
		}
		var again map[string]any // another reader must find the same yes
		if json.Unmarshal(body, &again) != nil || again["ok"] != got.OK {
			t.Errorf("%q became %+v", body, got)
		}
		if !got.OK && got.Why == "" || got.Link != "" && !strings.HasPrefix(got.Link, "http") {
			t.Errorf("%q became %+v", body, got)
		}
	})
}

func FuzzFile(f *testing.F) {
	f.Add([]byte(someTickets))
	f.Fuzz(func(t *testing.T, text []byte) {
		list, err := readTickets("f", text)
		if err != nil {
			return
		}
		for id, l := range list {
			if !ticketID.MatchString(id) || l.State.Text != "open" && l.State.Text != "closed" || l.From.IsZero() != l.To.IsZero() {
				t.Errorf("accepted %q: %+v", id, l)
			}
		}
	})
}

func FuzzOnCallsAnswer(f *testing.F) {
	f.Add([]byte(`{"oncalls": [` + entry("kim@example.com", payments, morning, evening) + "," + entry("", "", "", "") + `], "more": false}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		entries, _, err := readOnCalls(body)
		if err != nil {
			return
		}
		s, err := shiftAt(entries, payments, noon)
		if err == nil && (!s.until.After(noon) || !slices.IsSorted(s.emails) || slices.Contains(s.emails, "")) {
			t.Errorf("%q became %+v", body, s)
		}
	})
}

// FuzzWhatPeopleWriteIsNeverDown: a rule may let requests pass while a service is down, so nobody may bring that about by what
// they write into a ticket.
func FuzzWhatPeopleWriteIsNeverDown(f *testing.F) {
	f.Add("Payments", "2026-11-22T20:00:00.000+0900", "2026-11-22T12:30:00Z", "In Progress")
	f.Add("\xff\x00\u202e", "tonight", "", "\ud7ff")
	j := &jira{base: "https://jira.test", from: "customfield_1", to: "customfield_2"}
	s, change := &serviceNow{base: "https://x.test"}, DefaultTables()[1]
	quote := func(text string) string {
		quoted, err := json.Marshal(text)
		if err != nil {
			panic(err)
		}
		return string(quoted)
	}
	f.Fuzz(func(t *testing.T, title, from, to, name string) {
		issue := `{"key": "INC-4711", "fields": {"summary": ` + quote(title) + `, "status": {"name": ` + quote(name) + `, "statusCategory": {"key": "new"}}, "assignee": {"emailAddress": ` +
			quote(name) + `}, "customfield_1": ` + quote(from) + `, "customfield_2": ` + quote(to) + `}}`
		if _, err := j.read("INC-4711", []byte(issue)); err != nil {
			t.Errorf("jira %v: %s", err, issue)
		}
		cell := func(text string) string {
			return `{"display_value": ` + quote(text) + `, "value": ` + quote(text) + `}`
		}
		rows := `{"result": [{"number": "CHG1", "active": "true", "state": "-1", "approval": ` + cell(name) + `, "short_description": ` + cell(title) + `, "assigned_to.email": ` + cell(name) +
			`, "start_date": ` + cell(from) + `, "end_date": ` + cell(to) + `}]}`
		if _, err := s.read("CHG1", change, []byte(rows)); err != nil {
			t.Errorf("servicenow %v: %s", err, rows)
		}
	})
}
