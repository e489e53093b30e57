package api

import (
	"crypto/rand"
	"strings"
	"testing"

	"sparekey/access"
	"sparekey/audit"
	"sparekey/internal/api/client"
	"sparekey/internal/store"
)

// recovering has the database be in a recovery, as after a restore.
func (r *rig) recovering() {
	r.Helper()
	err := r.broker.Store.Update(r.Context(), func(tx *store.Tx) error {
		was, err := tx.Recovery()
		if err != nil || was.State == access.Recovering {
			return err
		}
		_, c, err := access.BeginRecovery("recovery-"+strings.ToLower(rand.Text()[:6]), access.Behind{Was: was, Ledger: access.Ledger{Epoch: 1, Seq: 1000000, WrittenAt: r.broker.Now()}, Named: access.Nameless}, r.broker.Now())
		if err != nil {
			return err
		}
		return tx.Apply(c, audit.From(r.Context()))
	})
	if err == nil {
		err = r.broker.Follow(r.Context())
	}
	if err != nil {
		r.Fatal(err)
	}
}

func TestARecoveryIsReleasedByTwoAndShownToAll(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.releases()
}

func (r *rig) releases() {
	r.Helper()
	r.recovering()
	status, err := r.as("dana").Status(r.Context())
	if s := ok[client.Status](r, status, err); s.Halted == nil || !strings.Contains(*s.Halted, "two administrators release it") {
		r.Errorf("%+v", s)
	}
	comment := "looked at AWS"
	answer, err := r.as("amy").ReleaseRecovery(r.Context(), client.CommentBody{Comment: &comment})
	v := ok[client.Recovery](r, answer, err)
	if v.State != "recovering" || v.EventsThere != 1000000 || len(v.ReleasedBy) != 1 || v.ReleasedBy[0] != "amy" {
		r.Errorf("%+v", v)
	}
}
