package access

import (
	"pgregory.net/rapid"

	"sparekey/org"
)

// facts are what the broker sees before it begins or creates.
func (s *sim) facts(g Grant) Facts {
	k, p := g.Key(), s.w.person(g.Person.User)
	p.Status = s.status
	return Facts{Person: p, Rules: s.books[s.denied], Assigned: s.c.listed(k), Others: s.others(g), Creates: s.c.creates(k)}
}

// meanwhile is what happens to dana or to the rules at a moment at which nobody looks.
func (s *sim) meanwhile(where string, often int) {
	if s.c.calm || rapid.IntRange(0, often).Draw(s.t, "change "+where) != 0 {
		return
	}
	s.status = rapid.SampledFrom([]org.Status{org.StatusEnabled, org.StatusEnabled, org.StatusDisabled, org.StatusRemoved, org.StatusUnknown}).Draw(s.t, "status")
	s.denied = rapid.IntRange(0, 3).Draw(s.t, "denied") == 0
}
