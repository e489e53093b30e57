package rules

import (
	"encoding/binary"
	"slices"
	"strings"

	"sparekey/org"
)

// Diff says what changes for people when after comes in force in the place of before: for everybody who is not gone, at every
// target, what becomes possible or impossible, longer or shorter, with fewer or more or other approvals. Both sets are bound
// to the same organization; one that is bound to none stands for no rules at all.
//
// Only rules that are not in both are looked at, and people whom the same rules name are looked at once: with 10,000 accounts
// and 50,000 people it takes seconds when every rule is new, and much less when a few are.
func Diff(before, after Set) Effect {
	switch {
	case !before.Ready() && !after.Ready():
		return Effect{}
	case !before.Ready():
		before = (&Book{}).In(after.m)
	case !after.Ready():
		after = (&Book{}).In(before.m)
	}
	d := newDiffer(before, after)
	if !d.collect() {
		return Effect{}
	}
	for _, c := range d.classes() {
		d.compare(c)
	}
	e := d.effect()
	if !e.widensNow() {
		e.Latent = latent(before.book, after.book)
	}
	return e
}

// differ compares two sets.
type differ struct {
	sets  [2]Set // before and after
	m     *org.Mirror
	rules []sided
	found map[lineKey]*line

	marked  [2]bits // the accounts that are sensitive
	lending map[lendingKey]*lending
	numbers map[string]uint32 // by the keys of what is lent
	weighed map[string][]Kind // by the numbers of what was lent before and is after
	shut    map[shutKey]bits  // the accounts in which a permission set cannot be lent in a way at present
}

type shutKey struct{ way, set string }

// lendingKey is what a rule is to everybody at a target.
type lendingKey struct {
	rule      *bound
	needs     string // where the owner of the account has a say
	sensitive bool
}

func newDiffer(before, after Set) *differ {
	d := &differ{sets: [2]Set{before, after}, m: after.m, found: map[lineKey]*line{}, lending: map[lendingKey]*lending{}, numbers: map[string]uint32{}, weighed: map[string][]Kind{}, shut: map[shutKey]bits{}}
	for side, s := range d.sets {
		d.marked[side] = newBits(len(d.m.Organization().Accounts))
		for id := range s.care.accounts {
			if place, ok := s.place[id]; ok {
				d.marked[side].set(place)
			}
		}
	}
	return d
}

// sided is a rule of one of the sets.
type sided struct {
	*bound
	side    int  // 0: before, 1: after
	changed bool // the other set has no such rule
	owners  []ownership
}

// ownership is accounts in which the same owner has a say in a rule.
type ownership struct {
	accounts bits
	needs    Needs
	text     string
}

// class is people who are alike to the rules.
type class struct {
	people []int // places in the mirror's list
	rules  []int // places in differ.rules: those that name them
}

// collect gathers the rules of both sets, and reports whether any differs.
func (d *differ) collect() bool {
	var has [2]map[string]bool
	for side, s := range d.sets {
		has[side] = map[string]bool{}
		for i := range s.rules {
			has[side][s.rules[i].ref.Digest] = true
		}
	}
	differs := !d.sets[0].book.Sensitive.same(d.sets[1].book.Sensitive)
	cared := differs
	for side, s := range d.sets {
		for i := range s.rules {
			changed := cared || !has[1-side][s.rules[i].ref.Digest]
			differs = differs || changed
			d.rules = append(d.rules, sided{&s.rules[i], side, changed, s.ownersOf(&s.rules[i])})
		}
	}
	return differs
}

// classes sorts everybody whom a changed rule names by which rules name them, and for which of those they count as approver.
func (d *differ) classes() []*class {
	var everyone []int
	groups, people := map[org.GroupID][]int{}, map[org.PersonID][]int{}
	for i, r := range d.rules {
		if r.who.everyone {
			everyone = append(everyone, i)
			continue
		}
		for g := range r.who.groups {
			groups[g] = append(groups[g], i)
		}
		for p := range r.who.people {
			people[p] = append(people[p], i)
		}
	}
	found := map[string]*class{}
	var order []*class
	var named []int
	for place, p := range d.m.Organization().People {
		if p.Status.Gone() {
			continue
		}
		named = append(append(named[:0], everyone...), people[p.ID]...)
		for _, g := range p.Groups {
			named = append(named, groups[g]...)
		}
		slices.Sort(named)
		named = slices.DeleteFunc(slices.Compact(named), func(i int) bool { return !d.rules[i].who.includes(p) })
		if !slices.ContainsFunc(named, func(i int) bool { return d.rules[i].changed }) {
			continue
		}
		key := d.signature(p, named)
		c := found[key]
		if c == nil {
			c = &class{rules: slices.Clone(named)}
			found[key], order = c, append(order, c)
		}
		c.people = append(c.people, place)
	}
	return order
}

func (d *differ) signature(p org.Person, named []int) string {
	key := make([]byte, 0, 5*len(named))
	for _, i := range named {
		key = binary.LittleEndian.AppendUint32(key, uint32(i))
		for _, o := range d.rules[i].owners {
			key = append(key, o.needs.counts(p)...)
		}
	}
	return string(key)
}

// compare finds what differs for the people of a class: in each part of the organization that the same rules reach, for each
// permission set, one account stands for all.
func (d *differ) compare(c *class) {
	one := d.m.Organization().People[c.people[0]]
	differences := map[changeKey]map[string]bits{} // by permission set
	sets := d.setsOf(c)
	nobody := d.nobodyFor(one)
	note := func(key changeKey, set string, part bits) {
		if differences[key] == nil {
			differences[key] = map[string]bits{}
		}
		if differences[key][set] == nil {
			differences[key][set] = make(bits, len(part))
		}
		differences[key][set].add(part)
	}
	for _, whole := range d.partsOf(c) {
		for _, set := range sets {
			for _, part := range d.cutShut(c, whole, set) {
				lent, groupless, concerned := d.lentAt(c, part.first(), set)
				if !concerned {
					continue
				}
				kinds := d.weigh(lent)
				if len(kinds) == 0 {
					continue
				}
				key := keyOf(kinds, termsIn(lent[0], nobody), termsIn(lent[1], nobody))
				if key.before == key.after {
					key.before, key.after = allOf(lent[0]), allOf(lent[1])
				}
				if groupless {
					key.after = strings.TrimPrefix(key.after+"; by membership only once `sparekey groups prepare` has made a group for it", "; ")
				}
				note(key, set, part)
			}
		}
	}
	d.keep(c, differences)
}

// shutFor finds the accounts in which the server cannot lend a permission set in a way at present: it has no way of its own
// into the management account, or made no group yet. Without facts nothing is shut.
func (d *differ) shutFor(way, set string) bits {
	key := shutKey{way, set}
	if shut, known := d.shut[key]; known {
		return shut
	}
	accounts := d.m.Organization().Accounts
	shut, f := newBits(len(accounts)), d.sets[1].facts
	if f.NotLent == nil && f.Groups == nil {
		accounts = nil
	}
	for i, a := range accounts {
		to := org.Target{Account: a.ID, PermissionSet: set}
		if f.NotLent != nil && f.NotLent(to, way) != "" || way == byMembership && f.Groups != nil && f.Groups(to) == "" {
			shut.set(i)
		}
	}
	d.shut[key] = shut
	return shut
}

// cutShut cuts a part by where a permission set can be lent in the ways of a class's rules.
func (d *differ) cutShut(c *class, part bits, set string) []bits {
	parts := []bits{part}
	if f := d.sets[1].facts; f.NotLent == nil && f.Groups == nil {
		return parts
	}
	for _, way := range []string{byAssignment, byMembership, bySession} {
		if slices.ContainsFunc(c.rules, func(i int) bool { return !d.rules[i].Deny && d.rules[i].way() == way && d.rules[i].sets[set] }) {
			parts = cut(parts, d.shutFor(way, set))
		}
	}
	return parts
}

// setsOf lists the permission sets of which something may change for a class.
func (d *differ) setsOf(c *class) []string {
	lent, concerned := map[string]bool{}, map[string]bool{}
	for _, i := range c.rules {
		if r := d.rules[i]; !r.Deny {
			for arn := range r.sets {
				lent[arn] = true
			}
		}
	}
	for _, i := range c.rules {
		r := d.rules[i]
		if !r.changed {
			continue
		}
		for arn := range lent {
			if r.sets == nil || r.sets[arn] {
				concerned[arn] = true
			}
		}
	}
	list := make([]string, 0, len(concerned))
	for arn := range concerned {
		list = append(list, arn)
	}
	slices.Sort(list)
	return list
}

// partsOf cuts the active accounts that changed rules reach into parts that the same of the class's rules reach.
func (d *differ) partsOf(c *class) []bits {
	live := d.sets[0].live
	all := make(bits, len(live))
	for _, i := range c.rules {
		if d.rules[i].changed {
			all.add(d.rules[i].accounts)
		}
	}
	all.keep(live)
	if all.empty() {
		return nil
	}
	parts := []bits{all}
	for _, i := range c.rules {
		parts = cut(parts, d.rules[i].accounts)
		if d.rules[i].owned {
			for _, o := range d.rules[i].owners {
				parts = cut(parts, o.accounts)
			}
		}
	}
	return cut(cut(parts, d.marked[0]), d.marked[1])
}

// cut cuts parts into what is within some accounts and what is not.
func cut(parts []bits, by bits) []bits {
	for at, n := 0, len(parts); at < n; at++ {
		within, without := slices.Clone(parts[at]), slices.Clone(parts[at])
		within.keep(by)
		without.drop(by)
		if !within.empty() && !without.empty() {
			parts[at] = within
			parts = append(parts, without)
		}
	}
	return parts
}

// lentAt is what the rules of a class lend at a target on each side, whether one of those that would lend it after lacks a
// group, and whether one of those that are about it has changed. What waits for a group lends nothing, unless nothing else
// is lent on either side: then it is what is to come.
func (d *differ) lentAt(c *class, place int, set string) (lent [2][]*lending, groupless, concerned bool) {
	var denied [2]bool
	var waiting [2][]*lending
	for _, i := range c.rules {
		r := d.rules[i]
		if !r.accounts.has(place) || r.sets != nil && !r.sets[set] {
			continue
		}
		concerned = concerned || r.changed
		switch {
		case r.Deny:
			denied[r.side] = true
		case len(r.broken) > 0:
		case d.notLent(r.way(), set, place):
		case d.shutFor(r.way(), set).has(place):
			waiting[r.side] = append(waiting[r.side], d.lend(r, place, set))
		default:
			lent[r.side] = append(lent[r.side], d.lend(r, place, set))
		}
	}
	for side := range lent {
		if denied[side] {
			lent[side], waiting[side] = nil, nil
		}
	}
	groupless = len(waiting[1]) > 0
	if len(lent[0])+len(lent[1]) == 0 {
		lent = waiting
	}
	return lent, groupless, concerned
}

// notLent reports whether the server cannot lend a permission set in a way in an account, whatever it makes.
func (d *differ) notLent(way, set string, place int) bool {
	f := d.sets[1].facts
	return f.NotLent != nil && f.NotLent(org.Target{Account: d.m.Organization().Accounts[place].ID, PermissionSet: set}, way) != ""
}

// lend makes what a rule is at a target, once for all that are alike.
func (d *differ) lend(r sided, place int, set string) *lending {
	s := d.sets[r.side]
	to := org.Target{Account: d.m.Organization().Accounts[place].ID, PermissionSet: set}
	needs := r.common
	key := lendingKey{r.bound, "", s.Sensitive(to)}
	if r.owned {
		for _, o := range r.owners {
			if o.accounts.has(place) {
				needs, key.needs = o.needs, o.text
			}
		}
	}
	if d.lending[key] == nil {
		l := s.lends(r.bound, needs, to)
		if _, known := d.numbers[l.key]; !known {
			d.numbers[l.key] = uint32(len(d.numbers))
		}
		l.number = d.numbers[l.key]
		d.lending[key] = l
	}
	return d.lending[key]
}

// weigh compares what is lent before and after, once for all who have the same.
func (d *differ) weigh(lent [2][]*lending) []Kind {
	var of []byte
	for _, list := range lent {
		of = binary.LittleEndian.AppendUint32(of, uint32(len(list)))
		for _, l := range list {
			of = binary.LittleEndian.AppendUint32(of, l.number)
		}
	}
	key := string(of)
	kinds, known := d.weighed[key]
	if !known {
		kinds = weigh(lent[0], lent[1])
		d.weighed[key] = kinds
	}
	return kinds
}

// nobodyFor says of rules whether nobody can approve under them for a person at present.
func (d *differ) nobodyFor(p org.Person) func(*lending) bool {
	known := map[string]bool{}
	return func(l *lending) bool {
		if l.needs.Approvals == 0 {
			return false
		}
		no, is := known[l.panels]
		if !is {
			no = d.sets[1].nobody(l.needs, p.ID) != ""
			known[l.panels] = no
		}
		return no
	}
}

// ownersOf cuts the accounts of a rule by who must agree in them. A rule that names no owner is alike in all.
func (s *Set) ownersOf(b *bound) []ownership {
	if b.Deny || !b.owned {
		return []ownership{{b.accounts, b.common, ""}}
	}
	var all []ownership
	at := map[string]int{}
	accounts := s.m.Organization().Accounts
	for place := range accounts {
		if !b.accounts.has(place) || !s.live.has(place) {
			continue
		}
		n := s.needs(b, accounts[place])
		key := n.text()
		if _, known := at[key]; !known {
			at[key] = len(all)
			all = append(all, ownership{newBits(len(accounts)), n, key})
		}
		all[at[key]].accounts.set(place)
	}
	return all
}

// first is the smallest number of the set, or -1.
func (b bits) first() int {
	for i := range len(b) * 64 {
		if b.has(i) {
			return i
		}
	}
	return -1
}
