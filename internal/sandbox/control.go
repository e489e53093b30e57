package sandbox

import (
	"bytes"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"sparekey/org"
)

const controlPath = "/_sandbox/"

const about = `This is Sparekey's sandbox. It imitates an AWS organization with IAM Identity Center, in memory, and is not AWS.

SDKs and the AWS CLI talk to it when this address is their endpoint for: sso-admin, identitystore, organizations, sts,
sso-oidc and sso. GET /_sandbox/operations lists the operations that it knows.

Control calls are below /_sandbox/. They need the bearer token that the sandbox was started with, in the header
"Authorization: Bearer TOKEN", and take JSON ("Content-Type: application/json"). Accounts are ids; permission sets, people and
groups are ids (or ARNs) or names; durations are written 1m30s.

GET    state        what there is: assignments, roles, people, operations under way
GET    calls        the calls that it was asked for, the oldest first
GET    operations   [{"service": "sso-admin", "operation": "ListInstances"}, …]
GET    faults       the faults, with how many calls each met and befell
POST   faults       {"faults": [{"kind": "late", "operation": "CreateAccountAssignment", "delay": "1m", "times": 1}]}
                    kinds: %s
                    more members: service, account, permissionSet, principal (which calls), skip (how many pass first), factor, hidden, reason
DELETE faults       removes all
POST   device       {"userCode": "1A2B-3C4D", "person": "dana"} confirms a sign-in; {"userCode": "…", "deny": true} refuses it
POST   clock        {"advance": "90s"}, if it runs on a clock that can be advanced
POST   people       {"person": "dana", "status": "disabled", "join": ["oncall"], "leave": ["developers"]}
                    statuses: enabled, disabled, unknown, removed
POST   assignments  {"add": [{"account": "…", "permissionSet": "Admin", "principal": "dana"}], "remove": […]}, at once
POST   keys         {"account": "…", "user": "x"} answers the access key of a user of that account
`

func serveAbout(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	var kinds []string
	for _, k := range append(slices.Clone(instant), later...) {
		kinds = append(kinds, string(k))
	}
	_, _ = fmt.Fprintf(w, about, strings.Join(kinds, ", "))
}

// badRequest is an error of a control call that says what to write instead.
type badRequest struct{ problem string }

func (e badRequest) Error() string { return e.problem }

// serveControl answers the control calls; the package comment says what they are.
func (s *Sandbox) serveControl(w http.ResponseWriter, r *http.Request) {
	token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if subtle.ConstantTimeCompare([]byte(token), []byte(s.control)) != 1 {
		w.Header().Set("WWW-Authenticate", "Bearer")
		s.writeControl(w, http.StatusUnauthorized, map[string]string{"error": "the bearer token of the control calls is needed"})
		return
	}
	control, ok := s.controls()[r.Method+" "+strings.TrimPrefix(r.URL.Path, controlPath)]
	if !ok {
		s.writeControl(w, http.StatusNotFound, map[string]string{"error": "there is no such control call"})
		return
	}
	answer, err := control(r)
	status := http.StatusOK
	var bad badRequest
	switch {
	case errors.As(err, &bad):
		status = http.StatusBadRequest
	case err != nil:
		status = http.StatusConflict
	}
	if err != nil {
		answer = map[string]string{"error": err.Error()}
	}
	s.writeControl(w, status, answer)
}

// controls are the control calls, by method and name.
func (s *Sandbox) controls() map[string]func(*http.Request) (any, error) {
	return map[string]func(*http.Request) (any, error){
		"GET state": s.controlState, "GET calls": s.controlCalls, "GET operations": s.controlOperations, "GET faults": s.controlListFaults,
		"POST faults": s.controlAddFaults, "DELETE faults": s.controlClearFaults, "POST device": s.controlDevice, "POST clock": s.controlClock,
		"POST people": s.controlPeople, "POST assignments": s.controlAssignments, "POST keys": s.controlKeys,
	}
}

func (s *Sandbox) writeControl(w http.ResponseWriter, status int, answer any) {
	body, err := json.Marshal(answer)
	if err != nil {
		status, body = http.StatusInternalServerError, []byte(`{"error":"writing the answer"}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n'))
}

// read fills into from a JSON body, which must have no other members and nothing after it.
func read(r *http.Request, into any) error {
	if kind, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";"); kind != "application/json" {
		return badRequest{"the body must be application/json"}
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, largest+1))
	if err != nil || len(body) > largest {
		return badRequest{fmt.Sprintf("the body must have at most %d bytes", largest)}
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return badRequest{"reading the body: " + err.Error()}
	}
	if _, err := d.Token(); err != io.EOF {
		return badRequest{"reading the body: there is something after the JSON value"}
	}
	return nil
}

type done struct {
	Done bool `json:"done"`
}

func (s *Sandbox) controlCalls(*http.Request) (any, error) { return s.Calls(), nil }

func (s *Sandbox) controlOperations(*http.Request) (any, error) {
	type offered struct {
		Service   string `json:"service"`
		Operation string `json:"operation"`
	}
	var all []offered
	for _, service := range services {
		for _, op := range service.operations {
			all = append(all, offered{service.name, op.name})
		}
	}
	return all, nil
}

func (s *Sandbox) controlListFaults(*http.Request) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	faults := []scripted{}
	for _, f := range s.script {
		faults = append(faults, *f)
	}
	return faults, nil
}

func (s *Sandbox) controlAddFaults(r *http.Request) (any, error) {
	var in struct {
		Faults []Fault `json:"faults"`
	}
	if err := read(r, &in); err != nil {
		return nil, err
	}
	if err := s.addFaults(in.Faults); err != nil {
		return nil, badRequest{err.Error()}
	}
	return done{true}, nil
}

func (s *Sandbox) controlClearFaults(*http.Request) (any, error) {
	s.ClearFaults()
	return done{true}, nil
}

func (s *Sandbox) controlDevice(r *http.Request) (any, error) {
	var in struct {
		UserCode string `json:"userCode"`
		Person   string `json:"person"` // id or user name
		Deny     bool   `json:"deny"`
	}
	if err := read(r, &in); err != nil {
		return nil, err
	}
	if in.Deny {
		return done{true}, s.Deny(in.UserCode)
	}
	s.mu.Lock()
	p, ok := s.world.PersonNamed(in.Person)
	s.mu.Unlock()
	if !ok {
		return nil, badRequest{fmt.Sprintf("there is no person %q", in.Person)}
	}
	return done{true}, s.Confirm(in.UserCode, p.ID)
}

func (s *Sandbox) controlClock(r *http.Request) (any, error) {
	var in struct {
		Advance Duration `json:"advance"`
	}
	if err := read(r, &in); err != nil {
		return nil, err
	}
	manual, ok := s.clock.(*ManualClock)
	if !ok {
		return nil, errors.New("the sandbox runs on a clock that nobody can advance")
	}
	if in.Advance < 0 {
		return nil, badRequest{"a clock is not advanced backwards"}
	}
	manual.Advance(time.Duration(in.Advance))
	return map[string]time.Time{"now": s.clock.Now()}, nil
}

func (s *Sandbox) controlKeys(r *http.Request) (any, error) {
	var in struct {
		Account org.AccountID `json:"account"`
		User    string        `json:"user"`
	}
	if err := read(r, &in); err != nil {
		return nil, err
	}
	if !org.ValidAccountID(string(in.Account)) || in.User == "" {
		return nil, badRequest{"account must be twelve digits, and user a name"}
	}
	return s.Key(in.Account, in.User), nil
}

func (s *Sandbox) controlPeople(r *http.Request) (any, error) {
	var in struct {
		Person string   `json:"person"` // id or user name
		Status string   `json:"status"` // enabled, disabled, unknown, removed; left out: as it is
		Join   []string `json:"join"`   // ids or names of groups
		Leave  []string `json:"leave"`
	}
	if err := read(r, &in); err != nil {
		return nil, err
	}
	return done{true}, s.Change(func(d *Directory) error {
		p, ok := s.world.PersonNamed(in.Person)
		if !ok {
			return badRequest{fmt.Sprintf("there is no person %q", in.Person)}
		}
		for _, change := range []struct {
			groups []string
			do     func(org.PersonID, org.GroupID) error
		}{{in.Join, d.Join}, {in.Leave, d.Leave}} {
			for _, name := range change.groups {
				g, ok := s.world.GroupNamed(name)
				if !ok {
					return badRequest{fmt.Sprintf("there is no group %q", name)}
				}
				if err := change.do(p.ID, g.ID); err != nil {
					return err
				}
			}
		}
		switch in.Status {
		case "":
			return nil
		case "unknown":
			return d.SetStatus(p.ID, org.StatusUnknown)
		}
		if err := d.SetStatus(p.ID, org.Status(in.Status)); err != nil {
			return badRequest{err.Error()}
		}
		return nil
	})
}

func (s *Sandbox) controlAssignments(r *http.Request) (any, error) {
	type assignment struct {
		Account       org.AccountID `json:"account"`
		PermissionSet string        `json:"permissionSet"` // name or ARN
		Principal     string        `json:"principal"`     // id or name
	}
	var in struct {
		Add    []assignment `json:"add"`
		Remove []assignment `json:"remove"`
	}
	if err := read(r, &in); err != nil {
		return nil, err
	}
	return done{true}, s.Change(func(d *Directory) error {
		for _, change := range []struct {
			assignments []assignment
			do          func(org.Assignment) error
		}{{in.Add, d.Assign}, {in.Remove, d.Unassign}} {
			for _, a := range change.assignments {
				found, err := s.find(a.Account, a.PermissionSet, a.Principal)
				if err != nil {
					return badRequest{err.Error()}
				}
				if err := change.do(found); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

func (s *Sandbox) controlState(*http.Request) (any, error) { return s.State(), nil }

// find returns the assignment that somebody means who writes names or ids. The lock must be held.
func (s *Sandbox) find(account org.AccountID, set, principal string) (org.Assignment, error) {
	if _, ok := s.world.Account(account); !ok {
		return org.Assignment{}, fmt.Errorf("there is no account %q", account)
	}
	p, ok := s.world.PermissionSet(set)
	if !ok {
		return org.Assignment{}, fmt.Errorf("there is no permission set %q", set)
	}
	a := org.Assignment{Target: org.Target{Account: account, PermissionSet: p.ARN}}
	person, isPerson := s.world.PersonNamed(principal)
	group, isGroup := s.world.GroupNamed(principal)
	switch {
	case isPerson && isGroup:
		return a, fmt.Errorf("%q is both a person and a group; use the id", principal)
	case isPerson:
		a.Kind, a.Principal = org.User, string(person.ID)
	case isGroup:
		a.Kind, a.Principal = org.GroupOfAWS, string(group.ID)
	default:
		return a, fmt.Errorf("there is no person or group %q", principal)
	}
	return a, nil
}
