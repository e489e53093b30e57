package api

import (
	"context"
	"net/http"
	"time"

	"sparekey/access"
)

// Recovery is one time that the database was found to be behind what was written outside of it.
type Recovery struct {
	ID             string     `json:"id"`
	State          string     `json:"state" enum:"recovering,released"`
	At             time.Time  `json:"at"`
	Events         int64      `json:"events" doc:"Place of the newest event that the database had"`
	EventsThere    int64      `json:"eventsThere" doc:"And of the newest that the second place knew of"`
	WrittenThereAt time.Time  `json:"writtenThereAt" doc:"When that was written"`
	TakenOver      int        `json:"takenOver" doc:"Grants that the database did not know, or not so far"`
	Cancelled      int        `json:"cancelled" doc:"Grants that were not active yet, and grants of sessions"`
	ReleasedBy     []string   `json:"releasedBy" doc:"It takes two administrators"`
	ReleasedAt     *time.Time `json:"releasedAt,omitempty"`
	Epoch          int64      `json:"epoch,omitempty" doc:"From the release on"`
}

func recoveryOf(r access.Recovery) Recovery {
	out := Recovery{
		ID: r.ID, State: string(r.State), At: r.At, Events: r.Head, EventsThere: r.Ledger.Seq, WrittenThereAt: r.Ledger.WrittenAt, TakenOver: r.Taken, Cancelled: r.Cancel,
		ReleasedBy: []string{}, Epoch: r.Epoch,
	}
	for _, d := range r.Releases {
		out.ReleasedBy = append(out.ReleasedBy, d.By.Name)
		if r.State == access.Released {
			out.ReleasedAt = moment(d.At)
		}
	}
	return out
}

func (s *Server) recoveryOperations() {
	add(s, http.MethodPost, "/v1/recovery/release", "releaseRecovery", "Let starts go on after a restore; it takes two administrators", func(ctx context.Context, in *struct{ Body CommentBody }) (*struct{ Body Recovery }, error) {
		r, err := s.broker.ReleaseRecovery(ctx, in.Body.Comment)
		return &struct{ Body Recovery }{recoveryOf(r)}, err
	})
}
