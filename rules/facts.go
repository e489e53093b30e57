package rules

import (
	"time"

	"sparekey/org"
)

// Facts is what decisions are taken with beside the rules, the organization and what is asked: the time, and what other
// systems have said. What they have not said is missing here, and makes a decision stricter.
type Facts struct {
	Now         time.Time
	Tickets     map[string]Ticket // by the name of the service that checks: what it said of the ticket that is named
	OnCall      map[string]Shift  // by the name of the schedule: who is on call at Now
	Delegations []Delegation
	Overdue     map[org.PersonID]string                                // whose use has a review that is overdue, and its id
	Live        map[org.PersonID]org.Person                            // people who were just looked up in AWS: they are as AWS described them
	Held        func(p org.PersonID, t org.Target, rule string) string // why nothing of it starts at present, or nothing
	NotLent     func(t org.Target, way string) string                  // why this server cannot lend a target in a way, or nothing
	Groups      func(org.Target) org.GroupID                           // the group that Sparekey made for a target, for the way membership; empty where there is none
}

// Ticket is what a ticket system said about a ticket, for one person and one moment.
type Ticket struct {
	OK    bool      `json:"ok"`              // it exists, is open, is the person's, and the moment lies in its change window
	Why   string    `json:"why,omitempty"`   // why not, in words for people
	Until time.Time `json:"until,omitzero"`  // the end of its change window; zero: it has none
	Down  string    `json:"down,omitempty"`  // why the system could not say; OK and Why mean nothing then
	Asked time.Time `json:"asked,omitzero"`  // when it was asked
	Link  string    `json:"link,omitempty"`  // where people look at it
	Title string    `json:"title,omitempty"` // its summary
}

// TicketQuestion asks a ticket system about a ticket.
type TicketQuestion struct {
	Service string // as the configuration calls it
	ID      string // such as INC-4711
	Person  org.Person
	From    time.Time // the access is wanted from here …
	To      time.Time // … to here, at the latest
}

// Shift is who is on call in a schedule.
type Shift struct {
	People []org.PersonID // those of the directory, by the e-mail address that exactly one enabled person has
	Until  time.Time      // when that may change; it is asked again by then
	Down   string         // why the service could not say; nobody is known to be on call then
	Asked  time.Time
}

// Overdue returns the id of a review of what p did that is overdue, or nothing. Until it is done, p gets nothing automatically.
func (s Set) Overdue(p org.PersonID) string { return s.facts.Overdue[p] }

// Believing returns the set as if every service said yes to a ticket.
func (s Set) Believing(ticket string) Set {
	if ticket == "" || !s.Ready() {
		return s
	}
	f := s.facts
	f.Tickets = map[string]Ticket{}
	for _, name := range s.book.TicketServices() {
		f.Tickets[name] = Ticket{OK: true}
	}
	return s.At(f)
}
