package aws

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"sparekey/access"
	"sparekey/internal/awsconn"
	"sparekey/internal/sandbox"
)

// method is something that the adapter can be asked for, with the operations of AWS that it needs.
type method struct {
	name  string
	needs []string
	call  func(context.Context, *wired) error
}

var methods = []method{
	{"Assigned", []string{"ListInstances", "ListAccountAssignments"}, func(ctx context.Context, w *wired) error {
		_, err := w.assignments().Assigned(ctx, w.key("dana", "payments", "ReadOnly"))
		return err
	}},
	{"Create", []string{"ListInstances", "CreateAccountAssignment"}, func(ctx context.Context, w *wired) error {
		_, err := w.assignments().Create(ctx, w.key("dana", "payments", "ReadOnly"))
		return err
	}},
	{"Creation", []string{"ListInstances", "DescribeAccountAssignmentCreationStatus"}, func(ctx context.Context, w *wired) error {
		_, err := w.assignments().Creation(ctx, w.create)
		return err
	}},
	{"Creations", []string{"ListInstances", "ListAccountAssignmentCreationStatus", "DescribeAccountAssignmentCreationStatus"}, func(ctx context.Context, w *wired) error {
		_, err := w.assignments().Creations(ctx, w.key("dana", "payments", "ReadOnly"), start.AddDate(-50, 0, 0))
		return err
	}},
	{"Delete", []string{"ListInstances", "DeleteAccountAssignment"}, func(ctx context.Context, w *wired) error {
		_, err := w.assignments().Delete(ctx, w.key("dana", "payments", "ReadOnly"))
		return err
	}},
	{"Deletion", []string{"ListInstances", "DescribeAccountAssignmentDeletionStatus"}, func(ctx context.Context, w *wired) error {
		_, err := w.assignments().Deletion(ctx, w.delete)
		return err
	}},
	{"Find", []string{"ListInstances"}, func(ctx context.Context, w *wired) error {
		_, _, err := NewCenter(w.config, "", "").Find(ctx)
		return err
	}},
	{"Person", []string{"ListInstances", "DescribeUser", "ListGroupMembershipsForMember"}, func(ctx context.Context, w *wired) error {
		_, err := w.directory().Person(ctx, w.person("dana").ID)
		return err
	}},
	{"Organization", []string{
		"ListInstances", "DescribeOrganization", "ListRoots", "ListOrganizationalUnitsForParent", "ListAccountsForParent", "ListTagsForResource",
		"ListUsers", "ListGroups", "ListGroupMemberships", "ListPermissionSets", "DescribePermissionSet",
	}, func(ctx context.Context, w *wired) error {
		_, err := w.directory().Organization(ctx)
		return err
	}},
	{"PermissionSet", []string{
		"ListInstances", "DescribePermissionSet", "GetInlinePolicyForPermissionSet", "ListManagedPoliciesInPermissionSet",
		"ListCustomerManagedPolicyReferencesInPermissionSet", "GetPermissionsBoundaryForPermissionSet",
	}, func(ctx context.Context, w *wired) error {
		_, err := w.directory().PermissionSet(ctx, w.target("payments", "ReadOnly").PermissionSet)
		return err
	}},
	{"Membership.Assigned", []string{"ListInstances", "GetGroupMembershipId"}, func(ctx context.Context, w *wired) error {
		_, err := w.memberships().Assigned(ctx, w.lent)
		return err
	}},
	{"Membership.Create", []string{"ListInstances", "DescribeGroup", "CreateGroupMembership"}, func(ctx context.Context, w *wired) error {
		k := w.lent
		k.Person = w.person("kim").ID
		_, err := w.memberships().Create(ctx, k)
		return err
	}},
	{"Membership.Delete", []string{"ListInstances", "GetGroupMembershipId", "DeleteGroupMembership"}, func(ctx context.Context, w *wired) error {
		_, err := w.memberships().Delete(ctx, w.lent)
		return err
	}},
	{"Groups.Make", []string{"ListInstances", "CreateGroup"}, func(ctx context.Context, w *wired) error {
		_, err := w.own(ctx, "dana", "play", "Admin")
		return err
	}},
	{"Groups.Make again", []string{"ListInstances", "GetGroupId", "DescribeGroup"}, func(ctx context.Context, w *wired) error {
		_, err := w.own(ctx, "dana", "payments", "ReadOnly")
		return err
	}},
	{"Groups.Assigned", []string{"ListInstances", "ListAccountAssignments"}, func(ctx context.Context, w *wired) error {
		_, err := w.groups().Assigned(ctx, w.lent.Group, w.lent.Target)
		return err
	}},
	{"Groups.Assign", []string{"ListInstances", "CreateAccountAssignment"}, func(ctx context.Context, w *wired) error {
		_, err := w.groups().Assign(ctx, w.lent.Group, w.lent.Target)
		return err
	}},
}

// written reports whether an operation is asked for by the client that never tries twice.
func written(operation string) bool {
	return operation != "ListInstances" && strings.Contains(operation, "AccountAssignment") || slices.Contains(ofGroups, operation)
}

// ofGroups are the operations of [Memberships] and [Groups] at the identity store.
var ofGroups = []string{"CreateGroup", "GetGroupId", "DescribeGroup", "GetGroupMembershipId", "CreateGroupMembership", "DeleteGroupMembership"}

// trouble is a way in which a call goes wrong, and what is known of it then.
type trouble struct {
	name   string
	answer http.HandlerFunc
	fault  sandbox.FaultKind // instead
	kind   error
	says   string // AWS's own words
	again  bool   // calls that change nothing are tried again

	patience time.Duration // of the caller; 10 minutes, where nothing is said
}

var troubles = []trouble{
	{name: "the sandbox throttles", fault: sandbox.Throttle, kind: access.ErrThrottled, says: "xception", again: true},
	{name: "the sandbox denies", fault: sandbox.Denied, kind: access.ErrDenied, says: "AccessDeniedException"},
	{name: "the sandbox is busy", fault: sandbox.Conflict, kind: access.ErrConflict},
	{name: "the sandbox breaks", fault: sandbox.ServerError, kind: access.ErrLost, says: "internal", again: true},
	{name: "the sandbox hangs up", fault: sandbox.Drop, kind: access.ErrLost, says: "EOF"},
	{name: "the sandbox hangs", fault: sandbox.Hang, kind: access.ErrLost, says: "no answer in time"},

	{name: "throttled", answer: refused(400, "ThrottlingException"), kind: access.ErrThrottled, says: words, again: true},
	{name: "throttled by the front end", answer: refused(429, "TooManyRequestsException"), kind: access.ErrThrottled, says: words, again: true},
	{name: "in conflict", answer: refused(409, "ConflictException"), kind: access.ErrConflict, says: words},
	{name: "denied", answer: refused(403, "AccessDenied"), kind: access.ErrDenied, says: words},
	{name: "denied for want of a key's permission", answer: refused(400, "AccessDeniedException", "Reason", "KMS_AccessDeniedException"), kind: access.ErrDenied, says: words},
	{name: "not valid", answer: refused(400, "ValidationException"), kind: access.ErrRejected, says: words},
	{name: "over a quota", answer: refused(402, "ServiceQuotaExceededException"), kind: access.ErrRejected, says: words},
	{name: "expired", answer: refused(400, "ExpiredTokenException"), kind: access.ErrNotAsked, says: words},
	{name: "badly signed", answer: refused(403, "InvalidSignatureException"), kind: access.ErrNotAsked, says: words},
	{name: "of an unknown key", answer: refused(400, "UnrecognizedClientException"), kind: access.ErrNotAsked, says: words},

	{name: "a server error", answer: refused(500, "InternalServerException"), kind: access.ErrLost, says: words, again: true},
	{name: "a server error that says it throttles", answer: refused(503, "ThrottlingException"), kind: access.ErrLost, says: words, again: true},
	{name: "a server error that says it denies", answer: refused(500, "AccessDeniedException"), kind: access.ErrLost, says: words, again: true},
	{name: "a server error that says it is missing", answer: refused(500, "ResourceNotFoundException"), kind: access.ErrLost, says: words, again: true},
	{name: "a page of a load balancer", answer: raw(502, "<html>Bad Gateway</html>"), kind: access.ErrLost, again: true},
	{name: "a refusal that nobody knows", answer: refused(400, "SomethingNewException"), kind: access.ErrLost, says: words},
	{name: "a refusal without a word", answer: raw(400, ""), kind: access.ErrLost},
	{name: "a redirect", answer: moved, kind: access.ErrLost},
	{name: "a redirect that says it denies", answer: refused(302, "AccessDeniedException"), kind: access.ErrLost},
	{name: "garbage", answer: raw(200, "<html>Welcome to the hotel's network</html>"), kind: access.ErrLost},
	{name: "half an answer", answer: raw(200, `{"AccountAssignments": [`), kind: access.ErrLost},
	{name: "nothing at all", answer: raw(200, ""), kind: access.ErrLost},
	{name: "nothing at all, at length", answer: func(w http.ResponseWriter, _ *http.Request) { _ = http.NewResponseController(w).Flush() }, kind: access.ErrLost},
	{name: "a connection that ends", answer: dropped(""), kind: access.ErrLost, says: "EOF"},
	{name: "a connection that ends within the answer", answer: dropped(`{"AccountAssignments": []`), kind: access.ErrLost, says: "EOF"},
	{name: "no answer", answer: silent, kind: access.ErrLost, says: "no answer in time"},
	{name: "no answer while the caller waits", answer: silent, kind: access.ErrLost, says: "no answer in time", patience: time.Second},
}

func TestEveryTroubleAtEveryOperationSaysWhatIsKnownOfTheCall(t *testing.T) {
	for _, m := range methods {
		for _, operation := range m.needs {
			t.Run(m.name+"/"+operation, func(t *testing.T) {
				t.Parallel()
				inBubble(t, func(t *testing.T, w *wired) {
					for _, trouble := range troubles {
						trouble.befall(called{t, trouble.name}, w, m, operation)
					}
				})
			})
		}
	}
}

// called is one case of a test in a bubble, which has no subtests.
type called struct {
	testing.TB
	name string
}

func (c called) Errorf(format string, args ...any) {
	c.Helper()
	c.TB.Errorf(c.name+": "+format, args...)
}

func (trouble trouble) befall(t testing.TB, w *wired, m method, operation string) {
	w.says(operation, trouble.answer)
	if trouble.fault != "" {
		w.box.Script(sandbox.Fault{Operation: operation, Kind: trouble.fault})
		defer w.box.ClearFaults()
	}
	defer w.says(operation, nil)
	err := m.call(within(t, cmp.Or(trouble.patience, 10*time.Minute)), w)
	wantKind(t, err, trouble.kind, trouble.says)
	if err != nil && strings.Contains(err.Error(), w.secret) {
		t.Errorf("the error holds the secret: %v", err)
	}
	calls := w.calls(operation)
	if written(operation) && calls != 1 {
		t.Errorf("it was asked %d times", calls)
	}
	if !written(operation) && trouble.again && calls < 2 {
		t.Errorf("it was asked once, though it changes nothing")
	}
	if n := w.calls(""); n > 0 {
		t.Errorf("a redirect was followed")
	}
}

// kinds are all that can be known of a call that went wrong.
var kinds = []error{access.ErrThrottled, access.ErrConflict, access.ErrNotAsked, access.ErrDenied, access.ErrRejected, access.ErrMissing, access.ErrLost}

// wantKind checks that an error says one thing about the call, in AWS's words, and without the noise of the SDK.
func wantKind(t testing.TB, err, kind error, says string) {
	t.Helper()
	if err == nil {
		t.Errorf("there is no error; it should say: %v", kind)
		return
	}
	for _, k := range kinds {
		if errors.Is(err, k) != (k == kind) {
			t.Errorf("the error is %q: %t, but it should be %q: %v", k, errors.Is(err, k), kind, err)
		}
	}
	if !strings.Contains(err.Error(), says) {
		t.Errorf("the error does not say %q: %v", says, err)
	}
	for _, noise := range []string{"operation error", "https response error", "exceeded maximum number of attempts"} {
		if !errors.Is(err, awsconn.ErrCredentials) && strings.Contains(err.Error(), noise) {
			t.Errorf("the error says %q: %v", noise, err)
		}
	}
}
