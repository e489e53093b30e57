package aws

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"sparekey/internal/judge"
	"sparekey/internal/sandbox"
)

// behaviour is something that the adapter does on every AWS. The error says what it did instead.
type behaviour struct {
	name string
	show func(context.Context, *backend) error
}

// but says what was wrong, beside an error if there is one.
func but(err error, format string, args ...any) error {
	return errors.Join(fmt.Errorf(format, args...), err)
}

func behaviours() []behaviour {
	var all []behaviour
	for _, some := range [][]behaviour{
		assignmentBehaviours, creationBehaviours, centerBehaviours, personBehaviours, organizationBehaviours, standingBehaviours, membershipBehaviours, groupBehaviours,
		sessionBehaviours, setBehaviours, killPolicyBehaviours,
	} {
		all = append(all, some...)
	}
	return all
}

// notInMoto are the behaviours that cannot be shown on moto 5.2.1, with what it does there and a word of what is then said.
// What moto learns, TestAdapter asks to take off the list.
var notInMoto = map[string]struct{ why, says string }{
	"a create is under way before it succeeds": {
		"every operation has SUCCEEDED in the answer that accepts it", "was succeeded at once"},
	"a create that AWS cannot carry out fails, and says why": {
		"an assignment to a person whom nobody knows SUCCEEDS", "became succeeded"},
	"creating what exists changes nothing, and one delete takes it away": {
		"the second create adds the assignment once more, and a delete takes one of the two", "still there"},
	"a create for an account or a set that is not there is refused as missing": {
		"CreateAccountAssignment takes any account and any permission set", "nothing was refused"},
	"an operation of one kind is not known as one of the other": {
		"a delete has the id of the create that it undoes", "a create is known as a delete"},
	"an instance that is not ours has no say in what is assigned": {
		"listings of any instance are answered, and are empty", "believed it"},
	"the creates that are under way or recent are found":            noCreations,
	"creates of others, of other places and of before are left out": noCreations,
	"creates are found on every page":                               noCreations,
	"a create whose answer was lost is found again":                 noCreations,
	"a person who is enabled, disabled or neither is so":            {"it never answers UserStatus", "there is no way to make a person"},
	"a store that is not ours has no say in who is there":           {"every identity store exists from the first question on, and is empty", "believed it"},
	"everything that is assigned is read, of people and of groups, whoever gave it": {
		"an assignment provisions nothing: a set is in the caller's account once ProvisionPermissionSet was called, and nowhere else", "read\n[]\nnot"},
	"a permission set that was made without a session lasts an hour": {"it answers the number 3600 where a string belongs", "expected string, got 3600"},

	"a membership lives from absent to absent":                             noMembershipID,
	"somebody who is a member already is created with success":             {"CreateGroupMembership makes a second membership", "and then {ID:"},
	"deleting a membership that is not there is missing":                   noMembershipID,
	"a group or a person that is not there has no memberships":             noMembershipID,
	"a group that an identity provider keeps is never written to":          noExternalIDs,
	"a group that an identity provider keeps is not found again":           noExternalIDs,
	"an assignment of a group whose answer was lost is found again":        noCreations,
	"a role that does not let Sparekey in is denied":                       {"trust policies are not evaluated, and roles need not exist", "was let in"},
	"the content of a permission set changes with everything that it says": noBoundaries,
	"the content of a permission set is the same however it is written":    noBoundaries,
}

var (
	noMembershipID = struct{ why, says string }{"GetGroupMembershipId is not there: HTTP 500", "looking up a group membership: AWS did not say"}
	noExternalIDs  = struct{ why, says string }{"no call of it gives a group ExternalIds", "no way to provision"}
	noBoundaries   = struct{ why, says string }{"GetPermissionsBoundaryForPermissionSet is not there: HTTP 500", "GetPermissionsBoundaryForPermissionSet"}
)

var noCreations = struct{ why, says string }{"ListAccountAssignmentCreationStatus is not there: HTTP 500", "listing creates: AWS did not say"}

func TestAdapter(t *testing.T) {
	t.Run("sandbox", func(t *testing.T) {
		for _, b := range behaviours() {
			t.Run(b.name, func(t *testing.T) {
				t.Parallel()
				if err := b.show(t.Context(), inSandbox(t)); err != nil {
					t.Error(err)
				}
			})
		}
	})
	t.Run("moto", func(t *testing.T) {
		t.Parallel() // most of its time is Python's
		endpoint := judge.Moto(t)
		for _, b := range behaviours() {
			t.Run(b.name, func(t *testing.T) { inMotoOrListed(t, endpoint, b) })
		}
	})
}

// inMotoOrListed shows a behaviour on moto, or that it still cannot be shown there, for the reason that is listed.
func inMotoOrListed(t *testing.T, endpoint string, b behaviour) {
	err := b.show(t.Context(), inMoto(t, endpoint))
	cannot, listed := notInMoto[b.name]
	switch {
	case !listed && err != nil:
		t.Error(err)
	case listed && err == nil:
		t.Errorf("moto can do this now; take it off the list (there it says: %s)", cannot.why)
	case listed && !strings.Contains(err.Error(), cannot.says):
		t.Errorf("moto fails another way than listed (%s): %v", cannot.why, err)
	}
}

func TestTheListOfWhatMotoCannotDoNamesBehaviours(t *testing.T) {
	known := map[string]bool{}
	for _, b := range behaviours() {
		if known[b.name] {
			t.Errorf("two behaviours are called %q", b.name)
		}
		known[b.name] = true
	}
	for name := range notInMoto {
		if !known[name] {
			t.Errorf("no behaviour is called %q", name)
		}
	}
}

// TestTheOrganizationIsReadWhereListingsBeginWithAnEmptyPage: the API reference of Organizations warns that they may.
func TestTheOrganizationIsReadWhereListingsBeginWithAnEmptyPage(t *testing.T) {
	for _, b := range []behaviour{organizationIsReadWhole, organizationIsReadFromEveryPage} {
		t.Run(b.name, func(t *testing.T) {
			if err := b.show(t.Context(), inSandbox(t, func(o *sandbox.Options) { o.Behaviour.EmptyPages = true })); err != nil {
				t.Error(err)
			}
		})
	}
}
