package sandbox

import (
	"fmt"
	"slices"
	"time"

	"sparekey/internal/sandbox/world"
	"sparekey/org"
)

// FaultKind is a way in which a call goes wrong.
type FaultKind string

// The kinds of faults. They come in pairs, "it failed" and "it failed but it happened", since a program must tell the two
// apart by looking, not by the answer.
const (
	Throttle         FaultKind = "throttle"           // refused as over a quota
	Denied           FaultKind = "denied"             // refused as not allowed
	Conflict         FaultKind = "conflict"           // refused as in conflict with an earlier change
	ServerError      FaultKind = "server-error"       // HTTP 500, and nothing happened
	ServerErrorAfter FaultKind = "server-error-after" // HTTP 500, but it happened
	Drop             FaultKind = "drop"               // the connection is closed without an answer, and nothing happened
	DropAfter        FaultKind = "drop-after"         // the connection is closed without an answer, but it happened
	AsyncFailed      FaultKind = "async-failed"       // accepted, then FAILED, and nothing happened
	AsyncFailedAfter FaultKind = "async-failed-after" // accepted, then FAILED, but it happened
	Late             FaultKind = "late"               // accepted, then FAILED, but it happens Delay after it was accepted
	Hang             FaultKind = "hang"               // no answer before Delay has passed (0: ever); nothing happens meanwhile
	Slow             FaultKind = "slow"               // AWS takes Factor times its own time, and Delay more
)

// Fault is a fault and the calls that it befalls. Empty fields match every call.
type Fault struct {
	Service       string        `json:"service,omitempty"` // as botocore names it: sso-admin, identitystore, organizations, sts, sso-oidc, sso
	Operation     string        `json:"operation,omitempty"`
	Account       org.AccountID `json:"account,omitempty"`
	PermissionSet string        `json:"permissionSet,omitempty"` // name or ARN
	Principal     string        `json:"principal,omitempty"`     // id, user name or name of a group
	Skip          int           `json:"skip,omitempty"`          // matching calls that pass first
	Times         int           `json:"times,omitempty"`         // calls that it befalls; 0 is every one
	Kind          FaultKind     `json:"kind"`
	Delay         Duration      `json:"delay,omitempty"`
	Factor        int           `json:"factor,omitempty"`
	Hidden        bool          `json:"hidden,omitempty"` // no status and no list of statuses tells of the operation, and no quota counts it
	Reason        string        `json:"reason,omitempty"` // FailureReason
}

// Duration is a time.Duration that JSON writes as "1m30s".
type Duration time.Duration

// MarshalText implements [encoding.TextMarshaler].
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler].
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	if err != nil {
		return fmt.Errorf("%q is not a duration such as 1m30s", text)
	}
	*d = Duration(v)
	return nil
}

var (
	instant = []FaultKind{Throttle, Denied, Conflict, ServerError, ServerErrorAfter, Drop, DropAfter, Hang}
	// later are the kinds that only assignment operations can meet.
	later = []FaultKind{AsyncFailed, AsyncFailedAfter, Late, Slow}
)

func (f Fault) check() error {
	switch {
	case !slices.Contains(instant, f.Kind) && !slices.Contains(later, f.Kind):
		return fmt.Errorf("%q is not a kind of fault", f.Kind)
	case f.Skip < 0 || f.Times < 0 || f.Delay < 0 || f.Factor < 0:
		return fmt.Errorf("skip, times, delay and factor are not negative")
	case f.Kind == Late && f.Delay == 0:
		return fmt.Errorf("a late fault needs a delay")
	case f.Service != "" && !slices.ContainsFunc(services, func(s *service) bool { return s.name == f.Service }):
		return fmt.Errorf("there is no service %q", f.Service)
	case f.Operation != "" && !slices.ContainsFunc(services, func(s *service) bool {
		return (f.Service == "" || f.Service == s.name) && s.operation(f.Operation) != nil
	}):
		return fmt.Errorf("there is no operation %q", f.Operation)
	}
	return nil
}

// fate is what a fault makes of an accepted operation.
func (f Fault) fate() world.Fate {
	reason := f.Reason
	if reason == "" {
		reason = "Received a 500 status error: Internal server error"
	}
	fate := world.Fate{Hidden: f.Hidden, Reason: reason}
	switch f.Kind {
	case AsyncFailed:
		fate.Fails, fate.Lost = true, true
	case AsyncFailedAfter:
		fate.Fails = true
	case Late:
		fate.Fails, fate.Lands = true, time.Duration(f.Delay)
	case Slow:
		fate.Slower, fate.Factor = time.Duration(f.Delay), f.Factor
	case ServerErrorAfter, DropAfter:
		fate.Slower = time.Duration(f.Delay)
	case Throttle, Denied, Conflict, ServerError, Drop, Hang: // what is done then is done as always
	}
	return fate
}

// scripted is a fault with what it has met.
type scripted struct {
	Fault
	Met  int `json:"met"`  // matching calls
	Used int `json:"used"` // calls that it befell
}

// Script adds faults. Of those that match a call the earliest befalls it. It panics on a fault that cannot be.
func (s *Sandbox) Script(faults ...Fault) {
	if err := s.addFaults(faults); err != nil {
		panic("sandbox: " + err.Error())
	}
}

func (s *Sandbox) addFaults(faults []Fault) error {
	for _, f := range faults {
		if err := f.check(); err != nil {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range faults {
		s.script = append(s.script, &scripted{Fault: f})
	}
	return nil
}

// ClearFaults removes all faults. What they have begun goes on.
func (s *Sandbox) ClearFaults() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.script = nil
}

// befalls returns the fault that befalls a call, if any.
func (s *Sandbox) befalls(c *call) *scripted {
	for _, f := range s.script {
		if !f.matches(c) {
			continue
		}
		f.Met++
		if f.Met > f.Skip && (f.Times == 0 || f.Used < f.Times) {
			return f
		}
	}
	return nil
}

func (f *scripted) matches(c *call) bool {
	switch {
	case f.Service != "" && f.Service != c.op.service.name, f.Operation != "" && f.Operation != c.op.name,
		f.Account != "" && f.Account != c.subject.Account:
		return false
	case slices.Contains(later, f.Kind) && !c.op.async, f.Kind == Conflict && c.op.service.conflict == nil:
		return false
	}
	return c.isAbout(f.PermissionSet, f.Principal)
}

// isAbout reports whether the call's subject is what somebody calls by these names or ids; empty names are always meant.
func (c *call) isAbout(set, principal string) bool {
	if set != "" && set != c.subject.PermissionSet {
		named, ok := c.w.PermissionSet(set)
		if !ok || named.ARN != c.subject.PermissionSet && named.Name != c.subject.PermissionSet {
			return false
		}
	}
	if principal != "" && principal != c.subject.Principal {
		person, isPerson := c.w.PersonNamed(principal)
		group, isGroup := c.w.GroupNamed(principal)
		return isPerson && string(person.ID) == c.subject.Principal || isGroup && string(group.ID) == c.subject.Principal
	}
	return true
}
