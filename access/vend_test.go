package access

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"pgregory.net/rapid"

	"sparekey/org"
)

var grantEnd = time.Date(2026, 11, 22, 16, 33, 0, 0, time.FixedZone("JST", 9*3600))

const (
	allowAll = `{"Effect":"Allow","Action":"*","Resource":"*"}`
	denyOver = `{"Effect":"Deny","Action":"*","Resource":"*","Condition":{"DateGreaterThan":{"aws:CurrentTime":"2026-11-22T07:33:00Z"}}}`
)

func TestASessionPolicyAllowsWhatIsAskedAndDeniesEverythingAfterTheEnd(t *testing.T) {
	for narrower, statements := range map[string]string{
		"": allowAll,
		`{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "s3:Get*", "Resource": "*"}}`:                                                              `{"Effect":"Allow","Action":"s3:Get*","Resource":"*"}`,
		" {\"Statement\": [\n\t" + allowAll + ", " + `{"Sid": "No", "Effect": "Deny", "NotAction": ["iam:*"], "NotResource": ["a", "b"]}], "Version": "2012-10-17"} `:    allowAll + `,{"Sid":"No","Effect":"Deny","NotAction":["iam:*"],"NotResource":["a","b"]}`,
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"Bool":{"a":true},"NumericLessThan":{"b":[1.0,"x"],"c":""}}}]}`: `{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"Bool":{"a":true},"NumericLessThan":{"b":[1.0,"x"],"c":""}}}`,
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"\u3042<é>"}]}`:                                                                  `{"Effect":"Allow","Action":"*","Resource":"\u3042<é>"}`,
	} {
		got, err := SessionPolicy(grantEnd, narrower)
		if want := `{"Version":"2012-10-17","Statement":[` + statements + "," + denyOver + `]}`; err != nil || got != want {
			t.Errorf("%s\n got %s, %v\nwant %s", narrower, got, err, want)
		}
	}
}

func TestASessionPolicyThatIsNotRightIsRefused(t *testing.T) {
	in := func(statement string) string { return `{"Version":"2012-10-17","Statement":[` + statement + `]}` }
	for narrower, want := range map[string]string{
		"x":                       "not JSON",
		"[]":                      "not an object",
		`{"Version":"2012-10-17"`: "not JSON",
		in(allowAll) + "{}":       "something follows it",
		`{"Version":"2012-10-17","Statement":[]}`:                                        "no statement",
		`{"Version":"2012-10-17"}`:                                                       "statement 1 is not an object",
		`{"Statement":[` + allowAll + `]}`:                                               "its Version is not",
		`{"Version":"2008-10-17","Statement":[` + allowAll + `]}`:                        "its Version is not",
		`{"Version":"2012-10-17","version":"2012-10-17","Statement":[` + allowAll + `]}`: `the element "version"`,
		`{"Version":"2012-10-17","Id":"x","Statement":[` + allowAll + `]}`:               `the element "Id"`,
		`{"Version":"2012-10-17","Statement":[` + allowAll + `],"Statement":[]}`:         "a name twice",
		in(`7`): "statement 1 is not an object",
		in(allowAll + `,{"Effect":"Maybe","Action":"*","Resource":"*"}`):                                                       "statement 2 has an Effect",
		in(`{"Effect":"Allow","Effect":"Deny","Action":"*","Resource":"*"}`):                                                   "a name twice",
		in(`{"Action":"*","Resource":"*"}`):                                                                                    "has an Effect",
		in(`{"effect":"Allow","Action":"*","Resource":"*"}`):                                                                   `the element "effect"`,
		in(`{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*"}`):                                                   `the element "Principal"`,
		in(`{"Effect":"Allow","Resource":"*"}`):                                                                                "one of Action and NotAction",
		in(`{"Effect":"Allow","Action":"*","NotAction":"a:b","Resource":"*"}`):                                                 "one of Action and NotAction",
		in(`{"Effect":"Allow","Action":"*"}`):                                                                                  "one of Resource and NotResource",
		in(`{"Effect":"Allow","Action":[],"Resource":"*"}`):                                                                    "neither a text nor a list",
		in(`{"Effect":"Allow","Action":"","Resource":"*"}`):                                                                    "neither a text nor a list",
		in(`{"Effect":"Allow","Action":[["*"]],"Resource":"*"}`):                                                               "neither a text nor a list",
		in(`{"Effect":"Allow","Action":7,"Resource":"*"}`):                                                                     "neither a text nor a list",
		in(`{"Effect":"Allow","Action":null,"Resource":"*"}`):                                                                  "neither a text nor a list",
		in(`{"Sid":7,"Effect":"Allow","Action":"*","Resource":"*"}`):                                                           "a Sid",
		in(`{"Sid":"a","Effect":"Allow","Action":"*","Resource":"*"},{"Sid":"a","Effect":"Deny","Action":"*","Resource":"*"}`): "statement 2 has a Sid",
		in(`{"Effect":"Allow","Action":"*","Resource":"*","Condition":"x"}`):                                                   "a Condition",
		in(`{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"Bool":true}}`):                                         "a Condition",
		in(`{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"Bool":{"a":{}}}}`):                                     "a Condition",
		in(`{"Effect":"Allow","Action":"*","Resource":"あ"}`):                                                                   "Latin-1",
		in(`{"Effect":"Allow","Action":"*","Resource":"` + strings.Repeat("x", 9000) + `"}`):                                   "bytes",
	} {
		got, err := SessionPolicy(grantEnd, narrower)
		if !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), want) || got != "" {
			t.Errorf("%s\n got %q, %v\nwant %s", narrower, got, err, want)
		}
	}
	if _, err := SessionPolicy(time.Time{}, ""); !errors.Is(err, ErrInvalid) {
		t.Errorf("without an end: %v", err)
	}
}

func TestASessionPolicyHas2048CharactersAndNotOneMore(t *testing.T) {
	of := func(n int) string {
		return `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"` + strings.Repeat("é", n) + `"}]}`
	}
	short, err := SessionPolicy(grantEnd, of(1))
	if err != nil {
		t.Fatal(err)
	}
	room := 2048 - utf8.RuneCountInString(short) + 1
	if fits, err := SessionPolicy(grantEnd, of(room)); err != nil || utf8.RuneCountInString(fits) != 2048 {
		t.Errorf("%d characters: %v", utf8.RuneCountInString(fits), err)
	}
	_, err = SessionPolicy(grantEnd, of(room+1))
	var p *Problem
	if !errors.As(err, &p) || !strings.Contains(p.Message, "2049 characters") || !strings.Contains(p.Hint, "by 1 characters") {
		t.Errorf("%v", err)
	}
}

// FuzzSessionPolicy holds whatever is given to be narrower to the two promises: nothing after the end, and nothing twice.
func FuzzSessionPolicy(f *testing.F) {
	f.Add(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`)
	f.Add(`{"Version":"2012-10-17","Statement":{"Sid":"a","Effect":"Deny","NotAction":["a"],"NotResource":["b"],"Condition":{"Bool":{"c":[true,1,"d"]}}}}`)
	f.Add(`{"Version":"2012-10-17","Statement":[]}]}`)
	f.Fuzz(func(t *testing.T, narrower string) {
		policy, err := SessionPolicy(grantEnd, narrower)
		if err != nil {
			if !errors.Is(err, ErrInvalid) || policy != "" {
				t.Errorf("%q, %v", policy, err)
			}
			return
		}
		var read struct {
			Version   string
			Statement []json.RawMessage
		}
		d := json.NewDecoder(strings.NewReader(policy))
		d.DisallowUnknownFields()
		if err := d.Decode(&read); err != nil || d.More() || read.Version != "2012-10-17" || utf8.RuneCountInString(policy) > 2048 {
			t.Fatalf("%s: %v", policy, err)
		}
		if n := len(read.Statement); n < 2 || string(read.Statement[n-1]) != denyOver {
			t.Errorf("its end is missing: %s", policy)
		}
	})
}

var namePattern = regexp.MustCompile(`^[\w+=,.@-]{2,64}$`)

func TestSessionNamesSayWhoAndUnderWhichGrant(t *testing.T) {
	for _, c := range [][3]string{
		{"dana", "grant-7k2m9x", "dana.grant-7k2m9x"},
		{"dana.ito@example.com", "grant-7k2m9x", "dana.ito@example.com.grant-7k2m9x"},
		{"伊藤 dana", "grant-7k2m9x", "---dana.grant-7k2m9x"},
		{"", "g", "-.g"},
		{"a/b:c", "g.1", "a-b-c.g-1"},
		{strings.Repeat("x", 200), "grant-7k2m9x", strings.Repeat("x", 51) + ".grant-7k2m9x"},
		{"dana", strings.Repeat("g", 200), "d." + strings.Repeat("g", 62)},
	} {
		if got := SessionName(c[0], c[1]); got != c[2] {
			t.Errorf("%q, %q: %q, not %q", c[0], c[1], got, c[2])
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		person, grant := rapid.String().Draw(t, "person"), rapid.StringMatching(`g-[a-z0-9]{1,20}`).Draw(t, "grant")
		name := SessionName(person, grant)
		if !namePattern.MatchString(name) || name != SessionName(person, grant) || name[strings.LastIndexByte(name, '.')+1:] != grant {
			t.Errorf("%q", name)
		}
		if any := SessionName(person, rapid.String().Draw(t, "any grant")); !namePattern.MatchString(any) {
			t.Errorf("%q", any)
		}
	})
}

func TestCredentialsNeverShowTheirSecrets(t *testing.T) {
	c := Credentials{AccessKeyID: "ASIAIOSFODNN7EXAMPLE", SecretAccessKey: "SECRET-MARKER", SessionToken: "TOKEN-MARKER", Expires: grantEnd}
	var said strings.Builder
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d", "%x", "%T %[1]v"} {
		fmt.Fprintf(&said, format+"\n", c)
		fmt.Fprintf(&said, format+"\n", &c)
		fmt.Fprintf(&said, format+"\n", []Credentials{c})
		fmt.Fprintf(&said, format+"\n", struct{ C Credentials }{c})
	}
	said.WriteString(c.String() + c.GoString())
	for _, v := range []any{c, &c, map[string]any{"credentials": c}} {
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		said.Write(text)
	}
	var logged bytes.Buffer
	for _, handler := range []slog.Handler{slog.NewTextHandler(&logged, nil), slog.NewJSONHandler(&logged, nil)} {
		slog.New(handler).Info("vended", "credentials", c, "pointer", &c, "wrapped", struct{ C Credentials }{c})
	}
	said.Write(logged.Bytes())
	if strings.Contains(said.String(), "MARKER") {
		t.Errorf("a secret shows:\n%s", said.String())
	}
	if !strings.Contains(c.String(), "ASIAIOSFODNN7EXAMPLE until 2026-11-22T07:33:00Z") {
		t.Errorf("%s", c)
	}
}

func TestOnlySessionsLeaveNothing(t *testing.T) {
	for way, leaves := range map[Way]bool{Assignment: true, Membership: true, Session: false} {
		if way.Leaves() != leaves {
			t.Errorf("%s: %t", way, way.Leaves())
		}
	}
}

func TestGroupsAreNamedAfterTheirTargets(t *testing.T) {
	one := org.Target{Account: "100000000002", PermissionSet: "arn:aws:sso:::permissionSet/ssoins-1/ps-1"}
	if name := GroupName(one.Account, "PowerUser"); name != "sparekey 100000000002 PowerUser" {
		t.Error(name)
	}
	if text := GroupDescription(one); text != "made by Sparekey for arn:aws:sso:::permissionSet/ssoins-1/ps-1 in 100000000002" {
		t.Error(text)
	}
}
