package lookup

import (
	"strings"
	"testing"
	"time"
)

const someTickets = `
tickets:
  INC-1: {state: open, assignee: dana, title: Payments are slow, link: "https://wiki.test/INC-1"}
  INC-2: {state: closed, assignee: dana}
  INC-3: {state: open, assignee: kim}
  INC-4: {state: open}
  CHG-1: {state: open, assignee: dana, from: 2026-11-22T20:00:00+09:00, to: 2026-11-22T12:30:00Z}
  CHG-2: {state: open, assignee: dana, from: 2026-11-22T12:10:00Z, to: 2026-11-22T12:30:00Z}
`

// TestAFileIsATicketSystem has a ticket of each kind.
// Requirement partly S1-29.
func TestAFileIsATicketSystem(t *testing.T) {
	all, _ := open(t, Service{File: write(t, "tickets.yaml", someTickets, 0o644)})
	for id, want := range map[string]string{
		"INC-1": "ok", "CHG-1": "ok", "INC-2": "no: INC-2 is closed", "INC-3": "no: INC-3 is assigned to somebody else than dana", "INC-4": "no: INC-4 is assigned to nobody",
		"INC-5": "no: there is no ticket INC-5 in desk", "inc-1": "no: there is no ticket inc-1 in desk", "CHG-2": "no: the change window of CHG-2 begins at 2026-11-22 12:10 UTC",
	} {
		got := all.Ticket(t.Context(), asks(dana, id))
		wantTicket(t, got, want)
		if id == "CHG-1" && !got.Until.Equal(noon.Add(30*time.Minute)) || id == "INC-1" && (got.Title != "Payments are slow" || got.Link != "https://wiki.test/INC-1") {
			t.Errorf("%+v", got)
		}
	}
}

func TestAFileMayBeJSON(t *testing.T) {
	all, _ := open(t, Service{File: write(t, "tickets.json", `{"tickets": {"INC-1": {"state": "open", "assignee": "dana"}}}`, 0o644)})
	wantTicket(t, all.Ticket(t.Context(), asks(dana, "INC-1")), "ok")
}

func TestAFileIsReadAnewWhenItChanges(t *testing.T) {
	file := write(t, "tickets.yaml", someTickets, 0o644)
	all, _ := open(t, Service{File: file})
	for _, c := range []struct{ text, want string }{
		{someTickets, "ok"},
		{strings.Replace(someTickets, "INC-1: {state: open", "INC-1: {state: closed", 1), "no: INC-1 is closed"},
		{"tickets: {INC-1: {state: opened}}", `down: desk has a file that is not right: tickets.yaml:1:26: state is "opened" (open or closed)`},
		{someTickets, "ok"},
	} {
		rewrite(t, file, c.text, 0o644)
		wantTicket(t, all.Ticket(t.Context(), asks(dana, "INC-1")), c.want)
	}
}

func TestAFileThatIsNotRightSaysNothing(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"unknown key", "tickets: {INC-1: {state: open, asignee: dana}}", `unknown key "asignee"`},
		{"no tickets", "ticket: {}", "tickets.yaml:1:1"},
		{"no state", "tickets: {INC-1: {assignee: dana}}", `lacks the key "state"`},
		{"an id", `tickets: {"INC 1": {state: open}}`, `"INC 1" is not the id of a ticket`},
		{"an id twice", "tickets:\n  INC-1: {state: open}\n  INC-1: {state: closed}\n", `tickets.yaml:3:3: "INC-1" is here twice`},
		{"half a window", "tickets: {INC-1: {state: open, from: 2026-11-22T12:00:00Z}}", "the change window of INC-1 is none"},
		{"a window backwards", "tickets: {INC-1: {state: open, from: 2026-11-22T12:00:00Z, to: 2026-11-22T11:00:00Z}}", "the change window of INC-1 is none"},
		{"a day", "tickets: {INC-1: {state: open, from: 2026-11-22, to: 2026-11-23}}", `"from"`},
		{"too much", strings.Repeat("# comment\n", 200_000) + someTickets, "tickets.yaml"},
		{"nothing", "", "the file is empty"},
	} {
		all, _ := open(t, Service{File: write(t, "tickets.yaml", c.text, 0o644)})
		got := all.Ticket(t.Context(), asks(dana, "INC-1"))
		if !strings.HasPrefix(got.Down, "desk has a file that is not right: tickets.yaml") || !strings.Contains(got.Down, c.want) || strings.Contains(got.Down, "\n") {
			t.Errorf("%s: %+v", c.name, got)
		}
	}
	all, _ := open(t, Service{File: "/nonexistent/tickets.yaml"})
	wantTicket(t, all.Ticket(t.Context(), asks(dana, "INC-1")), "down: desk has a file that cannot be read (no such file or directory)")
	all, _ = open(t, Service{File: t.TempDir()})
	wantTicket(t, all.Ticket(t.Context(), asks(dana, "INC-1")), "down: desk has a file that cannot be read to its end")
}
