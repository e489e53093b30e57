package api

import (
	"fmt"
	"maps"
	"math"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestNoBodyIsTakenThatTheDocumentDoesNotDescribe spoils the least body of every operation in every way that its schema tells.
func TestNoBodyIsTakenThatTheDocumentDoesNotDescribe(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	before := r.dump()
	for _, s := range r.contract.samples(t) {
		if s.takes == nil {
			continue
		}
		whole := s.json(t)
		for name, body := range map[string]string{
			"no body": "", "half a body": whole[:len(whole)-1], "null": "null", "a list": "[" + whole + "]", "a text": `"x"`, "two": whole + whole, "invalid UTF-8": "{\"\xff\":1}",
			"too large": `{"comment":"` + strings.Repeat("x", maxBody) + `"}`,
		} {
			r.spoilt(s, name, body)
		}
		r.spoiltMember(s, "noSuchMember", 1)
		for _, name := range slices.Sorted(maps.Keys(s.takes.Properties)) {
			p := r.contract.resolve(s.takes.Properties[name])
			if slices.Contains(s.takes.Required, name) {
				r.spoiltMember(s, name, nil)
			}
			r.spoiltMember(s, strings.ToUpper(name), r.contract.valid(t, p))
			for _, wrong := range wrongValues(p) {
				r.spoiltMember(s, name, wrong)
			}
		}
	}
	r.unchanged(before)
}

// wrongValues are values that a schema does not take.
func wrongValues(s *schema) (all []any) {
	for kind, v := range map[string]any{"string": "x", "integer": 1, "boolean": true, "array": []any{}, "object": map[string]any{}} {
		if kind != s.Type {
			all = append(all, v)
		}
	}
	if s.MaxLength > 0 {
		all = append(all, strings.Repeat("ä", s.MaxLength+1))
	}
	if s.Maximum != nil {
		all = append(all, s.Minimum-1, *s.Maximum+1, math.MaxInt64, 0.5, -1e300)
	}
	if s.Pattern != "" {
		all = append(all, "no-such-id", "../..", "g-\n", "req-' OR 1=1")
	}
	if s.Format == "date-time" {
		all = append(all, "tomorrow", "2026-11-22", "2026-11-22T03:00:00", "2026-13-40T03:00:00Z")
	}
	return all
}

// spoiltMember sends the body with one member that is wrong; nil leaves it out.
func (r *rig) spoiltMember(s sample, name string, v any) {
	r.Helper()
	body := maps.Clone(s.body)
	if body[name] = v; v == nil {
		delete(body, name)
	}
	r.spoilt(s, name, encoded(r, body))
}

// spoilt sends a body that is not to be taken, and looks for the answer and for the one event.
func (r *rig) spoilt(s sample, name, body string) {
	r.Helper()
	n := len(r.refusals(0))
	g := r.raw("dana", s.method, s.path, body, s.headers...)
	if !slices.Contains([]int{400, 413, 422}, g.status) {
		r.Errorf("%s with %s %.200s: %d %s", s.op.ID, name, body, g.status, g.text)
		return
	}
	g.problem(r)
	if events := r.refusals(n); len(events) != 1 || !strings.HasPrefix(events[0].Detail["command"], s.method+" /v1/") || len(events[0].Text) > 3000 {
		r.Errorf("%s with %s: recorded %v", s.op.ID, name, events)
	}
}

// TestWhatIsWellFormedAndMakesNoSenseIsRefusedInWords sends what the document takes and the broker does not.
func TestWhatIsWellFormedAndMakesNoSenseIsRefusedInWords(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	session, assignment, review := r.holding("dana", deployer).ID, r.holding("dana", "play ReadOnly").ID, reviewOfGrant(r.holding("dana", reviewed))
	request := r.ask("dana").Id
	at := func(d time.Duration) string { return r.clock.Now().Add(d).Format(time.RFC3339Nano) }
	asking := func(more string) string {
		return `{"targets":[{"account":"play","permissionSet":"ReadOnly"}],"minutes":30,` + more + `}`
	}
	extending := func(more string) string { return `{"minutes":30,"extends":"` + assignment + `",` + more + `}` }
	for _, c := range []struct {
		user, path, body string
		status           int
		says             string
	}{
		{"dana", "/v1/requests", asking(`"startAt":"` + at(-time.Second) + `"`), 400, "has passed"},
		{"dana", "/v1/requests", asking(`"startAt":"` + at(0) + `"`), 400, "has passed"},
		{"dana", "/v1/requests", asking(`"startAt":"0001-01-01T00:00:00Z"`), 400, "has passed"},
		{"dana", "/v1/requests", asking(`"startAt":"` + at(31*24*time.Hour) + `"`), 400, "more than 30 days ahead"},
		{"dana", "/v1/requests", asking(`"startAt":"9999-12-31T23:59:59+14:00"`), 400, "more than 30 days ahead"},
		{"dana", "/v1/requests", asking(`"ticket":"INC-1\u001b[2J"`), 400, "cannot be printed"},
		{"dana", "/v1/requests", extending(`"targets":[{"account":"play","permissionSet":"ReadOnly"}]`), 400, "neither targets nor a start"},
		{"dana", "/v1/requests", extending(`"targets":[],"startAt":"` + at(time.Hour) + `"`), 400, "neither targets nor a start"},
		{"dana", "/v1/requests", `{"targets":[],"minutes":480,"extends":"` + assignment + `"}`, 403, "gives at most 8h at once"},
		{"lena", "/v1/requests", `{"targets":[],"minutes":30,"extends":"` + assignment + `"}`, 404, "there is no grant"},
		{"kim", "/v1/requests/" + request + "/approve", `{"minutes":31}`, 400, "for that or for less"},
		{"kim", "/v1/requests/" + request + "/approve", `{"comment":"a\u0007b"}`, 400, "cannot be printed"},
		{"kim", "/v1/reviews/" + review + "/conclude", `{"wrong":true}`, 400, "what is wrong is not said"},
		{"kim", "/v1/reviews/" + review + "/conclude", `{"wrong":true,"comment":"  "}`, 400, "what is wrong is not said"},
		{"kim", "/v1/reviews/" + review + "/conclude", `{"wrong":false,"comment":"\u202efine"}`, 400, "cannot be printed"},
		{"kim", "/v1/me/away", `{"until":"` + at(0) + `"}`, 400, "has passed"},
		{"kim", "/v1/me/away", `{"until":"0001-01-01T00:00:00Z"}`, 400, "has passed"},
		{"kim", "/v1/me/away", `{"until":"` + at(90*24*time.Hour+time.Second) + `"}`, 400, "at most 90 days"},
		{"kim", "/v1/me/away", `{"until":"` + at(time.Hour) + `","delegate":"kim"}`, 400, "nobody is their own delegate"},
		{"kim", "/v1/me/away", `{"until":"` + at(time.Hour) + `","delegate":"dino"}`, 400, "not enabled"},
		{"kim", "/v1/me/away", `{"until":"` + at(time.Hour) + `","delegate":"len"}`, 404, "did you mean"},
		{"kim", "/v1/me/away", `{"until":"` + at(time.Hour) + `","delegate":"approvers"}`, 404, "there is no person"},
		{"kim", "/v1/me/away", `{"until":"` + at(time.Hour) + `","note":"a\u0000b"}`, 400, "cannot be printed"},
		{"dana", "/v1/favourites", `{"name":"","request":"` + request + `"}`, 400, "no name for a favourite"},
		{"dana", "/v1/favourites", `{"name":"Prod","request":"` + request + `"}`, 400, "no name for a favourite"},
		{"dana", "/v1/favourites", `{"name":"a\u0000b","request":"` + request + `"}`, 400, "no name for a favourite"},
		{"dana", "/v1/favourites", `{"name":"prod","request":"req-000000"}`, 404, "there is no request"},
		{"dana", "/v1/favourites/often%00%0a/forget", ``, 400, "no name for a favourite"},
		{"dana", "/v1/favourites/often/forget", ``, 404, "there is no favourite often"},
		{"dana", "/v1/grants/" + session + "/credentials", `{"minutes":14}`, 400, "from 15 to 60 minutes"},
		{"dana", "/v1/grants/" + session + "/credentials", `{"policy":"{}"}`, 400, "Version"},
		{"dana", "/v1/grants/" + session + "/credentials", `{"policy":"{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Allow\",\"Principal\":\"*\",\"Action\":\"*\",\"Resource\":\"*\"}]}"}`, 400, "Principal"},
		{"dana", "/v1/grants/" + session + "/credentials", `{"policy":"x\u0000"}`, 400, "Latin-1"},
		{"dana", "/v1/grants/" + assignment + "/credentials", `{}`, 400, "nothing is vended for it"},
		{"amy", "/v1/groups", `{"account":"play","permissionSet":"role/Deployer"}`, 400, "by sessions"},
		{"amy", "/v1/groups", `{"account":"play","permissionSet":"Adm"}`, 404, "there is no permission set"},
		{"amy", "/v1/groups", `{"account":"management","permissionSet":"Admin"}`, 403, "management account"},
	} {
		before, n := r.dump(), len(r.refusals(0))
		g := r.raw(c.user, http.MethodPost, c.path, c.body, "Idempotency-Key", aKey)
		if p := g.problem(t); g.status != c.status || !strings.Contains(p.Detail+" "+hint(p.Hint), c.says) || p.Hint == nil {
			t.Errorf("%s %s: %d %s\nwant %d %s", c.path, c.body, g.status, g.text, c.status, c.says)
		}
		r.unchanged(before)
		if events := r.refusals(n); len(events) != 1 || events[0].Actor.ID != r.id(c.user) || strings.Contains(events[0].Detail["why"], "\x00") {
			t.Errorf("%s %s: recorded %v", c.path, c.body, events)
		}
	}
	if len(r.lends.vended) != 0 {
		t.Errorf("AWS was asked for credentials: %v", r.lends.vended)
	}
}

func hint(h *string) string {
	if h == nil {
		return ""
	}
	return *h
}

func TestACursorThatIsNoneIsRefusedAndRecorded(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.ask("dana")
	before := r.dump()
	for _, path := range []string{"/v1/requests?after=", "/v1/grants?ended=true&after=", "/v1/grants?after="} {
		for _, cursor := range []string{"x", "-", "-req-0", "1-", "1-req-", "1-req-%00", "1-req-0'", "!-req-0", "1-rev-0", "zzzzzzzzzzzzzzzzzzzz-req-0", "%2B-g-0", "1-req-" + strings.Repeat("0", 60)} {
			n := len(r.refusals(0))
			g := r.raw("dana", http.MethodGet, path+cursor, "")
			if g.problem(t); g.status != http.StatusBadRequest && g.status != http.StatusUnprocessableEntity {
				t.Errorf("%s%s: %d %s", path, cursor, g.status, g.text)
			}
			if events := r.refusals(n); len(events) != 1 || events[0].Kind != "api.refused" || !strings.HasPrefix(events[0].Detail["command"], "GET /v1/") {
				t.Errorf("%s%s: recorded %v", path, cursor, events)
			}
		}
		for _, cursor := range []string{"0-req-0", "1y2p0ij32e8e7-req-zzzzzz"} { // the ends of time
			if g := r.raw("dana", http.MethodGet, path+cursor, ""); g.status != http.StatusOK {
				t.Errorf("%s%s: %d %s", path, cursor, g.status, g.text)
			}
		}
	}
	n := len(r.refusals(0))
	if g := r.raw("dana", http.MethodGet, "/v1/access?after=100000000099/Gone", ""); g.status != http.StatusBadRequest {
		t.Errorf("after an offer that is not there: %d %s", g.status, g.text)
	}
	r.recorded(n, "dana", "list", "not valid", "the page is not there any more")
	r.unchanged(before)
}

func TestLimitsAreKeptToldAndRecorded(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.broker.PerHour = 3
	for range r.broker.PerHour {
		r.ask("dana")
	}
	before, n := r.dump(), len(r.refusals(0))
	g := r.read(r.asking("dana", 30, "play ReadOnly"))
	if p := g.problem(t); g.status != http.StatusTooManyRequests || p.Hint == nil {
		t.Errorf("one more: %d %s", g.status, g.text)
	}
	r.recorded(n, "dana", "ask", "too many", "you have asked 3 times within an hour")
	r.unchanged(before)
	r.ask("lena") // is another's
	r.clock.Advance(time.Hour + time.Second)
	id := r.ask("dana").Id
	r.manyFavourites(id)
}

// manyFavourites fills somebody's favourites: one more is refused, one of their names is not.
func (r *rig) manyFavourites(request string) {
	r.Helper()
	favour := func(name string) got {
		return r.raw("dana", http.MethodPost, "/v1/favourites", `{"name":"`+name+`","request":"`+request+`"}`)
	}
	for i := range 50 {
		if g := favour(fmt.Sprint("f", i)); g.status != http.StatusOK {
			r.Fatalf("%d: %d %s", i, g.status, g.text)
		}
	}
	before, n := r.dump(), len(r.refusals(0))
	if g := favour("one-more"); g.status != http.StatusBadRequest || !strings.Contains(g.text, "you have 50 favourites") {
		r.Errorf("one more: %d %s", g.status, g.text)
	}
	r.recorded(n, "dana", "favourite", "not valid", "you have 50 favourites")
	if g := favour("f7"); g.status != http.StatusOK {
		r.Errorf("one of the names: %d %s", g.status, g.text)
	}
	r.unchanged(before)
}
