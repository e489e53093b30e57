package rules

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"sparekey/org"
)

// Ask is one line of a request, as the rules see it. A duration of zero asks for the longest that there is.
type Ask struct {
	Target org.Target
	For    time.Duration
	Reason string
	Ticket string
	Start  time.Time // when it is to begin; zero: as soon as it may
	// Approved says that it was allowed before: what the rule's hours leave of the time is enough.
	Approved bool
}

// Decision is what the rules say to one ask.
type Decision struct {
	Allowed   bool          `json:"allowed"`
	Rule      Ref           `json:"rule"`            // the rule that decided: the allow rule it is judged under, or the rule that denies; empty when none allows
	Way       string        `json:"way"`             // assignment, membership or session
	Group     org.GroupID   `json:"group,omitempty"` // of a membership
	Needs     Needs         `json:"needs"`
	Longest   time.Duration `json:"longest"`           // the longest that the rule gives
	Until     time.Time     `json:"until,omitzero"`    // the end of the ticket's window or of the rule's hours: nothing lasts longer
	Ticket    string        `json:"ticket,omitempty"`  // the service that said yes to the ticket
	Waits     string        `json:"waits,omitempty"`   // what has to answer before it can be decided
	Extend    time.Duration `json:"extend,omitempty"`  // by so much in all it may be extended without being approved anew
	Sensitive bool          `json:"sensitive"`         // whether the target is marked so
	Review    *Reviewers    `json:"review,omitempty"`  // who looks at it afterwards
	Content   string        `json:"content,omitempty"` // digest of what the permission set permits
	Nobody    string        `json:"nobody,omitempty"`  // why nobody can approve this now
	Why       []string      `json:"why,omitempty"`     // why not, the nearest reason first
}

// Judge decides whether p may have what is asked, and under which rule. It looks at the person's status and groups as they
// are given, so that a person who was just looked up in AWS is judged by what AWS said.
func (s Set) Judge(p org.Person, ask Ask) Decision {
	target, refusal := s.target(ask.Target)
	if refusal != "" {
		return Decision{Why: []string{refusal}}
	}
	if p.Status.Gone() {
		return Decision{Why: []string{fmt.Sprintf("%s is %s in the directory", p.User, p.Status)}}
	}
	if deny := s.denied(p, target); deny != nil {
		return Decision{Rule: deny.ref, Why: []string{deny.saysNo()}}
	}
	var best *option
	for o := range s.options(p, target) {
		if best != nil && !o.before(*best) || len(s.lacks(&o, p, target, ask)) > 0 {
			continue
		}
		if best == nil || o.before(*best) { // its ticket may make it wait
			best = &o
		}
	}
	if best == nil {
		return Decision{Why: s.whyNot(p, target, ask)}
	}
	return s.decision(*best, target)
}

func (s Set) decision(o option, t place) Decision {
	b := o.rule
	d := Decision{
		Allowed: true, Rule: b.ref, Way: b.way(), Needs: o.needs, Longest: o.long, Until: o.until, Ticket: o.ticket, Waits: o.waits,
		Extend: b.Extend.Duration, Sensitive: s.Sensitive(t.target()), Content: t.set.Content, Nobody: o.nobody,
	}
	if d.Way == byMembership {
		d.Group = s.group(t.target())
	}
	d.Review = b.review
	if d.Review == nil && o.needs.Approvals == 0 && d.Sensitive {
		d.Review = s.care.review
	}
	return d
}

// lacks says what an ask lacks under a rule that is about it, and notes in the option what its ticket changes.
func (s Set) lacks(o *option, p org.Person, t place, ask Ask) []string {
	b := o.rule
	lacks := slices.Clone(b.broken)
	for i := range lacks {
		lacks[i] = "is broken: " + lacks[i]
	}
	add := func(format string, args ...any) { lacks = append(lacks, fmt.Sprintf(format, args...)) }
	if o.long < ask.For {
		add("gives at most %s, not %s", Short(o.long), Short(ask.For))
	}
	if b.needsReason() && strings.TrimSpace(ask.Reason) == "" {
		add("needs a reason")
	}
	if b.During != nil {
		if lack := s.outside(o, ask); lack != "" {
			add("%s", lack)
		}
	}
	if b.With.Ticket != nil {
		if lack := s.ticketed(o, ask); lack != "" {
			add("%s", lack)
		}
	}
	return append(lacks, s.shut(o, p, t)...)
}

// shut says what lets a rule give nothing at present, whatever is asked for.
func (s Set) shut(o *option, p org.Person, t place) (lacks []string) {
	b := o.rule
	add := func(format string, args ...any) { lacks = append(lacks, fmt.Sprintf(format, args...)) }
	if s.facts.Held != nil {
		if why := s.facts.Held(p.ID, t.target(), b.Name); why != "" {
			add("gives nothing now: %s", why)
		}
	}
	if s.facts.NotLent != nil {
		if why := s.facts.NotLent(t.target(), b.way()); why != "" {
			add("lends nothing there: %s", why)
		}
	}
	if b.way() == byMembership && s.group(t.target()) == "" {
		add("lends by membership of a group, and none was made for %s in %s", t.set.Name, t.account.Name)
	}
	if o.needs.Approvals == 0 {
		if review := s.facts.Overdue[p.ID]; review != "" {
			add("gives nothing by itself while the review %s of what %s did is overdue", review, p.User)
		}
		if b.review == nil && s.care.review == nil && s.Sensitive(t.target()) {
			add("gives a sensitive target by itself, and does not say who reviews it")
		}
	}
	return lacks
}

func (s Set) group(t org.Target) org.GroupID {
	if s.facts.Groups == nil {
		return ""
	}
	return s.facts.Groups(t)
}

// outside says that the access would not lie within the rule's hours, or nothing, and notes in the option when they end.
func (s Set) outside(o *option, ask Ask) string {
	w, start := o.rule.weeks[o.rule.During], ask.Start
	if start.Before(s.facts.Now) {
		start = s.facts.Now
	}
	if w == nil || start.IsZero() {
		return "lends only " + w.String()
	}
	end := w.open(start)
	switch {
	case end.IsZero():
		lack := "lends only " + w.String()
		if next := w.next(start); !next.IsZero() {
			lack += ", next from " + next.Format(time.RFC3339)
		}
		return lack
	case end.Before(start.Add(ask.For)) && !ask.Approved:
		return fmt.Sprintf("lends only %s, and at %s that is over", w, end.Format(time.RFC3339))
	}
	o.until = earlier(o.until, end)
	return ""
}

// ticketed says why the ticket is none for the rule, or nothing.
func (s Set) ticketed(o *option, ask Ask) string {
	rule := o.rule.With.Ticket
	if !o.rule.ticket.MatchString(ask.Ticket) {
		if ask.Ticket == "" {
			return "needs a ticket like " + rule.Pattern.Text
		}
		return fmt.Sprintf("needs a ticket like %s, and %q is none", rule.Pattern.Text, ask.Ticket)
	}
	if rule.Check.Text == "" {
		return ""
	}
	o.ticket = rule.Check.Text
	said, asked := s.facts.Tickets[rule.Check.Text]
	switch {
	case asked && said.Down == "" && said.OK:
		o.until = earlier(o.until, said.Until)
		return ""
	case asked && said.Down == "":
		return fmt.Sprintf("needs a ticket that %s says yes to: %s", rule.Check.Text, said.Why)
	case rule.WhenDown.Text == "pass":
		return ""
	}
	o.waits = rule.Check.Text + " has not said yet whether the ticket is right"
	if said.Down != "" {
		o.waits += ": " + said.Down
	}
	return ""
}

// earlier is the earlier of two times of which the zero one is none.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// TicketServices lists the services to ask about the ticket before this is judged: those that rules about it name.
func (s Set) TicketServices(p org.Person, ask Ask) []string {
	target, refusal := s.target(ask.Target)
	if refusal != "" || ask.Ticket == "" {
		return nil
	}
	var services []string
	for o := range s.options(p, target) {
		if t := o.rule.With.Ticket; t != nil && t.Check.Text != "" && !slices.Contains(services, t.Check.Text) && o.rule.ticket.MatchString(ask.Ticket) {
			services = append(services, t.Check.Text)
		}
	}
	return services
}

// Bound is what an approval was given for: if one of these is another when access is to start, it is asked anew.
type Bound struct {
	Rule    string `json:"rule"`              // digest
	Content string `json:"content,omitempty"` // digest of what the permission set permits
}

// Stands reports whether what was approved may still be given: whether the rule it was approved under still says the same
// and still lets p have it, and progress says that the approvals are still those that it needs. anew means that a decision
// under other terms may be had by asking again.
func (s Set) Stands(p org.Person, ask Ask, under Ref, to Bound, done func(Needs) bool) (ok, anew bool, why []string) {
	target, refusal := s.target(ask.Target)
	switch {
	case refusal != "":
		return false, false, []string{refusal}
	case p.Status.Gone():
		return false, false, []string{fmt.Sprintf("%s is %s in the directory", p.User, p.Status)}
	}
	if deny := s.denied(p, target); deny != nil {
		return false, false, []string{deny.saysNo()}
	}
	for o := range s.options(p, target) {
		if o.rule.ref.Name != under.Name {
			continue
		}
		lacks := s.lacks(&o, p, target, ask)
		switch {
		case o.rule.digest != to.Rule:
			return false, true, []string{fmt.Sprintf("%s has changed since it was approved", o.rule.ref)}
		case to.Content != "" && target.set.Content != "" && target.set.Content != to.Content:
			return false, true, []string{fmt.Sprintf("what %s permits has changed since it was approved", target.set.Name)}
		case len(lacks) > 0:
			return false, true, []string{o.rule.ref.String() + " " + strings.Join(lacks, ", and ")}
		case o.waits != "":
			return false, false, []string{o.waits}
		case !done(o.needs):
			return false, true, []string{fmt.Sprintf("%s needs %s, and the approvals that were given are not those", o.rule.ref, o.needs)}
		}
		return true, false, nil
	}
	return false, true, []string{fmt.Sprintf("the rule %q, under which it was approved, no longer lends it", under.Name)}
}

// place is a target that exists and can be lent.
type place struct {
	account org.Account
	bit     int
	set     org.PermissionSet
}

func (p place) target() org.Target {
	return org.Target{Account: p.account.ID, PermissionSet: p.set.ARN}
}

// target finds an ask's target, or says why there is nothing to lend.
func (s Set) target(t org.Target) (place, string) {
	if !s.Ready() {
		return place{}, "the organization has not been read yet"
	}
	i, ok := s.place[t.Account]
	if !ok {
		return place{}, fmt.Sprintf("there is no account %s in the organization", t.Account)
	}
	account := s.m.Organization().Accounts[i]
	set, ok := s.set(t.PermissionSet)
	switch {
	case !ok:
		return place{}, fmt.Sprintf("there is no permission set %s in this Identity Center", t.PermissionSet)
	case !s.live.has(i):
		return place{}, fmt.Sprintf("the account %s (%s) is %s", account.Name, account.ID, strings.ToLower(string(account.State)))
	}
	return place{account, i, set}, ""
}

func (s Set) denied(p org.Person, t place) *bound {
	for i := range s.rules {
		b := &s.rules[i]
		if b.Deny && b.accounts.has(t.bit) && (b.sets == nil || b.sets[t.set.ARN]) && b.who.includes(p) {
			return b
		}
	}
	return nil
}

func (b *bound) saysNo() string {
	why := b.ref.String() + " denies it"
	if b.Description != "" {
		why += ": " + b.Description
	}
	for _, broken := range b.broken {
		why += "; " + broken
	}
	return why
}

// option is one allow rule under which a person might have a target.
type option struct {
	rule   *bound
	long   time.Duration
	needs  Needs
	nobody string    // why nobody could approve under it
	waits  string    // what has to answer first
	ticket string    // the service that checks the ticket
	until  time.Time // the end of the ticket's window, or of the rule's hours
}

// before is the order in which rules ask: one that somebody can approve, one that waits for nothing, fewest approvals,
// longest duration, name.
func (o option) before(other option) bool {
	return cmp.Or(
		cmp.Compare(min(len(o.nobody), 1), min(len(other.nobody), 1)),
		cmp.Compare(min(len(o.waits), 1), min(len(other.waits), 1)),
		cmp.Compare(o.needs.Approvals, other.needs.Approvals),
		cmp.Compare(other.long, o.long),
		strings.Compare(o.rule.Name, other.rule.Name),
	) < 0
}

// options yields the allow rules that match the person and the target.
func (s Set) options(p org.Person, t place) func(yield func(option) bool) {
	return func(yield func(option) bool) {
		for i := range s.rules {
			b := &s.rules[i]
			if b.Deny || len(b.broken) > 0 || !b.accounts.has(t.bit) || !b.sets[t.set.ARN] || !b.who.includes(p) {
				continue
			}
			if !yield(s.option(b, p, t.account)) {
				return
			}
		}
	}
}

func (s Set) option(b *bound, p org.Person, account org.Account) option {
	o := option{rule: b, long: b.For.Duration, needs: s.needs(b, account)}
	if o.needs.Approvals > 0 && b.Approval.AutomaticOnCall != nil {
		name := b.Approval.AutomaticOnCall.Schedule.Text
		if shift, known := s.facts.OnCall[name]; known && shift.Down == "" && slices.Contains(shift.People, p.ID) {
			o.needs = o.needs.Waived(fmt.Sprintf("%s is on call in %s", p.User, name))
		}
	}
	o.nobody = s.nobody(o.needs, p.ID)
	return o
}

// Lends reports whether some rule lends a target to somebody, by words alone: nobody need be there to have it now.
func (s Set) Lends(t org.Target) bool {
	place, refusal := s.target(t)
	if refusal != "" {
		return false
	}
	return slices.ContainsFunc(s.rules, func(b bound) bool { return !b.Deny && b.accounts.has(place.bit) && b.sets[t.PermissionSet] })
}
