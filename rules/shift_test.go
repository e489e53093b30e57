package rules

import (
	"slices"
	"testing"

	"sparekey/org"
)

func TestAnAddressIsOnCallWhenExactlyOneEnabledPersonHasIt(t *testing.T) {
	m := org.NewMirror(org.Organization{People: []org.Person{
		{ID: "amy", Email: "Amy@Example.com", Status: org.StatusEnabled},
		{ID: "bob", Email: "bob@example.com", Status: org.StatusEnabled},
		{ID: "bob-before", Email: "bob@example.com", Status: org.StatusDisabled},
		{ID: "cat", Email: "shared@example.com", Status: org.StatusEnabled},
		{ID: "dan", Email: "SHARED@example.com", Status: org.StatusEnabled},
		{ID: "eve", Email: "eve@example.com"},
		{ID: "fay", Email: "fay@example.com", Status: org.StatusRemoved},
		{ID: "kim", Email: "kim@example.com", Status: org.StatusEnabled},
		{ID: "nobody", Status: org.StatusEnabled},
	}})
	for _, c := range []struct {
		name   string
		emails []string
		want   []org.PersonID
	}{
		{"nobody is named", nil, nil},
		{"as it is written", []string{"bob@example.com"}, []org.PersonID{"bob"}},
		{"in other case", []string{"aMY@example.COM"}, []org.PersonID{"amy"}},
		{"in the order of the addresses, once", []string{"kim@example.com", "bob@example.com", "KIM@example.com"}, []org.PersonID{"kim", "bob"}},
		{"two have it", []string{"shared@example.com", "amy@example.com"}, []org.PersonID{"amy"}},
		{"status left out", []string{"eve@example.com"}, nil},
		{"removed", []string{"fay@example.com"}, nil},
		{"unknown", []string{"zoe@example.com"}, nil},
		{"empty", []string{""}, nil},
		{"the sign for kelvin is no k", []string{"\u212Aim@example.com"}, nil},
		{"blanks count", []string{" kim@example.com"}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := ShiftOf(c.emails, m); !slices.Equal(got, c.want) {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

func TestAddressesAreTheSameInAnyCaseOfPlainLetters(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{"a@x", "A@X", true}, {"", "", false}, {"a@x", "", false}, {"a@x", "b@x", false}, {"\u017F@x", "s@x", false}, {"é@x", "É@x", false}, {"é@x", "é@X", true},
	} {
		if got := SameEmail(c.a, c.b); got != c.want {
			t.Errorf("%q and %q: %v", c.a, c.b, got)
		}
	}
}
