package chaos

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"time"
)

// trap waits for a call of AWS by one process.
type trap struct {
	of     *life
	calls  int // that pass before
	after  bool
	do     func()
	sprung chan struct{}
}

// ServeHTTP is AWS, which knows every process by its access key.
func (w *world) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	_, credential, _ := strings.Cut(r.Header.Get("Authorization"), "Credential=")
	key, _, _ := strings.Cut(credential, "/")
	operation := r.Header.Get("X-Amz-Target")
	operation = operation[strings.LastIndexByte(operation, '.')+1:]
	w.mu.Lock()
	l := w.byKey[key]
	w.mu.Unlock()
	if l == nil {
		w.fail("AWS is called by nobody that was started here: %s", operation)
		return
	}
	if operation == "CreateAccountAssignment" || operation == "DeleteAccountAssignment" {
		w.alone(l, operation, r.Header.Get("X-Amz-Date"))
	}
	s := w.spring(l, operation)
	switch {
	case s == nil:
		w.box.ServeHTTP(rw, r)
		return
	case s.after:
		answer := httptest.NewRecorder()
		w.box.ServeHTTP(answer, r)
		s.do()
		copied(rw, answer)
	default:
		s.do()
		if l.alive() { // it was stopped, and its call is under way
			w.box.ServeHTTP(rw, r)
		}
	}
	w.remark("it befell %s at %s, after AWS did it: %v", l.name, operation, s.after)
	close(s.sprung)
}

func copied(rw http.ResponseWriter, answer *httptest.ResponseRecorder) {
	for name, values := range answer.Header() {
		rw.Header()[name] = values
	}
	rw.WriteHeader(answer.Code)
	_, _ = rw.Write(answer.Body.Bytes()) // who asked may be dead
}

// spring returns the trap that a call springs, if it does.
func (w *world) spring(l *life, operation string) *trap {
	if !strings.Contains(operation, "AccountAssignment") && operation != "DescribeUser" {
		return nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.trap
	if s == nil || s.of != l {
		return nil
	}
	if s.calls--; s.calls >= 0 {
		return nil
	}
	w.trap = nil
	return s
}

// befall lets something befall a process at one of its next calls of AWS, or after a while when it makes none.
func (w *world) befall(l *life, a act, do func()) {
	s := &trap{of: l, calls: a.calls, after: a.after, do: do, sprung: make(chan struct{})}
	w.mu.Lock()
	w.trap = s
	w.mu.Unlock()
	if w.within(3*time.Second, func() bool {
		select {
		case <-s.sprung:
			return true
		default:
			return false
		}
	}) {
		return
	}
	w.mu.Lock()
	mine := w.trap == s
	w.trap = nil
	w.mu.Unlock()
	if mine {
		do()
	} else {
		<-s.sprung
	}
}

// leaseTime is how long the lane's lease lasts.
const leaseTime = 15 * time.Second

// alone checks that nobody else has the lane when a process changes something in AWS. The database says who has it by the name that
// the holder calls itself, which is learnt from the first call of each.
func (w *world) alone(l *life, operation, date string) {
	if !w.plan.postgres {
		return // SQLite has one process, which the lock file sees to
	}
	signed, err := time.Parse("20060102T150405Z", date)
	if err != nil {
		w.fail("a call without its time: %q", date)
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.store == nil {
		return
	}
	var holder string
	var until int64
	ctx := w.Context()
	if err := w.store.PostgreSQL().QueryRow(ctx, "SELECT holder, until FROM leases WHERE name = 'lane'").Scan(&holder, &until); err != nil || time.Now().UnixMilli() >= until {
		return // nobody has it, or the database is away
	}
	if w.holders[holder] == l {
		return
	}
	another := w.holders[holder] != nil
	for _, of := range w.holders {
		another = another || of == l // which has called itself something else
	}
	said := fmt.Sprintf("%s calls %s, signed at %s, and %q has the lane: %v", l.name, operation, signed.Format("15:04:05"), holder, w.names())
	switch {
	case !another:
		w.holders[holder] = l
	case l.sentBefore(signed):
		w.remarks = append(w.remarks, "sent before the process was stopped: "+said)
	case time.Since(w.switched) < leaseTime:
		w.remarks = append(w.remarks, "within the lease of another database: "+said)
	case w.trouble == nil:
		w.trouble = fmt.Errorf("two lanes: %s", said)
	}
}

func (w *world) names() []string {
	var all []string
	for holder, l := range w.holders {
		all = append(all, holder+" is "+l.name)
	}
	slices.Sort(all)
	return all
}
