package rules

import (
	"time"

	"pgregory.net/rapid"

	"sparekey/org"
)

// anyFacts is what other systems might say, and what the server can do.
func anyFacts(t *rapid.T, o org.Organization) Facts {
	f := Facts{Now: noon.Add(time.Duration(rapid.IntRange(0, 47).Draw(t, "hour")) * time.Hour), Delegations: anyDelegations(t, o)}
	switch rapid.IntRange(0, 2).Draw(t, "shift") {
	case 0:
		f.OnCall = map[string]Shift{"shift": {People: []org.PersonID{rapid.SampledFrom(o.People).Draw(t, "who is on call").ID}}}
	case 1:
		f.OnCall = map[string]Shift{"shift": {Down: "no answer"}}
	}
	switch rapid.IntRange(0, 2).Draw(t, "jira") {
	case 0:
		f.Tickets = map[string]Ticket{"jira": {OK: rapid.Bool().Draw(t, "jira says yes"), Why: "it is closed"}}
	case 1:
		f.Tickets = map[string]Ticket{"jira": {Down: "no answer"}}
	}
	hinder(t, o, &f)
	return f
}

// hinder adds what keeps rules from giving what they give: what this server cannot lend, groups that were not made, stops that
// hold, and reviews that are overdue.
func hinder(t *rapid.T, o org.Organization, f *Facts) {
	account := func(what string) org.AccountID { return org.AccountID(rapid.SampledFrom(accountIDs).Draw(t, what)) }
	if rapid.Bool().Draw(t, "groups") {
		none := account("where no group is made")
		f.Groups = func(to org.Target) org.GroupID {
			if to.Account == none {
				return ""
			}
			return org.GroupID("lent-" + string(to.Account) + to.PermissionSet)
		}
	}
	if rapid.Bool().Draw(t, "not lent") {
		not, way := account("where is not lent"), rapid.SampledFrom([]string{byAssignment, byMembership, bySession}).Draw(t, "how not")
		f.NotLent = func(to org.Target, by string) string {
			if to.Account == not && by == way {
				return "it is not lent by " + way
			}
			return ""
		}
	}
	if rapid.Bool().Draw(t, "held") {
		who, where, which := rapid.SampledFrom(o.People).Draw(t, "whose is held").ID, account("where is held"), rapid.SampledFrom([]string{"r0", "r1", "r2"}).Draw(t, "which rule is held")
		f.Held = func(p org.PersonID, to org.Target, rule string) string {
			if p == who || to.Account == where || rule == which {
				return "somebody stopped it"
			}
			return ""
		}
	}
	f.Overdue = map[org.PersonID]string{}
	if rapid.Bool().Draw(t, "overdue") {
		f.Overdue[rapid.SampledFrom(o.People).Draw(t, "whose review").ID] = "rev-1"
	}
}

func anyReview(t *rapid.T) *Review {
	r := &Review{Party: Party{Groups: some(t, "reviewer groups", groupNames, 1)}, Within: Duration{48 * time.Hour}}
	if rapid.Bool().Draw(t, "review ladder") {
		r.Ladder = []Rung{{Party{People: some(t, "late reviewers", userNames, 1)}, Duration{24 * time.Hour}}}
	}
	return r
}

func anySensitive(t *rapid.T) Sensitive {
	s := Sensitive{Accounts: some(t, "sensitive accounts", accountIDs, 0), PermissionSets: some(t, "sensitive sets", setNames, 0)}
	if rapid.Bool().Draw(t, "sensitive review") {
		s.Review = anyReview(t)
	}
	return s
}
