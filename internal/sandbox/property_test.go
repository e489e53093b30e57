package sandbox

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssoadmin"
	admin "github.com/aws/aws-sdk-go-v2/service/ssoadmin/types"
	"pgregory.net/rapid"

	"sparekey/org"
)

const lag = 5 * time.Second

// history is a sandbox to which anything may happen.
type history struct {
	*fixture
	tokens map[string]string // by user
}

var (
	users    = []string{"dana", "kim", "lee"}
	sets     = []string{"ReadOnly", "Admin"}
	accounts = []string{managementID, paymentsID, sandboxID}
)

func (h *history) draw(t *rapid.T) org.Assignment {
	return h.of(rapid.SampledFrom(users).Draw(t, "user"), rapid.SampledFrom(sets).Draw(t, "set"), rapid.SampledFrom(accounts).Draw(t, "account"))
}

func (h *history) call(t *rapid.T) {
	a := h.draw(t)
	do := rapid.SampledFrom([]func(org.Assignment) (*admin.AccountAssignmentOperationStatus, error){h.create, h.delete}).Draw(t, "do")
	op, err := do(a)
	if err == nil && op.Status != admin.StatusValuesInProgress {
		t.Fatalf("accepted as %s", op.Status)
	}
}

func (h *history) fault(t *rapid.T) {
	h.Script(Fault{
		Service: "sso-admin", Kind: rapid.SampledFrom(slices.DeleteFunc(slices.Concat(instant, later), func(k FaultKind) bool { return k == Hang })).Draw(t, "kind"),
		Operation: rapid.SampledFrom([]string{"CreateAccountAssignment", "DeleteAccountAssignment"}).Draw(t, "operation"),
		Times:     rapid.IntRange(1, 2).Draw(t, "times"), Delay: Duration(time.Duration(rapid.IntRange(1, 20).Draw(t, "delay")) * time.Second),
		Factor: rapid.IntRange(0, 3).Draw(t, "factor"), Hidden: rapid.Bool().Draw(t, "hidden"),
	})
}

func (h *history) advance(t *rapid.T) {
	h.clock.Advance(time.Duration(rapid.IntRange(1, 6000).Draw(t, "milliseconds")) * time.Millisecond)
}

func (h *history) somebodyElse(t *rapid.T) {
	a := h.draw(t)
	_ = h.Change(func(d *Directory) error { // what cannot be done is not done
		switch rapid.IntRange(0, 4).Draw(t, "what") {
		case 0:
			return d.Assign(a)
		case 1:
			return d.Unassign(a)
		case 2:
			return d.SetAccountState(a.Account, rapid.SampledFrom([]org.AccountState{org.AccountActive, org.AccountSuspended}).Draw(t, "state"))
		case 3:
			return d.Leave(org.PersonID(a.Principal), h.group("oncall").ID)
		}
		return d.SetStatus(org.PersonID(a.Principal), rapid.SampledFrom([]org.Status{org.StatusEnabled, org.StatusDisabled, org.StatusUnknown}).Draw(t, "status"))
	})
}

// open asks for credentials, and compares the answer with what the truth allows.
func (h *history) open(t *rapid.T) {
	user := rapid.SampledFrom(users).Draw(t, "user")
	set, account := rapid.SampledFrom(sets).Draw(t, "set"), rapid.SampledFrom(accounts).Draw(t, "account")
	if h.tokens[user] == "" {
		return
	}
	state := h.State()
	var status org.Status
	var groups []string
	for _, p := range state.People {
		if p.User == user {
			status, groups = p.Status, p.Groups
		}
	}
	allowed := slices.ContainsFunc(state.Assignments, func(a StateAssignment) bool {
		return string(a.Account) == account && a.SetName == set && (a.Kind == org.User && a.Name == user || a.Kind == org.GroupOfAWS && slices.Contains(groups, a.Name))
	})
	at, _ := h.world.Account(org.AccountID(account))
	want := ""
	switch {
	case status.Gone():
		want = "UnauthorizedException"
	case !allowed || at.State != org.AccountActive:
		want = "ForbiddenException"
	}
	if _, _, err := h.credentials(h.tokens[user], set, account); code(err) != want {
		t.Fatalf("%s in %s for %s (%s): %v, want %q", set, account, user, status, err, want)
	}
}

// check holds after every step.
func (h *history) check(t *rapid.T) {
	assigned := map[org.Target]bool{}
	for _, a := range h.Assignments() {
		assigned[a.Target] = true
		if !h.Assigned(a) {
			t.Fatalf("%+v is listed and not there", a)
		}
	}
	for _, account := range accounts {
		for _, r := range h.Roles(org.AccountID(account)) {
			if !assigned[r.Target] {
				t.Fatalf("the role %s has no assignment", r.Name)
			}
			delete(assigned, r.Target)
		}
	}
	if len(assigned) > 0 {
		t.Fatalf("without a role: %v", assigned)
	}
	if n, _ := h.Outstanding(); n > 10 {
		t.Fatalf("%d operations are unfinished", n)
	}
}

// end lets all time pass, and compares the listings with the truth.
func (h *history) end(t *rapid.T) {
	h.ClearFaults()
	h.clock.Advance(time.Hour)
	if n, unlanded := h.Outstanding(); n != 0 || unlanded {
		t.Fatalf("%d operations never end, unlanded %v", n, unlanded)
	}
	out, err := h.admin.ListAccountAssignmentCreationStatus(h.ctx, &ssoadmin.ListAccountAssignmentCreationStatusInput{
		InstanceArn: h.instance(), Filter: &admin.OperationStatusFilter{Status: admin.StatusValuesInProgress},
	})
	if err != nil || len(out.AccountAssignmentsCreationStatus) > 0 {
		t.Fatalf("%+v, %v", out, err)
	}
	h.clock.Advance(lag)
	var listed []string
	for _, account := range accounts {
		for _, set := range append(sets, "ManagementOnly") {
			for _, a := range h.listed(org.Target{Account: org.AccountID(account), PermissionSet: h.set(set)}) {
				listed = append(listed, fmt.Sprint(aws.ToString(a.AccountId), aws.ToString(a.PermissionSetArn), a.PrincipalType, aws.ToString(a.PrincipalId)))
			}
		}
	}
	var truth []string
	for _, a := range h.Assignments() {
		truth = append(truth, fmt.Sprint(string(a.Account), a.PermissionSet, a.Kind, a.Principal))
	}
	slices.Sort(listed)
	slices.Sort(truth)
	if !slices.Equal(listed, truth) {
		t.Fatalf("listed %v\ntruth %v", listed, truth)
	}
}

func TestWhateverHappensTheSandboxStaysTrueToItself(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		f := start(t, func(o *Options) { o.Behaviour.ListingLag, o.Behaviour.PortalSession = lag, 24*time.Hour })
		f.inProcess()
		h := &history{f, map[string]string{"dana": f.signIn("dana"), "lee": f.signIn("lee")}}
		rt.Repeat(map[string]func(*rapid.T){
			"call": h.call, "call again": h.call, "fault": h.fault, "advance": h.advance, "somebody else": h.somebodyElse, "open": h.open, "": h.check,
		})
		h.end(rt)
	})
}
