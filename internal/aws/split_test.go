package aws

import (
	"errors"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"sparekey/access"
	"sparekey/internal/sandbox"
	"sparekey/org"
)

// divided is the small organization with a delegated administrator and the management account, each with its own adapter.
type divided struct {
	box             *sandbox.Sandbox
	clock           *sandbox.ManualClock
	ordinary, whole *Assignments
	there, here     access.Key // in the management account and in another
}

func divide(t *testing.T) *divided {
	t.Helper()
	o, _, err := org.Describe("organization.yaml", []byte(described))
	if err != nil {
		t.Fatal(err)
	}
	const identity = org.AccountID("100000000003")
	box, clock := newSandbox(t, func(s *sandbox.Options) { s.Organization, s.DelegatedAdministrator = o, identity })
	server := httptest.NewServer(box)
	t.Cleanup(server.Close)
	d, m := connected(t, server.URL, box.Key(identity, "sparekey")), connected(t, server.URL, box.Key(management, "sparekey-management"))
	d.want, m.want = o, o
	return &divided{box, clock, d.assignments(), m.assignments(), d.key("dana", "management", "Admin"), d.key("dana", "payments", "ReadOnly")}
}

func always(account org.AccountID) func() org.AccountID {
	return func() org.AccountID { return account }
}

// live creates and deletes an assignment through a way, and says as whom AWS was asked to.
func (d *divided) live(t *testing.T, way Way, k access.Key, prefix string) string {
	t.Helper()
	made, err := way.Create(t.Context(), k)
	if err != nil || strings.HasPrefix(made.ID, ofManagement) != (prefix != "") {
		t.Fatalf("created %+v: %v", made, err)
	}
	if on, err := way.Creation(t.Context(), made.ID); err != nil || on != made {
		t.Errorf("the create is %+v, and then %+v: %v", made, on, err)
	}
	if all, err := way.Creations(t.Context(), k, start); err != nil || len(all) != 1 || all[0] != made {
		t.Errorf("creates: %+v, %v", all, err)
	}
	d.clock.Advance(time.Minute)
	if is, err := way.Assigned(t.Context(), k); err != nil || !is {
		t.Errorf("assigned: %t, %v", is, err)
	}
	taken, err := way.Delete(t.Context(), k)
	if err != nil || strings.HasPrefix(taken.ID, ofManagement) != (prefix != "") {
		t.Fatalf("deleted %+v: %v", taken, err)
	}
	if on, err := way.Deletion(t.Context(), taken.ID); err != nil || on != taken {
		t.Errorf("the delete is %+v, and then %+v: %v", taken, on, err)
	}
	d.clock.Advance(time.Minute)
	asked := map[org.AccountID]bool{}
	for _, c := range d.box.Calls() {
		if c.Changed && c.Account == k.Account {
			asked[c.From] = true
		}
	}
	if len(asked) != 1 {
		t.Errorf("AWS was asked as %v", asked)
	}
	for account := range asked {
		return string(account)
	}
	return ""
}

func TestTheManagementAccountHasAnAdapterOfItsOwn(t *testing.T) {
	d := divide(t)
	way := Split(d.ordinary, d.whole, always(management))
	if as := d.live(t, way, d.there, ofManagement); as != string(management) {
		t.Errorf("the management account was changed as %s", as)
	}
	if as := d.live(t, way, d.here, ""); as != "100000000003" {
		t.Errorf("another account was changed as %s", as)
	}
	if _, err := d.ordinary.Create(t.Context(), d.there); !errors.Is(err, access.ErrDenied) {
		t.Errorf("the ordinary adapter may do it as well: %v", err)
	}
}

func TestWithoutASecondAdapterTheManagementAccountIsRejected(t *testing.T) {
	d := divide(t)
	way := Split(d.ordinary, nil, always(management))
	const says = "100000000001 is the management account, and no adapter with its credentials is configured"
	_, err1 := way.Assigned(t.Context(), d.there)
	_, err2 := way.Create(t.Context(), d.there)
	_, err3 := way.Creations(t.Context(), d.there, start)
	_, err4 := way.Delete(t.Context(), d.there)
	for i, err := range []error{err1, err2, err3, err4} {
		wantKind(called{t, string(rune('1' + i))}, err, access.ErrRejected, says)
	}
	_, err1 = way.Creation(t.Context(), ofManagement+nobodyKnows)
	_, err2 = way.Deletion(t.Context(), ofManagement+nobodyKnows)
	wantKind(t, err1, access.ErrRejected, "no adapter")
	wantKind(t, err2, access.ErrRejected, "no adapter")
	if calls := d.box.Calls(); len(calls) > 0 {
		t.Errorf("AWS was asked: %+v", calls)
	}
	d.live(t, way, d.here, "")
}

func TestNothingIsDoneWhileTheManagementAccountIsNotKnown(t *testing.T) {
	d := divide(t)
	known := org.AccountID("")
	way := Split(d.ordinary, d.whole, func() org.AccountID { return known })
	for _, k := range []access.Key{d.there, d.here} {
		_, err := way.Create(t.Context(), k)
		wantKind(t, err, access.ErrNotAsked, "not known yet")
	}
	if calls := d.box.Calls(); len(calls) > 0 {
		t.Errorf("AWS was asked: %+v", calls)
	}
	known = management
	d.live(t, way, d.here, "")
}
