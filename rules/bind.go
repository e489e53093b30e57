package rules

import (
	"fmt"
	"slices"
	"strings"

	"sparekey/org"
	"sparekey/strict"
)

// Set is a book bound to an organization: what decisions are taken with. It is made once and only read afterwards. The zero
// Set belongs to an organization that has not been read yet; it refuses everything and says so.
type Set struct {
	book  *Book
	m     *org.Mirror
	place map[org.AccountID]int // an account's place in the mirror's list, and its bit
	live  bits                  // active accounts
	order []int                 // accounts by name
	find  []string              // what an account is found by
	rules []bound
	care  sensitive
	facts Facts
}

// sensitive is what is marked so, by id.
type sensitive struct {
	accounts map[org.AccountID]bool
	sets     map[string]bool
	review   *Reviewers
}

// bound is one rule with its names turned into ids.
type bound struct {
	*Rule
	ref      Ref
	who      whom
	sets     map[string]bool // ARNs; nil means every one, in a deny rule that names none
	accounts bits
	common   Needs // who must agree, the same for every account unless owned
	owned    bool  // whether the owner of the account has a say
	review   *Reviewers
	broken   []string // names that found nothing where that makes the rule stricter than written
}

// Ref names a rule in decisions and records.
type Ref struct {
	Name   string `json:"name"`
	File   string `json:"file"`
	Line   int    `json:"line"`
	Digest string `json:"digest"`
}

func (r Ref) String() string { return fmt.Sprintf("rule %q (%s:%d)", r.Name, r.File, r.Line) }

// In binds the book to an organization as it was read.
func (b *Book) In(m *org.Mirror) Set {
	s := Set{book: b, m: m, place: map[org.AccountID]int{}}
	places := s.indexAccounts()
	s.indexNames()
	s.rules = make([]bound, len(b.Rules))
	for i, r := range b.Rules {
		s.rules[i] = s.bind(r, places)
	}
	s.care = s.bindSensitive(b.Sensitive)
	return s
}

// At returns the set as it judges with what is known at a moment. Without facts, whatever would need them is judged strictly.
func (s Set) At(f Facts) Set {
	s.facts = f
	return s
}

func (s *Set) bindSensitive(written Sensitive) sensitive {
	care := sensitive{accounts: map[org.AccountID]bool{}, sets: map[string]bool{}}
	for _, a := range written.Accounts {
		care.accounts[org.AccountID(a.Text)] = true
	}
	for _, name := range written.PermissionSets {
		if set, ok := s.m.PermissionSet(name.Text); ok {
			care.sets[set.ARN] = true
		}
	}
	care.review = s.reviewers(written.Review)
	return care
}

// Sensitive reports whether a target is marked as sensitive.
func (s Set) Sensitive(t org.Target) bool {
	return s.care.accounts[t.Account] || s.care.sets[t.PermissionSet]
}

// Reviewers says who looks at a use afterwards, and how long after its end.
type Reviewers struct {
	Quorum Quorum `json:"quorum"`
	Within int    `json:"within"` // minutes
}

func (s *Set) reviewers(r *Review) *Reviewers {
	if r == nil {
		return nil
	}
	return &Reviewers{s.quorum(Panel{Need: 1, Groups: r.Groups, People: r.People, Ladder: r.Ladder}, nil), int(r.Within.Minutes())}
}

// Schedules lists the names of the on-call schedules that the rules ask about.
func (b *Book) Schedules() []string {
	return b.collect(func(r *Rule, add func(string)) {
		if r.Approval == nil {
			return
		}
		if r.Approval.AutomaticOnCall != nil {
			add(r.Approval.AutomaticOnCall.Schedule.Text)
		}
		for _, stage := range r.Approval.stages() {
			for _, p := range stage {
				if p.OnCall != nil {
					add(p.OnCall.Schedule.Text)
				}
			}
		}
	})
}

// TicketServices lists the names of the services that the rules have tickets checked by.
func (b *Book) TicketServices() []string {
	return b.collect(func(r *Rule, add func(string)) {
		if r.With.Ticket != nil && r.With.Ticket.Check.Text != "" {
			add(r.With.Ticket.Check.Text)
		}
	})
}

func (b *Book) collect(of func(r *Rule, add func(string))) []string {
	var names []string
	for _, r := range b.Rules {
		of(r, func(name string) { names = append(names, name) })
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Book returns the rules of the set as they were written.
func (s Set) Book() *Book { return s.book }

// Ready reports whether the set is bound to an organization that has been read.
func (s Set) Ready() bool { return s.m != nil }

// Organization returns the mirror that the set is bound to.
func (s Set) Organization() *org.Mirror { return s.m }

// Digest names the rules of the set.
func (s Set) Digest() string {
	if s.book == nil {
		return ""
	}
	return s.book.digest
}

// places are the accounts below each OU and with each tag, made once for all rules.
type places struct {
	all  bits
	ous  map[org.OUID]bits
	tags map[[2]string]bits
}

func (s *Set) indexAccounts() places {
	accounts := s.m.Organization().Accounts
	n := len(accounts)
	p := places{newBits(n), map[org.OUID]bits{}, map[[2]string]bits{}}
	p.all.fill(n)
	s.live = newBits(n)
	for i, a := range accounts {
		s.place[a.ID] = i
		if a.State == org.AccountActive {
			s.live.set(i)
		}
		for _, ou := range s.m.Above(a) {
			if p.ous[ou] == nil {
				p.ous[ou] = newBits(n)
			}
			p.ous[ou].set(i)
		}
		for k, v := range a.Tags {
			if p.tags[[2]string{k, v}] == nil {
				p.tags[[2]string{k, v}] = newBits(n)
			}
			p.tags[[2]string{k, v}].set(i)
		}
	}
	return p
}

func (s *Set) bind(r *Rule, p places) bound {
	b := bound{Rule: r, ref: Ref{r.Name, r.At.File, r.At.Line, r.digest}}
	b.who = s.bindWho(r, &b)
	b.sets = s.bindWhat(r)
	b.accounts = s.bindWhere(r, p, &b)
	if !r.Deny {
		if b.owned = r.ownedBy(); !r.needsNobody() {
			b.common = s.bindNeeds(r, nil)
		}
		b.review = s.reviewers(r.Review)
	}
	return b
}

// whom is people, by id.
type whom struct {
	everyone bool
	groups   map[org.GroupID]string
	people   map[org.PersonID]string
	except   *whom
}

func (w whom) names(p org.Person) bool {
	if _, ok := w.people[p.ID]; ok || w.everyone {
		return true
	}
	for _, g := range p.Groups {
		if _, ok := w.groups[g]; ok {
			return true
		}
	}
	return false
}

func (w whom) includes(p org.Person) bool {
	return w.names(p) && (w.except == nil || !w.except.names(p))
}

// People is a [Who] with its names turned into ids: the people of a role, for instance.
type People struct{ whom }

// PeopleOf binds who to an organization. Names that find nothing include nobody.
func PeopleOf(who Who, m *org.Mirror) People {
	s := Set{m: m}
	w, _ := s.people(&who)
	if who.Except != nil {
		e, lost := s.people(who.Except)
		w.except = &e
		if len(lost) > 0 {
			return People{}
		}
	}
	return People{w}
}

// Include reports whether p is one of them.
func (p People) Include(who org.Person) bool { return p.includes(who) }

func (s *Set) bindWho(r *Rule, b *bound) whom {
	if r.Who == nil {
		return whom{everyone: true}
	}
	w, lost := s.people(r.Who)
	if r.Deny && len(lost) > 0 {
		w.everyone = true
		b.broken = append(b.broken, "it denies everyone, since "+lost[0])
	}
	if r.Who.Except != nil {
		e, lost := s.people(r.Who.Except)
		w.except = &e
		if !r.Deny && len(lost) > 0 {
			b.broken = append(b.broken, "it gives nothing, since of its exception "+lost[0])
		}
	}
	return w
}

// people turns names into ids and says which groups were not found. A person who is not found is not missed: people leave,
// and somebody who is not there can neither be given nor be denied anything.
func (s *Set) people(who *Who) (w whom, lost []string) {
	w = whom{everyone: who.Everyone, groups: map[org.GroupID]string{}, people: map[org.PersonID]string{}}
	for _, name := range who.Groups {
		if g, ok := s.m.Group(name.Text); ok {
			w.groups[g.ID] = g.Name
		} else {
			lost = append(lost, fmt.Sprintf("the group %q does not exist", name.Text))
		}
	}
	for _, name := range who.People {
		if p, ok := s.m.PersonNamed(name.Text); ok {
			w.people[p.ID] = p.User
		}
	}
	return w, lost
}

func (s *Set) bindWhat(r *Rule) map[string]bool {
	if r.What == nil {
		return nil
	}
	sets := map[string]bool{}
	for _, name := range r.What.PermissionSets {
		if set, ok := s.m.PermissionSet(name.Text); ok {
			sets[set.ARN] = true
		}
	}
	for _, role := range r.What.Roles {
		sets[org.RolePrefix+role.Text] = true
	}
	return sets
}

// set finds what a target lends: a permission set, or an IAM role that some rule names.
func (s Set) set(text string) (org.PermissionSet, bool) {
	if !strings.HasPrefix(text, org.RolePrefix) {
		return s.m.PermissionSet(text)
	}
	named := slices.ContainsFunc(s.rules, func(b bound) bool { return !b.Deny && b.sets[text] })
	return org.PermissionSet{ARN: text, Name: text}, named
}

func (s *Set) bindWhere(r *Rule, p places, b *bound) bits {
	n := len(s.m.Organization().Accounts)
	if r.Where == nil {
		all := newBits(n)
		all.fill(n)
		return all
	}
	accounts, lost := s.accounts(r.Where, p)
	if r.Deny && len(lost) > 0 {
		accounts.fill(n)
		b.broken = append(b.broken, "it denies everywhere, since "+lost[0])
	}
	if r.Where.Except != nil {
		except, lost := s.accounts(r.Where.Except, p)
		accounts.drop(except)
		if !r.Deny && len(lost) > 0 {
			b.broken = append(b.broken, "it gives nothing, since of its exception "+lost[0])
		}
	}
	return accounts
}

func (s *Set) accounts(w *Where, p places) (found bits, lost []string) {
	found = newBits(len(s.m.Organization().Accounts))
	if len(w.Accounts)+len(w.OUs) == 0 {
		found.add(p.all)
	}
	for _, a := range w.Accounts {
		if i, ok := s.place[org.AccountID(a.Text)]; ok {
			found.set(i)
		}
	}
	for _, name := range w.OUs {
		ou, ok := s.m.OU(name.Text)
		if !ok {
			lost = append(lost, fmt.Sprintf("the OU %q does not exist", name.Text))
		} else if below := p.ous[ou]; below != nil {
			found.add(below)
		}
	}
	for key, values := range w.Tags {
		tagged := newBits(len(s.m.Organization().Accounts))
		for _, v := range values {
			if with := p.tags[[2]string{key, v}]; with != nil {
				tagged.add(with)
			}
		}
		found.keep(tagged)
	}
	return found, lost
}

func words(list []strict.Word) string {
	texts := make([]string, len(list))
	for i, w := range list {
		texts[i] = w.Text
	}
	return strings.Join(texts, ", ")
}
