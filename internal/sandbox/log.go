package sandbox

import (
	"time"

	"sparekey/org"
)

// Call is one call that the sandbox was asked for, answered or not.
type Call struct {
	Time        time.Time     `json:"time"` // when it was answered
	RequestID   string        `json:"requestId"`
	Service     string        `json:"service,omitempty"` // as botocore names it; empty if no service takes such a request
	Operation   string        `json:"operation,omitempty"`
	AccessKeyID string        `json:"accessKeyId,omitempty"` // as claimed, also where the signature was refused
	Caller      string        `json:"caller,omitempty"`      // ARN of who signed, or the user name behind a portal token
	From        org.AccountID `json:"from,omitempty"`        // the caller's account
	Subject
	Code    string    `json:"code,omitempty"` // of the error
	Status  int       `json:"status"`         // of HTTP; 0 if the connection was closed without an answer
	Changed bool      `json:"changed"`        // something is different now, or will be
	Fault   FaultKind `json:"fault,omitempty"`
	Assumed *Assumed  `json:"assumed,omitempty"` // of AssumeRole
}

// Assumed is what AssumeRole was asked for, unless a fault befell the call before it was looked at. It holds nothing that is
// secret.
type Assumed struct {
	Role           string            `json:"role"` // ARN
	Session        string            `json:"session"`
	SourceIdentity string            `json:"sourceIdentity,omitempty"`
	Seconds        int               `json:"seconds,omitempty"` // 0: not said
	Policy         string            `json:"policy,omitempty"`
	Tags           map[string]string `json:"tags,omitempty"`
	Transitive     []string          `json:"transitive,omitempty"` // keys
}

// Subject is what a call is about, as far as it names it.
type Subject struct {
	Account       org.AccountID `json:"account,omitempty"`
	PermissionSet string        `json:"permissionSet,omitempty"` // ARN, or the role's name in the access portal
	Principal     string        `json:"principal,omitempty"`     // id of a person or a group
}

// kept is how many calls the log holds; older ones are forgotten.
const kept = 100_000

// log is a ring of calls.
type log struct {
	calls []Call
	next  int // where the next call goes, once the ring is full
}

func (l *log) add(c Call) {
	if len(l.calls) < kept {
		l.calls = append(l.calls, c)
		return
	}
	l.calls[l.next] = c
	l.next = (l.next + 1) % kept
}

// Calls returns the latest 100,000 calls, the oldest first.
func (s *Sandbox) Calls() []Call {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append(append([]Call{}, s.log.calls[s.log.next:]...), s.log.calls[:s.log.next]...)
}
