package api

import (
	"time"

	"sparekey/access"
	"sparekey/audit"
	"sparekey/internal/broker"
	"sparekey/rules"
)

// Person is somebody in the directory.
type Person struct {
	ID   string `json:"id" doc:"Immutable id in the identity store"`
	User string `json:"user" doc:"User name"`
}

// Account is an AWS account.
type Account struct {
	ID   string            `json:"id"`
	Name string            `json:"name"`
	Path string            `json:"path" doc:"OU path from below the root"`
	Tags map[string]string `json:"tags"`
}

// Target is a permission set in an account.
type Target struct {
	Account          string `json:"account" doc:"Account id"`
	AccountName      string `json:"accountName"`
	PermissionSet    string `json:"permissionSet" doc:"Name of the permission set"`
	PermissionSetARN string `json:"permissionSetArn"`
	SessionMinutes   int    `json:"sessionMinutes" doc:"How long a session lives that was opened at the last moment"`
}

// Rule names a rule and where it stands.
type Rule struct {
	Name   string `json:"name"`
	File   string `json:"file"`
	Line   int    `json:"line"`
	Digest string `json:"digest"`
}

// Way is one rule under which something may be asked for.
type Way struct {
	Rule           Rule   `json:"rule"`
	LongestMinutes int    `json:"longestMinutes"`
	Approvals      int    `json:"approvals" doc:"0 means automatic"`
	Approvers      string `json:"approvers" doc:"Who must agree, in words: automatic, or 2 of prod-approvers"`
	Nobody         string `json:"nobody,omitempty" doc:"Why nobody can approve it now"`
	ReasonRequired bool   `json:"reasonRequired"`
	By             string `json:"by" enum:"assignment,membership,session" doc:"How access is given"`
	Ticket         string `json:"ticket,omitempty" doc:"The pattern of the tickets that it requires"`
	During         string `json:"during,omitempty" doc:"The hours outside of which it gives nothing"`
}

// Offer is something that the caller may ask for.
type Offer struct {
	Account        Account `json:"account"`
	PermissionSet  string  `json:"permissionSet"`
	Description    string  `json:"description,omitempty"`
	SessionMinutes int     `json:"sessionMinutes"`
	Sensitive      bool    `json:"sensitive" doc:"Whether it is marked as sensitive"`
	Ways           []Way   `json:"ways" doc:"The one that asks least first, then those that give it for longer"`
}

// Approval is one person's yes.
type Approval struct {
	By      Person    `json:"by"`
	For     *Person   `json:"for,omitempty" doc:"Whose say it was, where it was a delegate's"`
	Minutes int       `json:"minutes" doc:"For how long"`
	At      time.Time `json:"at"`
	Comment string    `json:"comment,omitempty"`
}

// Decision closed a line.
type Decision struct {
	By      string    `json:"by" doc:"User name, or the part of Sparekey"`
	At      time.Time `json:"at"`
	Comment string    `json:"comment,omitempty"`
}

// Line is one target of a request.
type Line struct {
	Number    int        `json:"number"`
	State     string     `json:"state" enum:"pending,approved,rejected,withdrawn,lapsed"`
	Target    Target     `json:"target"`
	Rule      Rule       `json:"rule"`
	Approvals []Approval `json:"approvals"`
	Needed    int        `json:"needed" doc:"How many approvals it takes"`
	Approvers string     `json:"approvers" doc:"Who must agree, in words"`
	Able      int        `json:"able" doc:"How many people could approve it now"`
	Nobody    string     `json:"nobody,omitempty" doc:"Why nobody can approve it now"`
	Minutes   int        `json:"minutes" doc:"What was asked for, or less when less was approved"`
	Waits     string     `json:"waits,omitempty" doc:"What has to answer before it can be decided"`
	Sensitive bool       `json:"sensitive" doc:"Whether the target is marked as sensitive"`
	Decided   *Decision  `json:"decided,omitempty"`
	Grant     *Grant     `json:"grant,omitempty" doc:"What came of it"`
}

// Request is what somebody asked for.
type Request struct {
	ID        string     `json:"id"`
	Requester Person     `json:"requester"`
	Reason    string     `json:"reason"`
	Minutes   int        `json:"minutes"`
	AskedAt   time.Time  `json:"askedAt"`
	LapsesAt  time.Time  `json:"lapsesAt" doc:"When lines that nobody decided lapse"`
	Ticket    string     `json:"ticket,omitempty"`
	StartAt   *time.Time `json:"startAt,omitempty" doc:"When it is to begin"`
	Extends   string     `json:"extends,omitempty" doc:"The grant that it is to extend"`
	Policy    string     `json:"policy,omitempty" doc:"The session policy that it asks for"`
	Open      bool       `json:"open" doc:"Whether a line still waits for a decision"`
	Lines     []Line     `json:"lines"`
	Revision  string     `json:"revision" doc:"Changes with every change; hand it back to wait for the next"`
}

// Pending is a request with the lines that the caller may decide.
type Pending struct {
	Request
	Yours []int `json:"yours" doc:"Numbers of the lines that you may decide"`
}

// Grant is somebody's access to a target.
type Grant struct {
	ID             string     `json:"id"`
	State          string     `json:"state" enum:"waiting,granting,active,ending,ended,verified,failed,stuck"`
	Person         Person     `json:"person"`
	Target         Target     `json:"target"`
	Request        string     `json:"request"`
	Line           int        `json:"line"`
	Reason         string     `json:"reason"`
	Rule           Rule       `json:"rule"`
	Minutes        int        `json:"minutes"`
	By             string     `json:"by" enum:"assignment,membership,session" doc:"How access is given"`
	Ticket         string     `json:"ticket,omitempty"`
	StartAt        *time.Time `json:"startAt,omitempty" doc:"Not before"`
	Extends        string     `json:"extends,omitempty" doc:"The grant that it goes on after"`
	KeptBy         []string   `json:"keptBy,omitempty" doc:"In the answer to its end: other grants of the same access, which stays until they end"`
	Sensitive      bool       `json:"sensitive" doc:"Whether the target is marked as sensitive"`
	ApprovedAt     time.Time  `json:"approvedAt"`
	ActiveAt       *time.Time `json:"activeAt,omitempty" doc:"When AWS confirmed it"`
	EndsAt         *time.Time `json:"endsAt,omitempty"`
	EndedAt        *time.Time `json:"endedAt,omitempty" doc:"When AWS no longer listed it"`
	LastMinute     *time.Time `json:"lastMinute,omitempty" doc:"When the last session that it makes possible ends; absent where the access existed before and stays"`
	LastMinuteSure bool       `json:"lastMinuteSure" doc:"False while it is being ended: then it is the least that it can be"`
	Standing       bool       `json:"standing" doc:"The access existed before and stays after it"`
	EndedBy        string     `json:"endedBy,omitempty"`
	EndReason      string     `json:"endReason,omitempty"`
	Trouble        string     `json:"trouble,omitempty" doc:"What AWS said last that is in the way"`
	Failure        string     `json:"failure,omitempty"`
}

// Explanation says why somebody may have something, or may not.
type Explanation struct {
	Allowed        bool     `json:"allowed"`
	Person         Person   `json:"person"`
	Target         Target   `json:"target"`
	Rule           *Rule    `json:"rule,omitempty" doc:"The rule that decided"`
	LongestMinutes int      `json:"longestMinutes"`
	Approvals      int      `json:"approvals"`
	Approvers      string   `json:"approvers"`
	CanApprove     []string `json:"canApprove" doc:"Who could approve now"`
	Nobody         string   `json:"nobody,omitempty"`
	Waits          string   `json:"waits,omitempty" doc:"What has to answer first"`
	By             string   `json:"by,omitempty" doc:"How access is given"`
	Sensitive      bool     `json:"sensitive" doc:"Whether the target is marked as sensitive"`
	Why            []string `json:"why" doc:"Why not, the nearest reason first"`
}

// Status says how far the server is.
type Status struct {
	Version     string     `json:"version"`
	Now         time.Time  `json:"now"`
	Ready       bool       `json:"ready" doc:"Whether the organization was read at least once"`
	MirrorAt    *time.Time `json:"mirrorAt,omitempty" doc:"When the organization was read last"`
	MirrorError string     `json:"mirrorError,omitempty" doc:"Why the last attempt to read it failed"`
	Accounts    int        `json:"accounts"`
	People      int        `json:"people"`
	Rules       string     `json:"rules,omitempty" doc:"Digest of the rules in force"`
	Book        string     `json:"book,omitempty" doc:"Digest of the files that they stand in"`
	// FolderDiffers is worth a warning: somebody may believe that what they have merged is in force.
	FolderDiffers bool   `json:"folderDiffers" doc:"Whether the folder that the configuration names said something else at the start"`
	Halted        string `json:"halted,omitempty" doc:"Why nothing can be asked for and nothing starts at the moment; ends go on"`
}

// Me is the caller.
type Me struct {
	Person
	Groups        []string `json:"groups"`
	Administrator bool     `json:"administrator"`
	Auditor       bool     `json:"auditor"`
}

func personOf(n access.Named) Person { return Person{string(n.ID), n.User} }

func targetOf(p access.Place) Target {
	return Target{string(p.Account), p.AccountName, p.PermissionSetName, p.PermissionSet, p.SessionMinutes}
}

func ruleOf(r rules.Ref) Rule { return Rule{r.Name, r.File, r.Line, r.Digest} }

func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

func nameOf(a audit.Actor) string {
	if a.Name != "" {
		return a.Name
	}
	return a.ID
}

func offerOf(o rules.Offer) Offer {
	tags := o.Account.Tags
	if tags == nil {
		tags = map[string]string{}
	}
	v := Offer{Account{string(o.Account.ID), o.Account.Name, o.Path, tags}, o.PermissionSet.Name, o.PermissionSet.Description, int(o.PermissionSet.Session.Minutes()), o.Sensitive, []Way{}}
	for _, w := range o.Ways {
		v.Ways = append(v.Ways, Way{ruleOf(w.Rule), int(w.Longest.Minutes()), w.Needs.Approvals, w.Needs.String(), w.Nobody, w.Reason, w.By, w.Ticket, w.During})
	}
	return v
}

func requestOf(r broker.Asked, now time.Time) Request {
	v := Request{
		ID: r.ID, Requester: personOf(r.Requester), Reason: r.Reason, Minutes: r.Minutes, AskedAt: r.AskedAt, LapsesAt: r.LapsesAt, Open: r.Open(), Revision: revision(r),
		Ticket: r.Ticket, StartAt: moment(r.StartAt), Policy: r.Policy,
	}
	if r.Extends != nil {
		v.Extends = r.Extends.Grant
	}
	for _, l := range r.Lines {
		line := Line{
			Number: l.Number, State: string(l.State), Target: targetOf(l.Target), Rule: ruleOf(l.Rule), Approvals: []Approval{}, Needed: l.Needs.Approvals, Approvers: l.Needs.String(),
			Minutes: l.Minutes, Sensitive: l.Sensitive,
		}
		if l.State == access.Pending {
			line.Able, line.Nobody, line.Waits = r.Able[l.Number], l.Nobody, l.Waits
		}
		for _, a := range l.Approvals {
			line.Approvals = append(line.Approvals, approvalOf(a))
		}
		if l.Decided != nil {
			line.Decided = &Decision{nameOf(l.Decided.By), l.Decided.At, l.Decided.Comment}
		}
		for _, g := range r.Grants {
			if g.ID == l.Grant {
				one := grantOf(g, now)
				line.Grant = &one
			}
		}
		v.Lines = append(v.Lines, line)
	}
	return v
}

func approvalOf(a access.Approval) Approval {
	v := Approval{By: personOf(a.By), Minutes: a.Minutes, At: a.At, Comment: a.Comment}
	if a.For.ID != "" {
		p := personOf(a.For)
		v.For = &p
	}
	return v
}

// revision changes whenever the request or one of its grants does.
func revision(r broker.Asked) string {
	versions := map[string]int64{r.ID: r.Version}
	for _, g := range r.Grants {
		versions[g.ID] = g.Version
	}
	digest, err := audit.Digest(versions)
	if err != nil {
		return "" // of a map of numbers there is always one
	}
	return digest[7:23]
}

func grantOf(g access.Grant, now time.Time) Grant {
	last, sure := g.LastMinute(now)
	if g.Held == access.PreExisting { // nothing ends with it
		last, sure = time.Time{}, false
	}
	v := Grant{
		ID: g.ID, State: string(g.State), Person: personOf(g.Person), Target: targetOf(g.Target), Request: g.Request, Line: g.Line, Reason: g.Reason, Rule: ruleOf(g.Rule),
		Minutes: g.Minutes, By: string(g.Way), Ticket: g.Ticket, StartAt: moment(g.StartAt), Extends: g.Extends, Sensitive: g.Sensitive, ApprovedAt: g.ApprovedAt, ActiveAt: moment(g.ActiveAt), EndsAt: moment(g.EndsAt), EndedAt: moment(g.EndedAt),
		LastMinute: moment(last), LastMinuteSure: sure, Standing: g.Held == access.PreExisting, Trouble: g.Trouble, Failure: g.Failure,
	}
	if g.End != nil {
		v.EndedBy, v.EndReason = nameOf(g.End.By), g.End.Why
	}
	return v
}

func explanationOf(e broker.Explanation) Explanation {
	d := e.Decision
	v := Explanation{
		Allowed: d.Allowed, Person: Person{string(e.Person.ID), e.Person.User}, Target: targetOf(e.Target), LongestMinutes: int(d.Longest.Minutes()),
		Approvals: d.Needs.Approvals, CanApprove: e.Approvers, Nobody: d.Nobody, Waits: d.Waits, By: d.Way, Sensitive: d.Sensitive, Why: d.Why,
	}
	if d.Allowed {
		v.Approvers = d.Needs.String()
	}
	if d.Rule.Name != "" {
		r := ruleOf(d.Rule)
		v.Rule = &r
	}
	if v.Why == nil {
		v.Why = []string{}
	}
	if v.CanApprove == nil {
		v.CanApprove = []string{}
	}
	return v
}

func meOf(m broker.Me) Me {
	return Me{Person{string(m.Person.ID), m.Person.User}, append([]string{}, m.Groups...), m.Administrator, m.Auditor}
}

func wishOf(in AskBody, key string) broker.Wish {
	w := broker.Wish{Duration: time.Duration(in.Minutes) * time.Minute, Reason: in.Reason, Ticket: in.Ticket, Extends: in.Extends, Policy: in.Policy, Key: key}
	if in.StartAt != nil {
		w.Start = *in.StartAt
		if w.Start.Before(time.UnixMilli(1)) { // the zero time would not be a start in the past, but none
			w.Start = time.UnixMilli(1)
		}
	}
	for _, t := range in.Targets {
		w.Targets = append(w.Targets, broker.Names{Account: t.Account, PermissionSet: t.PermissionSet})
	}
	return w
}
