package audit

import (
	"context"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestCanonicalIsOneTextForOneMeaning(t *testing.T) {
	a, err := Canonical(map[string]any{"b": 1, "a": []any{"x<y", 2.50, nil}, "ü": "é"})
	if err != nil {
		t.Fatal(err)
	}
	// RFC 8785: keys sorted, no blanks, no needless escapes, shortest numbers.
	if want := `{"a":["x<y",2.5,null],"b":1,"ü":"é"}`; string(a) != want {
		t.Errorf("got %s, want %s", a, want)
	}
	type ordered struct {
		Z int `json:"z"`
		A int `json:"a"`
	}
	one, _ := Digest(ordered{1, 2})
	two, _ := Digest(map[string]int{"a": 2, "z": 1})
	if one != two || !strings.HasPrefix(one, "sha256:") || len(one) != 7+64 {
		t.Errorf("%s and %s", one, two)
	}
}

func event(t *testing.T) Event {
	t.Helper()
	before, err := ImageOf("pending", 1, map[string]string{"a": "b"})
	if err != nil {
		t.Fatal(err)
	}
	after, err := ImageOf("approved", 2, map[string]string{"a": "c"})
	if err != nil {
		t.Fatal(err)
	}
	return Event{
		At: time.Date(2026, 11, 22, 3, 0, 0, 5e6, time.UTC), Kind: "request.approved", Actor: Actor{APerson, "id-1", "kim", "ab12"},
		Subject: Subject{"request", "req-1"}, Request: "sha256:00", Before: before.Bare(), After: after, Detail: map[string]string{"rule": "prod"},
	}
}

func TestAnEventComesBackAsItWas(t *testing.T) {
	e := event(t)
	text, err := e.Encode()
	if err != nil {
		t.Fatal(err)
	}
	// The form is fixed: whoever holds an old log must be able to read it with a new program.
	want := `{"actor":{"id":"id-1","key":"ab12","kind":"person","name":"kim"},` +
		`"after":{"body":{"a":"c"},"digest":"sha256:c06282a227d6f8ba2e52909607afbb8426c725f40bc630977dfa068bed8a2f2f","state":"approved","version":2},"at":"2026-11-22T03:00:00.005Z",` +
		`"before":{"digest":"sha256:db4a7ecb114bc66c623a06c4ff6fe8daa2f49cc270ebbf7a1f81e22ab061c837","state":"pending","version":1},` +
		`"detail":{"rule":"prod"},"kind":"request.approved","request":"sha256:00","subject":{"id":"req-1","kind":"request"},"v":1}`
	if string(text) != want {
		t.Errorf("got  %s\nwant %s", text, want)
	}
	back, err := Decode(text)
	if err != nil || !reflect.DeepEqual(back, e) {
		t.Errorf("got  %+v, %v\nwant %+v", back, err, e)
	}
}

func TestDecodeRefusesWhatIsNotCanonical(t *testing.T) {
	text, err := event(t).Encode()
	if err != nil {
		t.Fatal(err)
	}
	good := string(text)
	for name, bad := range map[string]string{
		"a blank":        strings.Replace(good, `,"at"`, `, "at"`, 1),
		"an unknown key": strings.Replace(good, `"v":1}`, `"v":1,"x":1}`, 1),
		"other version":  strings.Replace(good, `"v":1}`, `"v":2}`, 1),
		"other time":     strings.Replace(good, `00.005Z`, `00.005+00:00`, 1),
		"nothing":        "",
		"cut off":        good[:len(good)-1],
		"no actor":       strings.Replace(good, `"kind":"person"`, `"kind":""`, 1),
	} {
		if bad == good {
			t.Fatalf("%s: nothing was changed", name)
		}
		if _, err := Decode([]byte(bad)); err == nil {
			t.Errorf("accepted an event with %s", name)
		}
	}
}

func TestWithoutACauseNobodyHasProvedWhoTheyAre(t *testing.T) {
	if c := From(context.Background()); c.Actor.Kind != Anonymous || c.Actor.ID != "" {
		t.Errorf("%+v", c)
	}
	want := Cause{Actor{APerson, "id", "kim", "k"}, "sha256:1"}
	if got := From(With(context.Background(), want)); got != want {
		t.Errorf("%+v", got)
	}
	if got := From(By(context.Background(), "lane")).Actor; got.Kind != Sparekey || got.ID != "lane" {
		t.Errorf("%+v", got)
	}
}

func FuzzDecode(f *testing.F) {
	text, _ := Event{At: time.Unix(1, 0), Kind: "a.b", Actor: Actor{Kind: Anonymous}, Subject: Subject{Kind: "x"}}.Encode()
	f.Add(text)
	f.Fuzz(func(t *testing.T, text []byte) {
		e, err := Decode(text)
		if err != nil {
			return
		}
		again, err := e.Encode()
		if err != nil || string(again) != string(text) {
			t.Errorf("%q came back as %q, %v", text, again, err)
		}
	})
}
