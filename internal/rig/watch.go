package rig

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"sparekey/access"
	"sparekey/org"
)

// witness hears every call of AWS.
type witness struct {
	mu      sync.Mutex
	enabled map[string]bool // by a person's id: whether AWS called them enabled, since a create for them was last asked
	before  func(operation string)

	together bool // several grants of one person start at once
}

// Together says that several grants of one person start at once: then a look at them serves more than one create.
func (r *Rig) Together() {
	r.witness.mu.Lock()
	defer r.witness.mu.Unlock()
	r.witness.together = true
}

// Before has something done right before each call of AWS that the test's own broker makes.
func (r *Rig) Before(do func(operation string)) {
	r.witness.mu.Lock()
	defer r.witness.mu.Unlock()
	r.witness.before = do
}

// ServeHTTP is AWS, with a witness: nothing is created for somebody whom AWS did not call enabled since the last create for
// them was asked (design rule 3).
func (r *Rig) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	operation := q.Header.Get("X-Amz-Target")
	operation = operation[strings.LastIndexByte(operation, '.')+1:]
	r.witness.mu.Lock()
	before := r.witness.before
	r.witness.mu.Unlock()
	if before != nil {
		before(operation)
	}
	var about struct{ UserId, PrincipalId string }
	if operation == "DescribeUser" || operation == "CreateAccountAssignment" {
		body, err := io.ReadAll(q.Body)
		if err != nil {
			return // who asked has gone
		}
		q.Body = io.NopCloser(bytes.NewReader(body))
		_ = json.Unmarshal(body, &about)
	}
	heard := &heard{ResponseWriter: realDate{w}}
	if operation == "CreateAccountAssignment" {
		r.witness.mu.Lock()
		if !r.witness.enabled[about.PrincipalId] {
			r.Errorf("access is created for %s, and AWS did not call them enabled before", about.PrincipalId)
		}
		if !r.witness.together {
			delete(r.witness.enabled, about.PrincipalId)
		}
		r.witness.mu.Unlock()
	}
	r.at.Load().ServeHTTP(heard, q)
	if operation == "DescribeUser" {
		r.witness.mu.Lock()
		r.witness.enabled[about.UserId] = strings.Contains(heard.said.String(), `"UserStatus":"ENABLED"`)
		r.witness.mu.Unlock()
	}
}

// heard keeps an answer.
type heard struct {
	http.ResponseWriter
	said bytes.Buffer
}

func (h *heard) Write(p []byte) (int, error) {
	h.said.Write(p)
	return h.ResponseWriter.Write(p)
}

// Life is one grant from its request to the listings after its end, and what somebody else gave beside it.
type Life struct {
	*Rig
	ID         string
	Assignment org.Assignment
	Grant      access.Grant // as it was when it was last watched
	foreign    []org.Assignment
}

// Foreign is what somebody else has given in a rig: the same to another, another set in the same account, the same set in
// another account. It is there in sandboxes that are made with it.
func (r *Rig) Foreign() []org.Assignment {
	return []org.Assignment{r.Assignment("eli", "play", "PowerUser"), r.Assignment("dana", "play", "ReadOnly"), r.Assignment("dana", "play-two", "PowerUser")}
}

// Live asks for a grant to watch. What somebody else gave beside it, if it is there now, must stay.
func (r *Rig) Live() *Life {
	r.Helper()
	q := r.Ask("dana", "play PowerUser")
	l := &Life{Rig: r, ID: q.Lines[0].Grant, Assignment: r.Assignment("dana", "play", "PowerUser")}
	for _, o := range r.Foreign() {
		if r.Box.Assigned(o) {
			l.foreign = append(l.foreign, o)
		}
	}
	return l
}

// Watch checks what must hold at every moment.
func (l *Life) Watch() {
	l.Helper()
	was := l.Grant
	l.Grant = l.Rig.Grant(l.ID)
	g, now, there := l.Grant, l.Clock.Now(), l.Box.Assigned(l.Assignment)
	if there && g.BegunAt.IsZero() {
		l.Fatalf("there is access without a recorded intent: %s", Story(g))
	}
	if g.State == access.Active && was.State != access.Active && !there {
		l.Fatalf("the clock started before AWS gave access: %s", Story(g))
	}
	if !g.EndsAt.IsZero() && (g.EndsAt.After(g.HardEnd) || !g.ActiveAt.IsZero() && g.EndsAt.After(g.ActiveAt.Add(g.Duration()))) {
		l.Fatalf("its end is too late: %s", Story(g))
	}
	end := g.HardEnd
	if !g.EndsAt.IsZero() {
		end = g.EndsAt
	}
	if g.End != nil && g.EndingAt.After(end) { // it came back, and is being ended again
		end = g.EndingAt
	}
	if there && !g.BegunAt.IsZero() && now.After(end.Add(access.StuckAfter+time.Second)) && g.State != access.Stuck && !landing(g) {
		l.Fatalf("access outlives its end of %s, and the grant is %s: %s", end, g.State, Story(g))
	}
	for _, o := range l.foreign {
		if !l.Box.Assigned(o) {
			l.Fatalf("%+v is gone, which somebody else gave", o)
		}
	}
}

// landing reports whether a create without a certain outcome may just have landed, which the listings after the end find.
func landing(g access.Grant) bool {
	return g.Unsure && (g.State == access.Ended || g.State == access.Failed) && g.Checks < 2
}

// Through passes the grant's whole life, and then some.
func (l *Life) Through() {
	l.Helper()
	l.Work()
	l.Watch()
	l.Pass(2*time.Hour, l.Watch)
	g := l.Grant
	if !g.Over() || l.Box.Assigned(l.Assignment) {
		l.Fatalf("two hours later it is %s, assigned %v: %s\n%s", g.State, l.Box.Assigned(l.Assignment), Story(g), strings.Join(l.Calls(), " "))
	}
	l.Chained(l.ID, g)
}
