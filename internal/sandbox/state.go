package sandbox

import (
	"slices"
	"time"

	"sparekey/internal/sandbox/world"
	"sparekey/org"
)

// State is what the sandbox holds, for people and for tests of other languages.
type State struct {
	Now         time.Time         `json:"now"`
	StartURL    string            `json:"startUrl"`
	Instance    string            `json:"instance"`
	Store       string            `json:"identityStore"`
	People      []StatePerson     `json:"people"`
	Assignments []StateAssignment `json:"assignments"`
	Roles       []Role            `json:"roles"`
	Operations  []StateOperation  `json:"operations"`
	Devices     []string          `json:"devices"` // user codes that wait for somebody to confirm them
}

// StatePerson is a person in a [State].
type StatePerson struct {
	ID     org.PersonID `json:"id"`
	User   string       `json:"user"`
	Status org.Status   `json:"status"` // empty where the identity store does not say
	Groups []string     `json:"groups"`
}

// StateAssignment is an assignment in a [State]. The names are empty for what is no longer there.
type StateAssignment struct {
	org.Assignment
	AccountName string    `json:"accountName"`
	SetName     string    `json:"permissionSetName"`
	Name        string    `json:"principalName"`
	Since       time.Time `json:"since"`
}

// StateOperation is an assignment operation in a [State].
type StateOperation struct {
	ID     string       `json:"id"`
	Kind   world.Kind   `json:"kind"`
	Status world.Status `json:"status"`
	Reason string       `json:"reason,omitempty"`
	org.Assignment
	Accepted time.Time `json:"accepted"`
	Ended    time.Time `json:"ended"` // when it will end, while it is in progress
}

// State returns what the sandbox holds now.
func (s *Sandbox) State() State {
	s.mu.Lock()
	defer s.mu.Unlock()
	state := State{
		Now: s.settle(), StartURL: s.startURL, Instance: s.world.Instance, Store: s.world.Store, People: []StatePerson{}, Assignments: []StateAssignment{},
		Roles: s.roles(func(world.Role) bool { return true }), Operations: []StateOperation{}, Devices: []string{},
	}
	for _, p := range s.world.People() {
		groups := []string{}
		for _, m := range s.world.GroupsOf(p.ID) {
			g, _ := s.world.Group(m.Group)
			groups = append(groups, g.Name)
		}
		slices.Sort(groups)
		state.People = append(state.People, StatePerson{p.ID, p.User, p.Status, groups})
	}
	for _, a := range s.world.Assignments() {
		given := StateAssignment{Assignment: a, Name: s.world.PrincipalName(a), Since: s.world.Since(a)}
		if account, ok := s.world.Account(a.Account); ok {
			given.AccountName = account.Name
		}
		if set, ok := s.world.PermissionSet(a.PermissionSet); ok {
			given.SetName = set.Name
		}
		state.Assignments = append(state.Assignments, given)
	}
	for _, kind := range []world.Kind{world.Create, world.Delete} {
		for _, op := range s.world.Operations(kind) {
			state.Operations = append(state.Operations, StateOperation{op.ID, op.Kind, op.Status, op.Reason, op.Assignment, op.Accepted, op.Ended})
		}
	}
	for _, d := range s.sessions.devices {
		if d.person == "" && !d.denied && state.Now.Before(d.expires) {
			state.Devices = append(state.Devices, d.userCode)
		}
	}
	return state
}
