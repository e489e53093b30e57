package aws

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	orgtypes "github.com/aws/aws-sdk-go-v2/service/organizations/types"

	"sparekey/access"
	"sparekey/internal/sandbox"
	"sparekey/org"
)

// operations are the methods that answer with one operation of AWS, and how AWS wraps it.
var operations = []struct {
	name, operation, member string
	call                    func(context.Context, *wired) (access.Seen, error)
}{
	{"Create", "CreateAccountAssignment", "AccountAssignmentCreationStatus", func(ctx context.Context, w *wired) (access.Seen, error) {
		return w.assignments().Create(ctx, w.key("dana", "payments", "ReadOnly"))
	}},
	{"Creation", "DescribeAccountAssignmentCreationStatus", "AccountAssignmentCreationStatus", func(ctx context.Context, w *wired) (access.Seen, error) {
		return w.assignments().Creation(ctx, w.create)
	}},
	{"Delete", "DeleteAccountAssignment", "AccountAssignmentDeletionStatus", func(ctx context.Context, w *wired) (access.Seen, error) {
		return w.assignments().Delete(ctx, w.key("dana", "payments", "ReadOnly"))
	}},
	{"Deletion", "DescribeAccountAssignmentDeletionStatus", "AccountAssignmentDeletionStatus", func(ctx context.Context, w *wired) (access.Seen, error) {
		return w.assignments().Deletion(ctx, w.delete)
	}},
}

func TestAnOperationIsBelievedOnlyWithAnIDAndAStatusThatIsKnown(t *testing.T) {
	at := time.Date(2026, 11, 22, 4, 45, 31, 0, time.UTC)
	for _, c := range []struct {
		name, status string
		want         access.Seen
		lost         bool
	}{
		{"under way", `{"Status": "IN_PROGRESS", "RequestId": "x", "CreatedDate": 1795322731}`, access.Seen{ID: "x", At: at}, false},
		{"succeeded", `{"Status": "SUCCEEDED", "RequestId": "x", "CreatedDate": 1795322731}`, access.Seen{ID: "x", Outcome: access.Succeeded, At: at}, false},
		{"failed", `{"Status": "FAILED", "RequestId": "x", "FailureReason": "why"}`, access.Seen{ID: "x", Outcome: access.FailedOp, Reason: "why"}, false},
		{"with more than is known today", `{"Status": "SUCCEEDED", "RequestId": "x", "New": {"a": [1]}}`, access.Seen{ID: "x", Outcome: access.Succeeded}, false},
		{"of an unknown status", `{"Status": "QUEUED", "RequestId": "x"}`, access.Seen{}, true},
		{"without a status", `{"RequestId": "x"}`, access.Seen{}, true},
		{"without an id", `{"Status": "SUCCEEDED"}`, access.Seen{}, true},
		{"with an empty id", `{"Status": "SUCCEEDED", "RequestId": ""}`, access.Seen{}, true},
		{"empty", `{}`, access.Seen{}, true},
		{"nothing", `null`, access.Seen{}, true},
		{"of another shape", `{"Status": 7, "RequestId": "x"}`, access.Seen{}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, w *wired) {
				for _, o := range operations {
					w.says(o.operation, raw(200, fmt.Sprintf(`{%q: %s}`, o.member, c.status)))
					got, err := o.call(t.Context(), w)
					if c.lost {
						wantKind(called{t, o.name}, err, access.ErrLost, "")
					} else if got.At = got.At.UTC(); err != nil || got != c.want {
						t.Errorf("%s: %+v, not %+v: %v", o.name, got, c.want, err)
					}
				}
			})
		})
	}
}

func TestAnAnswerThatNamesNothingIsLost(t *testing.T) {
	inBubble(t, func(t *testing.T, w *wired) {
		for _, m := range methods {
			for _, operation := range m.needs {
				if slices.Contains([]string{
					"DescribeUser", "DescribeOrganization", "ListRoots", "DescribePermissionSet", "CreateGroup", "GetGroupId", "DescribeGroup", "GetGroupMembershipId",
					"CreateGroupMembership",
				}, operation) {
					w.says(operation, raw(200, "{}"))
					wantKind(called{t, operation}, m.call(t.Context(), w), access.ErrLost, "")
					w.says(operation, nil)
				}
			}
		}
		w.says("DescribeUser", raw(200, `{"UserId": "`+nobodyKnows+`", "UserStatus": "ENABLED"}`))
		_, err := w.directory().Person(t.Context(), w.person("dana").ID)
		wantKind(t, err, access.ErrLost, nobodyKnows)
	})
}

func TestAnAssignmentOfAnotherKindOfPrincipalIsNotThePersons(t *testing.T) {
	inBubble(t, func(t *testing.T, w *wired) {
		k := w.key("dana", "payments", "ReadOnly")
		given := func(kind string) http.HandlerFunc {
			return raw(200, fmt.Sprintf(`{"AccountAssignments": [{"PrincipalType": %q, "PrincipalId": %q}]}`, kind, k.Person))
		}
		for kind, want := range map[string]bool{"USER": true, "GROUP": false, "ROBOT": false} {
			w.says("ListAccountAssignments", given(kind))
			if got, err := w.assignments().Assigned(t.Context(), k); err != nil || got != want {
				t.Errorf("%s: %t, %v", kind, got, err)
			}
		}
	})
}

func TestAPersonIsReadAsTheStoreWritesThem(t *testing.T) {
	for _, c := range []struct {
		name, user string
		missing    org.Status
		status     org.Status
		email      string
	}{
		{"one address", `"Emails": [{"Value": "a@x.y", "Primary": true}]`, org.StatusUnknown, org.StatusUnknown, "a@x.y"},
		{"the primary address is the second", `"Emails": [{"Value": "a@x.y"}, {"Value": "b@x.y", "Primary": true}]`, org.StatusUnknown, org.StatusUnknown, "b@x.y"},
		{"no address is primary", `"Emails": [{"Value": "a@x.y"}, {"Value": "b@x.y"}]`, org.StatusUnknown, org.StatusUnknown, "a@x.y"},
		{"no address", `"Emails": []`, org.StatusUnknown, org.StatusUnknown, ""},
		{"enabled", `"UserStatus": "ENABLED"`, org.StatusUnknown, org.StatusEnabled, ""},
		{"disabled, where nothing means enabled", `"UserStatus": "DISABLED"`, org.StatusEnabled, org.StatusDisabled, ""},
		{"nothing, where nothing means enabled", `"UserStatus": null`, org.StatusEnabled, org.StatusEnabled, ""},
		{"a status that nobody knows is not nothing", `"UserStatus": "LOCKED"`, org.StatusEnabled, org.StatusUnknown, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, w *wired) {
				dana := w.person("dana").ID
				user := fmt.Sprintf(`{"UserId": %q, "UserName": "dana", %s}`, dana, c.user)
				w.says("DescribeUser", raw(200, user))
				w.says("ListUsers", raw(200, `{"Users": [`+user+`]}`))
				d := NewDirectory(w.config, w.center(), c.missing)
				one, err := d.Person(t.Context(), dana)
				if err != nil || one.Status != c.status || one.Email != c.email {
					t.Errorf("%+v, %v", one, err)
				}
				o, err := d.Organization(t.Context())
				if err != nil || len(o.People) != 1 || o.People[0].Status != c.status || o.People[0].Email != c.email {
					t.Errorf("in the organization: %+v, %v", o.People, err)
				}
			})
		})
	}
}

func TestAnAccountsStateGoesBeforeTheStatusThatItReplaces(t *testing.T) {
	for _, c := range []struct {
		account orgtypes.Account
		want    org.AccountState
	}{
		{orgtypes.Account{State: "ACTIVE", Status: "SUSPENDED"}, org.AccountActive},
		{orgtypes.Account{State: "SUSPENDED"}, org.AccountSuspended},
		{orgtypes.Account{Status: "ACTIVE"}, org.AccountActive},
		{orgtypes.Account{State: "PENDING_ACTIVATION", Status: "SUSPENDED"}, "PENDING_ACTIVATION"},
		{orgtypes.Account{}, ""},
	} {
		if got := stateOf(c.account); got != c.want {
			t.Errorf("%+v is %q, not %q", c.account, got, c.want)
		}
	}
}

// TestWhatWasLostIsFoundByLooking pairs "it failed" with "it failed, but it happened".
func TestWhatWasLostIsFoundByLooking(t *testing.T) {
	for kind, happened := range map[sandbox.FaultKind]bool{sandbox.Drop: false, sandbox.DropAfter: true, sandbox.ServerError: false, sandbox.ServerErrorAfter: true} {
		t.Run(string(kind), func(t *testing.T) {
			inBubble(t, func(t *testing.T, w *wired) {
				w.box.Script(sandbox.Fault{Operation: "CreateAccountAssignment", Kind: kind}, sandbox.Fault{Operation: "DeleteAccountAssignment", Kind: kind})
				a, fresh := w.assignments(), w.key("kim", "play", "Admin")
				_, err := a.Create(t.Context(), fresh)
				wantKind(t, err, access.ErrLost, "")
				made, err1 := a.Creations(t.Context(), fresh, time.Now().Add(-time.Minute))
				is, err2 := a.Assigned(t.Context(), fresh)
				if err1 != nil || err2 != nil || is != happened || (len(made) == 1) != happened {
					t.Errorf("assigned: %t, %v; found %+v, %v", is, err2, made, err1)
				}
				there := w.key("dana", "payments", "ReadOnly")
				_, err = a.Delete(t.Context(), there)
				wantKind(t, err, access.ErrLost, "")
				if is, err := a.Assigned(t.Context(), there); err != nil || is == happened {
					t.Errorf("after the delete it is assigned: %t, %v", is, err)
				}
			})
		})
	}
}
