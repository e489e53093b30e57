package lookup

import (
	"context"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"sparekey/rules"
)

func TestAHostileIDIsNeverAsked(t *testing.T) {
	for kind, s := range map[string]Service{
		"jira": {Jira: &Jira{}}, "servicenow": {ServiceNow: &ServiceNow{Tables: []Table{{Prefix: "I", Name: "incident"}}}}, "generic": {Generic: &Generic{}}, "file": {File: "/dev/null"},
	} {
		e := listen(t, says(asJSON, 200, `{"ok": true}`))
		switch {
		case s.Jira != nil:
			s.Jira.URL, s.Jira.TokenFile = e.URL, secretFile(t)
		case s.ServiceNow != nil:
			s.ServiceNow.URL, s.ServiceNow.SecretFile = e.URL, secretFile(t)
		case s.Generic != nil:
			s.Generic.URL, s.Generic.SecretFile = e.URL, secretFile(t)
		}
		all, _ := open(t, s)
		for _, id := range []string{
			"", " ", "INC 1", "INC-1^active=true", "INC1^ORnumberLIKEINC", "INC-1/../../user", "../myself", "INC-1?fields=*", "INC-1#x", "INC-1%2e", "INC-1\n", "\nINC-1", "INC-1\x00",
			"1", "-1", "_1", "javascript:x", "INC-1&sysparm_limit=9", "İNC-1", "ΙNC-1", "INC-\u202e1", "INC-1@x", "I" + strings.Repeat("1", 64), strings.Repeat("A", 1<<20),
		} {
			got := all.Ticket(t.Context(), asks(dana, id))
			if got.OK || got.Down != "" || !strings.HasSuffix(got.Why, "is not the id of a ticket") || len(got.Why) > 2000 {
				t.Errorf("%s: %q: %+v", kind, id, got)
			}
			if strings.ContainsAny(got.Why, "\n\x00\u202e") {
				t.Errorf("%q", got.Why)
			}
		}
		if e.times() != 0 {
			t.Errorf("%s was asked %s", kind, e.last(t).URL)
		}
	}
}

func TestAServiceThatTheConfigurationDoesNotHaveSaysNo(t *testing.T) {
	all, _ := open(t, Service{File: "f"})
	if all.Known("desk2") || all.Known("") || !all.Known("desk") {
		t.Error("knows the wrong services")
	}
	q := asks(dana, "INC-1")
	q.Service = "desk2"
	wantTicket(t, all.Ticket(t.Context(), q), `no: the configuration has no ticket service "desk2"`)
}

func TestAYesAndANoHoldForThirtySecondsAndASilenceDoesNot(t *testing.T) {
	for _, c := range []struct {
		name     string
		answer   http.HandlerFunc
		remember bool
	}{
		{"yes", says(asJSON, 200, "%s", anIssue), true},
		{"no", says(asJSON, 404, `{"errorMessages": []}`), true},
		{"another no", says(asJSON, 200, "%s", strings.Replace(anIssue, "indeterminate", "done", 1)), true},
		{"401", says(asJSON, 401, ""), false},
		{"500", says(asJSON, 500, ""), false},
		{"nonsense", says(asJSON, 200, "{}"), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := listen(t, c.answer)
			all, clock := open(t, Service{Jira: &Jira{URL: e.URL, TokenFile: secretFile(t)}})
			ask := func(q rules.TicketQuestion) rules.Ticket { return all.Ticket(t.Context(), q) }
			first := ask(asks(dana, "INC-4711"))
			clock.turn(rememberFor - time.Nanosecond)
			second := ask(asks(dana, "INC-4711"))
			want := 2
			if c.remember {
				want = 1
				if second != first || !second.Asked.Equal(noon) {
					t.Errorf("first %+v, then %+v", first, second)
				}
			}
			if e.times() != want {
				t.Errorf("asked %d times", e.times())
			}
			ask(asks(kim, "INC-4711"))
			ask(asks(dana, "INC-4712"))
			if e.times() != want+2 {
				t.Error("what was said of one is taken for another")
			}
			clock.turn(time.Nanosecond)
			ask(asks(dana, "INC-4711"))
			if e.times() != want+3 {
				t.Error("not asked again after 30 seconds")
			}
		})
	}
}

func TestARememberedTicketIsJudgedAnewForAnotherTime(t *testing.T) {
	e := fakeServiceNow(t, aChange)
	all, _ := open(t, Service{ServiceNow: &ServiceNow{URL: e.URL, User: "sparekey", SecretFile: secretFile(t)}})
	q := asks(dana, "CHG0030001")
	wantTicket(t, rules.Ticket{OK: all.Ticket(t.Context(), q).OK, Asked: noon}, "ok")
	q.From = noon.Add(time.Hour)
	wantTicket(t, all.Ticket(t.Context(), q), "no: the change window of CHG0030001 ended at 2026-11-22 12:30 UTC")
	if e.times() != 1 {
		t.Errorf("asked %d times", e.times())
	}
}

func TestWhatIsRememberedHasABound(t *testing.T) {
	all, clock := open(t, Service{File: "f"})
	for i := range 3 * rememberMost {
		all.keep(strings.Repeat("x", i%100)+string(rune(i)), remembered{asked: clock.Now()})
		if i%1000 == 0 {
			clock.turn(time.Second)
		}
	}
	if n := len(all.answers); n > rememberMost {
		t.Errorf("%d answers are remembered", n)
	}
}

// TestQuestionsThatAreAskedAtOnceAreAskedOnce holds the first question until all the others wait for it.
func TestQuestionsThatAreAskedAtOnceAreAskedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all, _ := open(t, Service{Jira: &Jira{URL: "https://jira.test", TokenFile: secretFile(t)}})
		var asked atomic.Int32
		let := make(chan struct{})
		all.desks["desk"].service.(*jira).wire.client = &http.Client{Transport: trip(func(r *http.Request) (*http.Response, error) {
			asked.Add(1)
			select {
			case <-let:
			case <-r.Context().Done():
				return nil, r.Context().Err()
			}
			return &http.Response{StatusCode: 200, Header: http.Header{"Content-Type": {asJSON}}, Body: io.NopCloser(strings.NewReader(anIssue)), Request: r}, nil
		})}
		gone, cancel := context.WithCancel(t.Context())
		first := make(chan rules.Ticket, 1)
		go func() { first <- all.Ticket(gone, asks(dana, "INC-4711")) }()
		synctest.Wait()
		answers := make(chan rules.Ticket, 20)
		for range cap(answers) {
			go func() { answers <- all.Ticket(t.Context(), asks(dana, "INC-4711")) }()
		}
		synctest.Wait()
		cancel() // who asked first leaves; the others still want to know
		wantTicket(t, <-first, "down: desk had not answered when nobody waited any longer")
		close(let)
		for range cap(answers) {
			if got := <-answers; !got.OK {
				t.Errorf("%+v", got)
			}
		}
		if asked.Load() != 1 {
			t.Errorf("asked %d times", asked.Load())
		}
	})
}

func TestWhatAServiceWritesIsMadePrintable(t *testing.T) {
	for text, want := range map[string]string{
		" a\tb\r\nc ": "a b  c", "\x1b[31mred\x07": "[31mred", "\u202eevil\u200b": "evil", "日本語 – ok": "日本語 – ok", strings.Repeat("x", maxWords+1): strings.Repeat("x", maxWords) + "…", "\xff": "\ufffd",
	} {
		if got := clip(text); got != want {
			t.Errorf("%q became %q, want %q", text, got, want)
		}
	}
	for text, want := range map[string]string{
		"https://x.test/a?b=c": "https://x.test/a?b=c", "javascript:alert(1)": "", "//x.test": "", "https://u:p@x.test": "", "data:text/html,x": "", "": "", "https://x.test/" + strings.Repeat("x", 2000): "",
	} {
		if got := link(text); got != want {
			t.Errorf("%q became %q", text, got)
		}
	}
}
