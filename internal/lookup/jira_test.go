package lookup

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

// anIssue is an issue as "Get issue" of the Jira Cloud platform REST API v3 shows it, with the fields that were asked for.
const anIssue = `{
  "expand": "renderedFields,names,schema,operations,editmeta,changelog,versionedRepresentations",
  "id": "10002", "self": "https://example.atlassian.net/rest/api/3/issue/10002", "key": "INC-4711",
  "fields": {
    "summary": "Payments are slow",
    "assignee": {"self": "https://example.atlassian.net/rest/api/3/user?accountId=5b10a2844c20165700ede21g", "accountId": "5b10a2844c20165700ede21g",
      "emailAddress": "dana@example.com", "avatarUrls": {"16x16": "https://avatar.example.com/16"}, "displayName": "Dana", "active": true, "timeZone": "Asia/Tokyo", "accountType": "atlassian"},
    "status": {"self": "https://example.atlassian.net/rest/api/3/status/3", "description": "", "iconUrl": "https://example.atlassian.net/images/icons/progress.gif", "name": "In Progress", "id": "3",
      "statusCategory": {"self": "https://example.atlassian.net/rest/api/3/statuscategory/4", "id": 4, "key": "indeterminate", "colorName": "yellow", "name": "In Progress"}},
    "customfield_10042": "2026-11-22T20:00:00.000+0900", "customfield_10043": "2026-11-22T12:30:00Z"
  }}`

// fakeJira is Jira Cloud with one issue.
func fakeJira(t *testing.T, issue string) *ear {
	return listen(t, func(w http.ResponseWriter, r *http.Request) {
		user, password, basic := r.BasicAuth()
		if !(basic && user == "bot@example.com" && password == secretMarker) && r.Header.Get("Authorization") != "Bearer "+secretMarker {
			says(asJSON, http.StatusUnauthorized, `{"errorMessages": ["Client must be authenticated to access this resource."], "errors": {}}`)(w, r)
			return
		}
		for _, version := range []string{"2", "3"} {
			if r.Method == http.MethodGet && strings.EqualFold(r.URL.EscapedPath(), "/rest/api/"+version+"/issue/INC-4711") {
				says(asJSON, http.StatusOK, "%s", issue)(w, r)
				return
			}
		}
		says(asJSON, http.StatusNotFound, `{"errorMessages": ["Issue does not exist or you do not have permission to see it."], "errors": {}}`)(w, r)
	})
}

// TestAJiraIssueServesWhoItIsAssignedToWhileItIsOpen changes one thing of an issue at a time.
// Requirement partly S1-29.
func TestAJiraIssueServesWhoItIsAssignedToWhileItIsOpen(t *testing.T) {
	change := func(old, new string) string {
		if !strings.Contains(anIssue, old) {
			t.Fatalf("%q is not in the issue", old)
		}
		return strings.Replace(anIssue, old, new, 1)
	}
	const window = " (windowed)"
	for _, c := range []struct{ name, issue, want string }{
		{"open and theirs", anIssue, "ok"},
		{"not begun", change(`"key": "indeterminate"`, `"key": "new"`), "ok"},
		{"closed", change(`"indeterminate", "colorName": "yellow", "name": "In Progress"`, `"done", "colorName": "green", "name": "Done"`), "no: INC-4711 is closed (In Progress)"},
		{"of no category", change(`"key": "indeterminate"`, `"key": "undefined"`), "no: INC-4711 has a status of no category (In Progress)"},
		{"somebody else's", change("dana@example.com", "kim@example.com"), "no: INC-4711 is assigned to somebody else than dana"},
		{"a lookalike's", change("dana@example.com", "dana@exa\u017Fmple.com"), "no: INC-4711 is assigned to somebody else than dana"},
		{"nobody's", change(`"assignee": {`, `"assignee": null, "x": {`), "no: INC-4711 is assigned to nobody"},
		{"hidden address", change(`"emailAddress": "dana@example.com", `, ""), "no: INC-4711 is assigned to somebody whose e-mail address is not shown to Sparekey"},
		{"moved", change(`"key": "INC-4711"`, `"key": "OPS-1"`), "no: INC-4711 is now OPS-1; use that id"},
		{"half a letter in the title", change("Payments are slow", `Payments \ud800 slow`), "ok"},
		{"no title", change(`"Payments are slow"`, "null"), "ok"},
		{"no status", change(`"status": {`, `"x": {`), "down: desk answered with something that is not an issue"},
		{"a status of another kind", change(`"status": {`, `"status": 1, "x": {`), "down: desk answered with something that is not an issue"},
		{"no key", change(`"key": "INC-4711",`, ``), "down: desk answered with something that is not an issue"},
		{"no object", "[]", "down: desk answered with something that is not an issue"},
		{"a key twice", change(`"id": "10002",`, `"key": "INC-4711",`), "down: desk answered with something that is not an issue"},
		{"cut off", anIssue[:200], "down: desk answered with something that is not an issue"},
		{"in its window" + window, anIssue, "ok"},
		{"before its window" + window, change("2026-11-22T20:00:00.000+0900", "2026-11-22T21:30:00.000+0900"), "no: the change window of INC-4711 ends before it begins"},
		{"too early" + window, change("2026-11-22T20:00:00.000+0900", "2026-11-22T12:10:00Z"), "no: the change window of INC-4711 begins at 2026-11-22 12:10 UTC"},
		{"too late" + window, change("2026-11-22T12:30:00Z", "2026-11-22T12:00:00Z"), "no: the change window of INC-4711 ended at 2026-11-22 12:00 UTC"},
		{"no window" + window, change(`"customfield_10042": "2026-11-22T20:00:00.000+0900", `, ""), "no: INC-4711 has no change window"},
		{"half a window" + window, change(`"2026-11-22T12:30:00Z"`, "null"), "no: INC-4711 has no change window"},
		{"words for a window" + window, change("2026-11-22T12:30:00Z", "tonight"), "no: INC-4711 has a change window that cannot be read"},
		{"a day for a window" + window, change("2026-11-22T12:30:00Z", "2026-11-22"), "no: INC-4711 has a change window that cannot be read"},
		{"a window of another kind" + window, change(`"2026-11-22T12:30:00Z"`, `{"a": 1}`), "no: INC-4711 has a change window that cannot be read"},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := fakeJira(t, c.issue)
			s := Jira{URL: e.URL + "/", Email: "bot@example.com", TokenFile: secretFile(t)}
			fields, until := "summary,status,assignee", time.Time{}
			if strings.HasSuffix(c.name, window) {
				s.From, s.To = "customfield_10042", "customfield_10043"
				fields, until = fields+",customfield_10042,customfield_10043", noon.Add(30*time.Minute)
			}
			all, _ := open(t, Service{Jira: &s})
			got := all.Ticket(t.Context(), asks(dana, "INC-4711"))
			if got.OK {
				if got.Link != e.URL+"/browse/INC-4711" || !got.Until.Equal(until) || c.name != "no title" && !strings.HasPrefix(got.Title, "Payments ") {
					t.Errorf("%+v", got)
				}
				got.Link = ""
			}
			wantTicket(t, got, c.want)
			if r := e.last(t); r.URL.Query().Get("fields") != fields || len(r.URL.Query()) != 1 {
				t.Errorf("asked %s", r.URL)
			}
		})
	}
}

func TestAnIssueThatThereIsNotIsANo(t *testing.T) {
	e := fakeJira(t, anIssue)
	all, _ := open(t, Service{Jira: &Jira{URL: e.URL, Email: "bot@example.com", TokenFile: secretFile(t)}})
	wantTicket(t, all.Ticket(t.Context(), asks(dana, "INC-1")), "no: there is no ticket INC-1 in desk")
}

func TestAnIssueIsFoundInAnyCase(t *testing.T) {
	e := fakeJira(t, anIssue)
	all, _ := open(t, Service{Jira: &Jira{URL: e.URL, Email: "bot@example.com", TokenFile: secretFile(t)}})
	if got := all.Ticket(t.Context(), asks(dana, "inc-4711")); !got.OK {
		t.Errorf("%+v", got)
	}
}

func TestADataCenterIsAskedWithAPersonalAccessTokenAndItsOwnVersion(t *testing.T) {
	e := fakeJira(t, anIssue)
	all, _ := open(t, Service{Jira: &Jira{URL: e.URL, Site: "https://issues.test/", TokenFile: secretFile(t), API: "2"}})
	if got := all.Ticket(t.Context(), asks(dana, "INC-4711")); !got.OK || got.Link != "https://issues.test/browse/INC-4711" {
		t.Errorf("%+v", got)
	}
	if r := e.last(t); r.URL.Path != "/rest/api/2/issue/INC-4711" || r.Header.Get("Authorization") != "Bearer "+secretMarker {
		t.Errorf("asked %s with %q", r.URL, r.Header.Get("Authorization"))
	}
}

// TestAWrongTokenIsNoMissingIssue: Jira treats a wrong token as a stranger, for whom there are no issues, and says so in a header only.
func TestAWrongTokenIsNoMissingIssue(t *testing.T) {
	for _, reason := range []string{"AUTHENTICATED_FAILED", "AUTHENTICATION_DENIED"} {
		e := listen(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X-Seraph-LoginReason", reason)
			says(asJSON, http.StatusNotFound, `{"errorMessages": ["Issue does not exist or you do not have permission to see it."], "errors": {}}`)(w, r)
		})
		all, _ := open(t, Service{Jira: &Jira{URL: e.URL, Email: "bot@example.com", TokenFile: secretFile(t)}})
		wantTicket(t, all.Ticket(t.Context(), asks(dana, "INC-1")), "down: desk refused the credentials")
	}
}

func TestWhoHasNoAddressHasNoIssue(t *testing.T) {
	e := fakeJira(t, anIssue)
	all, _ := open(t, Service{Jira: &Jira{URL: e.URL, Email: "bot@example.com", TokenFile: secretFile(t)}})
	p := dana
	p.Email = ""
	wantTicket(t, all.Ticket(t.Context(), asks(p, "INC-4711")), "no: dana has no e-mail address in the directory, by which desk would know them")
}
