package world

import (
	"cmp"
	"time"

	"sparekey/org"
)

// IAMRole is an IAM role of one account that was not made by Identity Center.
type IAMRole struct {
	org.Role
	ID  string // AROA…
	ARN string
}

func (w *World) addIAMRole(r org.Role) {
	r.Path, r.MaxSession = cmp.Or(r.Path, "/"), cmp.Or(r.MaxSession, time.Hour)
	made := IAMRole{Role: r, ARN: r.ARN(w.Partition)}
	made.ID = KeyID("AROA", w.source.Bytes(20, "role", made.ARN))
	w.iamRoles[made.ARN] = made
}

// IAMRole finds an IAM role by its ARN.
func (w *World) IAMRole(arn string) (IAMRole, bool) {
	r, ok := w.iamRoles[arn]
	return r, ok
}
