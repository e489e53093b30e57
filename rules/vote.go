package rules

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"sparekey/org"
)

// NewcomersWait is how long somebody who came into a group waits before they approve for sensitive targets by it: so that
// whoever can change groups does not thereby approve at once.
const NewcomersWait = 24 * time.Hour

// Vote is one person's yes, with what it counts for.
type Vote struct {
	By     Named     `json:"by"`
	For    Named     `json:"for,omitzero"` // whose say it was, where By was their delegate
	At     time.Time `json:"at"`
	Stage  int       `json:"stage,omitempty"`  // from 0
	Panels []int     `json:"panels,omitempty"` // of the stage: those that it can count in, from 0
}

// authority is whose say a vote was.
func (v Vote) authority() org.PersonID {
	if v.For.ID != "" {
		return v.For.ID
	}
	return v.By.ID
}

// Case is what is to be agreed to, as far as it decides who may.
type Case struct {
	Needs     Needs
	Requester org.PersonID
	Asked     time.Time
	Sensitive bool
	Votes     []Vote // those that were given for exactly what is asked now
}

// Delegation says that a person is away, and who has their say meanwhile. It is never a say about what the delegate asks for.
type Delegation struct {
	From  Named     `json:"from"`
	To    Named     `json:"to,omitzero"` // nobody: From is away, and not counted upon
	Since time.Time `json:"since"`
	Until time.Time `json:"until"`
	Note  string    `json:"note,omitempty"`
}

func (d Delegation) holds(now time.Time) bool { return !now.Before(d.Since) && now.Before(d.Until) }

// Progress is how far a case is.
type Progress struct {
	Stage  int       // the one whose turn it is; as many as there are: all have agreed
	Since  time.Time // when its turn began
	Counts int       // votes that count, of all stages
	Open   []int     // panels of the stage that need more
}

// Done reports whether everybody has agreed who must.
func (p Progress) Done(n Needs) bool { return p.Stage == len(n.asked()) }

// Progress counts the votes of those who may still give them: enabled, still of the panel, and not the requester. known are
// people who were just read live.
func (s Set) Progress(c Case, known ...org.Person) Progress {
	p := Progress{Since: c.Asked}
	for ; p.Stage < len(c.Needs.asked()); p.Stage++ {
		seats := s.seat(c, p.Stage, known)
		var last time.Time
		p.Open = nil
		for i, q := range c.Needs.asked()[p.Stage] {
			p.Counts += len(seats[i])
			if len(seats[i]) < q.Need {
				p.Open = append(p.Open, i)
			}
			for _, v := range seats[i] {
				if v.At.After(last) {
					last = v.At
				}
			}
		}
		if len(p.Open) > 0 {
			return p
		}
		p.Since = last
	}
	return p
}

// seat gives every vote of a stage that counts a seat in one of its panels, so that as many have one as can.
func (s Set) seat(c Case, stage int, known []org.Person) [][]Vote {
	quorums := c.Needs.asked()[stage]
	var votes []Vote
	used := map[org.PersonID]bool{}
	for _, v := range c.Votes {
		if v.Stage != stage || used[v.By.ID] || used[v.authority()] || !s.stillMay(c, v, known) {
			continue
		}
		used[v.By.ID], used[v.authority()] = true, true
		votes = append(votes, v)
	}
	seats := make([][]int, len(quorums))
	for i := range votes {
		seatOne(i, seats, quorums, func(v int) []int { return votes[v].Panels }, map[int]bool{})
	}
	taken := make([][]Vote, len(quorums))
	for i, of := range seats {
		for _, v := range of {
			taken[i] = append(taken[i], votes[v])
		}
	}
	return taken
}

// seatOne finds a seat for voter v, moving others where that helps (an augmenting path of a bipartite matching).
func seatOne(v int, seats [][]int, quorums []Quorum, panels func(v int) []int, tried map[int]bool) bool {
	for _, p := range panels(v) {
		if p < 0 || p >= len(quorums) || tried[p] {
			continue
		}
		tried[p] = true
		if len(seats[p]) < quorums[p].Need {
			seats[p] = append(seats[p], v)
			return true
		}
		for i, other := range seats[p] {
			if seatOne(other, seats, quorums, panels, tried) {
				seats[p][i] = v
				return true
			}
		}
	}
	return false
}

// stillMay reports whether a vote's giver, and whose say it was, could still give it: whatever the hour is by now.
func (s Set) stillMay(c Case, v Vote, known []org.Person) bool {
	may := func(id org.PersonID) bool {
		p, ok := s.person(id)
		for _, k := range known {
			if k.ID == id {
				p, ok = k, true
			}
		}
		if !ok || p.Status != org.StatusEnabled || id == c.Requester {
			return false
		}
		return id != v.authority() || slices.ContainsFunc(v.Panels, func(i int) bool {
			return i < len(c.Needs.asked()[v.Stage]) && c.Needs.asked()[v.Stage][i].everybody().include(p)
		})
	}
	return may(v.By.ID) && may(v.authority())
}

// MayApprove returns the vote that by can give now, or says why by can give none. It judges by the status and groups that by
// carries, so that a person who was just looked up in AWS is judged by what AWS said.
func (s Set) MayApprove(c Case, by org.Person) (Vote, string) {
	switch {
	case by.ID == c.Requester:
		return Vote{}, "nobody approves what they asked for themselves"
	case by.Status == org.StatusUnknown:
		return Vote{}, "AWS does not say whether " + by.User + " is enabled"
	case by.Status != org.StatusEnabled:
		return Vote{}, by.User + " is " + string(by.Status) + " in the directory"
	}
	at := s.Progress(c, by)
	if at.Done(c.Needs) {
		return Vote{}, "everybody has agreed already"
	}
	used := map[org.PersonID]bool{}
	for _, v := range c.Votes {
		if s.stillMay(c, v, []org.Person{by}) {
			used[v.By.ID], used[v.authority()] = true, true
		}
	}
	if used[by.ID] {
		return Vote{}, by.User + " approved it already; it needs somebody else too"
	}
	vote := Vote{By: Named{by.ID, by.User}, At: s.facts.Now, Stage: at.Stage}
	panels, why := s.panelsFor(c, at, by)
	if vote.Panels = panels; s.adds(c, vote, by) {
		return vote, ""
	}
	for _, d := range s.facts.Delegations {
		from, ok := s.person(d.From.ID)
		if !ok || d.To.ID != by.ID || !d.holds(s.facts.Now) || d.From.ID == c.Requester || used[d.From.ID] || from.Status != org.StatusEnabled {
			continue
		}
		vote.For = d.From
		if vote.Panels, _ = s.panelsFor(c, at, from); s.adds(c, vote, by) {
			return vote, ""
		}
	}
	if len(panels) > 0 {
		why = by.User + " could only repeat what others have said; it needs somebody else too"
	}
	return Vote{}, why
}

// person is somebody as AWS described them last.
func (s Set) person(id org.PersonID) (org.Person, bool) {
	if p, ok := s.facts.Live[id]; ok {
		return p, true
	}
	return s.m.Person(id)
}

// adds reports whether one more vote would bring the case further.
func (s Set) adds(c Case, v Vote, by org.Person) bool {
	if len(v.Panels) == 0 {
		return false
	}
	before := s.Progress(c, by)
	c.Votes = append(slices.Clone(c.Votes), v)
	return s.Progress(c, by).Counts > before.Counts
}

// panelsFor lists the panels of the stage in which p has a say now, or says why there is none.
func (s Set) panelsFor(c Case, at Progress, p org.Person) (panels []int, why string) {
	var reasons []string
	for i, q := range c.Needs.asked()[at.Stage] {
		reason := s.entitled(c, q, at.Since, p)
		if reason == "" {
			panels = append(panels, i)
		} else if !slices.Contains(reasons, reason) {
			reasons = append(reasons, reason)
		}
	}
	return panels, strings.Join(reasons, "; ")
}

// entitled says why p has no say in a panel now, or nothing. since is when its turn began.
func (s Set) entitled(c Case, q Quorum, since time.Time, p org.Person) string {
	counts := func(m Members) bool { return m.include(p) }
	if c.Sensitive {
		counts = func(m Members) bool { return m.settled(p, s.facts.Now.Add(-NewcomersWait)) }
	}
	for _, step := range q.Ladder {
		if counts(step.Members) && !s.facts.Now.Before(since.Add(time.Duration(step.After)*time.Minute)) {
			return ""
		}
	}
	if !q.everybody().include(p) {
		return fmt.Sprintf("it needs %s; %s is none of them", q, p.User)
	}
	if !counts(q.everybody()) {
		return fmt.Sprintf("%s came into the group less than a day ago, and approves for sensitive targets only after that", p.User)
	}
	if counts(q.base()) {
		return s.atThisHour(q, p)
	}
	for _, step := range q.Ladder {
		if counts(step.Members) {
			return fmt.Sprintf("%s may approve from %s on", p.User, since.Add(time.Duration(step.After)*time.Minute).Format(time.RFC3339))
		}
	}
	return fmt.Sprintf("it needs %s; %s is none of them", q, p.User)
}

// atThisHour says why somebody of a panel may not approve at this moment, or nothing.
func (s Set) atThisHour(q Quorum, p org.Person) string {
	if q.Hours != "" {
		if q.week == nil || s.facts.Now.IsZero() || q.week.open(s.facts.Now).IsZero() {
			text := fmt.Sprintf("%s may approve only %s", p.User, q.Hours)
			if q.week != nil && !s.facts.Now.IsZero() && !q.week.next(s.facts.Now).IsZero() {
				text += ", next from " + q.week.next(s.facts.Now).Format(time.RFC3339)
			}
			return text
		}
	}
	if q.OnCall == "" {
		return ""
	}
	shift, known := s.facts.OnCall[q.OnCall]
	switch {
	case known && shift.Down == "" && slices.Contains(shift.People, p.ID):
		return ""
	case known && shift.Down == "":
		return fmt.Sprintf("%s is not on call in %s", p.User, q.OnCall)
	case q.whenDown == "nobody":
		return fmt.Sprintf("nobody knows who is on call in %s: %s", q.OnCall, shift.Down)
	}
	return ""
}

// Approvers lists the enabled people who may approve now, by user name. Those who are away are not counted upon, and are not
// listed; their delegates are.
func (s Set) Approvers(c Case) []org.Person { return s.able(c, false) }

// Told lists those of the approvers who are to be told: not the silent ones.
func (s Set) Told(c Case) []org.Person { return s.able(c, true) }

func (s Set) able(c Case, loud bool) []org.Person {
	if c.Needs.Approvals == 0 || !s.Ready() {
		return nil
	}
	at := s.Progress(c)
	if at.Done(c.Needs) {
		return nil
	}
	seen := map[org.PersonID]bool{}
	var found []org.Person
	look := func(id org.PersonID) {
		p, ok := s.m.Person(id)
		if !ok || seen[id] || s.away(id) {
			return
		}
		seen[id] = true
		if _, why := s.MayApprove(c, p); why == "" {
			found = append(found, p)
		}
	}
	for _, q := range c.Needs.asked()[at.Stage] {
		m := q.everybody()
		if loud && q.Silent != nil {
			m = q.loud()
		}
		s.each(m, look)
		for _, d := range s.facts.Delegations {
			if from, ok := s.m.Person(d.From.ID); ok && d.To.ID != "" && m.include(from) {
				look(d.To.ID)
			}
		}
	}
	slices.SortFunc(found, func(a, b org.Person) int { return strings.Compare(a.User, b.User) })
	return found
}

// loud is everybody but the silent.
func (q Quorum) loud() Members {
	q.Silent = nil
	return q.everybody()
}

func (s Set) away(id org.PersonID) bool {
	return slices.ContainsFunc(s.facts.Delegations, func(d Delegation) bool { return d.From.ID == id && d.holds(s.facts.Now) })
}

func (s Set) each(m Members, do func(org.PersonID)) {
	for _, g := range m.Groups {
		for _, id := range s.m.Members(g.ID) {
			do(id)
		}
	}
	for _, p := range m.People {
		do(p.ID)
	}
}
