package access

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"sparekey/org"
)

// FindingKind says how what AWS gives differs from what Sparekey gave.
type FindingKind string

// The kinds of finding.
const (
	Orphaned FindingKind = "orphaned" // Sparekey gave it once, and no grant has it now: it is there again, or was left behind
	Missing  FindingKind = "missing"  // a live grant should have it, and AWS does not list it
	Foreign  FindingKind = "foreign"  // somebody else gave it
)

// Finding is one assignment that AWS gives and no grant does, or the other way round.
type Finding struct {
	Kind       FindingKind    `json:"kind"`
	Assignment org.Assignment `json:"assignment"`
	Grant      string         `json:"grant,omitempty"` // the last that had it
	Since      time.Time      `json:"since"`           // when it was found first
}

// key is what makes two findings the same.
func (f Finding) key() string {
	return string(f.Kind) + " " + string(f.Assignment.Kind) + " " + f.Assignment.Principal + " " + f.Assignment.PermissionSet
}

// Direct reports whether it is access of one person, and not of whoever is in a group.
func (f Finding) Direct() bool { return f.Assignment.Kind == org.User }

// Reconcile compares the assignments that AWS lists in an account with the grants that ever were there by assignment. lent
// reports whether a group is one by which Sparekey lends, or one that it keeps empty. before is what was found the last time:
// what is found again keeps its time. What a grant is being given or is losing at this moment is no difference.
func Reconcile(listed []org.Assignment, grants []Grant, lent func(org.GroupID) bool, before []Finding, now time.Time) []Finding {
	there := map[org.Assignment]bool{}
	for _, a := range listed {
		there[a] = true
	}
	last, held := map[org.Assignment]Grant{}, map[org.Assignment]bool{}
	found := []Finding{}
	for _, g := range grants {
		if g.Way != Assignment {
			continue
		}
		a := org.Assignment{Kind: org.User, Principal: string(g.Person.ID), Target: g.Target.Target}
		held[a] = held[a] || g.Live()
		if was, ok := last[a]; g.Held != PreExisting && (!ok || was.ApprovedAt.Before(g.ApprovedAt)) && !g.BegunAt.IsZero() {
			last[a] = g
		}
		if g.State == Active && g.End == nil && !there[a] {
			found = append(found, Finding{Missing, a, g.ID, moment(now)})
		}
	}
	for a := range there {
		switch was, ours := last[a]; {
		case held[a] || a.Kind == org.GroupOfAWS && lent(org.GroupID(a.Principal)):
		case ours && was.Task(now) != Rest: // it is still being looked after
		case ours:
			found = append(found, Finding{Orphaned, a, was.ID, moment(now)})
		default:
			found = append(found, Finding{Foreign, a, "", moment(now)})
		}
	}
	for i := range found {
		if j := slices.IndexFunc(before, func(b Finding) bool { return b.key() == found[i].key() }); j >= 0 {
			found[i].Since = before[j].Since
		}
	}
	slices.SortFunc(found, func(a, b Finding) int {
		return cmp.Or(strings.Compare(a.key(), b.key()), strings.Compare(a.Grant, b.Grant))
	})
	return slices.CompactFunc(found, func(a, b Finding) bool { return a.key() == b.key() })
}

// News says which findings of after are not among before.
func News(before, after []Finding) []Finding {
	return slices.DeleteFunc(slices.Clone(after), func(f Finding) bool {
		return slices.ContainsFunc(before, func(b Finding) bool { return b.key() == f.key() })
	})
}
