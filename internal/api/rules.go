package api

import (
	"context"
	"net/http"
	"time"

	"sparekey/internal/broker"
	"sparekey/rules"
)

const rulesPath = "/v1/rules"

// RuleFile is one file of rules.
type RuleFile struct {
	Name string `json:"name" minLength:"1" maxLength:"200" doc:"Its path below the folder of rules"`
	Text string `json:"text" maxLength:"1048576"`
}

// RuleFilesBody is a folder of rules.
type RuleFilesBody struct {
	Files []RuleFile `json:"files" minItems:"1" maxItems:"500"`
}

// ProposeBody is a folder of rules that are to come in force.
type ProposeBody struct {
	Files []RuleFile `json:"files" minItems:"1" maxItems:"500"`
	Base  string     `json:"base,omitempty" pattern:"^(sha256:[0-9a-f]{64})?$" doc:"Digest of the rules in force that you saw these compared with: others by now are a conflict"`
}

// Proposal is a book of rules on its way into force, in force, or replaced.
type Proposal struct {
	ID          string     `json:"id"`
	State       string     `json:"state" enum:"proposed,in-force,replaced,rejected,superseded"`
	Digest      string     `json:"digest" doc:"Of the files; what it is called by"`
	Rules       string     `json:"rules" doc:"Digest of what they say"`
	Count       int        `json:"count" doc:"How many rules"`
	Base        string     `json:"base,omitempty" doc:"Digest of the rules in force that they were compared with"`
	Widens      bool       `json:"widens" doc:"Whether somebody gains by it, so that a second administrator must agree"`
	Totals      Totals     `json:"totals"`
	Again       bool       `json:"again" doc:"Whether it was in force before"`
	By          string     `json:"by" doc:"User name, or the part of Sparekey"`
	ProposedAt  time.Time  `json:"proposedAt"`
	ActivatedBy string     `json:"activatedBy,omitempty"`
	ActivatedAt *time.Time `json:"activatedAt,omitempty"`
	ClosedBy    string     `json:"closedBy,omitempty" doc:"Who rejected, superseded or replaced it"`
	ClosedAt    *time.Time `json:"closedAt,omitempty"`
	Why         string     `json:"why,omitempty"`
}

// Totals count a change of rules in people × targets.
type Totals struct {
	People   int `json:"people" doc:"Who notice it at all"`
	Gained   int `json:"gained"`
	Wider    int `json:"wider" doc:"Longer, with fewer or other approvals, at other hours, or with less asked"`
	Narrower int `json:"narrower"`
	Lost     int `json:"lost"`
}

// EffectLine is one change for a set of people at a set of targets.
type EffectLine struct {
	Text           string   `json:"text" doc:"The whole line, for people"`
	Widens         bool     `json:"widens"`
	Kinds          []string `json:"kinds" doc:"gained, longer, fewer-approvals, other-approvers, less-reason, more-often, less-care; lost, shorter, more-approvals, fewer-approvers, more-reason, less-often, more-care"`
	Who            string   `json:"who"`
	Where          string   `json:"where"`
	PermissionSets []string `json:"permissionSets"`
	PeopleCount    int      `json:"peopleCount"`
	AccountCount   int      `json:"accountCount"`
	People         []Person `json:"people" doc:"At most 100 of them"`
	Accounts       []string `json:"accounts" doc:"Ids, at most 100 of them"`
	Before         string   `json:"before,omitempty"`
	After          string   `json:"after,omitempty"`
}

// Effect is what a change of rules means for people.
type Effect struct {
	Digest   string       `json:"digest" doc:"Of the files that were compared"`
	Base     string       `json:"base,omitempty" doc:"Digest of the rules in force that they were compared with"`
	Widens   bool         `json:"widens"`
	Totals   Totals       `json:"totals"`
	Lines    []EffectLine `json:"lines" doc:"What widens first; at most 1,000"`
	More     int          `json:"more" doc:"How many lines are left out"`
	Latent   []string     `json:"latent" doc:"Where nobody gains anything today: why somebody may later"`
	Problems []string     `json:"problems" doc:"What is wrong with the rules in the organization as it is"`
}

// Books is the rules in force, what is proposed in their place, and what was in force before.
type Books struct {
	Now      time.Time  `json:"now"`
	InForce  *Proposal  `json:"inForce,omitempty"`
	Proposed []Proposal `json:"proposed"`
	History  []Proposal `json:"history" doc:"What was ever in force, the newest first"`
}

// StoredBook is a book with its files and what it would change if it came in force now.
type StoredBook struct {
	Proposal Proposal   `json:"proposal"`
	Files    []RuleFile `json:"files"`
	Effect   Effect     `json:"effect"`
}

// RulesPath names a book; huma looks into exported types only.
type RulesPath struct {
	Digest string `path:"digest" maxLength:"71" pattern:"^sha256:[0-9a-f]{64}$"`
}

type (
	rulesInput     struct{ RulesPath }
	proposalOutput struct{ Body Proposal }
)

func (s *Server) ruleOperations() {
	add(s, http.MethodGet, rulesPath, "listRules", "Which rules are in force, were, and may come", func(ctx context.Context, in *struct {
		Limit int `query:"limit" minimum:"1" maximum:"1000" default:"50"`
	},
	) (*struct{ Body Books }, error) {
		b, err := s.broker.Rules(ctx, in.Limit)
		return &struct{ Body Books }{booksOf(b)}, err
	})
	addLimited(s, http.MethodPost, rulesPath, "proposeRules", "Propose rules: they are in force at once if nobody gains by them", maxRules,
		func(ctx context.Context, in *struct{ Body ProposeBody }) (*proposalOutput, error) {
			p, err := s.broker.ProposeRules(ctx, filesOf(in.Body.Files), in.Body.Base)
			return &proposalOutput{proposalOf(p)}, err
		})
	addLimited(s, http.MethodPost, rulesPath+"/diff", "diffRules", "Say who would gain and lose what by rules; nothing changes", maxRules,
		func(ctx context.Context, in *struct{ Body RuleFilesBody }) (*struct{ Body Effect }, error) {
			d, err := s.broker.DiffRules(ctx, filesOf(in.Body.Files))
			return &struct{ Body Effect }{EffectOf(d)}, err
		})
	add(s, http.MethodGet, rulesPath+"/{digest}", "getRules", "A book: its files, and what it would change now", func(ctx context.Context, in *rulesInput) (*struct{ Body StoredBook }, error) {
		b, err := s.broker.RulesOf(ctx, in.Digest)
		return &struct{ Body StoredBook }{storedOf(b)}, err
	})
	add(s, http.MethodPost, rulesPath+"/{digest}/agree", "agreeRules", "Put in force what another administrator proposed", func(ctx context.Context, in *rulesInput) (*proposalOutput, error) {
		p, err := s.broker.AgreeRules(ctx, in.Digest)
		return &proposalOutput{proposalOf(p)}, err
	})
	add(s, http.MethodPost, rulesPath+"/{digest}/reject", "rejectRules", "Close a proposal", func(ctx context.Context, in *struct {
		RulesPath
		Body CommentBody
	},
	) (*proposalOutput, error) {
		p, err := s.broker.RejectRules(ctx, in.Digest, in.Body.Comment)
		return &proposalOutput{proposalOf(p)}, err
	})
	add(s, http.MethodPost, rulesPath+"/{digest}/activate", "activateRules", "Propose rules again that were in force before", func(ctx context.Context, in *rulesInput) (*proposalOutput, error) {
		p, err := s.broker.ActivateAgain(ctx, in.Digest)
		return &proposalOutput{proposalOf(p)}, err
	})
}

func filesOf(in []RuleFile) []rules.File {
	files := make([]rules.File, len(in))
	for i, f := range in {
		files[i] = rules.File{Name: f.Name, Text: []byte(f.Text)}
	}
	return files
}

func proposalOf(p rules.Proposal) Proposal {
	v := Proposal{
		ID: p.ID, State: string(p.State), Digest: p.Digest, Rules: p.Rules, Count: p.Count, Base: p.Base, Widens: p.Widens, Totals: Totals(p.Totals), Again: p.Again,
		By: nameOf(p.By), ProposedAt: p.ProposedAt, ActivatedAt: moment(p.ActivatedAt), ClosedAt: moment(p.ClosedAt), Why: p.Why,
	}
	if p.ActivatedBy != nil {
		v.ActivatedBy = nameOf(*p.ActivatedBy)
	}
	if p.ClosedBy != nil {
		v.ClosedBy = nameOf(*p.ClosedBy)
	}
	return v
}

func proposalsOf(list []rules.Proposal) []Proposal {
	all := make([]Proposal, len(list))
	for i, p := range list {
		all[i] = proposalOf(p)
	}
	return all
}

func booksOf(b broker.Books) Books {
	v := Books{Now: b.Now.UTC(), Proposed: proposalsOf(b.Proposed), History: proposalsOf(b.Before)}
	if b.InForce.ID != "" {
		p := proposalOf(b.InForce)
		v.InForce = &p
	}
	return v
}

func storedOf(b broker.Stored) StoredBook {
	v := StoredBook{Proposal: proposalOf(b.Proposal), Effect: EffectOf(b.Difference), Files: []RuleFile{}}
	for _, f := range b.Files {
		v.Files = append(v.Files, RuleFile{f.Name, string(f.Text)})
	}
	return v
}

// How much of a change of rules is told.
const (
	mostLines = 1000
	mostNames = 100
)

// EffectOf says a change of rules in the form of the API; the command line says it in the same form without a server.
func EffectOf(d broker.Difference) Effect {
	e := d.Effect
	v := Effect{
		Digest: d.Digest, Base: d.Base, Widens: e.Widens(), Totals: Totals(e.Totals), Lines: []EffectLine{}, More: max(0, len(e.Changes)-mostLines),
		Latent: append([]string{}, e.Latent...), Problems: []string{},
	}
	for _, c := range e.Changes[:min(len(e.Changes), mostLines)] {
		line := EffectLine{
			Text: c.String(), Widens: c.Widens(), Kinds: []string{}, Who: c.Who, Where: c.Where, PermissionSets: c.Sets, PeopleCount: len(c.People), AccountCount: len(c.Accounts),
			People: []Person{}, Accounts: []string{}, Before: c.Before, After: c.After,
		}
		for _, k := range c.Kinds {
			line.Kinds = append(line.Kinds, string(k))
		}
		for _, p := range c.People[:min(len(c.People), mostNames)] {
			line.People = append(line.People, personOf(p))
		}
		for _, a := range c.Accounts[:min(len(c.Accounts), mostNames)] {
			line.Accounts = append(line.Accounts, string(a.ID))
		}
		v.Lines = append(v.Lines, line)
	}
	for _, p := range d.Problems {
		v.Problems = append(v.Problems, p.Position.String()+": "+p.Problem)
	}
	return v
}
