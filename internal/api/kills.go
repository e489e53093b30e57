package api

import (
	"context"
	"net/http"
	"time"

	"sparekey/access"
	"sparekey/internal/broker"
)

// Kill is a session kill: a deny that was sent to AWS, or is to be. What it says is what was sent; whether a session is dead is
// not known.
type Kill struct {
	ID          string     `json:"id"`
	State       string     `json:"state" enum:"wanted,sent,tightened,expired"`
	Person      Person     `json:"person"`
	Target      *Target    `json:"target,omitempty" doc:"Absent: whatever the person is signed in to"`
	Grants      []string   `json:"grants" doc:"Which must be over before it can be tightened"`
	By          string     `json:"by"`
	Reason      string     `json:"reason,omitempty"`
	WantedAt    time.Time  `json:"wantedAt"`
	Before      *time.Time `json:"before,omitempty" doc:"The confirmed removal: sessions that were issued before it are meant"`
	SentAt      *time.Time `json:"sentAt,omitempty"`
	TightenedAt *time.Time `json:"tightenedAt,omitempty"`
	ExpiresAt   *time.Time `json:"expiresAt,omitempty" doc:"When no session from before the removal can live any longer"`
	Cover       string     `json:"cover" enum:"none,person,set" doc:"How the policy that was sent last covers it: not at all, by a statement of its own, or by one for everybody who uses the permission set"`
	Says        string     `json:"says" doc:"What is known, in words: who is not covered, and who is hit beside"`
}

// Killed is the answer to a kill.
type Killed struct {
	Grant  Grant  `json:"grant"`
	Kill   *Kill  `json:"kill,omitempty"`
	WhyNot string `json:"whyNot,omitempty" doc:"Why no kill was recorded, although the grant is being ended"`
}

// KillCheck is what was found of the policy of session kills.
type KillCheck struct {
	SetUp      bool     `json:"setUp"`
	Statements int      `json:"statements" doc:"Kills that the policy holds now"`
	Length     int      `json:"length" doc:"Characters of the policy"`
	Size       int      `json:"size" doc:"Characters that it may have"`
	Targets    []string `json:"targets" doc:"Ids of what it is attached to"`
	Wrong      []string `json:"wrong" doc:"What keeps kills from their effect, or gives them one where they must not have any"`
	Unreached  []string `json:"unreached" doc:"Accounts in which kills have no effect, beside the management account, as NAME (ID)"`
}

type killsOutput struct {
	Body struct {
		Now   time.Time `json:"now"`
		Kills []Kill    `json:"kills"`
		Next  string    `json:"next,omitempty" doc:"The cursor of the next page; absent at the end"`
	}
}

func (s *Server) kills() {
	add(s, http.MethodPost, "/v1/grants/{id}/kill", "kill", "End a grant, and have the sessions killed that it made possible", func(ctx context.Context, in *struct {
		GrantPath
		Body CommentBody
	},
	) (*struct{ Body Killed }, error) {
		g, killed, err := s.broker.EndAndKill(ctx, in.ID, in.Body.Comment)
		if err != nil {
			return nil, err
		}
		out := Killed{Grant: s.ended(ctx, g), WhyNot: killed.WhyNot}
		if killed.Kill != nil {
			k := killOf(*killed.Kill)
			out.Kill = &k
		}
		return &struct{ Body Killed }{out}, nil
	})
	add(s, http.MethodGet, "/v1/kills", "listKills", "Session kills: of your own sessions, or all that you may read", s.listKills)
	add(s, http.MethodGet, "/v1/kills/check", "checkKills", "Ask AWS for the policy of session kills, and say what is wrong with it", func(ctx context.Context, _ *struct{}) (*struct{ Body KillCheck }, error) {
		v, err := s.broker.CheckKills(ctx)
		out := KillCheck{v.SetUp, v.Statements, v.Length, v.Size, append([]string{}, v.Targets...), append([]string{}, v.Wrong...), []string{}}
		for _, a := range v.Unreached {
			out.Unreached = append(out.Unreached, a.Name+" ("+string(a.ID)+")")
		}
		return &struct{ Body KillCheck }{out}, err
	})
}

func (s *Server) listKills(ctx context.Context, in *struct {
	After string `query:"after" maxLength:"60" doc:"The cursor of the page before"`
	Limit int    `query:"limit" minimum:"1" maximum:"1000" default:"200"`
},
) (*killsOutput, error) {
	from, err := pageOf(ctx, aKilling, in.After)
	if err != nil {
		return nil, err
	}
	kills, next, err := s.broker.Kills(ctx, from, in.Limit)
	out := &killsOutput{}
	out.Body.Now, out.Body.Kills = s.now().UTC(), []Kill{}
	for _, k := range kills {
		out.Body.Kills = append(out.Body.Kills, killOf(k))
	}
	if next != (broker.Page{}) {
		out.Body.Next = cursorOf(next.At, next.ID)
	}
	return out, err
}

func killOf(k access.Kill) Kill {
	v := Kill{
		ID: k.ID, State: string(k.State), Person: personOf(k.Person), Grants: append([]string{}, k.Grants...), By: nameOf(k.By), Reason: k.Why, WantedAt: k.WantedAt,
		Before: moment(k.Before), SentAt: moment(k.SentAt), TightenedAt: moment(k.TightenedAt), ExpiresAt: moment(k.ExpiresAt()), Cover: "none", Says: k.Says(),
	}
	if k.Target != nil {
		t := targetOf(*k.Target)
		v.Target = &t
	}
	if k.Cover != access.CoverNone {
		v.Cover = string(k.Cover)
	}
	return v
}
