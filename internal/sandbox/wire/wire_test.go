package wire

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http/httptest"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var shapes = NewShapes(Shapes{
	"Name":  {Min: 2, Max: 4, Pattern: `[a-z]+|\d+`},
	"Kind":  {Enum: []string{"A", "B"}},
	"Count": {Min: 1, Max: 3},
	"Names": {Min: 1, Max: 2},
})

type inner struct {
	Key string `aws:"Name,required"`
}

type everything struct {
	Name   string   `aws:"Name,required"`
	Kind   string   `aws:"Kind"`
	Count  int      `aws:"Count"`
	Flag   bool     `aws:"-"`
	Names  []string `aws:"Names,each=Name"`
	Inner  *inner   `aws:"-"`
	Inners []inner  `aws:"-"`
	Free   any      `aws:"-"`
	Small  string   `aws:"Name,name=small"`
}

func TestDecodeFillsEveryKindOfMember(t *testing.T) {
	document, err := ParseJSON([]byte(`{"Name":"abc","Kind":"B","Count":2,"Flag":true,"Names":["aa","bb"],"Inner":{"Key":"kk"},"Inners":[{"Key":"xx"}],
		"Free":[1],"small":"12","name":"ignored: names are matched to the letter","Unknown":null}`))
	if err != nil {
		t.Fatal(err)
	}
	var got everything
	broken, err := shapes.Decode(document, &got)
	want := everything{"abc", "B", 2, true, []string{"aa", "bb"}, &inner{"kk"}, []inner{{"xx"}}, []any{json.Number("1")}, "12"}
	if err != nil || broken != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v, %v", got, broken, err)
	}
}

func TestDecodeTakesTextForNumbersOfAQuery(t *testing.T) {
	var got everything
	broken, err := shapes.Decode(ParseValues(url.Values{"Name": {"abc", "zzz"}, "Count": {"3"}}), &got)
	if err != nil || broken != nil || got.Name != "abc" || got.Count != 3 {
		t.Errorf("%+v, %v, %v", got, broken, err)
	}
	if _, err = shapes.Decode(ParseValues(url.Values{"Name": {"abc"}, "Count": {"three"}}), &got); err == nil {
		t.Error("three is no number")
	}
}

func TestDecodeNamesEveryBrokenConstraint(t *testing.T) {
	for text, want := range map[string]string{
		`{}`:                                          "1 validation error detected: Value null at 'name' failed to satisfy constraint: Member must not be null",
		`{"Name":null}`:                               "Value null at 'name'",
		`{"Name":"a"}`:                                "Value 'a' at 'name' failed to satisfy constraint: Member must have length greater than or equal to 2",
		`{"Name":"abcde"}`:                            "Member must have length less than or equal to 4",
		`{"Name":"ab12"}`:                             `Member must satisfy regular expression pattern: [a-z]+|\d+`,
		`{"Name":"ab\n"}`:                             `Member must satisfy regular expression pattern`,
		`{"Name":"éé","Kind":"C"}`:                    "2 validation errors detected: ",
		`{"Name":"ab","Kind":"C"}`:                    "Value 'C' at 'kind' failed to satisfy constraint: Member must satisfy enum value set: [A, B]",
		`{"Name":"ab","Count":0}`:                     "Member must have value greater than or equal to 1",
		`{"Name":"ab","Count":4}`:                     "Member must have value less than or equal to 3",
		`{"Name":"ab","Names":[]}`:                    "at 'names' failed to satisfy constraint: Member must have length greater than or equal to 1",
		`{"Name":"ab","Names":["a"]}`:                 "Value 'a' at 'names.1.member' failed",
		`{"Name":"ab","Names":["ab","ab","ab"]}`:      "at 'names' failed to satisfy constraint: Member must have length less than or equal to 2",
		`{"Name":"ab","Names":[null]}`:                "Value null at 'names.1.member'",
		`{"Name":"ab","Inner":{}}`:                    "Value null at 'inner.key'",
		`{"Name":"ab","Inners":[{"Key":"ab"},{}]}`:    "Value null at 'inners.2.member.key'",
		`{"Name":"` + strings.Repeat("é", 300) + `"}`: "...' at 'name'",
	} {
		document, err := ParseJSON([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		broken, err := shapes.Decode(document, &everything{})
		if err != nil || !strings.Contains(broken.String(), want) {
			t.Errorf("%s\n got %s, %v\nwant %s", text, broken, err, want)
		}
	}
}

func TestWhatHasTheWrongTypeCannotBeRead(t *testing.T) {
	for text, want := range map[string]string{
		`{"Name":7}`:                        "NUMBER_VALUE can not be converted to a String",
		`{"Name":"ab","Count":"2"}`:         "STRING_VALUE can not be converted to an Integer",
		`{"Name":"ab","Count":1.5}`:         "NUMBER_VALUE can not be converted to an Integer",
		`{"Name":"ab","Count":99999999999}`: "NUMBER_VALUE can not be converted to an Integer",
		`{"Name":"ab","Flag":"x"}`:          "STRING_VALUE can not be converted to a Boolean",
		`{"Name":true}`:                     "TRUE_VALUE can not be converted to a String",
		`{"Name":"ab","Names":{}}`:          "START_OBJECT can not be converted to a list",
		`{"Name":"ab","Inner":[]}`:          "START_ARRAY can not be converted to a structure",
		`[]`:                                "Unable to parse",
		`{`:                                 "Unable to parse",
		`{} {}`:                             "Unexpected data",
	} {
		document, err := ParseJSON([]byte(text))
		if err == nil {
			_, err = shapes.Decode(document, &everything{})
		}
		var serialization *SerializationError
		if !errors.As(err, &serialization) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}

func TestFormsOfTheQueryProtocolHoldListsByTheirPaths(t *testing.T) {
	for form, want := range map[string]Document{
		"Action=X&A.b=1":                                     {"Action": Text("X"), "A.b": Text("1")},
		"K.member.2=b&K.member.1=a":                          {"K": []any{Text("a"), Text("b")}},
		"K.member.1=a&K.member.3=c":                          {"K": []any{Text("a")}},
		"K.member.2=b&K.member.x=c&K.member.0=d":             {},
		"T.member.1.Key=k&T.member.1.Value=&T.member.2.Key=": {"T": []any{map[string]any{"Key": Text("k"), "Value": Text("")}, map[string]any{"Key": Text("")}}},
		"T.member.1=x&T.member.1.Key=k":                      {"T": []any{Text("x")}},
		"T=own&T.member.1=x":                                 {"T": Text("own")},
		"T.member.1.A.member.1=x":                            {"T": []any{map[string]any{"A.member.1": Text("x")}}},
	} {
		values, err := url.ParseQuery(form)
		if err != nil {
			t.Fatal(err)
		}
		got := ParseQuery(values)
		for name := range got {
			if strings.Contains(name, ".member.") {
				delete(got, name)
			}
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %#v, not %#v", form, got, want)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"Name":"abc","Names":["a"],"Inner":{"Key":1},"Count":-1}`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, body []byte) {
		document, err := ParseJSON(body)
		if err != nil {
			return
		}
		var got everything
		broken, err := shapes.Decode(document, &got)
		if err == nil && len(broken) == 0 && len(got.Name) < 2 {
			t.Errorf("%s gave %+v", body, got)
		}
	})
}

func TestTimestampsHaveMilliseconds(t *testing.T) {
	for at, want := range map[time.Time]string{
		time.UnixMilli(1620918581641): "1620918581.641", time.Unix(1620918581, 0): "1620918581", time.Unix(0, 0): "0",
	} {
		if got, _ := json.Marshal(Timestamp(at)); string(got) != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

func TestEachProtocolWritesErrorsInItsWay(t *testing.T) {
	e := (&Error{Status: 400, Code: "ConflictException", Message: "no"}).With("Reason", "R")
	common := &Error{Status: 403, Code: "ExpiredToken", Message: "old", Common: true}
	for _, c := range []struct {
		p    Protocol
		e    *Error
		want string
	}{
		{JSON, e, `{"Message":"no","Reason":"R","__type":"ConflictException"}`},
		{JSON, common, `{"__type":"ExpiredToken","message":"old"}`},
		{Portal, e, `{"__type":"com.amazonaws.switchboard.portal#ConflictException","message":"no"}`},
		{OIDC, e, `{"Reason":"R","error_description":"no"}`},
		{Query, common, `<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type><Code>ExpiredToken</Code>` +
			`<Message>old</Message></Error><RequestId>id</RequestId></ErrorResponse>`},
	} {
		w := httptest.NewRecorder()
		if err := c.p.Refuse(w, c.e, "id"); err != nil {
			t.Fatal(err)
		}
		if w.Body.String() != c.want || w.Code != c.e.Status {
			t.Errorf("%d %s\nwant %s", w.Code, w.Body, c.want)
		}
	}
}

func TestPagesGoThroughAListWhateverHappensToIt(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := Pages{Key: []byte("key")}
		items := rapid.SliceOfDistinct(rapid.StringMatching(`[a-z]{1,3}`), rapid.ID).Draw(t, "items")
		stays := slices.Clone(items)
		limit := rapid.IntRange(1, 5).Draw(t, "limit")
		var seen []string
		token := ""
		for pages := 0; ; pages++ {
			part, next, err := Page(p, "list", items, func(s string) string { return s }, limit, token)
			if err != nil || len(part) > limit || pages > 100 {
				t.Fatalf("page %d: %v, %v", pages, part, err)
			}
			seen = append(seen, part...)
			if next == "" {
				break
			}
			token = next
			switch rapid.IntRange(0, 2).Draw(t, "meanwhile") {
			case 0:
				items = append(slices.Clone(items), "0"+fmt.Sprint(pages))
			case 1:
				gone := rapid.SampledFrom(items).Draw(t, "gone")
				items = slices.DeleteFunc(slices.Clone(items), func(s string) bool { return s == gone })
				stays = slices.DeleteFunc(stays, func(s string) bool { return s == gone })
			}
		}
		if !slices.IsSorted(seen) || len(slices.Compact(slices.Clone(seen))) != len(seen) {
			t.Fatalf("something came twice: %v", seen)
		}
		for _, s := range stays {
			if !slices.Contains(seen, s) {
				t.Fatalf("%s is missing in %v", s, seen)
			}
		}
	})
}

func TestATokenServesOnlyTheListThatGaveIt(t *testing.T) {
	p := Pages{Key: []byte("key")}
	items := []string{"a", "b", "c"}
	itself := func(s string) string { return s }
	_, next, err := Page(p, "list", items, itself, 1, "")
	if err != nil || next == "" {
		t.Fatal(next, err)
	}
	if part, _, err := Page(p, "list", items, itself, 1, next); err != nil || !slices.Equal(part, []string{"b"}) {
		t.Errorf("%v, %v", part, err)
	}
	if part, _, err := Page(p, "list", items, itself, 9, p.Start("list")); err != nil || len(part) != 3 {
		t.Errorf("the start: %v, %v", part, err)
	}
	for name, bad := range map[string]struct {
		p           Pages
		list, token string
	}{
		"another list": {p, "other", next}, "another key": {Pages{Key: []byte("x")}, "list", next}, "made up": {p, "list", "AAAA"}, "no base64": {p, "list", "!"},
		"cut": {p, "list", next[:len(next)-1]}, "longer": {p, "list", next + "A"}, "changed": {p, "list", "A" + next[1:]},
	} {
		if _, _, err := Page(bad.p, bad.list, items, itself, 1, bad.token); !errors.Is(err, ErrToken) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
