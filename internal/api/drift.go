package api

import (
	"context"
	"time"

	"sparekey/access"
	"sparekey/org"
)

// Finding is one assignment that AWS gives and no grant has, or the other way round.
type Finding struct {
	Kind          string    `json:"kind" enum:"orphaned,missing,foreign"`
	Principal     string    `json:"principal" doc:"User or group name; its id where the directory does not know it"`
	PrincipalID   string    `json:"principalId"`
	PrincipalType string    `json:"principalType" enum:"USER,GROUP"`
	Account       string    `json:"account"`
	AccountName   string    `json:"accountName"`
	PermissionSet string    `json:"permissionSet" doc:"Its name, or its ARN where it is not known"`
	Grant         string    `json:"grant,omitempty" doc:"The grant that should have it, or had it last"`
	Since         time.Time `json:"since" doc:"When it was found first"`
}

type driftOutput struct {
	Body struct {
		Now      time.Time  `json:"now"`
		Accounts int        `json:"accounts" doc:"Active accounts"`
		Seen     int        `json:"seen" doc:"Of them, those that were looked at"`
		Oldest   *time.Time `json:"oldest,omitempty" doc:"The look that is longest ago, of those"`
		Findings []Finding  `json:"findings"`
	}
}

func (s *Server) drift(ctx context.Context, in *struct {
	Groups bool `query:"groups" doc:"Also what groups have that Sparekey did not make: in most organizations that is their standing access"`
},
) (*driftOutput, error) {
	d, m, err := s.broker.Drift(ctx)
	if err != nil {
		return nil, err
	}
	out := &driftOutput{}
	out.Body.Now, out.Body.Accounts, out.Body.Seen, out.Body.Oldest, out.Body.Findings = s.now().UTC(), d.Accounts, d.Seen, moment(d.Oldest), []Finding{}
	for _, f := range d.Found {
		if f.Kind != access.Foreign || f.Direct() || in.Groups {
			out.Body.Findings = append(out.Body.Findings, findingOf(f, m))
		}
	}
	return out, nil
}

func findingOf(f access.Finding, m *org.Mirror) Finding {
	place := access.PlaceOf(f.Assignment.Target, m)
	v := Finding{
		Kind: string(f.Kind), Principal: f.Assignment.Principal, PrincipalID: f.Assignment.Principal, PrincipalType: string(f.Assignment.Kind), Account: string(f.Assignment.Account),
		AccountName: place.AccountName, PermissionSet: place.PermissionSetName, Grant: f.Grant, Since: f.Since,
	}
	if v.PermissionSet == "" {
		v.PermissionSet = f.Assignment.PermissionSet
	}
	if p, ok := m.Person(org.PersonID(f.Assignment.Principal)); ok && f.Direct() {
		v.Principal = p.User
	}
	for _, g := range m.Organization().Groups {
		if !f.Direct() && string(g.ID) == f.Assignment.Principal {
			v.Principal = g.Name
		}
	}
	return v
}
