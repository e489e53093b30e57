package lookup

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// anIncident and aChange are rows of the Table API with sysparm_display_value=all: display values are in the caller's language
// and time zone, values are not.
const (
	anIncident = `{"sys_id": {"display_value": "9c573169c611228700193229fff72400", "value": "9c573169c611228700193229fff72400"},
  "number": {"display_value": "INC0010001", "value": "INC0010001"}, "short_description": {"display_value": "Payments are slow", "value": "Payments are slow"},
  "active": {"display_value": "true", "value": "true"}, "state": {"display_value": "In Progress", "value": "2"},
  "assigned_to": {"display_value": "Dana", "value": "46d44a23a9fe19810012d100cca80666"}, "assigned_to.email": {"display_value": "dana@example.com", "value": "dana@example.com"}}`
	aChange = `{"sys_id": {"display_value": "c83c5e5347c12200e0ef563dbb9a7190", "value": "c83c5e5347c12200e0ef563dbb9a7190"},
  "number": {"display_value": "CHG0030001", "value": "CHG0030001"}, "short_description": {"display_value": "Roll back payments", "value": "Roll back payments"},
  "active": {"display_value": "true", "value": "true"}, "state": {"display_value": "Implement", "value": "-1"},
  "assigned_to": {"display_value": "Dana", "value": "46d44a23a9fe19810012d100cca80666"}, "assigned_to.email": {"display_value": "dana@example.com", "value": "dana@example.com"},
  "approval": {"display_value": "Approved", "value": "approved"},
  "start_date": {"display_value": "2026-11-22 20:00:00", "value": "2026-11-22 11:00:00"}, "end_date": {"display_value": "2026-11-22 21:30:00", "value": "2026-11-22 12:30:00"}}`
)

// fakeServiceNow is an instance whose tables each give these rows, if they have the number that is asked for.
func fakeServiceNow(t *testing.T, rows ...string) *ear {
	return listen(t, func(w http.ResponseWriter, r *http.Request) {
		user, password, basic := r.BasicAuth()
		if !(basic && user == "sparekey" && password == secretMarker) && r.Header.Get("Authorization") != "Bearer "+secretMarker {
			says(asJSON, http.StatusUnauthorized, `{"error": {"message": "User Not Authenticated", "detail": "Required to provide Auth information"}, "status": "failure"}`)(w, r)
			return
		}
		number, ok := strings.CutPrefix(r.URL.Query().Get("sysparm_query"), "number=")
		var found []string
		for _, row := range rows {
			if ok && strings.Contains(row, `"number": {"display_value": "`+strings.ToUpper(number)) {
				found = append(found, row)
			}
		}
		says(asJSON, http.StatusOK, `{"result": [%s]}`, strings.Join(found, ","))(w, r)
	})
}

// TestARecordOfServiceNowServesWhoItIsAssignedToWhileItIsOpen changes one thing of a row at a time.
// Requirement partly S1-29.
func TestARecordOfServiceNowServesWhoItIsAssignedToWhileItIsOpen(t *testing.T) {
	for _, c := range []struct{ name, row, old, new, want string }{
		{"an incident", anIncident, "", "", "ok"},
		{"an inactive incident", anIncident, `"active": {"display_value": "true", "value": "true"}, "state": {"display_value": "In Progress", "value": "2"}`,
			`"active": {"display_value": "false", "value": "false"}, "state": {"display_value": "Closed", "value": "7"}`, "no: INC0010001 is closed (Closed)"},
		{"a resolved incident, which is active", anIncident, `"In Progress", "value": "2"`, `"Resolved", "value": "6"`, "no: INC0010001 does not serve in its state (Resolved)"},
		{"somebody else's", anIncident, `"value": "dana@example.com"`, `"value": "kim@example.com"`, "no: INC0010001 is assigned to somebody else than dana"},
		{"nobody's", anIncident, `"assigned_to": {"display_value": "Dana", "value": "46d44a23a9fe19810012d100cca80666"}, "assigned_to.email": {"display_value": "dana@example.com", "value": "dana@example.com"}`,
			`"assigned_to": "", "assigned_to.email": ""`, "no: INC0010001 is assigned to nobody"},
		{"hidden address", anIncident, `, "assigned_to.email": {"display_value": "dana@example.com", "value": "dana@example.com"}`, "", "no: INC0010001 is assigned to somebody whose e-mail address is not shown to Sparekey"},
		{"half a letter in the title", anIncident, `"value": "Payments are slow"`, `"value": "Payments \ud800 slow"`, "ok"},
		{"a null", anIncident, `{"display_value": "Payments are slow", "value": "Payments are slow"}`, "null", "ok"},
		{"no rights to active", anIncident, `"active": {"display_value": "true", "value": "true"}, `, "", "down: desk does not let these credentials read active and state in incident"},
		{"another ticket", anIncident, `"value": "INC0010001"`, `"value": "INC0010002"`, "down: desk answered about another ticket than it was asked about"},
		{"a field of another kind", anIncident, `"active": {"display_value": "true", "value": "true"}`, `"active": [true]`, "down: desk answered with something that is not a list of records"},
		{"a change", aChange, "", "", "ok"},
		{"a scheduled change", aChange, `"Implement", "value": "-1"`, `"Scheduled", "value": "-2"`, "ok"},
		{"a change in review", aChange, `"Implement", "value": "-1"`, `"Review", "value": "0"`, "no: CHG0030001 does not serve in its state (Review)"},
		{"a change that waits", aChange, `"Approved", "value": "approved"`, `"Requested", "value": "requested"`, "no: CHG0030001 is not approved (Requested)"},
		{"a change without approval", aChange, `"approval": {"display_value": "Approved", "value": "approved"},`, "", "no: CHG0030001 is not approved"},
		{"too early", aChange, `"value": "2026-11-22 11:00:00"`, `"value": "2026-11-22 12:00:01"`, "no: the change window of CHG0030001 begins at 2026-11-22 12:00 UTC"},
		{"too late", aChange, `"value": "2026-11-22 12:30:00"`, `"value": "2026-11-22 12:00:00"`, "no: the change window of CHG0030001 ended at 2026-11-22 12:00 UTC"},
		{"no window", aChange, `{"display_value": "2026-11-22 20:00:00", "value": "2026-11-22 11:00:00"}`, `{"display_value": "", "value": ""}`, "no: CHG0030001 has no change window"},
		{"an odd window", aChange, `"value": "2026-11-22 11:00:00"`, `"value": "22.11.2026"`, "no: CHG0030001 has a change window that cannot be read"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if !strings.Contains(c.row, c.old) {
				t.Fatalf("%q is not in the row", c.old)
			}
			e := fakeServiceNow(t, strings.Replace(c.row, c.old, c.new, 1))
			all, _ := open(t, Service{ServiceNow: &ServiceNow{URL: e.URL, User: "sparekey", SecretFile: secretFile(t)}})
			id, table, sysID := "INC0010001", "incident", "9c573169c611228700193229fff72400"
			if c.row == aChange {
				id, table, sysID = "CHG0030001", "change_request", "c83c5e5347c12200e0ef563dbb9a7190"
			}
			got := all.Ticket(t.Context(), asks(dana, id))
			if got.OK {
				if got.Link != e.URL+"/nav_to.do?uri="+table+".do%3Fsys_id%3D"+sysID || got.Until.IsZero() == (c.row == aChange) {
					t.Errorf("%+v", got)
				}
				got.Link = ""
			}
			wantTicket(t, got, c.want)
			r := e.last(t)
			want := url.Values{
				"sysparm_query": {"number=" + id}, "sysparm_limit": {"2"}, "sysparm_display_value": {"all"}, "sysparm_exclude_reference_link": {"true"},
				"sysparm_fields": {"sys_id,number,short_description,active,state,assigned_to,assigned_to.email"},
			}
			if c.row == aChange {
				want["sysparm_fields"][0] += ",approval,start_date,end_date"
			}
			if r.URL.Path != "/api/now/table/"+table || r.URL.Query().Encode() != want.Encode() {
				t.Errorf("asked %s", r.URL)
			}
		})
	}
}

func TestWhatServiceNowDoesNotHaveIsANo(t *testing.T) {
	older := says(asJSON, http.StatusNotFound, `{"error": {"message": "No Record found", "detail": "Record doesn't exist or ACL restricts the record retrieval"}, "status": "failure"}`)
	for _, c := range []struct {
		name  string
		e     *ear
		id    string
		asked int
		want  string
	}{
		{"no such number", fakeServiceNow(t, anIncident), "INC0000001", 1, "no: there is no ticket INC0000001 in desk"},
		{"as older releases say it", listen(t, older), "INC0010001", 1, "no: there is no ticket INC0010001 in desk"},
		{"no table for it", fakeServiceNow(t, anIncident), "PRB0000001", 0, "no: there is no ticket PRB0000001 in desk"},
		{"a prefix and nothing more", fakeServiceNow(t, anIncident), "INC", 0, "no: there is no ticket INC in desk"},
		{"two of them", fakeServiceNow(t, anIncident, anIncident), "INC0010001", 1, "no: INC0010001 is there more than once"},
	} {
		t.Run(c.name, func(t *testing.T) {
			all, _ := open(t, Service{ServiceNow: &ServiceNow{URL: c.e.URL, User: "sparekey", SecretFile: secretFile(t)}})
			wantTicket(t, all.Ticket(t.Context(), asks(dana, c.id)), c.want)
			if c.e.times() != c.asked {
				t.Errorf("asked %d times", c.e.times())
			}
		})
	}
}

func TestATableIsFoundByTheLongestPrefixAndHasItsOwnStates(t *testing.T) {
	e := fakeServiceNow(t, strings.ReplaceAll(anIncident, "INC0010001", "INCS01"), strings.ReplaceAll(anIncident, "INC0010001", "INC9"))
	all, _ := open(t, Service{ServiceNow: &ServiceNow{URL: e.URL, SecretFile: secretFile(t), Tables: []Table{
		{Prefix: "INC", Name: "incident", States: []string{"3"}}, {Prefix: "INCS", Name: "sn_si_incident"}, {Prefix: "I", Name: "task"},
	}}})
	if got := all.Ticket(t.Context(), asks(dana, "incs01")); !got.OK || !strings.Contains(got.Link, "sn_si_incident") {
		t.Errorf("%+v", got)
	}
	if r := e.last(t); r.URL.Path != "/api/now/table/sn_si_incident" || r.Header.Get("Authorization") != "Bearer "+secretMarker {
		t.Errorf("asked %s", r.URL)
	}
	wantTicket(t, all.Ticket(t.Context(), asks(dana, "INC9")), "no: INC9 does not serve in its state (In Progress)")
}

func TestAWindowsEndBoundsWhatIsGiven(t *testing.T) {
	e := fakeServiceNow(t, aChange)
	all, _ := open(t, Service{ServiceNow: &ServiceNow{URL: e.URL, User: "sparekey", SecretFile: secretFile(t)}})
	q := asks(dana, "CHG0030001")
	q.To = noon.Add(8 * time.Hour)
	if got := all.Ticket(t.Context(), q); !got.OK || !got.Until.Equal(noon.Add(30*time.Minute)) {
		t.Errorf("%+v", got)
	}
}
