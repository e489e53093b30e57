package aws

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sparekey/access"
)

const (
	one    = `{"InstanceArn": "arn:aws:sso:::instance/ssoins-1111111111111111", "IdentityStoreId": "d-1111111111"}`
	two    = `{"InstanceArn": "arn:aws:sso:::instance/ssoins-2222222222222222", "IdentityStoreId": "d-2222222222"}`
	broken = `{"InstanceArn": "ssoins-3333333333333333", "IdentityStoreId": "d-3333333333"}`
	oneARN = "arn:aws:sso:::instance/ssoins-1111111111111111"
	twoARN = "arn:aws:sso:::instance/ssoins-2222222222222222"
)

func TestTheInstanceIsTheOneThatIsNamedOrTheOnlyOne(t *testing.T) {
	for _, c := range []struct {
		name            string
		visible         []string
		instance, store string // as configured
		wantARN, wantID string
		says            string // of the error
		calls           int
	}{
		{"one", []string{one}, "", "", oneARN, "d-1111111111", "", 1},
		{"none", nil, "", "", "", "", "0 Identity Center instances are visible in us-east-1", 2},
		{"two", []string{one, two}, "", "", "", "", "2 Identity Center instances are visible in us-east-1; name the one to use", 2},
		{"two, one of them named", []string{one, two}, twoARN, "", twoARN, "d-2222222222", "", 1},
		{"one, but another is named", []string{one}, twoARN, "", "", "", "the instance " + twoARN + " is not visible in us-east-1", 2},
		{"none, but one is named", nil, twoARN, "", "", "", "the instance " + twoARN + " is not visible in us-east-1", 2},
		{"instance and store are named, and nothing is asked for", nil, twoARN, "d-5555555555", twoARN, "d-5555555555", "", 0},
		{"only the store is named", []string{one}, "", "d-5555555555", oneARN, "d-5555555555", "", 1},
		{"the only one has an ARN that cannot be read", []string{broken}, "", "", "", "", "ssoins-3333333333333333", 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, w *wired) {
				w.says("ListInstances", raw(200, `{"Instances": [`+strings.Join(c.visible, ",")+`]}`))
				center := NewCenter(w.config, c.instance, c.store)
				for range 2 {
					arn, id, err := center.Find(t.Context())
					if arn != c.wantARN || id != c.wantID || (err == nil) != (c.says == "") {
						t.Errorf("found %q with %q: %v", arn, id, err)
					}
					if c.says != "" {
						wantKind(t, err, access.ErrNotAsked, c.says)
					}
				}
				if n := w.calls("ListInstances"); n != c.calls {
					t.Errorf("instances were listed %d times, not %d", n, c.calls)
				}
			})
		})
	}
}

func TestAnInstanceIsFoundOnASecondPage(t *testing.T) {
	inBubble(t, func(t *testing.T, w *wired) {
		w.says("ListInstances", pages(`{"Instances": [`+one+`], "NextToken": "more"}`, `{"Instances": [`+two+`]}`))
		if arn, id, err := NewCenter(w.config, twoARN, "").Find(t.Context()); arn != twoARN || id != "d-2222222222" || err != nil {
			t.Errorf("found %q with %q: %v", arn, id, err)
		}
		_, _, err := NewCenter(w.config, "", "").Find(t.Context())
		wantKind(t, err, access.ErrNotAsked, "2 Identity Center instances")
	})
}

func TestAServerStartsWhileAWSIsAwayAndFindsTheInstanceLater(t *testing.T) {
	inBubble(t, func(t *testing.T, w *wired) {
		center := w.center()
		w.says("ListInstances", refused(400, "AccessDeniedException"))
		_, _, err := center.Find(t.Context())
		wantKind(t, err, access.ErrDenied, words)
		w.says("ListInstances", nil)
		if arn, _, err := center.Find(t.Context()); arn != w.want.Instance || err != nil {
			t.Errorf("found %q: %v", arn, err)
		}
	})
}

func TestNobodyWaitsForAnothersLookLongerThanTheyMay(t *testing.T) {
	inBubble(t, func(t *testing.T, w *wired) {
		center := w.center()
		w.says("ListInstances", silent)
		patient, stop := context.WithCancel(t.Context())
		done := make(chan error)
		go func() {
			_, _, err := center.Find(patient)
			done <- err
		}()
		synctest.Wait()
		began := time.Now()
		_, _, err := center.Find(within(t, time.Second))
		wantKind(t, err, access.ErrNotAsked, "deadline")
		if waited := time.Since(began); waited != time.Second {
			t.Errorf("it took %s", waited)
		}
		stop()
		wantKind(t, <-done, access.ErrLost, "")
	})
}
