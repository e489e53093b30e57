package config

import (
	"errors"
	"net/url"
	"regexp"

	"sparekey/strict"
)

// Lookup names the services that know what a ticket says and who is on call. See docs/lookup.md.
type Lookup struct {
	At        strict.Position
	Proxy     strict.Word     `yaml:"proxy"` // for all of them
	Tickets   []TicketService `yaml:"tickets"`
	Schedules []Schedule      `yaml:"schedules"`
	PagerDuty *PagerDuty      `yaml:"pagerduty"`
}

// TicketService is one ticket service, of exactly one kind.
type TicketService struct {
	At         strict.Position
	Name       strict.Word `yaml:"name,required"` // as rules call it
	Jira       *Jira       `yaml:"jira"`
	ServiceNow *ServiceNow `yaml:"servicenow"`
	Generic    *Generic    `yaml:"generic"`
	File       string      `yaml:"file"`
}

// Jira is a Jira Cloud site, or a Jira Data Center.
type Jira struct {
	URL       strict.Word `yaml:"url,required"`
	Site      strict.Word `yaml:"site"`  // where people see issues, when url is not that
	Email     string      `yaml:"email"` // of the API token's account; without it, the token is a personal access token
	TokenFile string      `yaml:"token-file,required"`
	API       strict.Word `yaml:"api"`    // 3 (default), or 2 for Data Center
	Window    *Window     `yaml:"window"` // when tickets have change windows
}

// Window names the custom fields that hold a change window.
type Window struct {
	From strict.Word `yaml:"from,required"`
	To   strict.Word `yaml:"to,required"`
}

// ServiceNow is a ServiceNow instance. User and password, or a bearer's token.
type ServiceNow struct {
	At           strict.Position
	URL          strict.Word       `yaml:"url,required"`
	User         string            `yaml:"user"`
	PasswordFile string            `yaml:"password-file"`
	TokenFile    string            `yaml:"token-file"`
	Tables       []ServiceNowTable `yaml:"tables"` // INC in incident and CHG in change_request by default
}

// ServiceNowTable says where the tickets are whose numbers begin with a prefix.
type ServiceNowTable struct {
	Prefix strict.Word `yaml:"prefix,required"`
	Table  strict.Word `yaml:"table,required"`
	States []string    `yaml:"states"` // values of state in which a ticket serves; any while it is active, by default
	Change bool        `yaml:"change"` // it must be approved, and has a window
}

// Generic is a service of one's own that answers signed questions.
type Generic struct {
	URL        strict.Word `yaml:"url,required"`
	SecretFile string      `yaml:"secret-file,required"`
}

// Schedule is an on-call schedule.
type Schedule struct {
	Name      strict.Word       `yaml:"name,required"` // as rules call it
	PagerDuty PagerDutySchedule `yaml:"pagerduty,required"`
}

// PagerDutySchedule is a schedule in PagerDuty.
type PagerDutySchedule struct {
	Schedule strict.Word `yaml:"schedule,required"` // its id
}

// PagerDuty is a PagerDuty account.
type PagerDuty struct {
	URL       strict.Word `yaml:"url"` // https://api.pagerduty.com by default
	TokenFile string      `yaml:"token-file,required"`
}

var (
	serviceName = regexp.MustCompile(`^[a-z][a-z0-9-]{0,31}$`)
	ticketStart = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_-]{0,15}$`)
	tableName   = regexp.MustCompile(`^[a-z][a-z0-9_]{0,63}$`)
	fieldName   = regexp.MustCompile(`^customfield_[0-9]{1,10}$`)
	scheduleID  = regexp.MustCompile(`^[A-Z0-9]{1,32}$`)
)

// ServiceURL says what is wrong with the address of a service that is asked with a secret, or nothing. It never quotes it.
func ServiceURL(text string) error {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "" || u.Hostname() == "":
		return errors.New("the URL is none")
	case u.User != nil:
		return errors.New("the URL has a user or a password in it; secrets belong into their own file")
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return errors.New("the URL goes on after its path")
	case u.Scheme == "https", u.Scheme == "http" && loopback(u.Hostname()):
		return nil
	}
	return errors.New("the URL is not https; secrets would travel in clear text")
}

func checkURL(at strict.Word, say sayer) {
	if err := ServiceURL(at.Text); err != nil {
		say(at.At, "https://tickets.example.com, for instance", "%v", err)
	}
}

func (l *Lookup) check(say sayer) {
	if l.Proxy.Text != "" {
		if u, err := url.Parse(l.Proxy.Text); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			say(l.Proxy.At, "http://proxy.example.com:3128, for instance", "the proxy is not a URL")
		}
	}
	seen := map[string]bool{}
	for i := range l.Tickets {
		l.Tickets[i].check(seen, say)
	}
	seen = map[string]bool{}
	for _, s := range l.Schedules {
		checkName(s.Name, seen, say)
		if !scheduleID.MatchString(s.PagerDuty.Schedule.Text) {
			say(s.PagerDuty.Schedule.At, "it is the end of the schedule's address in PagerDuty, as in PI7DH85", "%q is not the id of a schedule", s.PagerDuty.Schedule.Text)
		}
	}
	switch {
	case l.PagerDuty == nil && len(l.Schedules) > 0:
		say(l.At, "pagerduty: {token-file: pagerduty.token}", "there are schedules, but pagerduty is not set")
	case l.PagerDuty != nil && l.PagerDuty.URL.Text != "":
		checkURL(l.PagerDuty.URL, say)
	}
}

func checkName(name strict.Word, seen map[string]bool, say sayer) {
	if !serviceName.MatchString(name.Text) {
		say(name.At, "small letters, digits and -, 32 at most", "%q is not a name", name.Text)
	}
	if seen[name.Text] {
		say(name.At, "give each a name of its own", "the name %q is here twice", name.Text)
	}
	seen[name.Text] = true
}

func (s *TicketService) check(seen map[string]bool, say sayer) {
	checkName(s.Name, seen, say)
	kinds := 0
	for _, set := range []bool{s.Jira != nil, s.ServiceNow != nil, s.Generic != nil, s.File != ""} {
		if set {
			kinds++
		}
	}
	if kinds != 1 {
		say(s.At, "jira, servicenow, generic or file", "%d kinds of ticket service are named for %q; it takes exactly one", kinds, s.Name.Text)
	}
	if j := s.Jira; j != nil {
		checkURL(j.URL, say)
		if j.Site.Text != "" {
			checkURL(j.Site, say)
		}
		oneOf(&j.API, []string{"3", "2"}, "api", say)
		if w := j.Window; w != nil {
			for _, f := range []strict.Word{w.From, w.To} {
				if !fieldName.MatchString(f.Text) {
					say(f.At, "customfield_10042, for instance; Jira shows the number in the field's settings", "%q is not a custom field", f.Text)
				}
			}
		}
	}
	if n := s.ServiceNow; n != nil {
		n.check(say)
	}
	if g := s.Generic; g != nil {
		checkURL(g.URL, say)
	}
}

func (n *ServiceNow) check(say sayer) {
	checkURL(n.URL, say)
	if (n.PasswordFile == "") == (n.TokenFile == "") || (n.User == "") != (n.PasswordFile == "") {
		say(n.At, "user and password-file, or token-file", "it is not said as whom ServiceNow is asked")
	}
	seen := map[string]bool{}
	for _, t := range n.Tables {
		if !ticketStart.MatchString(t.Prefix.Text) {
			say(t.Prefix.At, "INC, for instance", "%q is not what the number of a ticket begins with", t.Prefix.Text)
		}
		if !tableName.MatchString(t.Table.Text) {
			say(t.Table.At, "incident, for instance", "%q is not the name of a table", t.Table.Text)
		}
		if seen[t.Prefix.Text] {
			say(t.Prefix.At, "give each prefix one table", "the prefix %q is here twice", t.Prefix.Text)
		}
		seen[t.Prefix.Text] = true
	}
}
