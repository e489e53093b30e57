package rules

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"sparekey/org"
)

func TestStandingAccessIsListedWithTheStrongFirst(t *testing.T) {
	o, given, err := org.Describe("organization.yaml", []byte(standingWorld))
	if err != nil {
		t.Fatal(err)
	}
	holdings, totals := Standing(o, given)
	var got []string
	for _, h := range holdings {
		got = append(got, fmt.Sprintf("%s %s %s %d people in %s strong %v", h.Kind, h.Name, h.PermissionSet, len(h.People), h.Where, h.Strong))
	}
	want := []string{
		"USER kim Admin 1 people in management strong true", "USER max o'neil Admin 1 people in management strong true",
		"GROUP developers ReadOnly 2 people in 3 accounts of Workloads strong false", "GROUP developers PowerUser 2 people in payments-prod and shop-prod strong false",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q\nwant %q", got, want)
	}
	if totals != (StandingTotals{Assignments: 8, People: 4, Administrators: 2, Pairs: 12, Strays: 1}) {
		t.Errorf("%+v", totals)
	}
}

// TestWhatRulesWouldChangeIsCountedAgainstWhatPeopleHave compares with the answers to every question.
func TestWhatRulesWouldChangeIsCountedAgainstWhatPeopleHave(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := anyOrganization(t)
		given := anyAssignments(t, o)
		b := anyBook(t)
		s := b.In(org.NewMirror(o)).At(Facts{Now: noon, Tickets: map[string]Ticket{"jira": {OK: true}}, Groups: func(org.Target) org.GroupID { return "made" }})
		have, may := standing(o, given), map[string]bool{}
		for _, p := range o.People {
			for offer := range s.Offers(p) {
				may[fmt.Sprint(p.ID, offer.Account.ID, offer.PermissionSet.ARN)] = true
			}
		}
		lost, gained := 0, 0
		for key := range have {
			if !may[key] {
				lost++
			}
		}
		for key := range may {
			if !have[key] {
				gained++
			}
		}
		e, err := Against(o, given, s)
		if err != nil || e.Totals.Lost != lost || e.Totals.Gained != gained {
			t.Fatalf("%+v, %v; want %d lost and %d gained", e.Totals, err, lost, gained)
		}
		holdings, totals := Standing(o, given)
		pairs := map[string]bool{}
		for _, h := range holdings {
			for _, p := range h.People {
				for _, a := range h.Accounts {
					set, _ := s.m.PermissionSet(h.PermissionSet)
					pairs[fmt.Sprint(p.ID, a.ID, set.ARN)] = true
				}
			}
		}
		if totals.Pairs != len(have) || len(pairs) != len(have) {
			t.Fatalf("%d pairs, %d listed, %d in truth", totals.Pairs, len(pairs), len(have))
		}
	})
}
