package rig

import (
	"context"
	"fmt"
	"strings"
	"time"

	"sparekey/access"
	"sparekey/audit"
	"sparekey/internal/store"
	"sparekey/org"
	"sparekey/rules"
)

// Crowded is an organization for benchmarks of very many live grants: so many accounts and people, and two permission sets.
func Crowded(accounts, people int) string {
	var text strings.Builder
	text.WriteString("accounts:\n  - {id: \"100000000001\", name: management}\n")
	for i := range accounts {
		fmt.Fprintf(&text, "  - {id: \"2%011d\", name: play-%d, ou: Sandbox}\n", i, i)
	}
	text.WriteString("permission-sets: [{name: ReadOnly}, {name: PowerUser}]\npeople:\n")
	for p := range people {
		fmt.Fprintf(&text, "  - {user: p%d, groups: [developers]}\n", p)
	}
	return text.String()
}

// Crowd is an active grant, since a moment, of everybody in every account but the management account with every permission set,
// and what AWS gives by them. minutes says for how long each of them is lent.
func Crowd(o org.Organization, since time.Time, minutes func(i int) int) (grants []access.Grant, given []org.Assignment) {
	for _, a := range o.Accounts {
		if a.ID == o.ManagementAccount {
			continue
		}
		for _, p := range o.People {
			for _, s := range o.PermissionSets {
				i := len(grants)
				id := fmt.Sprintf("g-%06d", i)
				t := access.Place{Target: org.Target{Account: a.ID, PermissionSet: s.ARN}, AccountName: a.Name, PermissionSetName: s.Name, SessionMinutes: 60}
				g := access.Grant{
					ID: id, Version: 5, State: access.Active, Request: "req-" + id, Line: 1, Person: access.Named{ID: p.ID, User: p.User}, Target: t,
					Minutes: minutes(i), Reason: "INC-1", AskedAt: since, ApprovedAt: since.Add(time.Duration(i) * time.Millisecond), Held: access.Ours, BegunAt: since, ActiveAt: since,
					Create: &access.Operation{ID: "op-" + id, SentAt: since, Outcome: access.Succeeded},
					Rule:   rules.Ref{Name: "play", File: "rules.yaml", Line: 3, Digest: "sha256:9ca786edc6f8bc12dd3a9e2a6dd08f407577713dadafa093f08ed2ee71e5ae6a"},
				}
				g.Way = access.Assignment
				g.EndsAt = since.Add(g.Duration())
				g.HardEnd = g.EndsAt.Add(15 * time.Minute)
				grants = append(grants, g)
				given = append(given, org.Assignment{Target: t.Target, Principal: string(p.ID), Kind: org.User})
			}
		}
	}
	return grants, given
}

// Put writes grants as they are, without a story in the record.
func Put(ctx context.Context, s *store.Store, grants []access.Grant) error {
	for len(grants) > 0 {
		n := min(len(grants), 1000)
		if err := s.Update(ctx, func(tx *store.Tx) error { return tx.Apply(access.Change{Grants: grants[:n]}, audit.Cause{}) }); err != nil {
			return err
		}
		grants = grants[n:]
	}
	return nil
}
