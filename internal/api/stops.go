package api

import (
	"context"
	"net/http"
	"time"

	"sparekey/access"
	"sparekey/internal/broker"
)

// StopScope says what a stop is about. What is named together is meant together.
type StopScope struct {
	Person        string `json:"person,omitempty" maxLength:"200" doc:"User name or id"`
	Account       string `json:"account,omitempty" maxLength:"100" doc:"Name or id"`
	PermissionSet string `json:"permissionSet,omitempty" maxLength:"2048" doc:"Its name; or role/PATH/NAME"`
	Rule          string `json:"rule,omitempty" maxLength:"100" doc:"Its name"`
	Everything    bool   `json:"everything,omitempty" doc:"Every grant that there is; then nothing else is named"`
}

func (s StopScope) scope() broker.Scope {
	return broker.Scope{Person: s.Person, Account: s.Account, PermissionSet: s.PermissionSet, Rule: s.Rule, Everything: s.Everything}
}

// StopBody is a stop.
type StopBody struct {
	StopScope
	Comment string `json:"comment" minLength:"1" maxLength:"500" doc:"Why; it stands in the record of every grant that ends"`
	Kill    bool   `json:"kill,omitempty" doc:"Also have all sessions of the person killed; then nothing but the person is named"`
	Minutes int    `json:"minutes,omitempty" minimum:"0" maximum:"43200" doc:"For so long nothing that it reaches starts; 0 or absent: it only ends"`
}

// StopEstimate says what a stop ends, and how long AWS needs for it.
type StopEstimate struct {
	Reach       string     `json:"reach" doc:"What it reaches, in words"`
	Grants      int        `json:"grants"`
	People      int        `json:"people"`
	Accounts    int        `json:"accounts"`
	Unbegun     int        `json:"unbegun" doc:"Grants that have not begun; they are cancelled at once"`
	Kept        int        `json:"kept" doc:"Grants whose access stays: it was there before, or a grant that is not reached keeps it"`
	Operations  int        `json:"operations" doc:"What AWS has to carry out, a few at once"`
	Ahead       int        `json:"ahead" doc:"Operations that are under way or due before"`
	TakeSeconds int        `json:"takeSeconds" doc:"How long that takes at AWS's quota, if nothing fails"`
	LastMinute  *time.Time `json:"lastMinute,omitempty" doc:"When the last session that is open by then ends by itself, if everything ended now"`
}

// Stop is a stop that was made.
type Stop struct {
	ID        string     `json:"id"`
	State     string     `json:"state" enum:"ending,done,lifted"`
	Reach     string     `json:"reach"`
	By        string     `json:"by"`
	At        time.Time  `json:"at"`
	Why       string     `json:"why"`
	Until     *time.Time `json:"until,omitempty" doc:"Nothing that it reaches starts before; absent: it only ended"`
	Holds     bool       `json:"holds" doc:"Whether it keeps things from starting now"`
	LiftedBy  string     `json:"liftedBy,omitempty"`
	LiftedAt  *time.Time `json:"liftedAt,omitempty"`
	LiftedWhy string     `json:"liftedWhy,omitempty"`
}

func (s *Server) stopOf(v access.Stop) Stop {
	out := Stop{ID: v.ID, State: string(v.State), Reach: v.Reach.String(), By: v.By.Name, At: v.At, Why: v.Why, Until: moment(v.Until), Holds: v.Holds(s.now())}
	if l := v.Lifted; l != nil {
		out.LiftedBy, out.LiftedAt, out.LiftedWhy = l.By.Name, moment(l.At), l.Comment
	}
	return out
}

func estimateOf(r access.Reach, e access.Estimate) StopEstimate {
	return StopEstimate{
		r.String(), e.Grants, e.People, e.Accounts, e.Unbegun, e.Kept, e.Operations, e.Ahead, int(e.Takes.Seconds()), moment(e.LastMinute),
	}
}

// StopPath names a stop.
type StopPath struct {
	ID string `path:"id" maxLength:"40" pattern:"^stop-[0-9a-z]+$"`
}

type (
	stopOutput struct{ Body Stop }
	// stoppedOutput is a stop with what was to be expected of it.
	stoppedOutput struct {
		Body struct {
			Stop     Stop         `json:"stop"`
			Estimate StopEstimate `json:"estimate"`
			Kill     *Kill        `json:"kill,omitempty"`
			WhyNot   string       `json:"whyNot,omitempty" doc:"Why no kill was recorded, although one was wanted"`
		}
	}
	stopsOutput struct {
		Body struct {
			Now   time.Time `json:"now"`
			Stops []Stop    `json:"stops"`
			Next  string    `json:"next,omitempty" doc:"The cursor of the next page; absent at the end"`
		}
	}
)

func (s *Server) stopOperations() {
	add(s, http.MethodPost, "/v1/stops/estimate", "estimateStop", "What a stop would end, and how long that takes", func(ctx context.Context, in *struct{ Body StopScope }) (*struct{ Body StopEstimate }, error) {
		r, e, err := s.broker.EstimateStop(ctx, in.Body.scope())
		return &struct{ Body StopEstimate }{estimateOf(r, e)}, err
	})
	add(s, http.MethodPost, "/v1/stops", "stop", "End every grant within reach, and keep others from starting", func(ctx context.Context, in *struct{ Body StopBody }) (*stoppedOutput, error) {
		done, err := s.broker.Stop(ctx, broker.Button{Scope: in.Body.scope(), Why: in.Body.Comment, Holds: time.Duration(in.Body.Minutes) * time.Minute, Kill: in.Body.Kill})
		out := &stoppedOutput{}
		out.Body.Stop, out.Body.Estimate, out.Body.WhyNot = s.stopOf(done.Stop), estimateOf(done.Stop.Reach, done.Estimate), done.Killed.WhyNot
		if k := done.Killed.Kill; k != nil {
			v := killOf(*k)
			out.Body.Kill = &v
		}
		return out, err
	})
	add(s, http.MethodGet, "/v1/stops", "listStops", "What was stopped", s.listStops)
	add(s, http.MethodPost, "/v1/stops/{id}/lift", "liftStop", "Let starts go on before a stop's time", func(ctx context.Context, in *struct {
		StopPath
		Body CommentBody
	},
	) (*stopOutput, error) {
		v, err := s.broker.LiftStop(ctx, in.ID, in.Body.Comment)
		return &stopOutput{s.stopOf(v)}, err
	})
}

func (s *Server) listStops(ctx context.Context, in *struct {
	After string `query:"after" maxLength:"60" doc:"The cursor of the page before"`
	Limit int    `query:"limit" minimum:"1" maximum:"1000" default:"100"`
},
) (*stopsOutput, error) {
	from, err := pageOf(ctx, aStop, in.After)
	if err != nil {
		return nil, err
	}
	stops, next, err := s.broker.Stops(ctx, from, in.Limit)
	out := &stopsOutput{}
	out.Body.Now, out.Body.Stops = s.now().UTC(), []Stop{}
	for _, v := range stops {
		out.Body.Stops = append(out.Body.Stops, s.stopOf(v))
	}
	if next != (broker.Page{}) {
		out.Body.Next = cursorOf(next.At, next.ID)
	}
	return out, err
}
