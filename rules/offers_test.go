package rules

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"sparekey/org"
)

// TestASearchFindsWhatIsOfferedAndMatches compares with a look at everything that is offered.
func TestASearchFindsWhatIsOfferedAndMatches(t *testing.T) {
	holds := func(text, part string) bool { return strings.Contains(strings.ToLower(text), strings.ToLower(part)) }
	rapid.Check(t, func(t *rapid.T) {
		o := anyOrganization(t)
		m := org.NewMirror(o)
		s := anyBook(t).In(m).At(Facts{Now: noon})
		for _, p := range o.People {
			all := slices.Collect(s.Offers(p))
			if !slices.IsSortedFunc(all, func(a, b Offer) int {
				return strings.Compare(a.Account.Name+"\n"+string(a.Account.ID)+"\n"+a.PermissionSet.Name, b.Account.Name+"\n"+string(b.Account.ID)+"\n"+b.PermissionSet.Name)
			}) {
				t.Fatalf("%v is not in order", all)
			}
			a := rapid.SampledFrom(o.Accounts).Draw(t, "account")
			in := Search{Account: rapid.SampledFrom([]string{"", strings.ToUpper(a.Name), string(a.ID)[8:], m.Path(a.Parent), "env=", "=PROD", "nowhere"}).Draw(t, "text")}
			in.PermissionSet = strings.ToUpper(rapid.SampledFrom(append(o.PermissionSets, org.PermissionSet{})).Draw(t, "set").Name)
			from := 0
			if len(all) > 0 && rapid.Bool().Draw(t, "later") {
				from = rapid.IntRange(0, len(all)-1).Draw(t, "after") + 1
				in.After = Spot{all[from-1].Account.ID, all[from-1].PermissionSet.Name}
			}
			var want, got []string
			for _, offer := range all[from:] {
				tagged := false
				for k, v := range offer.Account.Tags {
					tagged = tagged || holds(k+"="+v, in.Account)
				}
				if holds(offer.PermissionSet.Name, in.PermissionSet) && (tagged || holds(offer.Account.Name, in.Account) || holds(string(offer.Account.ID), in.Account) || holds(offer.Path, in.Account)) {
					want = append(want, fmt.Sprint(offer))
				}
			}
			for offer := range s.Find(p, in) {
				got = append(got, fmt.Sprint(offer))
			}
			if !slices.Equal(got, want) {
				t.Fatalf("%+v found\n%s\nnot\n%s", in, strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
		}
		for range s.Find(o.People[0], Search{After: Spot{Account: "999999999999"}}) {
			t.Fatal("something comes after an account that is not there")
		}
	})
}
