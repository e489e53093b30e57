package world

import (
	"cmp"
	"slices"
	"time"

	"sparekey/org"
)

// change is an assignment that came or went.
type change struct {
	at         time.Time
	assignment org.Assignment
	added      bool
}

func compare(a, b org.Assignment) int {
	return cmp.Or(cmp.Compare(a.Account, b.Account), cmp.Compare(a.PermissionSet, b.PermissionSet), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Principal, b.Principal))
}

// Assigned reports whether the assignment exists.
func (w *World) Assigned(a org.Assignment) bool {
	_, ok := w.assignments[a]
	return ok
}

// Since is when the assignment came to be.
func (w *World) Since(a org.Assignment) time.Time { return w.assignments[a] }

// Assignments lists the assignments that exist.
func (w *World) Assignments() []org.Assignment {
	all := make([]org.Assignment, 0, len(w.assignments))
	for a := range w.assignments {
		all = append(all, a)
	}
	slices.SortFunc(all, compare)
	return all
}

// Listed lists the assignments that which holds for, in no order, as listings show them: what changed lately has not
// happened yet.
func (w *World) Listed(now time.Time, which func(org.Assignment) bool) []org.Assignment {
	before := map[org.Assignment]bool{} // whether what changed lately was there
	for _, c := range slices.Backward(w.history) {
		if now.Sub(c.at) >= w.timing.Listing {
			break
		}
		before[c.assignment] = !c.added
	}
	var all []org.Assignment
	for a := range w.assignments {
		if _, changed := before[a]; !changed && which(a) {
			all = append(all, a)
		}
	}
	for a, there := range before {
		if there && which(a) {
			all = append(all, a)
		}
	}
	return all
}

// Assign makes an assignment at once, as if somebody else's operation had ended.
func (w *World) Assign(now time.Time, a org.Assignment) { w.assign(now, a) }

// Unassign removes an assignment at once.
func (w *World) Unassign(now time.Time, a org.Assignment) { w.unassign(now, a) }

func (w *World) assign(now time.Time, a org.Assignment) {
	if w.Assigned(a) {
		return
	}
	w.assignments[a] = now
	w.note(change{now, a, true})
	if _, ok := w.roles[a.Target]; ok {
		return
	}
	name := "unknown"
	if s, ok := w.sets[a.PermissionSet]; ok {
		name = s.Name
	}
	name = "AWSReservedSSO_" + name + "_" + w.source.Hex(16, "role")
	w.roles[a.Target] = Role{a.Target, name, w.source.KeyID("AROA"), w.roleARN(a.Account, name), now}
}

func (w *World) unassign(now time.Time, a org.Assignment) {
	if !w.Assigned(a) {
		return
	}
	delete(w.assignments, a)
	w.note(change{now, a, false})
	for other := range w.assignments {
		if other.Target == a.Target {
			return
		}
	}
	delete(w.roles, a.Target)
}

// note keeps a change while listings do not show it yet.
func (w *World) note(c change) {
	if w.timing.Listing <= 0 {
		return
	}
	w.history = slices.DeleteFunc(append(w.history, c), func(old change) bool { return c.at.Sub(old.at) >= w.timing.Listing })
}

// Role finds the role that a permission set has in an account.
func (w *World) Role(t org.Target) (Role, bool) {
	r, ok := w.roles[t]
	return r, ok
}

// Roles lists the roles of all accounts.
func (w *World) Roles() []Role {
	all := make([]Role, 0, len(w.roles))
	for _, r := range w.roles {
		all = append(all, r)
	}
	slices.SortFunc(all, func(a, b Role) int { return cmp.Or(cmp.Compare(a.Account, b.Account), cmp.Compare(a.Name, b.Name)) })
	return all
}

// Reached lists what a person reaches by their own assignments and those of their groups, each target once.
func (w *World) Reached(id org.PersonID) []org.Target {
	reached := map[org.Target]bool{}
	for a := range w.assignments {
		if a.Kind == org.User && a.Principal == string(id) || a.Kind == org.GroupOfAWS && w.Member(id, org.GroupID(a.Principal)) {
			reached[a.Target] = true
		}
	}
	targets := make([]org.Target, 0, len(reached))
	for t := range reached {
		targets = append(targets, t)
	}
	slices.SortFunc(targets, func(a, b org.Target) int {
		return cmp.Or(cmp.Compare(a.Account, b.Account), cmp.Compare(a.PermissionSet, b.PermissionSet))
	})
	return targets
}
