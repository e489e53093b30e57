package api

import (
	"context"
	"net/http"

	"sparekey/access"
	"sparekey/internal/broker"
)

// Anchored is what keeps roles from being deleted and made anew, and where nothing does.
type Anchored struct {
	Anchors []LentGroup     `json:"anchors"`
	Missing []Target        `json:"missing" doc:"What rules lend by assignment, and neither an anchor nor a group that lends by membership keeps"`
	Members []AnchorMembers `json:"members" doc:"Anchors with people in them; there must be none"`
}

// AnchorMembers are the people in a group that must have none.
type AnchorMembers struct {
	Name   string   `json:"name"`
	People []Person `json:"people"`
}

type madeOutput struct {
	Body struct {
		Anchors []LentGroup `json:"anchors"`
	}
}

func (s *Server) anchors() {
	add(s, http.MethodGet, "/v1/anchors", "listAnchors", "Groups of nobody that keep roles, and which are missing", func(ctx context.Context, _ *struct{}) (*struct{ Body Anchored }, error) {
		v, err := s.broker.Anchors(ctx)
		out := Anchored{lentGroupsOf(v.Anchors), []Target{}, []AnchorMembers{}}
		for _, t := range v.Missing {
			out.Missing = append(out.Missing, targetOf(t))
		}
		for _, m := range v.Members {
			in := AnchorMembers{m.Anchor.Name, []Person{}}
			for _, p := range m.People {
				in.People = append(in.People, personOf(p))
			}
			out.Members = append(out.Members, in)
		}
		return &struct{ Body Anchored }{out}, err
	})
	add(s, http.MethodPost, "/v1/anchors", "anchor", "Have a group of nobody made that keeps the role of a target", func(ctx context.Context, in *struct{ Body AskTarget }) (*struct{ Body LentGroup }, error) {
		g, err := s.broker.Anchor(ctx, broker.Names{Account: in.Body.Account, PermissionSet: in.Body.PermissionSet})
		return &struct{ Body LentGroup }{lentGroupOf(g)}, err
	})
	add(s, http.MethodPost, "/v1/anchors/all", "anchorAll", "Have one made for every target that rules lend by assignment and that has none", func(ctx context.Context, _ *struct{}) (*madeOutput, error) {
		all, err := s.broker.AnchorAll(ctx)
		out := &madeOutput{}
		out.Body.Anchors = lentGroupsOf(all)
		return out, err
	})
}

func lentGroupsOf(all []access.LentGroup) []LentGroup {
	out := []LentGroup{}
	for _, g := range all {
		out = append(out, lentGroupOf(g))
	}
	return out
}
