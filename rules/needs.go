package rules

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"sparekey/org"
)

// Needs says who must agree: stage after stage, so many different people of each panel, and none of them the requester. No
// approvals mean that the rule agrees by itself; the stages are then those that would have been asked, and may end it.
type Needs struct {
	Approvals int        `json:"approvals"` // of all stages together
	Comment   bool       `json:"comment,omitempty"`
	Stages    [][]Quorum `json:"stages,omitempty"`
	Automatic string     `json:"automatic,omitempty"` // why the rule agrees by itself although it names approvers
}

// Quorum is a panel with its names turned into ids.
type Quorum struct {
	Need   int         `json:"need"`
	Groups []org.Group `json:"groups,omitempty"`
	People []Named     `json:"people,omitempty"`
	Silent *Members    `json:"silent,omitempty"`
	Ladder []Step      `json:"ladder,omitempty"`
	Hours  string      `json:"hours,omitempty"`
	OnCall string      `json:"onCall,omitempty"` // the schedule
	Lost   []string    `json:"lost,omitempty"`   // names of the rule that found nobody

	week     *week // nil where Hours is empty, or where the quorum was read from a record
	whenDown string
}

// Members is groups and people, by id.
type Members struct {
	Groups []org.Group `json:"groups,omitempty"`
	People []Named     `json:"people,omitempty"`
}

// Step is who may agree as well after a time.
type Step struct {
	Members
	After int `json:"after"` // minutes
}

// Named is a person in a decision or a record: the id that counts, and the user name at that moment.
type Named struct {
	ID   org.PersonID `json:"id"`
	User string       `json:"user"`
}

func (m Members) include(p org.Person) bool {
	for _, g := range m.Groups {
		if p.In(g.ID) {
			return true
		}
	}
	return slices.ContainsFunc(m.People, func(n Named) bool { return n.ID == p.ID })
}

// settled reports whether p is one of the members otherwise than by a group that p came into since.
func (m Members) settled(p org.Person, since time.Time) bool {
	for _, g := range m.Groups {
		if joined := p.Joined[g.ID]; p.In(g.ID) && (joined.IsZero() || !joined.After(since)) {
			return true
		}
	}
	return slices.ContainsFunc(m.People, func(n Named) bool { return n.ID == p.ID })
}

func (m Members) names() []string {
	var names []string
	for _, g := range m.Groups {
		names = append(names, g.Name)
	}
	for _, p := range m.People {
		names = append(names, p.User)
	}
	return names
}

// base is who may agree from the beginning.
func (q Quorum) base() Members {
	m := Members{q.Groups, q.People}
	if q.Silent != nil {
		m.Groups, m.People = append(slices.Clone(m.Groups), q.Silent.Groups...), append(slices.Clone(m.People), q.Silent.People...)
	}
	return m
}

// everybody is who may ever agree, the whole ladder included.
func (q Quorum) everybody() Members {
	m := q.base()
	m.Groups, m.People = slices.Clone(m.Groups), slices.Clone(m.People)
	for _, s := range q.Ladder {
		m.Groups, m.People = append(m.Groups, s.Groups...), append(m.People, s.People...)
	}
	return m
}

// Includes reports whether the needs name p in any place: whoever could at some hour or after some time have a say.
func (n Needs) Includes(p org.Person) bool {
	for _, stage := range n.Stages {
		for _, q := range stage {
			if q.everybody().include(p) {
				return true
			}
		}
	}
	return false
}

// asked are the stages whose agreement is waited for.
func (n Needs) asked() [][]Quorum {
	if n.Approvals == 0 {
		return nil
	}
	return n.Stages
}

// Waived are the needs when the rule agrees by itself although it names approvers, and why.
func (n Needs) Waived(why string) Needs { return Needs{Stages: n.Stages, Automatic: why} }

func (n Needs) String() string {
	if n.Approvals == 0 {
		return "automatic"
	}
	stages := make([]string, len(n.Stages))
	for i, stage := range n.Stages {
		of := make([]string, len(stage))
		for j, q := range stage {
			of[j] = q.String()
		}
		stages[i] = strings.Join(of, " and ")
	}
	return strings.Join(stages, ", then ")
}

func (q Quorum) String() string {
	of := append(Members{q.Groups, q.People}.names(), q.Lost...)
	text := fmt.Sprintf("%d of %s", q.Need, strings.Join(of, " or "))
	if q.OnCall != "" {
		text += " on call in " + q.OnCall
	}
	if q.whenDown == "nobody" {
		text += " (nobody while that is not known)"
	}
	if q.Silent != nil {
		text += " or, without being told, " + strings.Join(q.Silent.names(), " or ")
	}
	if q.Hours != "" {
		text += " (" + q.Hours + ")"
	}
	for _, s := range q.Ladder {
		text += fmt.Sprintf(", after %s also %s", Short(time.Duration(s.After)*time.Minute), strings.Join(s.names(), " or "))
	}
	return text
}

// needs turns the names of an allow rule into ids, for one account.
func (s *Set) needs(b *bound, account org.Account) Needs {
	if b.needsNobody() {
		return Needs{}
	}
	if !b.owned { // the same for every account
		return b.common
	}
	return s.bindNeeds(b.Rule, &account)
}

// needsNobody reports whether the rule agrees by itself, whoever asks.
func (r *Rule) needsNobody() bool { return r.Approval == nil || r.Approval.Automatic }

// ownedBy reports whether any panel of the rule is about the owner of the account.
func (r *Rule) ownedBy() bool {
	return slices.ContainsFunc(r.Approval.stages(), func(stage []Panel) bool {
		return slices.ContainsFunc(stage, func(p Panel) bool { return p.Owner.Text != "" })
	})
}

// bindNeeds turns names into ids. Without an account, owners are nobody.
func (s *Set) bindNeeds(r *Rule, account *org.Account) Needs {
	n := Needs{Comment: r.Approval.Comment == "required"}
	for _, stage := range r.Approval.stages() {
		var quorums []Quorum
		for _, p := range stage {
			q := s.quorum(p, account)
			q.week = r.weeks[p.Hours]
			if q.week != nil {
				q.Hours = q.week.String()
			}
			n.Approvals += q.Need
			quorums = append(quorums, q)
		}
		n.Stages = append(n.Stages, quorums)
	}
	return n
}

func (s *Set) quorum(p Panel, account *org.Account) Quorum {
	q := Quorum{Need: p.Need}
	m, lost := s.members(Party{Groups: p.Groups, People: p.People})
	q.Groups, q.People, q.Lost = m.Groups, m.People, lost
	if p.Owner.Text != "" {
		s.addOwner(&q, p.Owner.Text, account)
	}
	if p.Silent != nil {
		silent, _ := s.members(*p.Silent)
		q.Silent = &silent
	}
	if p.OnCall != nil {
		q.OnCall, q.whenDown = p.OnCall.Schedule.Text, p.OnCall.WhenDown.Text
	}
	for _, r := range p.Ladder {
		m, _ := s.members(r.Party)
		q.Ladder = append(q.Ladder, Step{m, int(r.After.Minutes())})
	}
	return q
}

// members turns names into ids, and says which found nobody.
func (s *Set) members(p Party) (m Members, lost []string) {
	for _, name := range p.Groups {
		if g, ok := s.m.Group(name.Text); ok {
			m.Groups = append(m.Groups, g)
		} else {
			lost = append(lost, name.Text)
		}
	}
	for _, name := range p.People {
		if p, ok := s.m.PersonNamed(name.Text); ok {
			m.People = append(m.People, Named{p.ID, p.User})
		} else {
			lost = append(lost, name.Text)
		}
	}
	return m, lost
}

// addOwner adds whom a tag names as the account's owner: the account's own, or that of the nearest OU above it that has one.
// A name that is both a group's and a person's is nobody's.
func (s *Set) addOwner(q *Quorum, tag string, account *org.Account) {
	name := ""
	if account != nil {
		name = account.Tags[tag]
		for _, ou := range s.m.Above(*account) {
			if name == "" {
				name = s.m.OUTags(ou)[tag]
			}
		}
	}
	group, isGroup := s.m.Group(name)
	person, isPerson := s.m.PersonNamed(name)
	switch {
	case name == "" && account == nil:
		q.Lost = append(q.Lost, "the account's owner")
	case name == "":
		q.Lost = append(q.Lost, fmt.Sprintf("the owner (no tag %q on %s or above it)", tag, account.Name))
	case isGroup && !isPerson:
		q.Groups = append(q.Groups, group)
	case isPerson && !isGroup:
		q.People = append(q.People, Named{person.ID, person.User})
	default:
		q.Lost = append(q.Lost, name)
	}
}
