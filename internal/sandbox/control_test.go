package sandbox

import (
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"sparekey/org"
)

// control makes a control call and returns the status and the body.
func (f *fixture) control(method, name, body, token string) (int, string) {
	f.t.Helper()
	r, err := http.NewRequest(method, f.url+"/_sandbox/"+name, strings.NewReader(body))
	f.must(err)
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	answer, err := http.DefaultClient.Do(r)
	f.must(err)
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	f.must(err)
	return answer.StatusCode, strings.TrimSpace(string(text))
}

func (f *fixture) wantControl(method, name, body string, status int, contains string) string {
	f.t.Helper()
	got, text := f.control(method, name, body, f.Control())
	if got != status || !strings.Contains(text, contains) {
		f.t.Errorf("%s %s %s: %d %s, want %d and %s", method, name, body, got, text, status, contains)
	}
	return text
}

func TestControlCallsNeedTheirToken(t *testing.T) {
	f := start(t)
	for _, token := range []string{"", "x", f.Control() + "x", f.Control()[1:]} {
		if status, text := f.control("GET", "state", "", token); status != http.StatusUnauthorized || strings.Contains(text, "dana") {
			t.Errorf("%q: %d %s", token, status, text)
		}
	}
	f.wantControl("GET", "state", "", 200, "dana")
	f.wantControl("GET", "none", "", 404, "no such control call")
	f.wantControl("PUT", "state", "", 404, "no such control call")
}

func TestTheStateTellsTheTruth(t *testing.T) {
	f := start(t, func(o *Options) { o.Behaviour.ListingLag = time.Hour })
	_, err := f.create(f.of("dana", "Admin", sandboxID))
	f.must(err)
	d := f.device(f.client())
	f.clock.Advance(2 * time.Second)
	var state State
	if err := json.Unmarshal([]byte(f.wantControl("GET", "state", "", 200, "")), &state); err != nil {
		t.Fatal(err)
	}
	if len(state.Assignments) != 3 || state.Assignments[2].Name != "dana" || state.Assignments[2].AccountName != "sandbox-7" || state.Assignments[2].SetName != "Admin" {
		t.Errorf("%+v", state.Assignments)
	}
	if len(state.Roles) != 3 || len(state.People) != 3 || len(state.Operations) != 1 || state.Operations[0].Status != "SUCCEEDED" {
		t.Errorf("%+v", state)
	}
	if len(state.Devices) != 1 || state.Devices[0] != *d.UserCode || !state.Now.Equal(f.clock.Now()) {
		t.Errorf("%+v", state)
	}
}

func TestControlCallsPlayTheRestOfTheOrganization(t *testing.T) {
	f := start(t)
	a := f.of("kim", "Admin", sandboxID)
	one := `{"account":"100000000004","permissionSet":"Admin","principal":"kim"}`
	f.wantControl("POST", "assignments", `{"add":[`+one+`]}`, 200, "true")
	if !f.Assigned(a) {
		t.Error("not assigned")
	}
	f.wantControl("POST", "assignments", `{"remove":[`+one+`]}`, 200, "true")
	if f.Assigned(a) {
		t.Error("still assigned")
	}
	f.wantControl("POST", "assignments", `{"remove":[`+one+`]}`, 409, "no such thing")
	f.wantControl("POST", "people", `{"person":"kim","status":"enabled","join":["oncall"],"leave":["developers"]}`, 200, "true")
	for _, p := range f.State().People {
		if p.User == "kim" && (p.Status != org.StatusEnabled || len(p.Groups) != 1 || p.Groups[0] != "oncall") {
			t.Errorf("%+v", p)
		}
	}
	f.wantControl("POST", "people", `{"person":"kim","status":"removed"}`, 200, "true")
	if _, ok := f.users()["kim"]; ok {
		t.Error("kim is still there")
	}
	before := f.clock.Now()
	f.wantControl("POST", "clock", `{"advance":"90s"}`, 200, "now")
	if f.clock.Now().Sub(before) != 90*time.Second {
		t.Error(f.clock.Now())
	}
	d := f.device(f.client())
	f.wantControl("POST", "device", `{"userCode":"`+*d.UserCode+`","person":"dana"}`, 200, "true")
	f.wantControl("POST", "device", `{"userCode":"`+*d.UserCode+`","deny":true}`, 409, "no device waits")
	f.wantControl("POST", "keys", `{"account":"100000000003","user":"x"}`, 200, f.Key(paymentsID, "x").SecretAccessKey)
	f.wantControl("POST", "faults", `{"faults":[{"kind":"late","delay":"1m30s","principal":"dana","times":2}]}`, 200, "true")
	f.wantControl("GET", "faults", "", 200, `"delay":"1m30s"`)
	f.wantControl("DELETE", "faults", "", 200, "true")
	f.wantControl("GET", "faults", "", 200, "[]")
	f.wantControl("GET", "calls", "", 200, "StartDeviceAuthorization")
	f.wantControl("GET", "operations", "", 200, `{"service":"sso","operation":"GetRoleCredentials"}`)
}

func TestControlCallsAreReadStrictly(t *testing.T) {
	f := start(t)
	for body, want := range map[string]string{
		`{"fautls":[]}`:                               `unknown field \"fautls\"`,
		`{"faults":[{"kind":"sleep"}]}`:               `\"sleep\" is not a kind of fault`,
		`{"faults":[{"kind":"late","delay":"soon"}]}`: "not a duration",
		`{"faults":[]} x`:                             "something after",
		`[`:                                           "reading the body",
	} {
		f.wantControl("POST", "faults", body, 400, want)
	}
	f.wantControl("POST", "faults", `{"faults":[`+strings.Repeat(" ", largest)+`]}`, 400, "at most 1048576 bytes")
	f.wantControl("POST", "people", `{"person":"none"}`, 400, "no person")
	f.wantControl("POST", "people", `{"person":"kim","join":["none"]}`, 400, "no group")
	f.wantControl("POST", "people", `{"person":"kim","status":"tired"}`, 400, "not a status")
	f.wantControl("POST", "device", `{"userCode":"x","person":"none"}`, 400, "no person")
	f.wantControl("POST", "clock", `{"advance":"-1s"}`, 400, "backwards")
	f.wantControl("POST", "keys", `{"account":"1","user":"x"}`, 400, "twelve digits")
	for _, wrong := range []string{`"account":"9"`, `"permissionSet":"x"`, `"principal":"x"`} {
		fields := map[string]string{"account": "100000000004", "permissionSet": "Admin", "principal": "dana"}
		name := strings.Trim(strings.SplitN(wrong, ":", 2)[0], `"`)
		fields[name] = strings.Trim(strings.SplitN(wrong, ":", 2)[1], `"`)
		body, _ := json.Marshal(map[string]any{"add": []any{fields}})
		f.wantControl("POST", "assignments", string(body), 400, "there is no")
	}
	r, err := http.NewRequest("POST", f.url+"/_sandbox/clock", strings.NewReader(`{"advance":"1s"}`))
	f.must(err)
	r.Header.Set("Authorization", "Bearer "+f.Control())
	answer, err := http.DefaultClient.Do(r)
	f.must(err)
	answer.Body.Close()
	if answer.StatusCode != 400 {
		t.Errorf("a body of no type: %s", answer.Status)
	}
}

func TestTheMachinesClockCannotBeAdvanced(t *testing.T) {
	f := start(t, func(o *Options) { o.Clock = nil })
	f.wantControl("POST", "clock", `{"advance":"1s"}`, 409, "nobody can advance")
}

func TestTheFirstPageSaysWhatThisIs(t *testing.T) {
	f := start(t)
	r, err := http.Get(f.url + "/")
	f.must(err)
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	f.must(err)
	if r.StatusCode != 200 || !strings.Contains(string(text), "is not AWS") || r.Header.Get("Date") != f.clock.Now().Format(http.TimeFormat) {
		t.Errorf("%s %s %s", r.Status, r.Header.Get("Date"), text)
	}
	fields := strings.Join(strings.Fields(string(text)), " ")
	for control := range f.controls() {
		if !strings.Contains(fields, control+" ") {
			t.Errorf("%s is not among the control calls that the first page lists", control)
		}
	}
	for _, kind := range append(slices.Clone(instant), later...) {
		if !strings.Contains(fields, string(kind)) {
			t.Errorf("the fault %s is not on the first page", kind)
		}
	}
}
