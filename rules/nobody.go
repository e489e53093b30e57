package rules

import (
	"fmt"
	"slices"
	"strings"

	"sparekey/org"
)

// nobody says why there are too few people who could ever approve, whatever the hour and whoever is on call, or nothing when
// there are enough. It runs for every matching rule of every decision, so it looks no further than it must.
func (s Set) nobody(n Needs, requester org.PersonID) string {
	if n.Approvals == 0 || s.enough(n, requester) {
		return ""
	}
	var why []string
	able := map[org.PersonID]bool{}
	for _, stage := range n.Stages {
		for _, q := range stage {
			why = append(why, s.whyNobody(q, requester)...)
			s.each(q.everybody(), func(id org.PersonID) {
				if p, ok := s.m.Person(id); ok && id != requester && p.Status == org.StatusEnabled {
					able[id] = true
				}
			})
		}
	}
	why = slices.Compact(slices.DeleteFunc(why, func(w string) bool { return w == "" }))
	switch {
	case len(able) >= n.Approvals:
		return fmt.Sprintf("of the people who can, not enough are left for each place: %s", strings.Join(why, ", "))
	case len(able) > 0:
		text := fmt.Sprintf("it needs %d people and only %d can", n.Approvals, len(able))
		if len(why) > 0 {
			text += ": " + strings.Join(why, ", ")
		}
		return text
	}
	return strings.Join(why, ", ")
}

func (s Set) whyNobody(q Quorum, requester org.PersonID) []string {
	var why []string
	m := q.everybody()
	for _, g := range m.Groups {
		why = append(why, s.shortOf(g, requester))
	}
	for _, p := range m.People {
		switch who, ok := s.m.Person(p.ID); {
		case p.ID == requester:
			why = append(why, p.User+" asks for it")
		case !ok || who.Status != org.StatusEnabled:
			why = append(why, p.User+" is not enabled")
		}
	}
	for _, name := range q.Lost {
		if strings.HasPrefix(name, "the ") {
			why = append(why, name+" is not known")
		} else {
			why = append(why, fmt.Sprintf("%q does not exist", name))
		}
	}
	return why
}

// enough reports whether every panel can be filled, each with people who sit in no other. Where a panel has as many
// candidates as there are approvals in all, more of them change nothing.
func (s Set) enough(n Needs, requester org.PersonID) bool {
	var quorums []Quorum
	var candidates [][]org.PersonID
	for _, stage := range n.Stages {
		for _, q := range stage {
			few := s.candidates(q, requester, n.Approvals)
			if len(few) < q.Need {
				return false
			}
			quorums, candidates = append(quorums, q), append(candidates, few)
		}
	}
	if len(quorums) == 1 {
		return true
	}
	people := map[org.PersonID][]int{}
	var order []org.PersonID
	for i, few := range candidates {
		for _, id := range few {
			if people[id] == nil {
				order = append(order, id)
			}
			people[id] = append(people[id], i)
		}
	}
	seats, seated := make([][]int, len(quorums)), 0
	for v := range order {
		if seatOne(v, seats, quorums, func(v int) []int { return people[order[v]] }, map[int]bool{}) {
			seated++
		}
	}
	return seated == n.Approvals
}

// candidates lists up to most people who could approve in a panel.
func (s Set) candidates(q Quorum, requester org.PersonID, most int) []org.PersonID {
	found := make([]org.PersonID, 0, most)
	look := func(id org.PersonID) bool {
		p, ok := s.m.Person(id)
		if ok && id != requester && p.Status == org.StatusEnabled && !slices.Contains(found, id) {
			found = append(found, id)
		}
		return len(found) >= most
	}
	in := func(m Members) bool {
		for _, p := range m.People {
			if look(p.ID) {
				return true
			}
		}
		for _, g := range m.Groups {
			if slices.ContainsFunc(s.m.Members(g.ID), look) {
				return true
			}
		}
		return false
	}
	if in(Members{q.Groups, q.People}) || q.Silent != nil && in(*q.Silent) {
		return found
	}
	for _, step := range q.Ladder {
		if in(step.Members) {
			break
		}
	}
	return found
}

func (s Set) shortOf(g org.Group, requester org.PersonID) string {
	members := s.m.Members(g.ID)
	others, enabled := 0, 0
	for _, id := range members {
		if id == requester {
			continue
		}
		others++
		if p, ok := s.m.Person(id); ok && p.Status == org.StatusEnabled {
			enabled++
		}
	}
	switch {
	case len(members) == 0:
		return fmt.Sprintf("the group %s is empty", g.Name)
	case others == 0:
		return fmt.Sprintf("nobody but the requester is in the group %s", g.Name)
	case enabled == 0:
		return fmt.Sprintf("nobody in the group %s is enabled", g.Name)
	}
	return fmt.Sprintf("the group %s has %d who can", g.Name, enabled)
}
