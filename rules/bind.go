package rules

import (
	"fmt"
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
	rules []bound
}

// bound is one rule with its names turned into ids.
type bound struct {
	*Rule
	ref      Ref
	who      whom
	sets     map[string]bool // ARNs; nil means every one, in a deny rule that names none
	accounts bits
	needs    Needs
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
	s.rules = make([]bound, len(b.Rules))
	for i, r := range b.Rules {
		s.rules[i] = s.bind(r, places)
	}
	return s
}

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
		b.needs = s.bindNeeds(r)
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
	return sets
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

// Needs says who must agree: Approvals different people, each in one of the groups or one of the people, and none of them
// the requester. None means that the rule agrees by itself.
type Needs struct {
	Approvals int         `json:"approvals"`
	Groups    []org.Group `json:"groups,omitempty"`
	People    []Named     `json:"people,omitempty"`
	Lost      []string    `json:"lost,omitempty"` // names of the rule that found nobody
}

// Named is a person in a decision or a record: the id that counts, and the user name at that moment.
type Named struct {
	ID   org.PersonID `json:"id"`
	User string       `json:"user"`
}

func (n Needs) String() string {
	if n.Approvals == 0 {
		return "automatic"
	}
	var of []string
	for _, g := range n.Groups {
		of = append(of, g.Name)
	}
	for _, p := range n.People {
		of = append(of, p.User)
	}
	return fmt.Sprintf("%d of %s", n.Approvals, strings.Join(append(of, n.Lost...), " or "))
}

func (s *Set) bindNeeds(r *Rule) Needs {
	n := Needs{Approvals: r.need()}
	for _, name := range r.Approval.Groups {
		if g, ok := s.m.Group(name.Text); ok {
			n.Groups = append(n.Groups, g)
		} else {
			n.Lost = append(n.Lost, name.Text)
		}
	}
	for _, name := range r.Approval.People {
		if p, ok := s.m.PersonNamed(name.Text); ok {
			n.People = append(n.People, Named{p.ID, p.User})
		} else {
			n.Lost = append(n.Lost, name.Text)
		}
	}
	return n
}

func words(list []strict.Word) string {
	texts := make([]string, len(list))
	for i, w := range list {
		texts[i] = w.Text
	}
	return strings.Join(texts, ", ")
}
