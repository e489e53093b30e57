package lookup

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"sparekey/rules"
	"sparekey/strict"
)

// tickets are tickets in a file, for those who have no ticket system.
type tickets struct {
	file string
	mu   sync.Mutex
	text []byte // what listed was read from
	list map[string]listed
}

// listed is a ticket of the file.
type listed struct {
	At       strict.Position
	State    strict.Word `yaml:"state,required"` // open or closed
	Assignee string      `yaml:"assignee"`       // a user name of the directory, to the letter
	From     time.Time   `yaml:"from"`           // RFC 3339, as To; both or neither
	To       time.Time   `yaml:"to"`
	Title    string      `yaml:"title"`
	Link     string      `yaml:"link"`
}

// ask reads the file. A file that has changed is read anew; one that is not right says nothing, also not what it said before.
func (s *tickets) ask(_ context.Context, q rules.TicketQuestion) (answer, error) {
	list, err := s.read()
	if err != nil {
		return nil, err
	}
	t, ok := list[q.ID]
	if !ok {
		return record{none: true}.judge, nil
	}
	r := record{user: t.Assignee, from: t.From, to: t.To, title: clip(t.Title), link: link(t.Link)}
	if t.State.Text == "closed" {
		r.closed = "is closed"
	}
	return r.judge, nil
}

func (s *tickets) read() (map[string]listed, error) {
	text, err := readFile(s.file)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.list != nil && bytes.Equal(text, s.text) {
		return s.list, nil
	}
	list, err := readTickets(filepath.Base(s.file), text)
	if err != nil {
		first, _, _ := strings.Cut(err.Error(), "\n")
		return nil, silent("has a file that is not right: %s", first)
	}
	s.text, s.list = text, list
	return list, nil
}

func readFile(file string) ([]byte, error) {
	f, err := os.Open(file)
	var path *fs.PathError
	if errors.As(err, &path) {
		return nil, silent("has a file that cannot be read (%v)", path.Err)
	}
	if err != nil {
		return nil, silent("has a file that cannot be read")
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxAnswer+1)) // more is too much for strict
	if err != nil {
		return nil, silent("has a file that cannot be read to its end")
	}
	return text, nil
}

func readTickets(name string, text []byte) (map[string]listed, error) {
	var all struct {
		Tickets map[string]listed `yaml:"tickets,required"`
	}
	if err := strict.Decode(name, text, &all); err != nil {
		return nil, err
	}
	var wrong strict.Errors
	for id, t := range all.Tickets {
		if !ticketID.MatchString(id) {
			wrong = append(wrong, t.At.Errorf("%q is not the id of a ticket", id).WithHint("a letter, then letters, digits, - and _, 64 at most"))
		}
		if t.State.Text != "open" && t.State.Text != "closed" {
			wrong = append(wrong, t.State.At.Errorf("state is %q", t.State.Text).WithHint("open or closed"))
		}
		if t.From.IsZero() != t.To.IsZero() || t.To.Before(t.From) {
			wrong = append(wrong, t.At.Errorf("the change window of %s is none", id).WithHint("give from and to, in this order, as in 2026-11-22T09:00:00Z"))
		}
	}
	return all.Tickets, wrong.Err()
}
