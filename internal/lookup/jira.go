package lookup

import (
	"context"
	"net/url"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"sparekey/rules"
)

// jira asks Jira: "Get issue", Jira Cloud platform REST API v3; Data Center answers the same under version 2.
type jira struct {
	wire      *wire
	base, api string
	site      string // of links
	from, to  string // custom fields
}

func (j *jira) ask(ctx context.Context, q rules.TicketQuestion) (answer, error) {
	fields := []string{"summary", "status", "assignee"}
	if j.from != "" {
		fields = append(fields, j.from, j.to)
	}
	// What stands in the path is a ticketID, and needs no escaping.
	r, err := j.wire.get(ctx, j.base+"/rest/api/"+j.api+"/issue/"+q.ID, url.Values{"fields": {strings.Join(fields, ",")}}, "application/json")
	if err != nil {
		return nil, err
	}
	// Jira answers as if to a stranger, with 200 or 404, when a password or token is wrong.
	if reason := r.header.Get("X-Seraph-LoginReason"); strings.Contains(reason, "FAILED") || strings.Contains(reason, "DENIED") {
		return nil, silent("refused the credentials")
	}
	if !r.found {
		return record{none: true}.judge, nil
	}
	found, err := j.read(q.ID, r.body)
	return found.judge, err
}

type jiraStatus struct {
	Name           string `json:"name"`
	StatusCategory struct {
		Key string `json:"key"` // new, indeterminate, done or undefined
	} `json:"statusCategory"`
}

type jiraUser struct {
	EmailAddress string `json:"emailAddress"`
	Active       *bool  `json:"active"`
}

// read makes a record of an issue. Fields are as the API's schema has them; those of the window are whatever people made them.
func (j *jira) read(id string, body []byte) (record, error) {
	var issue struct {
		Key    string                    `json:"key"`
		Fields map[string]jsontext.Value `json:"fields"`
	}
	var summary *string
	var status *jiraStatus
	var assignee *jiraUser
	if !parse(body, &issue) || issue.Key == "" || !parse(issue.Fields["summary"], &summary) ||
		!parse(issue.Fields["status"], &status) || status == nil || !parse(issue.Fields["assignee"], &assignee) {
		return record{}, silent("answered with something that is not an issue")
	}
	r := record{link: link(j.site + "/browse/" + issue.Key)}
	if summary != nil {
		r.title = clip(*summary)
	}
	if assignee != nil {
		r.email = assignee.EmailAddress
	}
	if j.from != "" {
		r.window(text(issue.Fields[j.from]), text(issue.Fields[j.to]), time.RFC3339, "2006-01-02T15:04:05Z0700") // Jira's own times have no colon in the zone
	}
	switch category := status.StatusCategory.Key; {
	case !strings.EqualFold(issue.Key, id): // "Get issue" also finds issues that were moved, under their former key
		r.closed = "is now " + clip(issue.Key) + "; use that id"
	case category == "done":
		r.closed = "is closed" + aside(status.Name)
	case category != "new" && category != "indeterminate":
		r.closed = "has a status of no category" + aside(status.Name)
	case assignee != nil && assignee.EmailAddress == "":
		r.closed = "is assigned to somebody whose e-mail address is not shown to Sparekey"
	}
	return r, nil
}

// parse reads one JSON value. One that is not there leaves what into points to as it is. Text that is no UTF-8, which people
// can write, is no reason to fail.
func parse(value []byte, into any) bool {
	return len(value) == 0 || json.Unmarshal(value, into, jsontext.AllowInvalidUTF8(true)) == nil
}

// text returns a JSON string, the empty one for null and for what is not there, and "?" for anything else.
func text(value jsontext.Value) string {
	var s *string
	switch {
	case !parse(value, &s):
		return "?"
	case s == nil:
		return ""
	}
	return *s
}
