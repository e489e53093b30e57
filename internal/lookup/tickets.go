package lookup

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"time"
	"unicode"

	"golang.org/x/sync/singleflight"

	"sparekey/org"
	"sparekey/rules"
)

// Tickets asks ticket services. It may be used by any number of goroutines.
type Tickets struct {
	now     func() time.Time
	desks   map[string]*desk
	timeout time.Duration
	asking  singleflight.Group
	mu      sync.Mutex
	answers map[string]remembered
}

// service is a kind of ticket service.
type service interface {
	// ask asks about a ticket whose id is valid. The error is a [silence].
	ask(ctx context.Context, q rules.TicketQuestion) (answer, error)
}

// answer says what a service's answer means for a question about the same ticket by the same person.
type answer func(name string, q rules.TicketQuestion) rules.Ticket

type remembered struct {
	answer answer
	asked  time.Time
}

const (
	rememberFor  = 30 * time.Second
	rememberMost = 4096 // answers; about a kilobyte each
	maxWords     = 300  // characters of what a service says to people
)

// ticketID is what may stand in a URL and in a query as it is, in every service.
var ticketID = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_-]{0,63}$`)

// Known reports whether the configuration has a ticket service of this name.
func (t *Tickets) Known(service string) bool { return t.desks[service] != nil }

// Ticket asks what a ticket is worth for a person and a time. A yes or a no of a service holds for 30 seconds; questions that
// are asked at once are asked once. What could not be asked is Down, in words for people.
//
// The title and the link of a ticket are told only to whom it serves: others may not be allowed to see it.
func (t *Tickets) Ticket(ctx context.Context, q rules.TicketQuestion) rules.Ticket {
	d := t.desks[q.Service]
	if d == nil {
		return rules.Ticket{Why: fmt.Sprintf("the configuration has no ticket service %q", clip(q.Service)), Asked: t.now()}
	}
	if !ticketID.MatchString(q.ID) {
		return rules.Ticket{Why: fmt.Sprintf("%q is not the id of a ticket", clip(q.ID)), Asked: t.now()}
	}
	r, err := t.ask(ctx, d, q)
	if err != nil {
		return rules.Ticket{Down: q.Service + " " + err.Error(), Asked: t.now()}
	}
	ticket := r.answer(q.Service, q)
	ticket.Asked = r.asked
	if !ticket.OK {
		ticket.Title, ticket.Link, ticket.Until = "", "", time.Time{}
	}
	return ticket
}

// ask remembers, or asks together with whoever else asks the same.
func (t *Tickets) ask(ctx context.Context, d *desk, q rules.TicketQuestion) (remembered, error) {
	key := strings.Join([]string{q.Service, q.ID, string(q.Person.ID)}, "\x00")
	if d.exact {
		key += "\x00" + q.From.UTC().Format(time.RFC3339Nano) + "\x00" + q.To.UTC().Format(time.RFC3339Nano)
	}
	if r, ok := t.recall(key); ok {
		return r, nil
	}
	done := t.asking.DoChan(key, func() (any, error) {
		if r, ok := t.recall(key); ok {
			return r, nil // somebody else's question ended in between
		}
		call, cancel := context.WithTimeout(context.WithoutCancel(ctx), t.timeout) // others may wait for it when we no longer do
		defer cancel()
		asked := t.now()
		a, err := d.ask(call, q)
		r := remembered{a, asked}
		if err == nil && !d.fresh {
			t.keep(key, r)
		}
		return r, err
	})
	select {
	case result := <-done:
		return result.Val.(remembered), result.Err
	case <-ctx.Done():
		return remembered{}, silent("had not answered when nobody waited any longer")
	}
}

func (t *Tickets) recall(key string) (remembered, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	r, ok := t.answers[key]
	return r, ok && t.now().Sub(r.asked) < rememberFor
}

func (t *Tickets) keep(key string, r remembered) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.answers) >= rememberMost {
		for k, old := range t.answers {
			if r.asked.Sub(old.asked) >= rememberFor {
				delete(t.answers, k)
			}
		}
	}
	if len(t.answers) >= rememberMost {
		clear(t.answers)
	}
	t.answers[key] = r
}

// record is a ticket as its service keeps it, whoever asks.
type record struct {
	none     bool      // there is no such ticket, or the credentials may not see it
	closed   string    // why it serves nobody, going on from its id: "is closed (Done)"
	email    string    // of whom it is assigned to …
	user     string    // … or, where a service knows no addresses, the user name
	from, to time.Time // its change window; zero: it has none
	title    string
	link     string
}

// judge is the [answer] of a record.
func (r record) judge(name string, q rules.TicketQuestion) rules.Ticket {
	why := func(format string, args ...any) rules.Ticket { return rules.Ticket{Why: fmt.Sprintf(format, args...)} }
	switch {
	case r.none:
		return why("there is no ticket %s in %s", q.ID, name)
	case r.closed != "":
		return why("%s %s", q.ID, r.closed)
	case r.email == "" && r.user == "":
		return why("%s is assigned to nobody", q.ID)
	case r.email != "" && q.Person.Email == "":
		return why("%s has no e-mail address in the directory, by which %s would know them", q.Person.User, name)
	case !r.mine(q.Person):
		return why("%s is assigned to somebody else than %s", q.ID, q.Person.User)
	case r.from.IsZero():
		return rules.Ticket{OK: true, Title: r.title, Link: r.link}
	case !r.from.Before(r.to):
		return why("the change window of %s ends before it begins", q.ID)
	case q.From.Before(r.from):
		return why("the change window of %s begins at %s", q.ID, minute(r.from))
	case !q.From.Before(r.to):
		return why("the change window of %s ended at %s", q.ID, minute(r.to))
	}
	return rules.Ticket{OK: true, Until: r.to, Title: r.title, Link: r.link}
}

func (r record) mine(p org.Person) bool {
	if r.email != "" {
		return rules.SameEmail(r.email, p.Email)
	}
	return r.user == p.User
}

func minute(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }

// window reads a change window. A ticket whose window is missing or cannot be read serves nobody: people write it.
func (r *record) window(from, to string, layouts ...string) {
	var ok1, ok2 bool
	r.from, ok1 = moment(from, layouts)
	r.to, ok2 = moment(to, layouts)
	switch {
	case ok1 && ok2:
	case from == "" || to == "":
		r.closed = "has no change window"
	default:
		r.closed = "has a change window that cannot be read"
	}
}

func moment(text string, layouts []string) (time.Time, bool) {
	for _, layout := range layouts {
		if t, err := time.Parse(layout, text); err == nil && !t.IsZero() {
			return t, true
		}
	}
	return time.Time{}, false
}

// clip keeps what a service or a person wrote printable and short: letters that steer a terminal or turn a line around go.
func clip(text string) string {
	kept := make([]rune, 0, min(len(text), maxWords))
	for _, c := range text {
		if len(kept) == maxWords {
			return string(kept) + "…"
		}
		if unicode.IsSpace(c) {
			c = ' '
		}
		if c == ' ' || unicode.IsGraphic(c) {
			kept = append(kept, c)
		}
	}
	return strings.TrimSpace(string(kept))
}

// aside puts what a service calls something behind our own word for it.
func aside(text string) string {
	if text = clip(text); text == "" {
		return ""
	}
	return " (" + text + ")"
}
