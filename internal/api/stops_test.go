package api

import (
	"sparekey/internal/api/client"
)

func some(t string) *string { return &t }

// stopped makes a stop that holds something that no test asks for.
func (r *rig) stopped() string {
	r.Helper()
	minutes := int64(30)
	answer, err := r.as("amy").Stop(r.Context(), client.StopBody{Person: some("ana"), Comment: "an exercise", Minutes: &minutes})
	return ok[client.StoppedOutputBody](r, answer, err).Stop.Id
}

func (r *rig) redButton() {
	r.Helper()
	looked, err := r.as("ana").Drift(r.Context(), &client.DriftParams{})
	if d := ok[client.DriftOutputBody](r, looked, err); d.Accounts != 4 || d.Seen != 0 || len(d.Findings) != 0 {
		r.Errorf("%+v", d)
	}
	g := r.approved("dana")
	r.work()
	scope := client.StopScope{Person: some("dana"), Account: some("payments-prod")}
	answer, err := r.as("amy").EstimateStop(r.Context(), scope)
	e := ok[client.StopEstimate](r, answer, err)
	if e.Reach != "everything of dana in payments-prod (000000000002)" && e.Grants < 1 || e.Operations < 1 || e.TakeSeconds < 30 || e.LastMinute == nil {
		r.Errorf("%+v", e)
	}
	minutes := int64(60)
	answer, err = r.as("amy").Stop(r.Context(), client.StopBody{Person: scope.Person, Account: scope.Account, Comment: "an exercise", Minutes: &minutes})
	stop := ok[client.StoppedOutputBody](r, answer, err)
	if s := stop.Stop; s.State != client.StopStateDone || !s.Holds || s.By != "amy" || s.Until == nil || stop.Estimate.Grants != e.Grants {
		r.Errorf("%+v", stop)
	}
	answer, err = r.as("dana").GetRequest(r.Context(), g.Request, &client.GetRequestParams{})
	if now := ok[client.Request](r, answer, err).Lines[0].Grant; now.State == client.GrantStateActive || now.State == client.GrantStateWaiting {
		r.Errorf("it is %s", now.State)
	}
	answer, err = r.as("ana").ListStops(r.Context(), &client.ListStopsParams{})
	if list := ok[client.StopsOutputBody](r, answer, err).Stops; len(list) != 1 || list[0].Id != stop.Stop.Id || list[0].Why != "an exercise" {
		r.Errorf("%+v", list)
	}
	answer, err = r.as("amy").LiftStop(r.Context(), stop.Stop.Id, client.CommentBody{Comment: some("over")})
	if s := ok[client.Stop](r, answer, err); s.State != client.StopStateLifted || s.Holds || *s.LiftedBy != "amy" || *s.LiftedWhy != "over" {
		r.Errorf("%+v", s)
	}
}
