package lookup

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"sparekey/internal/config"
)

// Settings say which services are asked.
type Settings struct {
	Tickets   []Service
	Schedules []Schedule
	PagerDuty *PagerDuty       // needed for schedules
	Proxy     string           // an HTTP proxy for all of them; none by default, whatever the environment says
	Now       func() time.Time // the clock, for what is remembered; required
}

// Service is one ticket service, of exactly one kind.
type Service struct {
	Name       string // as rules call it
	Jira       *Jira
	ServiceNow *ServiceNow
	Generic    *Generic
	File       string // a YAML or JSON file of tickets; see docs/lookup.md
}

// Jira is a Jira Cloud site or a Jira Data Center.
type Jira struct {
	URL       string // without /rest
	Site      string // where people see issues, when URL is not that; https://api.atlassian.com/ex/jira/… is not
	Email     string // of the account that the API token is of; without it, the token is a bearer's (a personal access token)
	TokenFile string
	API       string // version of the REST API: 3 (default), or 2, which is Data Center's newest
	From, To  string // the custom fields that hold the change window, as in customfield_10042; both or neither
}

// ServiceNow is a ServiceNow instance.
type ServiceNow struct {
	URL        string
	User       string // with the password or, without it, with a bearer's token in SecretFile
	SecretFile string
	Tables     []Table // [DefaultTables] when empty
}

// Table says in which table of ServiceNow the tickets are whose numbers begin with a prefix.
type Table struct {
	Prefix string
	Name   string
	States []string // the values of state in which a ticket serves; any, as long as it is active, when empty
	Change bool     // it must be approved, and has a window from start_date to end_date
}

// DefaultTables are incidents that are new, in progress or on hold, and changes that are scheduled or being implemented
// ("Incident Management state model" and "State model and transitions", ServiceNow documentation).
func DefaultTables() []Table {
	return []Table{
		{Prefix: "INC", Name: "incident", States: []string{"1", "2", "3"}},
		{Prefix: "CHG", Name: "change_request", States: []string{"-2", "-1"}, Change: true},
	}
}

// Generic is a service of one's own, which is asked with a signed POST; see docs/lookup.md.
type Generic struct {
	URL        string
	SecretFile string // at least 32 characters, shared with the service
}

// Schedule is an on-call schedule.
type Schedule struct {
	Name string // as rules call it
	ID   string // PagerDuty's
}

// PagerDuty is a PagerDuty account.
type PagerDuty struct {
	URL       string // DefaultPagerDuty when empty
	TokenFile string
}

// DefaultPagerDuty is the address of PagerDuty's REST API. Accounts in the EU have another.
const DefaultPagerDuty = "https://api.pagerduty.com"

const callTimeout = 5 * time.Second // of one call, from the connection to the last byte of the answer

// New makes what asks the services. Nothing is asked and no file is read yet.
func New(s Settings) (*Tickets, *Rota, error) {
	if s.Now == nil {
		return nil, nil, errors.New("lookup has no clock")
	}
	client, err := httpClient(s.Proxy)
	if err != nil {
		return nil, nil, err
	}
	t := &Tickets{now: s.Now, desks: make(map[string]*desk, len(s.Tickets)), answers: map[string]remembered{}, timeout: callTimeout}
	for _, d := range s.Tickets {
		if d.Name == "" || t.desks[d.Name] != nil {
			return nil, nil, fmt.Errorf("ticket services need names of their own; %q is not", d.Name)
		}
		if t.desks[d.Name], err = d.open(client, s.Now); err != nil {
			return nil, nil, fmt.Errorf("ticket service %s: %w", d.Name, err)
		}
	}
	r, err := newRota(s, client)
	return t, r, err
}

// desk is a ticket service that can be asked.
type desk struct {
	service
	exact bool // an answer holds for the very question only, not for other times of the same ticket
	fresh bool // it costs nothing to ask, so nothing is remembered
}

func (s Service) open(client *http.Client, now func() time.Time) (*desk, error) {
	var found []*desk
	var wrong []error
	add := func(d *desk, err error) { found, wrong = append(found, d), append(wrong, err) }
	if s.Jira != nil {
		j, err := newJira(*s.Jira, client, now)
		add(&desk{service: j}, err)
	}
	if s.ServiceNow != nil {
		n, err := newServiceNow(*s.ServiceNow, client, now)
		add(&desk{service: n}, err)
	}
	if s.Generic != nil {
		g, err := newGeneric(*s.Generic, client, now)
		add(&desk{service: g, exact: true}, err)
	}
	if s.File != "" {
		add(&desk{service: &tickets{file: s.File}, fresh: true}, nil)
	}
	if len(found) != 1 {
		return nil, fmt.Errorf("%d kinds are set; it takes exactly one", len(found))
	}
	return found[0], wrong[0]
}

// address checks and trims the address of a service.
func address(text string) (string, error) {
	if err := config.ServiceURL(text); err != nil {
		return "", err
	}
	return strings.TrimRight(text, "/"), nil
}

var customField = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_]{0,63}$`)

func newJira(s Jira, client *http.Client, now func() time.Time) (*jira, error) {
	base, err := address(s.URL)
	site := base
	if err == nil && s.Site != "" {
		site, err = address(s.Site)
	}
	switch {
	case err != nil:
		return nil, err
	case s.API != "" && s.API != "2" && s.API != "3":
		return nil, fmt.Errorf("there is no version %q of Jira's REST API", s.API)
	case (s.From == "") != (s.To == ""):
		return nil, errors.New("a change window has two fields")
	case s.From != "" && (!customField.MatchString(s.From) || !customField.MatchString(s.To)):
		return nil, errors.New("the fields of the change window are no names of fields")
	}
	if s.API == "" {
		s.API = "3"
	}
	return &jira{wire: newWire(client, now, s.Email, s.TokenFile), base: base, site: site, api: s.API, from: s.From, to: s.To}, nil
}

func newServiceNow(s ServiceNow, client *http.Client, now func() time.Time) (*serviceNow, error) {
	base, err := address(s.URL)
	if err != nil {
		return nil, err
	}
	if len(s.Tables) == 0 {
		s.Tables = DefaultTables()
	}
	for _, t := range s.Tables {
		if !ticketID.MatchString(t.Prefix) || !customField.MatchString(t.Name) {
			return nil, fmt.Errorf("%q and %q are no prefix and table", t.Prefix, t.Name)
		}
	}
	return &serviceNow{wire: newWire(client, now, s.User, s.SecretFile), base: base, tables: s.Tables}, nil
}

func newGeneric(s Generic, client *http.Client, now func() time.Time) (*generic, error) {
	base, err := address(s.URL)
	if err != nil {
		return nil, err
	}
	w := newWire(client, now, "", "")
	return &generic{wire: w, url: base, secretFile: s.SecretFile}, nil
}

func newRota(s Settings, client *http.Client) (*Rota, error) {
	r := &Rota{schedules: make(map[string]string, len(s.Schedules)), shifts: map[string]shift{}, timeout: callTimeout}
	for _, d := range s.Schedules {
		if d.Name == "" || d.ID == "" || r.schedules[d.Name] != "" {
			return nil, fmt.Errorf("schedules need names and ids of their own; %q does not have them", d.Name)
		}
		r.schedules[d.Name] = d.ID
	}
	if s.PagerDuty == nil {
		if len(s.Schedules) > 0 {
			return nil, errors.New("there are schedules, but pagerduty is not set")
		}
		return r, nil
	}
	text := s.PagerDuty.URL
	if text == "" {
		text = DefaultPagerDuty
	}
	base, err := address(text)
	if err != nil {
		return nil, fmt.Errorf("pagerduty: %w", err)
	}
	r.base, r.wire = base, newWire(client, s.Now, "", s.PagerDuty.TokenFile)
	r.wire.scheme = "Token token="
	return r, nil
}

// link makes an address for people, or nothing of what is none.
func link(text string) string {
	u, err := url.Parse(text)
	if err != nil || len(text) > 2000 || u.Host == "" || u.User != nil || u.Scheme != "https" && u.Scheme != "http" {
		return ""
	}
	return u.String()
}
