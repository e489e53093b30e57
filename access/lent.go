package access

import (
	"time"

	"sparekey/org"
)

// LentGroup is a group of the identity store that Sparekey made for one target, to lend it by membership. It is assigned to
// the target and stays so, whoever its members are; only Sparekey changes those.
type LentGroup struct {
	Target    Place       `json:"target"`
	Group     org.GroupID `json:"group,omitempty"` // empty while it is being made
	Name      string      `json:"name"`
	MadeAt    time.Time   `json:"madeAt"`
	Operation string      `json:"operation,omitempty"` // AWS's, of its assignment
	Ready     bool        `json:"ready"`               // assigned, as AWS lists it: it can be lent
	Trouble   string      `json:"trouble,omitempty"`
	Anchor    bool        `json:"anchor,omitempty"` // it lends nothing: it keeps the role of the permission set, and has no members
}
