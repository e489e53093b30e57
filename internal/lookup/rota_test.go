package lookup

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// entry is one on-call as GET /oncalls shows it with include[]=users (PagerDuty REST API v2). Empty times are null.
func entry(email, schedule, start, end string) string {
	null := func(text, as string) string {
		if text == "" {
			return "null"
		}
		return fmt.Sprintf(as, text)
	}
	user := `{"id": "PT23IWX", "type": "user_reference", "summary": "Tim Wright", "self": "https://api.pagerduty.com/users/PT23IWX", "html_url": null}`
	if email != "" {
		user = fmt.Sprintf(`{"id": "PT23IWX", "type": "user", "summary": "Tim Wright", "self": "https://api.pagerduty.com/users/PT23IWX", "html_url": "https://example.pagerduty.com/users/PT23IWX",
			"name": "Tim Wright", "email": %q, "time_zone": "Asia/Tokyo", "color": "purple", "role": "user", "description": null, "invitation_sent": false, "job_title": null,
			"contact_methods": [], "notification_rules": [], "teams": []}`, email)
	}
	return fmt.Sprintf(`{"user": %s, "schedule": %s, "escalation_policy": {"id": "PT20YPA", "type": "escalation_policy_reference", "summary": "Default", "self": null, "html_url": null},
		"escalation_level": 1, "start": %s, "end": %s}`, user,
		null(schedule, `{"id": %q, "type": "schedule_reference", "summary": "Payments", "self": "https://api.pagerduty.com/schedules/PI7DH85", "html_url": null}`), null(start, "%q"), null(end, "%q"))
}

const payments = "PI7DH85"

// fakePagerDuty is PagerDuty with these entries, which it gives in pages as large as it is asked for.
func fakePagerDuty(t *testing.T, entries func() []string) *ear {
	return listen(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/oncalls" || r.Header.Get("Accept") != "application/vnd.pagerduty+json;version=2" || r.Header.Get("Authorization") != "Token token="+secretMarker {
			says(asJSON, http.StatusUnauthorized, `{"error": {"message": "Account Not Found", "code": 2012}}`)(w, r)
			return
		}
		q := r.URL.Query()
		var limit, offset int
		fmt.Sscan(q.Get("limit"), &limit)
		fmt.Sscan(q.Get("offset"), &offset)
		all := entries()
		page := all[min(offset, len(all)):min(offset+limit, len(all))]
		says("application/json", http.StatusOK, `{"oncalls": [%s], "limit": %d, "offset": %d, "more": %v, "total": null}`, strings.Join(page, ","), limit, offset, offset+limit < len(all))(w, r)
	})
}

func rota(t *testing.T, url, secretFile string) (*Rota, *clock) {
	t.Helper()
	c := &clock{now: noon}
	_, r, err := New(Settings{Schedules: []Schedule{{"payments", payments}}, PagerDuty: &PagerDuty{URL: url, TokenFile: secretFile}, Now: c.Now})
	if err != nil {
		t.Fatal(err)
	}
	return r, c
}

const (
	morning = "2026-11-22T17:00:00+09:00" // 08:00 UTC
	evening = "2026-11-23T01:00:00+09:00" // 16:00 UTC
)

func TestWhoIsOnCallIsWhoseShiftItIs(t *testing.T) {
	end := noon.Add(4 * time.Hour)
	for _, c := range []struct {
		name    string
		entries []string
		emails  []string
		until   time.Time
	}{
		{"one", []string{entry("Kim@Example.com", payments, morning, evening)}, []string{"kim@example.com"}, end},
		{"once for each policy", []string{entry("kim@example.com", payments, morning, evening), entry("KIM@example.com", payments, morning, evening)}, []string{"kim@example.com"}, end},
		{"two layers", []string{entry("kim@example.com", payments, morning, "2026-11-22T13:00:00Z"), entry("amy@example.com", payments, morning, evening)},
			[]string{"amy@example.com", "kim@example.com"}, noon.Add(time.Hour)},
		{"the next one begins soon", []string{entry("kim@example.com", payments, morning, "2026-11-22T12:03:00Z"), entry("amy@example.com", payments, "2026-11-22T12:03:00Z", evening)},
			[]string{"kim@example.com"}, noon.Add(3 * time.Minute)},
		{"it begins now", []string{entry("kim@example.com", payments, "2026-11-22T12:00:00Z", evening)}, []string{"kim@example.com"}, end},
		{"it ends now", []string{entry("kim@example.com", payments, morning, "2026-11-22T12:00:00Z")}, nil, noon.Add(5 * time.Minute)},
		{"nobody", nil, nil, noon.Add(5 * time.Minute)},
		{"nobody yet", []string{entry("kim@example.com", payments, "2026-11-22T12:02:00Z", evening)}, nil, noon.Add(2 * time.Minute)},
		{"another schedule", []string{entry("kim@example.com", "PXXXXXX", morning, evening)}, nil, noon.Add(5 * time.Minute)},
		{"on call always, by the policy", []string{entry("kim@example.com", "", "", "")}, nil, noon.Add(5 * time.Minute)},
		{"without end", []string{entry("kim@example.com", payments, "", "")}, []string{"kim@example.com"}, noon.Add(5 * time.Minute)},
		{"a deleted user beside another", []string{entry("", payments, morning, evening), entry("kim@example.com", payments, morning, evening)}, []string{"kim@example.com"}, end},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := fakePagerDuty(t, func() []string { return c.entries })
			r, _ := rota(t, e.URL, secretFile(t))
			emails, until, err := r.OnCall(t.Context(), "payments", noon)
			if err != nil || !slices.Equal(emails, c.emails) || !until.Equal(c.until) {
				t.Errorf("%v until %s: %v", emails, until, err)
			}
			want := url.Values{"schedule_ids[]": {payments}, "include[]": {"users"}, "since": {"2026-11-22T12:00:00Z"}, "until": {"2026-11-22T12:05:00Z"}, "limit": {"100"}, "offset": {"0"}}
			if got := e.last(t).URL.Query().Encode(); got != want.Encode() {
				t.Errorf("asked %s", got)
			}
		})
	}
}

func TestAllPagesAreReadAndNotWithoutEnd(t *testing.T) {
	var entries []string
	for i := range 2*pageSize + 1 {
		entries = append(entries, entry(fmt.Sprintf("p%03d@example.com", i), payments, morning, evening))
	}
	e := fakePagerDuty(t, func() []string { return entries })
	r, _ := rota(t, e.URL, secretFile(t))
	emails, _, err := r.OnCall(t.Context(), "payments", noon)
	if err != nil || len(emails) != len(entries) || e.times() != 3 {
		t.Errorf("%d people in %d pages: %v", len(emails), e.times(), err)
	}
	e = listen(t, says(asJSON, 200, `{"oncalls": [], "more": true}`))
	r, _ = rota(t, e.URL, secretFile(t))
	if _, _, err := r.OnCall(t.Context(), "payments", noon); err == nil || e.times() != mostPages {
		t.Errorf("%d pages: %v", e.times(), err)
	}
}

func TestWhatPagerDutyCannotSayIsAnError(t *testing.T) {
	for _, c := range []struct {
		name   string
		answer http.HandlerFunc
		want   string
	}{
		{"no such schedule", says(asJSON, 404, `{"error": {"message": "Not Found", "code": 2100}}`), "pagerduty does not know the schedule PI7DH85"},
		{"nobody has an address", says(asJSON, 200, `{"oncalls": [%s], "more": false}`, entry("", payments, morning, evening)), "pagerduty names nobody's e-mail address in this schedule"},
		{"no list", says(asJSON, 200, `{"users": []}`), "pagerduty answered with something that is not a list of on-calls"},
		{"a null", says(asJSON, 200, `{"oncalls": null}`), "pagerduty answered with something that is not a list of on-calls"},
		{"times of another kind", says(asJSON, 200, `{"oncalls": [%s]}`, entry("kim@example.com", payments, "tonight", evening)), "pagerduty answered with something that is not a list of on-calls"},
	} {
		e := listen(t, c.answer)
		r, _ := rota(t, e.URL, secretFile(t))
		_, _, err := r.OnCall(t.Context(), "payments", noon)
		if err == nil || err.Error() != "asking who is on call in payments: "+c.want {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestAShiftIsRememberedForAMinuteAndNeverPastItsEnd(t *testing.T) {
	e := fakePagerDuty(t, func() []string { return []string{entry("kim@example.com", payments, morning, "2026-11-22T12:01:30Z")} })
	r, _ := rota(t, e.URL, secretFile(t))
	for _, c := range []struct {
		after time.Duration
		asked int
		who   int
	}{
		{0, 1, 1}, {59 * time.Second, 1, 1}, {60 * time.Second, 2, 1}, {89 * time.Second, 2, 1}, {90 * time.Second, 3, 0},
	} {
		emails, _, err := r.OnCall(t.Context(), "payments", noon.Add(c.after))
		if err != nil || len(emails) != c.who || e.times() != c.asked {
			t.Errorf("after %s: %v, asked %d times: %v", c.after, emails, e.times(), err)
		}
		if len(emails) > 0 {
			emails[0] = "mallory@example.com" // is the caller's own
		}
	}
}

func TestWhilePagerDutyIsDownTheLastShiftHoldsForFiveMinutesAndNotPastItsEnd(t *testing.T) {
	for _, c := range []struct {
		end  string
		last time.Duration // how long it holds
	}{
		{evening, 5 * time.Minute}, {"2026-11-22T12:02:00Z", 2 * time.Minute},
	} {
		var down atomic.Bool
		e := fakePagerDuty(t, func() []string {
			if down.Load() {
				panic(http.ErrAbortHandler)
			}
			return []string{entry("kim@example.com", payments, morning, c.end)}
		})
		r, _ := rota(t, e.URL, secretFile(t))
		if _, _, err := r.OnCall(t.Context(), "payments", noon); err != nil {
			t.Fatal(err)
		}
		down.Store(true)
		emails, until, err := r.OnCall(t.Context(), "payments", noon.Add(c.last-time.Second))
		if err != nil || !slices.Equal(emails, []string{"kim@example.com"}) || !until.After(noon) {
			t.Errorf("%v until %s: %v", emails, until, err)
		}
		if emails, _, err := r.OnCall(t.Context(), "payments", noon.Add(c.last)); err == nil || emails != nil {
			t.Errorf("after %s: %v: %v", c.last, emails, err)
		}
		down.Store(false)
		if _, _, err := r.OnCall(t.Context(), "payments", noon.Add(c.last)); err != nil {
			t.Errorf("when it is back: %v", err)
		}
	}
}

func TestAScheduleThatTheConfigurationDoesNotHaveIsAnError(t *testing.T) {
	r, _ := rota(t, "http://127.0.0.1:1", secretFile(t))
	if _, _, err := r.OnCall(t.Context(), "billing", noon); err == nil || err.Error() != `the configuration has no schedule "billing"` {
		t.Error(err)
	}
	if r.Known("billing") || !r.Known("payments") {
		t.Error("knows the wrong schedules")
	}
}

func TestWhoDoesNotWaitStillGetsTheLastShift(t *testing.T) {
	e := fakePagerDuty(t, func() []string { return []string{entry("kim@example.com", payments, morning, evening)} })
	r, _ := rota(t, e.URL, secretFile(t))
	if _, _, err := r.OnCall(t.Context(), "payments", noon); err != nil {
		t.Fatal(err)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if emails, _, err := r.OnCall(gone, "payments", noon.Add(2*time.Minute)); err != nil || len(emails) != 1 {
		t.Errorf("%v: %v", emails, err)
	}
}
