package chaos

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"sparekey/access"
	"sparekey/internal/api/client"
)

// send sends what a person says to a process, and reads the answer into a value. The error is what the person is told.
func (w *world) send(l *life, user, method, path string, body, into any) error {
	if !l.awake() || l.address == "" {
		return errors.New("nobody is there to be asked")
	}
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(w.Context(), 3*time.Second)
	defer cancel()
	q, err := http.NewRequestWithContext(ctx, method, "http://"+l.address+path, bytes.NewReader(text))
	if err != nil {
		return err
	}
	q.Header.Set("Authorization", "Bearer "+token(user))
	q.Header.Set("Content-Type", "application/json")
	if path == "/v1/requests" {
		q.Header.Set("Idempotency-Key", rand.Text())
	}
	answer, err := http.DefaultClient.Do(q)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	said, err := io.ReadAll(answer.Body)
	if err != nil {
		return err
	}
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", answer.Status, said)
	}
	return json.Unmarshal(said, into)
}

func (w *world) status(l *life) (s client.Status, err error) {
	return s, w.send(l, administrators[0], http.MethodGet, "/v1/status", nil, &s)
}

// someone is a process that people can speak to, or nil.
func (w *world) someone() *life {
	for _, l := range w.lives() {
		if l.awake() && l.address != "" {
			return l
		}
	}
	return nil
}

// ask asks for a minute of something, and returns the grant.
func (w *world) ask(a act) (id string, err error) {
	user := people[a.who%len(people)]
	body := client.AskBody{Minutes: 1, Targets: []client.AskTarget{{Account: places[a.place%len(places)], PermissionSet: sets[a.place/len(places)%len(sets)]}}}
	var q client.Request
	if err := w.send(w.someone(), user, http.MethodPost, "/v1/requests", body, &q); err != nil {
		w.remark("%s asks: %v", user, err)
		return "", err
	}
	if len(q.Lines) != 1 || q.Lines[0].Grant == nil {
		return "", fmt.Errorf("%s has no grant", q.Id)
	}
	w.remark("%s asks for %v: %s", user, body.Targets[0], q.Lines[0].Grant.Id)
	return q.Lines[0].Grant.Id, nil
}

// of picks one of the grants that have not ended.
func (w *world) of(a act) (access.Grant, bool) {
	var live []access.Grant
	grants, _ := w.grants()
	for _, g := range grants {
		if g.Live() && g.End == nil {
			live = append(live, g)
		}
	}
	if len(live) == 0 {
		return access.Grant{}, false
	}
	return live[a.who%len(live)], true
}

func (w *world) end(a act) {
	if g, ok := w.of(a); ok {
		w.remark("%s ends %s: %v", g.Person.User, g.ID, w.send(w.someone(), g.Person.User, http.MethodPost, "/v1/grants/"+g.ID+"/end", client.CommentBody{}, &client.Grant{}))
	}
}

func (w *world) extend(a act) {
	g, ok := w.of(a)
	if !ok {
		return
	}
	body := client.AskBody{Minutes: 1, Extends: &g.ID, Targets: []client.AskTarget{}}
	w.remark("%s extends %s: %v", g.Person.User, g.ID, w.send(w.someone(), g.Person.User, http.MethodPost, "/v1/requests", body, &client.Request{}))
}

// stop is the red button.
func (w *world) stop(a act) {
	body := client.StopBody{Comment: "chaos"}
	if a.place%2 == 0 {
		everything := true
		body.Everything = &everything
	} else {
		body.Person = &people[a.who%len(people)]
	}
	var s any
	w.remark("everything (%v) is stopped: %v", body.Everything != nil, w.send(w.someone(), administrators[0], http.MethodPost, "/v1/stops", body, &s))
}

// given asks for something until AWS was asked for it and gives it, and returns the grant. Before that its end was written to the ledger;
// what AWS gives already is lent without it.
func (w *world) given(a act) (id string) {
	w.until("what is asked for is given", patience, func() bool {
		if id == "" {
			var err error
			if id, err = w.ask(a); err != nil {
				id, a.who, a.place = "", a.who+1, a.place+1 // they have it already, or somebody is dead
				return false
			}
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		g := w.known[id]
		if g.Held == access.Ours && !g.ActiveAt.IsZero() {
			return true
		}
		if g.State != "" && !g.Live() || !g.ActiveAt.IsZero() { // whoever had to begin it was away for too long, or it was there already
			id, a.who, a.place = "", a.who+1, a.place+1
		}
		return false
	})
	return id
}

// recovers sees to it that a database that is behind is found to be so, that nothing starts, and that two administrators release it.
func (w *world) recovers() {
	w.until("the database is found to be behind", patience, func() bool {
		s, err := w.status(w.someone())
		return err == nil && s.Halted != nil && strings.Contains(*s.Halted, "two administrators release it")
	})
	w.remark("the database is found to be behind")
	if id, err := w.ask(act{who: 3, place: 5}); err == nil {
		w.Fatalf("in a recovery %s was granted\n%s", id, w.story())
	}
	if w.plan.patient {
		w.ended()
	}
	for i, user := range administrators {
		var r client.Recovery
		w.until("an administrator is heard", patience, func() bool {
			why := "chaos has looked"
			err := w.send(w.someone(), user, http.MethodPost, "/v1/recovery/release", client.CommentBody{Comment: &why}, &r)
			if err != nil {
				w.remark("%s releases: %v", user, err)
			}
			return err == nil
		})
		if released := r.ReleasedAt != nil; released != (i == 1) {
			w.Fatalf("after %s the recovery is %s", user, r.State)
		}
	}
	w.until("starts go on", patience, func() bool {
		s, err := w.status(w.someone())
		return err == nil && s.Halted == nil
	})
	w.remark("the recovery is released")
}

// shorten has an administrator end what would last much longer than a minute: extensions, and what the ledger knows by its hard end
// only.
func (w *world) shorten() {
	grants, _ := w.grants()
	for _, g := range grants {
		if g.Live() && g.End == nil && (g.EndsAt.IsZero() && !g.HardEnd.IsZero() || time.Until(g.EndsAt) > 62*time.Second) {
			w.remark("%s is ended early: %v", g.ID, w.send(w.someone(), administrators[0], http.MethodPost, "/v1/grants/"+g.ID+"/end", client.CommentBody{}, &client.Grant{}))
		}
	}
}
