package rules

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"sparekey/org"
)

// supposed is what a test says is the case beside the rules:
//
//	at 2026-12-31T03:00:00+09:00       the time; without it, it is no hour at all
//	ticket INC-1                       which every service says yes to, but
//	while jira says no
//	while jira is down                 also a schedule: nobody knows who is on call
//	on call in payments                the person whom the test is about
//	while kim is away                  and not counted upon
//	while lena stands in for kim       who is away
//	while kim is new to approvers      a member of that group for less than a day
//	while a review of dana is overdue
//
// What it does not say is well: services answer, nobody is on call, nobody is away, and groups that lend by membership were
// made. The management account is lent by assignment, as by a server that has a way of its own into it.
type supposed struct {
	now      time.Time
	ticket   string
	onCall   string
	services map[string]string // no, or down
	away     [][2]string       // who, and who stands in
	newcomer [][2]string       // who, and the group
	overdue  []string          // whose review
}

// suppose reads what is the case beside the rules.
func (u *supposed) suppose(s *sentence) error {
	for {
		var err error
		switch {
		case s.next("at"):
			err = u.time(s)
		case s.next("ticket"):
			err = s.name(&u.ticket, "ticket", "one")
		case s.next("on", "call", "in"):
			err = s.name(&u.onCall, "on call in", "schedule")
		case s.next("while"), s.next("when"):
			err = u.while(s)
		default:
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (u *supposed) time(s *sentence) (err error) {
	var text string
	if err := s.name(&text, "at", "time"); err != nil {
		return err
	}
	if u.now, err = time.Parse(time.RFC3339, text); err != nil {
		return fmt.Errorf("%q is not a time like 2026-12-31T03:00:00+09:00", text)
	}
	return nil
}

func (u *supposed) while(s *sentence) error {
	var who, other string
	if s.next("a", "review", "of") {
		if err := s.name(&who, "a review of", "person"); err != nil {
			return err
		}
		if u.overdue = append(u.overdue, who); !s.next("is", "overdue") {
			return fmt.Errorf("after \"a review of %s\" it does not go on with is overdue", who)
		}
		return nil
	}
	if err := s.name(&who, "while", "person or service"); err != nil {
		return err
	}
	if u.services == nil {
		u.services = map[string]string{}
	}
	switch {
	case s.next("says", "no"):
		u.services[who] = "no"
	case s.next("is", "down"):
		u.services[who] = "down"
	case s.next("is", "away"):
		u.away = append(u.away, [2]string{who})
	case s.next("stands", "in", "for"):
		err := s.name(&other, "stands in for", "person")
		u.away = append(u.away, [2]string{other, who})
		return err
	case s.next("is", "new", "to"):
		err := s.name(&other, "is new to", "group")
		u.newcomer = append(u.newcomer, [2]string{who, other})
		return err
	default:
		return fmt.Errorf("after %q it does not say what is the case: says no, is down, is away, stands in for PERSON or is new to GROUP", who)
	}
	return nil
}

// supposing returns the set as it judges when what the test says is the case, or says why that means nothing here. about is
// whom the test is about.
func (s Set) supposing(u supposed, about org.PersonID) (Set, string) {
	f := Facts{
		Now: u.now, Overdue: map[org.PersonID]string{}, Live: map[org.PersonID]org.Person{},
		Groups: func(org.Target) org.GroupID { return "supposed" }, NotLent: s.onlyAssigned,
	}
	wrong := cmp.Or(s.supposingServices(u, about, &f), s.supposingPeople(u, &f))
	return s.At(f), wrong
}

// supposingServices adds what services say, or says which of them no rule asks.
func (s Set) supposingServices(u supposed, about org.PersonID, f *Facts) string {
	tickets, schedules := s.book.TicketServices(), s.book.Schedules()
	for _, name := range slices.Sorted(maps.Keys(u.services)) {
		known := tickets
		if u.services[name] == "down" {
			known = slices.Concat(tickets, schedules)
		}
		if !slices.Contains(known, name) {
			return notAsked("service", name, known)
		}
	}
	if u.onCall != "" && !slices.Contains(schedules, u.onCall) {
		return notAsked("schedule", u.onCall, schedules)
	}
	f.Tickets, f.OnCall = map[string]Ticket{}, map[string]Shift{}
	for _, name := range tickets {
		switch u.services[name] {
		case "no":
			f.Tickets[name] = Ticket{Why: "the test says so"}
		case "down":
			f.Tickets[name] = Ticket{Down: "the test says so"}
		default:
			f.Tickets[name] = Ticket{OK: true}
		}
	}
	for _, name := range schedules {
		switch {
		case u.services[name] == "down":
			f.OnCall[name] = Shift{Down: "the test says so"}
		case name == u.onCall:
			f.OnCall[name] = Shift{People: []org.PersonID{about}}
		default:
			f.OnCall[name] = Shift{}
		}
	}
	return ""
}

// onlyAssigned says why the management account is not lent in a way: what holds whatever a server's configuration says.
func (s Set) onlyAssigned(t org.Target, way string) string {
	if t.Account == s.m.Organization().ManagementAccount && way != byAssignment {
		return "the management account is lent by assignment only"
	}
	return ""
}

// supposingPeople adds who is away, new or overdue, or says who is not there.
func (s Set) supposingPeople(u supposed, f *Facts) string {
	hour := func(n int) time.Time { return u.now.Add(time.Duration(n) * time.Hour) }
	for _, pair := range u.away {
		d := Delegation{Since: hour(-1), Until: hour(1)}
		for i, into := range []*Named{&d.From, &d.To} {
			if pair[i] == "" {
				continue
			}
			p, ok := s.m.PersonNamed(pair[i])
			if !ok {
				return notHere("person", pair[i], s.m.Names().Users)
			}
			*into = Named{p.ID, p.User}
		}
		f.Delegations = append(f.Delegations, d)
	}
	for _, pair := range u.newcomer {
		p, isPerson := s.m.PersonNamed(pair[0])
		g, isGroup := s.m.Group(pair[1])
		switch {
		case !isPerson:
			return notHere("person", pair[0], s.m.Names().Users)
		case !isGroup:
			return notHere("group", pair[1], s.m.Names().Groups)
		}
		if live, ok := f.Live[p.ID]; ok {
			p = live
		}
		p.Groups, p.Joined = append(slices.Clone(p.Groups), g.ID), joinedAt(p, g.ID, hour(-1))
		f.Live[p.ID] = p
	}
	for _, user := range u.overdue {
		p, ok := s.m.PersonNamed(user)
		if !ok {
			return notHere("person", user, s.m.Names().Users)
		}
		f.Overdue[p.ID] = "(supposed)"
	}
	return ""
}

func joinedAt(p org.Person, g org.GroupID, at time.Time) map[org.GroupID]time.Time {
	joined := map[org.GroupID]time.Time{g: at}
	for other, then := range p.Joined {
		if other != g {
			joined[other] = then
		}
	}
	return joined
}

func notAsked(kind, name string, known []string) string {
	return "no rule asks it: " + notHere(kind, name, known)
}
