package lookup

import (
	"context"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"sparekey/rules"
)

// serviceNow asks ServiceNow: "Table API", GET /now/table/{tableName}, ServiceNow API reference.
type serviceNow struct {
	wire   *wire
	base   string
	tables []Table
}

// serviceNowTime is how the values of date-time fields are written, in UTC whatever the user's time zone is.
const serviceNowTime = "2006-01-02 15:04:05"

var (
	serviceNowFields = []string{"sys_id", "number", "short_description", "active", "state", "assigned_to", "assigned_to.email"}
	changeFields     = []string{"approval", "start_date", "end_date"}
	sysID            = regexp.MustCompile(`^[0-9a-f]{32}$`)
)

func (s *serviceNow) ask(ctx context.Context, q rules.TicketQuestion) (answer, error) {
	table, ok := s.table(q.ID)
	if !ok {
		return record{none: true}.judge, nil
	}
	fields := serviceNowFields
	if table.Change {
		fields = slices.Concat(fields, changeFields)
	}
	r, err := s.wire.get(ctx, s.base+"/api/now/table/"+table.Name, url.Values{
		"sysparm_query": {"number=" + q.ID}, // a ticketID has no ^ and no blank, which would go on with another condition
		"sysparm_limit": {"2"}, "sysparm_fields": {strings.Join(fields, ",")}, "sysparm_display_value": {"all"}, "sysparm_exclude_reference_link": {"true"},
	}, "application/json")
	if err != nil {
		return nil, err
	}
	found, err := s.read(q.ID, table, r.body)
	return found.judge, err
}

// table returns the table with the longest prefix that fits.
func (s *serviceNow) table(id string) (Table, bool) {
	var best Table
	for _, t := range s.tables {
		if len(id) > len(t.Prefix) && len(t.Prefix) > len(best.Prefix) && strings.EqualFold(id[:len(t.Prefix)], t.Prefix) {
			best = t
		}
	}
	return best, best.Prefix != ""
}

// cell is a field of a record with sysparm_display_value=all: an object, or an empty string where there is nothing.
type cell struct {
	Display string `json:"display_value"`
	Value   string `json:"value"`
}

func (c *cell) UnmarshalJSON(text []byte) error {
	var s *string
	if parse(text, &s) {
		*c = cell{}
		if s != nil {
			*c = cell{*s, *s}
		}
		return nil
	}
	var both struct {
		Display *string `json:"display_value"`
		Value   *string `json:"value"`
	}
	if !parse(text, &both) {
		return silent("a field is neither text nor a value with its display")
	}
	if both.Display != nil {
		c.Display = *both.Display
	}
	if both.Value != nil {
		c.Value = *both.Value
	}
	return nil
}

func (s *serviceNow) read(id string, table Table, body []byte) (record, error) {
	var answer struct {
		Result jsontext.Value `json:"result"`
		Error  *struct {
			Message string `json:"message"`
		} `json:"error"`
	}
	if !parse(body, &answer) {
		return record{}, silent("answered with something that is not a list of records")
	}
	if answer.Result == nil && answer.Error != nil { // older releases say 404 where nothing is found
		return record{none: true}, nil
	}
	var rows []map[string]cell
	if answer.Result == nil || !parse(answer.Result, &rows) || rows == nil {
		return record{}, silent("answered with something that is not a list of records")
	}
	switch {
	case len(rows) == 0:
		return record{none: true}, nil
	case len(rows) > 1:
		return record{closed: "is there more than once"}, nil
	}
	return s.row(id, table, rows[0])
}

func (s *serviceNow) row(id string, table Table, row map[string]cell) (record, error) {
	if !strings.EqualFold(row["number"].Value, id) { // a condition that ServiceNow does not understand is left out by it
		return record{}, silent("answered about another ticket than it was asked about")
	}
	if row["active"].Value == "" || row["state"].Value == "" {
		return record{}, silent("does not let these credentials read active and state in %s", table.Name)
	}
	r := record{title: clip(row["short_description"].Value), email: row["assigned_to.email"].Value}
	if row := row["sys_id"].Value; sysID.MatchString(row) {
		r.link = link(s.base + "/nav_to.do?uri=" + url.QueryEscape(table.Name+".do?sys_id="+row))
	}
	if table.Change {
		r.window(row["start_date"].Value, row["end_date"].Value, serviceNowTime)
	}
	state := row["state"]
	switch {
	case row["active"].Value != "true" && row["active"].Value != "1":
		r.closed = "is closed" + aside(state.Display)
	case len(table.States) > 0 && !slices.Contains(table.States, state.Value):
		r.closed = "does not serve in its state" + aside(state.Display)
	case table.Change && row["approval"].Value != "approved":
		r.closed = "is not approved" + aside(row["approval"].Display)
	case r.email == "" && row["assigned_to"].Value != "":
		r.closed = "is assigned to somebody whose e-mail address is not shown to Sparekey"
	}
	return r, nil
}
