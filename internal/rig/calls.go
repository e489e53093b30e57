package rig

import (
	"fmt"
	"net/http"
)

// Calls lists the operations that the sandbox was asked for, with "!" before those that failed.
func (r *Rig) Calls() []string {
	var all []string
	for _, c := range r.Box.Calls() {
		name := c.Operation
		if c.Code != "" || c.Status != http.StatusOK {
			name = fmt.Sprintf("!%s", name)
		}
		all = append(all, name)
	}
	return all
}
