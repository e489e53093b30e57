package aws

import (
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"sparekey/access"
)

// TestRunningListsTheActionsOfTheOtherWays does once what each way does, and compares what AWS was asked for with the table
// in docs/running.md. What changes something is what the page says that it changes.
func TestRunningListsTheActionsOfTheOtherWays(t *testing.T) {
	inBubble(t, func(t *testing.T, w *wired) {
		before := len(w.box.Calls())
		k, err1 := w.own(t.Context(), "kim", "play", "Admin")
		_, err2 := w.own(t.Context(), "kim", "play", "Admin")
		s, err3 := w.groups().Assign(t.Context(), k.Group, k.Target)
		_, err4 := w.groups().Assigning(t.Context(), s.ID)
		_, err5 := w.groups().Assignings(t.Context(), k.Group, k.Target, time.Now())
		_, err6 := w.groups().Assigned(t.Context(), k.Group, k.Target)
		_, err7 := w.memberships().Create(t.Context(), k)
		_, err8 := w.memberships().Delete(t.Context(), k)
		_, err9 := w.sessions().Create(t.Context(), w.to("role/ops/Deployer"))
		_, err10 := w.directory().PermissionSet(t.Context(), k.PermissionSet)
		if err := errors.Join(err1, err2, err3, err4, err5, err6, err7, err8, err9, err10); err != nil {
			t.Fatal(err)
		}
		listed := listedActions(t)
		asked := map[string]bool{}
		for _, c := range w.box.Calls()[before:] {
			action := strings.TrimSuffix(c.Service, "-admin") + c.Operation
			if asked[action] = true; !slices.Contains(listed, action) && c.Operation != "ListInstances" {
				t.Errorf("%s is not listed", action)
			}
			if changes := []string{"CreateGroup", "CreateGroupMembership", "DeleteGroupMembership", "CreateAccountAssignment"}; c.Changed && !slices.Contains(changes, c.Operation) {
				t.Errorf("%s changed something", c.Operation)
			}
		}
		for _, action := range listed {
			if !asked[action] {
				t.Errorf("%s is listed, and not needed", action)
			}
		}
	})
}

// listedActions are the actions of the table of other ways, each after its service.
func listedActions(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile("../../docs/running.md")
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for line := range strings.Lines(string(text)) {
		cells := strings.Split(line, "|")
		if service := strings.TrimSpace(cells[min(2, len(cells)-1)]); len(cells) == 5 && slices.Contains([]string{"sso", "identitystore", "sts"}, service) {
			for action := range strings.SplitSeq(cells[3], ",") {
				all = append(all, service+strings.TrimSpace(action))
			}
		}
	}
	return all
}

// TestNoErrorOfAssumeRoleHoldsASecret breaks answers that hold one.
func TestNoErrorOfAssumeRoleHoldsASecret(t *testing.T) {
	const begun = "<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>ASIA</AccessKeyId><SecretAccessKey>MARKER-1</SecretAccessKey><SessionToken>MARKER-2</SessionToken>"
	inBubble(t, func(t *testing.T, w *wired) {
		for _, answer := range []string{
			begun, begun + "<Expiration>MARKER", begun + "<Expiration>soon</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>", begun + "</x>",
			begun + "</Credentials></AssumeRoleResult></AssumeRoleResponse>",
		} {
			w.says("AssumeRole", raw(200, answer))
			_, err := w.sessions().Vend(t.Context(), w.vending("role/ops/Deployer"))
			wantKind(t, err, access.ErrLost, "")
			if err != nil && strings.Contains(err.Error(), "MARKER") {
				t.Errorf("a secret is told: %v", err)
			}
		}
	})
}
