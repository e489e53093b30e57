package cli

import (
	"time"

	"sparekey/internal/config"
	"sparekey/internal/lookup"
)

// lookups makes what asks ticket services and on-call schedules, as the configuration names them.
func lookups(c *config.Config, now func() time.Time) (*lookup.Tickets, *lookup.Rota, error) {
	l := c.Lookup
	s := lookup.Settings{Proxy: l.Proxy.Text, Now: now}
	for _, t := range l.Tickets {
		s.Tickets = append(s.Tickets, ticketService(c, t))
	}
	for _, d := range l.Schedules {
		s.Schedules = append(s.Schedules, lookup.Schedule{Name: d.Name.Text, ID: d.PagerDuty.Schedule.Text})
	}
	if p := l.PagerDuty; p != nil {
		s.PagerDuty = &lookup.PagerDuty{URL: p.URL.Text, TokenFile: c.Path(p.TokenFile)}
	}
	return lookup.New(s)
}

func ticketService(c *config.Config, t config.TicketService) lookup.Service {
	s := lookup.Service{Name: t.Name.Text, File: c.Path(t.File)}
	if j := t.Jira; j != nil {
		s.Jira = &lookup.Jira{URL: j.URL.Text, Site: j.Site.Text, Email: j.Email, TokenFile: c.Path(j.TokenFile), API: j.API.Text}
		if j.Window != nil {
			s.Jira.From, s.Jira.To = j.Window.From.Text, j.Window.To.Text
		}
	}
	if n := t.ServiceNow; n != nil {
		s.ServiceNow = &lookup.ServiceNow{URL: n.URL.Text, User: n.User, SecretFile: c.Path(n.PasswordFile + n.TokenFile)} // one of them is set
		for _, b := range n.Tables {
			s.ServiceNow.Tables = append(s.ServiceNow.Tables, lookup.Table{Prefix: b.Prefix.Text, Name: b.Table.Text, States: b.States, Change: b.Change})
		}
	}
	if g := t.Generic; g != nil {
		s.Generic = &lookup.Generic{URL: g.URL.Text, SecretFile: c.Path(g.SecretFile)}
	}
	return s
}
