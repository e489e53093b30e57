package api

import (
	"crypto/rand"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"

	"sparekey/access"
)

// badly is a request that cannot be right, and what becomes of it.
type badly struct {
	name, method, path, body string
	headers                  []string
	status                   int
	says                     string // in the answer
}

const (
	goodRequest = "/v1/requests/req-000000"
	aKey        = "a-key-of-a-test"
)

func ask(body string) badly {
	return badly{method: http.MethodPost, path: "/v1/requests", body: body, headers: []string{"Idempotency-Key", aKey}}
}

// badBodies are bodies of POST /v1/requests.
func badBodies() map[string]struct {
	body   string
	status int
	says   string
} {
	type want = struct {
		body   string
		status int
		says   string
	}
	target := `{"account":"play","permissionSet":"ReadOnly"}`
	many := strings.Repeat(target+",", 50) + target
	long := strings.Repeat("ä", 501)
	return map[string]want{
		"no body":             {"", 400, "request body is required"},
		"half a body":         {`{"targets":[`, 400, "not valid JSON"},
		"no JSON":             {`targets: [play]`, 400, "not valid JSON"},
		"a doubled key":       {`{"targets":[` + target + `],"minutes":30,"minutes":480}`, 400, "not valid JSON"},
		"a key doubled below": {`{"targets":[{"account":"play","account":"shop-prod","permissionSet":"ReadOnly"}],"minutes":30}`, 400, "not valid JSON"},
		"a key doubled by an escape": {
			`{"targets":[` + target + `],"minutes":30,"m\u0069nutes":480}`, 400, "not valid JSON",
		},
		"something after it":  {askBody + `{}`, 400, "not valid JSON"},
		"a second document":   {askBody + "\n" + askBody, 400, "not valid JSON"},
		"invalid UTF-8":       {`{"targets":[` + target + `],"minutes":30,"reason":"` + "\xff\xfe" + `"}`, 400, "not valid JSON"},
		"half a surrogate":    {`{"targets":[` + target + `],"minutes":30,"reason":"\ud800"}`, 400, "not valid JSON"},
		"a comment":           {`{"targets":[` + target + `],"minutes":30 /* long */}`, 400, "not valid JSON"},
		"not a number":        {`{"targets":[` + target + `],"minutes":NaN}`, 400, "not valid JSON"},
		"very deep":           {strings.Repeat(`[`, 11000) + strings.Repeat(`]`, 11000), 400, "not valid JSON"},
		"deep":                {`{"targets":` + strings.Repeat(`[`, 5000) + strings.Repeat(`]`, 5000) + `}`, 422, "an object is expected"},
		"null":                {`null`, 422, "an object is expected"},
		"a list":              {`[]`, 422, "the body: an object is expected"},
		"nothing in it":       {`{}`, 422, "the body: targets is missing"},
		"an unknown field":    {`{"targets":[` + target + `],"minutes":30,"minuts":480}`, 422, "minuts: there is no such member"},
		"a field in capitals": {`{"targets":[` + target + `],"minutes":30,"Reason":"x"}`, 422, "Reason"},
		"an unknown field below": {
			`{"targets":[{"account":"play","permissionSet":"ReadOnly","person":"kim"}],"minutes":30}`, 422, "person",
		},
		"minutes as text":      {`{"targets":[` + target + `],"minutes":"30"}`, 422, "minutes"},
		"half a minute":        {`{"targets":[` + target + `],"minutes":0.5}`, 422, "minutes"},
		"no minutes":           {`{"targets":[` + target + `],"minutes":0}`, 422, "minutes"},
		"minutes before now":   {`{"targets":[` + target + `],"minutes":-30}`, 422, "minutes"},
		"more than a year":     {`{"targets":[` + target + `],"minutes":527041}`, 422, "minutes"},
		"more than int64":      {`{"targets":[` + target + `],"minutes":1e30}`, 422, "minutes"},
		"a huge number":        {`{"targets":[` + target + `],"minutes":9223372036854775808}`, 422, "minutes"},
		"targets as an object": {`{"targets":` + target + `,"minutes":30}`, 422, "targets"},
		"no targets":           {`{"targets":[],"minutes":30}`, 422, "targets"},
		"null for targets":     {`{"targets":null,"minutes":30}`, 422, "targets"},
		"51 targets":           {`{"targets":[` + many + `],"minutes":30}`, 422, "targets"},
		"the same one twice":   {`{"targets":[` + target + `,` + target + `],"minutes":30}`, 400, "twice"},
		"an empty account":     {`{"targets":[{"account":"","permissionSet":"ReadOnly"}],"minutes":30}`, 422, "account"},
		"a long account":       {`{"targets":[{"account":"` + long + `","permissionSet":"ReadOnly"}],"minutes":30}`, 422, "targets[0].account: at most 100 characters are taken"},
		"an unknown account":   {`{"targets":[{"account":"plya","permissionSet":"ReadOnly"}],"minutes":30}`, 404, "did you mean"},
		"an unknown set":       {`{"targets":[{"account":"play","permissionSet":"Readonly"}],"minutes":30}`, 404, "did you mean"},
		"a long reason":        {`{"targets":[` + target + `],"minutes":30,"reason":"` + long + `"}`, 400, "the reason has 501 characters; at most 500 are kept"},
		"a reason in lines":    {`{"targets":[` + target + `],"minutes":30,"reason":"one\ntwo"}`, 400, "printed"},
		"a reason that clears the screen": {
			`{"targets":[` + target + `],"minutes":30,"reason":"\u001b[2J"}`, 400, "printed",
		},
		"a reason with a zero":       {`{"targets":[` + target + `],"minutes":30,"reason":"a\u0000b"}`, 400, "printed"},
		"a reason written backwards": {`{"targets":[` + target + `],"minutes":30,"reason":"\u202eevil"}`, 400, "printed"},
		"too large":                  {`{"targets":[` + target + `],"minutes":30,"reason":"` + strings.Repeat("x", 64<<10) + `"}`, 413, "64 KiB"},
		"too large and no JSON":      {strings.Repeat("x", 64<<10+1), 413, "64 KiB"},
	}
}

// badRequests are requests that are wrong in something else than the body of POST /v1/requests.
func badRequests() []badly {
	long, query := strings.Repeat("x", 8000), "?account=play&permissionSet=ReadOnly&person=dana"
	return []badly{
		{name: "no key", method: "POST", path: "/v1/requests", body: askBody, status: 422, says: "Idempotency-Key"},
		{name: "a short key", method: "POST", path: "/v1/requests", body: askBody, headers: []string{"Idempotency-Key", "1234567"}, status: 422, says: "Idempotency-Key"},
		{name: "a long key", method: "POST", path: "/v1/requests", body: askBody, headers: []string{"Idempotency-Key", strings.Repeat("k", 101)}, status: 422, says: "Idempotency-Key"},
		{name: "a key that is no text", method: "POST", path: "/v1/requests", body: askBody, headers: []string{"Idempotency-Key", "\xff\xfe\xff\xfe\xff\xfe\xff\xfe"}, status: 422, says: "Idempotency-Key"},
		{name: "another content type", method: "POST", path: "/v1/requests", body: askBody, headers: []string{"Idempotency-Key", aKey, "Content-Type", "text/plain"}, status: 415, says: "unknown content type"},
		{name: "a form", method: "POST", path: "/v1/requests", body: "{}", headers: []string{"Idempotency-Key", aKey, "Content-Type", "application/x-www-form-urlencoded"}, status: 415, says: "unknown content type"},
		{name: "CBOR", method: "POST", path: "/v1/requests", body: "\xa0", headers: []string{"Idempotency-Key", aKey, "Content-Type", "application/cbor"}, status: 400, says: "not valid JSON"},
		{name: "an unknown parameter", method: "POST", path: "/v1/requests?minutes=480", body: askBody, headers: []string{"Idempotency-Key", aKey}, status: 422, says: "minutes"},
		{name: "a parameter of another operation", method: "GET", path: "/v1/grants?person=kim", status: 422, says: "person"},
		{name: "a parameter in capitals", method: "GET", path: "/v1/grants?ALL=true", status: 422, says: "ALL"},
		{name: "neither true nor false", method: "GET", path: "/v1/grants?all=maybe", status: 422, says: "all"},
		{name: "a limit of none", method: "GET", path: "/v1/requests?limit=0", status: 422, says: "limit"},
		{name: "a limit of too many", method: "GET", path: "/v1/access?limit=1001", status: 422, says: "limit"},
		{name: "a limit in words", method: "GET", path: "/v1/requests?limit=ten", status: 422, says: "limit"},
		{name: "waiting too long", method: "GET", path: goodRequest + "?wait=26", status: 422, says: "wait"},
		{name: "waiting backwards", method: "GET", path: goodRequest + "?wait=-1", status: 422, says: "wait"},
		{name: "a long revision", method: "GET", path: goodRequest + "?after=" + strings.Repeat("x", 41), status: 422, says: "after"},
		{name: "why without an account", method: "GET", path: "/v1/why?person=dana&permissionSet=ReadOnly", status: 422, says: "account"},
		{name: "why for less than nothing", method: "GET", path: "/v1/why" + query + "&minutes=-1", status: 422, says: "minutes"},
		{name: "a filter that is too long", method: "GET", path: "/v1/access?account=" + long, status: 422, says: "account"},
		{name: "an id in capitals", method: "GET", path: "/v1/requests/REQ-000000", status: 422, says: "id"},
		{name: "an id with a blank", method: "POST", path: "/v1/requests/req-00%2000/approve", body: "{}", status: 422, says: "id"},
		{name: "an id that climbs", method: "GET", path: "/v1/requests/req-..%2f..%2fme", status: 422, says: "id"},
		{name: "an id with SQL", method: "GET", path: "/v1/requests/req-1'%20OR%20'1'='1", status: 422, says: "id"},
		{name: "an id with a line", method: "GET", path: "/v1/requests/req-000000%0a", status: 422, says: "id"},
		{name: "a long id", method: "GET", path: "/v1/requests/req-" + strings.Repeat("0", 40), status: 422, says: "id"},
		{name: "a grant's id for a request", method: "POST", path: "/v1/requests/g-000000/approve", body: "{}", status: 422, says: "id"},
		{name: "a request's id for a grant", method: "POST", path: "/v1/grants/req-000000/end", body: "{}", status: 422, says: "id"},
		{name: "approving without a body", method: "POST", path: goodRequest + "/approve", status: 400, says: "request body is required"},
		{name: "approving with more than a comment", method: "POST", path: goodRequest + "/approve", body: `{"comment":"x","lines":[1]}`, status: 422, says: "lines"},
		{name: "a body with a question", method: "GET", path: "/v1/me", body: `{"a":1,"a":2}`, status: 400, says: "not valid JSON"},
		{name: "a path that is not there", method: "GET", path: "/v1/everything", status: 404, says: "there is nothing at /v1/everything"},
		{name: "a path without end", method: "GET", path: "/v1/" + long, status: 404, says: "there is nothing at"},
		{name: "a path that is no text", method: "GET", path: "/v1/%ff%fe%00", status: 404, says: "there is nothing at"},
		{name: "a path of letters that are cut in two", method: "GET", path: "/v1/" + strings.Repeat("%E2%82%AC", 200), status: 404, says: "there is nothing at"},
		{name: "another version", method: "POST", path: "/v2/requests", body: askBody, status: 404, says: "there is nothing at"},
		{name: "deleting", method: "DELETE", path: goodRequest, status: 405, says: "does not take DELETE"},
		{name: "a verb that nobody knows", method: strings.Repeat("BREW", 100), path: "/v1/me", status: 405, says: "does not take"},
		{name: "asking who with a body", method: "POST", path: "/v1/me", body: "{}", status: 405, says: "does not take"},
	}
}

func TestBadInputIsRefusedRecordedAndChangesNothing(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.ask("dana")
	r.approved("dana")
	all := badRequests()
	for name, b := range badBodies() {
		one := ask(b.body)
		one.name, one.status, one.says = name, b.status, b.says
		all = append(all, one)
	}
	for _, b := range all {
		t.Run(b.name, func(t *testing.T) {
			outer := r.TB
			r.TB = t
			defer func() { r.TB = outer }()
			before := r.dump()
			r.refuses(b)
			r.unchanged(before)
		})
	}
}

func TestALongCommentIsRefusedInWords(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	id := r.ask("dana").Id
	before := r.dump()
	for _, command := range []string{"approve", "reject"} {
		g := r.raw("kim", "POST", "/v1/requests/"+id+"/"+command, `{"comment":"`+strings.Repeat("x", 501)+`"}`)
		if p := g.problem(t); g.status != http.StatusBadRequest || p.Detail != "the comment has 501 characters; at most 500 are kept" || p.Hint == nil {
			t.Errorf("%s: %d %s", command, g.status, g.text)
		}
	}
	r.unchanged(before)
}

func (r *rig) refuses(b badly) {
	r.Helper()
	n := len(r.refusals(0))
	g := r.raw("dana", b.method, b.path, b.body, b.headers...)
	if p := g.problem(r); g.status >= 400 && g.status < 500 && p.Hint == nil {
		r.Errorf("no hint: %s", g.text)
	}
	for _, foreign := range []string{"validation failed", "expected ", "map[", "ääää", "property"} {
		if strings.Contains(strings.ReplaceAll(g.text, "is expected", ""), foreign) {
			r.Errorf("%q is not in our words: %s", foreign, g.text)
		}
	}
	if g.status != b.status || !strings.Contains(g.text, b.says) {
		r.Errorf("%d %s\nwant %d %q", g.status, g.text, b.status, b.says)
	}
	events := r.refusals(n)
	if len(events) != 1 {
		r.Fatalf("%d events", len(events))
	}
	e := events[0]
	reached := e.Detail["command"] == "ask" // it was understood, and then refused
	what := b.method[:min(len(b.method), 20)] + " "
	if e.Actor.ID != r.id("dana") || e.Detail["why"] == "" || !reached && (e.Kind != "api.refused" || !strings.Contains(e.Detail["command"], " /v") || e.Detail["kind"] != access.ErrInvalid.Error()) {
		r.Errorf("recorded: %s", e.Text)
	}
	if !reached && len(b.method) < 20 && !strings.HasPrefix(e.Detail["command"], what) {
		r.Errorf("recorded without the method: %s", e.Text)
	}
	if len(e.Text) > 3000 {
		r.Errorf("the record has %d bytes: %s", len(e.Text), e.Text)
	}
}

func TestWhatIsTooLongForTheServerItselfChangesNothing(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	before := r.dump()
	if g := r.raw("dana", http.MethodPost, "/v1/requests", askBody, "Idempotency-Key", aKey, "X-Filler", strings.Repeat("x", 40<<10)); g.status != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("headers of 40 KiB: %d", g.status)
	}
	if g := r.raw("dana", http.MethodGet, "/v1/"+strings.Repeat("x", 40<<10), ""); g.status != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("a path of 40 KiB: %d", g.status)
	}
	r.unchanged(before)
}

// TestABodyThatDoesNotComeChangesNothing promises a body and breaks off.
func TestABodyThatDoesNotComeChangesNothing(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	before, n := r.dump(), len(r.refusals(0))
	for _, body := range []string{askBody[:20], askBody} {
		c, err := net.Dial("tcp", strings.TrimPrefix(r.url, "http://"))
		r.must(err)
		_, err = fmt.Fprintf(c, "POST /v1/requests HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nIdempotency-Key: %s\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n%s", r.tokens["dana"], rand.Text(), body)
		r.must(err)
		r.must(c.(*net.TCPConn).CloseWrite())
		<-r.done
		c.Close()
	}
	r.unchanged(before)
	if events := r.refusals(n); len(events) != 2 || events[0].Detail["why"] != "the body could not be read" {
		t.Errorf("recorded: %v", events)
	}
}

func TestWhatIsRefusedIsClippedInTheRecord(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	n := len(r.refusals(0))
	r.raw("dana", http.MethodGet, "/v1/"+strings.Repeat("%E2%82%AC", 500), "")
	if e := r.refusals(n)[0]; len(e.Detail["command"]) > 400 || strings.Contains(string(e.Text), "\ufffd") {
		t.Errorf("recorded: %s", e.Text)
	}
}
