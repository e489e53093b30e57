package access

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"
)

// The size of a service control policy, in characters; white space counts as well where the API is used ("Quotas for AWS
// Organizations"). The quota has changed and may be larger than the default.
const (
	KillSize    = 5120
	KillLeast   = 1024
	KillMost    = 20480
	KillReserve = 256 // of it are left free
)

// killMark is the Sid of the statement with which every policy of session kills begins. A policy without it is somebody
// else's and never written to.
const killMark = "SparekeySessionKills"

// KillPolicy is the service control policy that some kills want.
type KillPolicy struct {
	Text   string
	Covers map[string]Cover // how it covers each live kill, by id; those that are over are not in it
}

type killStatement struct {
	Sid       string        `json:"Sid,omitempty"`
	Effect    string        `json:"Effect"`
	Action    string        `json:"Action"`
	Resource  string        `json:"Resource"`
	Condition killCondition `json:"Condition"`
}

// killCondition is all that a statement can ask: who, in which role, and since when. The key of the person is that of "Use a
// Deny policy to revoke active user permissions", IAM Identity Center User Guide.
type killCondition struct {
	StringEquals *struct {
		Person string `json:"identitystore:userId"`
	} `json:"StringEquals,omitempty"`
	ArnLike *struct {
		Role string `json:"aws:PrincipalArn"`
	} `json:"ArnLike,omitempty"`
	DateLessThan *struct {
		Issued string `json:"aws:TokenIssueTime"`
	} `json:"DateLessThan,omitempty"`
}

type killDocument struct {
	Version   string          `json:"Version"`
	Statement []killStatement `json:"Statement"`
}

func newStatement(person, role string, before time.Time) killStatement {
	s := killStatement{Effect: "Deny", Action: "*", Resource: "*"}
	if person != "" {
		s.Condition.StringEquals = &struct {
			Person string `json:"identitystore:userId"`
		}{person}
	}
	if role != "" {
		s.Condition.ArnLike = &struct {
			Role string `json:"aws:PrincipalArn"`
		}{role}
	}
	if !before.IsZero() {
		s.Condition.DateLessThan = &struct {
			Issued string `json:"aws:TokenIssueTime"`
		}{before.UTC().Format(time.RFC3339)}
	}
	return s
}

// role matches the roles that Identity Center makes of a permission set ("Referencing permission sets in resource policies",
// IAM Identity Center User Guide): in other Regions than us-east-1 the path holds the Region, and the suffix changes. It
// matches a set as well whose name begins with this one and "_".
func (k killKey) role() string {
	if k.set == "" {
		return ""
	}
	return "arn:" + k.partition + ":iam::" + cmp.Or(k.account, "*") + ":role/aws-reserved/sso.amazonaws.com/*AWSReservedSSO_" + k.set + "_*"
}

// entry is one statement of a policy, and the kills that it covers.
type entry struct {
	killKey
	kills  []Kill
	before time.Time // zero: whenever the session began
}

// bySet is the entry that stands for those of a permission set where there is no room for each: without a person it must have
// a time, or nobody could use the set. Until a removal is confirmed, that is when the kill was wanted.
func bySet(entries []entry) entry {
	e := entry{killKey: killKey{partition: entries[0].partition, set: entries[0].set}}
	for _, o := range entries {
		e.kills = append(e.kills, o.kills...)
		for _, k := range o.kills {
			at := k.Before
			if at.IsZero() {
				at = k.WantedAt.Truncate(time.Second)
			}
			e.before = latest(e.before, at)
		}
	}
	return e
}

func (e entry) statement() killStatement { return newStatement(e.person, e.role(), e.before) }

func (e entry) wanted() (at time.Time) {
	for _, k := range e.kills {
		at = latest(at, k.WantedAt)
	}
	return at
}

// RenderKills writes the policy that kills want at a time, in at most size characters less [KillReserve]: a statement for each
// person and role. Where there is not room for all, those of a permission set become one for everybody who uses it, the set
// with the most of them first; and where that is not enough, what was wanted first is left out, kills of all that a person is
// signed in to last. What people wanted for themselves is left out before anything else becomes less: nobody pushes another's
// kill out of the policy by ending grants of their own. The same kills make the same text, whatever their order.
func RenderKills(kills []Kill, size int, now time.Time) KillPolicy {
	own := map[killKey]entry{}
	for _, k := range slices.SortedFunc(slices.Values(kills), func(a, b Kill) int { return strings.Compare(a.ID, b.ID) }) {
		if !k.live(now) {
			continue
		}
		key := k.key()
		e, shared := own[key]
		if e.killKey = key; !shared || k.Before.IsZero() || !e.before.IsZero() && k.Before.After(e.before) {
			e.before = k.Before
		}
		e.kills = append(e.kills, k)
		own[key] = e
	}
	entries := withoutOwn(slices.SortedFunc(maps.Values(own), compareEntries), size)
	for length(entries) > size-KillReserve {
		folded, more := fold(entries)
		if !more {
			break
		}
		entries = folded
	}
	covers := map[string]Cover{}
	for _, e := range own {
		for _, k := range e.kills {
			covers[k.ID] = CoverNone
		}
	}
	for length(entries) > size-KillReserve && len(entries) > 0 {
		oldest := slices.MinFunc(entries, leftOutFirst)
		entries = slices.DeleteFunc(entries, func(e entry) bool { return e.killKey == oldest.killKey })
	}
	for _, e := range entries {
		for _, k := range e.kills {
			covers[k.ID] = CoverSet
			if e.person != "" {
				covers[k.ID] = CoverPerson
			}
		}
	}
	return KillPolicy{policyText(entries), covers}
}

// withoutOwn leaves out what people wanted for themselves, the first first, as far as there is not room.
func withoutOwn(entries []entry, size int) []entry {
	for length(entries) > size-KillReserve {
		var own []entry
		for _, e := range entries {
			if !slices.ContainsFunc(e.kills, func(k Kill) bool { return k.By.ID != string(k.Person.ID) }) {
				own = append(own, e)
			}
		}
		if len(own) == 0 {
			break
		}
		first := slices.MinFunc(own, leftOutFirst)
		entries = slices.DeleteFunc(entries, func(e entry) bool { return e.killKey == first.killKey })
	}
	return entries
}

// leftOutFirst is the order in which entries are left out.
func leftOutFirst(a, b entry) int {
	whole := func(e entry) int {
		if e.set == "" && e.person != "" {
			return 1
		}
		return 0
	}
	return cmp.Or(cmp.Compare(whole(a), whole(b)), a.wanted().Compare(b.wanted()), compareEntries(a, b))
}

func compareEntries(a, b entry) int {
	return cmp.Or(
		strings.Compare(a.set, b.set), strings.Compare(a.account, b.account), strings.Compare(a.person, b.person), strings.Compare(a.partition, b.partition),
	)
}

// fold makes one entry of those of the permission set that has the most of them; more is false when each set has but one.
func fold(entries []entry) (folded []entry, more bool) {
	type name struct{ partition, set string }
	sets := map[name][]entry{}
	var most name
	for _, e := range entries {
		if e.set == "" || e.person == "" {
			continue
		}
		n := name{e.partition, e.set}
		sets[n] = append(sets[n], e)
	}
	for _, n := range slices.SortedFunc(maps.Keys(sets), func(a, b name) int {
		return cmp.Or(strings.Compare(a.set, b.set), strings.Compare(a.partition, b.partition))
	}) {
		if len(sets[n]) > max(1, len(sets[most])) {
			most = n
		}
	}
	if len(sets[most]) < 2 {
		return entries, false
	}
	folded = []entry{bySet(sets[most])}
	for _, e := range entries {
		if e.person == "" || e.set != most.set || e.partition != most.partition {
			folded = append(folded, e)
		}
	}
	slices.SortFunc(folded, compareEntries)
	return folded, true
}

func length(entries []entry) int { return len(policyText(entries)) }

// policyText writes the policy. It begins with a statement about nobody: a policy must have one, and it says whose it is.
func policyText(entries []entry) string {
	mark := newStatement("nobody", "", time.Time{})
	mark.Sid = killMark
	doc := killDocument{"2012-10-17", []killStatement{mark}}
	for _, e := range entries {
		doc.Statement = append(doc.Statement, e.statement())
	}
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(doc); err != nil {
		panic("encoding a policy: " + err.Error()) // it is made of strings
	}
	return strings.TrimSuffix(text.String(), "\n")
}

// ReadKillPolicy says what there is in a policy that AWS has: how many statements beside the mark. A policy that does not begin
// with the mark, or does anything but deny, is not one of session kills, and the error says so.
func ReadKillPolicy(text string) (statements int, err error) {
	var doc struct {
		Statement []struct{ Sid, Effect string }
	}
	if err := json.Unmarshal([]byte(text), &doc); err != nil {
		return 0, fmt.Errorf("%w: the policy cannot be read: %w", ErrRejected, err)
	}
	if len(doc.Statement) == 0 || doc.Statement[0].Sid != killMark {
		return 0, fmt.Errorf("%w: the policy does not begin with the statement %s, so it is not one of session kills and is not written to", ErrRejected, killMark)
	}
	for _, s := range doc.Statement {
		if s.Effect != "Deny" {
			return 0, fmt.Errorf("%w: the policy has a statement that does not deny, so it is not one of session kills and is not written to", ErrRejected)
		}
	}
	return len(doc.Statement) - 1, nil
}

// SamePolicy reports whether two policies are the same but for how they are laid out.
func SamePolicy(a, b string) bool {
	if a == b {
		return true
	}
	var x, y any
	return json.Unmarshal([]byte(a), &x) == nil && json.Unmarshal([]byte(b), &y) == nil && reflect.DeepEqual(x, y)
}

// EmptyKillPolicy is the policy to begin with.
func EmptyKillPolicy() string { return policyText(nil) }
