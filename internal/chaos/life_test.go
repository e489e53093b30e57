package chaos

import (
	"bytes"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"time"
)

// life is one process of the program, from its start to its end.
type life struct {
	*exec.Cmd
	name    string // of the slot, and how many were there before
	slot    int
	address string        // where it serves people; empty: it only works
	ended   chan struct{} // closed once it has
	said    said

	mu     sync.Mutex
	since  time.Time // when it was stopped last
	paused bool
}

// said is what a process has said so far.
type said struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (s *said) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

func (s *said) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// last is the end of it, for whoever reads of a failure.
func (s *said) last(lines int) string {
	all := strings.Split(strings.TrimSpace(s.String()), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

var (
	begun = regexp.MustCompile(`msg=(serving.* address=(\S+)|working) `)
	inUse = regexp.MustCompile(`(?m)^error: the process [0-9]+ has the database `)
)

// alive reports whether the process is there, stopped or not.
func (l *life) alive() bool {
	if l == nil {
		return false
	}
	select {
	case <-l.ended:
		return false
	default:
		return true
	}
}

// awake reports whether it is there and not stopped.
func (l *life) awake() bool {
	if !l.alive() {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.paused
}

// kill is SIGKILL, and returns when the process has ended.
func (l *life) kill() {
	_ = l.Process.Kill() // what has ended already cannot be killed
	<-l.ended
}

// pause stops the process where it stands, for a time.
func (l *life) pause(away time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.paused || l.Process.Signal(syscall.SIGSTOP) != nil {
		return
	}
	l.paused, l.since = true, time.Now()
	time.AfterFunc(away, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.paused = false
		_ = l.Process.Signal(syscall.SIGCONT) // it may have been killed meanwhile
	})
}

// sentBefore reports whether a call that was signed at a time was under way when the process was stopped last: the check whether the
// lane is still its own came before the stop, and nobody can call back what was sent.
func (l *life) sentBefore(signed time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.since.IsZero() && !signed.After(l.since) && time.Since(signed) > 5*time.Second
}
