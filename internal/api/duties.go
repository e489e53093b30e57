package api

import (
	"context"
	"net/http"
	"time"

	"sparekey/access"
	"sparekey/internal/broker"
	"sparekey/rules"
)

// Review is the duty to look at what was done with a grant.
type Review struct {
	ID        string    `json:"id"`
	State     string    `json:"state" enum:"open,done"`
	Grant     string    `json:"grant"`
	Person    Person    `json:"person" doc:"Whose use it is about"`
	Target    Target    `json:"target"`
	Reason    string    `json:"reason"`
	Rule      Rule      `json:"rule"`
	Reviewers string    `json:"reviewers" doc:"Who may conclude it, in words"`
	OpenedAt  time.Time `json:"openedAt"`
	DueAt     time.Time `json:"dueAt"`
	Overdue   bool      `json:"overdue" doc:"Whether its person gets nothing automatically until it is done"`
	Yours     bool      `json:"yours" doc:"Whether you may conclude it"`
	Wrong     bool      `json:"wrong" doc:"What the reviewer found, once it is done"`
	Done      *Decision `json:"done,omitempty"`
}

// Absence says that somebody is away, and who has their say meanwhile.
type Absence struct {
	Person   Person    `json:"person"`
	Delegate *Person   `json:"delegate,omitempty"`
	Since    time.Time `json:"since"`
	Until    time.Time `json:"until"`
	Note     string    `json:"note,omitempty"`
}

// Favourite is something that somebody asks for often.
type Favourite struct {
	Name    string   `json:"name"`
	Targets []Target `json:"targets"`
	Minutes int      `json:"minutes"`
	Reason  string   `json:"reason,omitempty"`
}

// Credentials are an access key of a role session. They are told once and kept nowhere.
type Credentials struct {
	AccessKeyID     string    `json:"accessKeyId"`
	SecretAccessKey string    `json:"secretAccessKey"`
	SessionToken    string    `json:"sessionToken"`
	Expires         time.Time `json:"expires"`
}

// LentGroup is a group that Sparekey made, or is making, to lend a target by membership.
type LentGroup struct {
	Target  Target    `json:"target"`
	Group   string    `json:"group,omitempty" doc:"Id of the group, once it is made"`
	Name    string    `json:"name"`
	MadeAt  time.Time `json:"madeAt"`
	Ready   bool      `json:"ready" doc:"Whether AWS lists its assignment, so that it can be lent"`
	Trouble string    `json:"trouble,omitempty"`
}

// ReviewPath names a review.
type ReviewPath struct {
	ID string `path:"id" maxLength:"40" pattern:"^rev-[0-9a-z]+$"`
}

// ConcludeBody is what a reviewer found.
type ConcludeBody struct {
	CommentBody
	Wrong bool `json:"wrong" doc:"Whether something is wrong; then the comment says what"`
}

// AwayBody says how long somebody is away.
type AwayBody struct {
	Until    time.Time `json:"until" doc:"At most 90 days ahead"`
	Delegate string    `json:"delegate,omitempty" maxLength:"200" doc:"User name or id of who has your say meanwhile"`
	Note     string    `json:"note,omitempty" maxLength:"500"`
}

// VendBody says what credentials are wanted.
type VendBody struct {
	Minutes int    `json:"minutes,omitempty" minimum:"0" maximum:"60" doc:"How long they last, from 15 to 60; 0 or absent: as long as can be. Nothing is allowed after the grant's end"`
	Policy  string `json:"policy,omitempty" maxLength:"4096" doc:"A session policy that allows less than the role"`
}

type (
	reviewOutput  struct{ Body Review }
	reviewsOutput struct {
		Body struct {
			Now     time.Time `json:"now"`
			Reviews []Review  `json:"reviews"`
			Next    string    `json:"next,omitempty" doc:"The cursor of the next page; absent at the end"`
		}
	}
	absencesOutput struct {
		Body struct {
			Absences []Absence `json:"absences"`
		}
	}
	favouritesOutput struct {
		Body struct {
			Favourites []Favourite `json:"favourites"`
		}
	}
	groupsOutput struct {
		Body struct {
			Groups []LentGroup `json:"groups"`
		}
	}
	doneOutput struct {
		Body struct {
			Done bool `json:"done"`
		}
	}
)

// done is the answer of a command that has nothing else to say.
func done() *doneOutput {
	out := &doneOutput{}
	out.Body.Done = true
	return out
}

func (s *Server) duties() {
	add(s, http.MethodGet, "/v1/reviews", "listReviews", "Reviews that wait for you, or that are about you", s.listReviews)
	add(s, http.MethodGet, "/v1/reviews/{id}", "getReview", "A review", func(ctx context.Context, in *ReviewPath) (*reviewOutput, error) {
		d, err := s.broker.Review(ctx, in.ID)
		return &reviewOutput{s.reviewOf(d)}, err
	})
	add(s, http.MethodPost, "/v1/reviews/{id}/conclude", "conclude", "Say what you found", func(ctx context.Context, in *struct {
		ReviewPath
		Body ConcludeBody
	},
	) (*reviewOutput, error) {
		r, err := s.broker.Conclude(ctx, in.ID, in.Body.Wrong, in.Body.Comment)
		return &reviewOutput{s.reviewOf(broker.Duty{Review: r})}, err
	})
	add(s, http.MethodGet, "/v1/absences", "listAbsences", "Who is away, and who has whose say", s.listAbsences)
	add(s, http.MethodPost, "/v1/me/away", "away", "Say that you are away, and who has your say meanwhile", func(ctx context.Context, in *struct{ Body AwayBody }) (*struct{ Body Absence }, error) {
		d, err := s.broker.Away(ctx, in.Body.Until, in.Body.Delegate, in.Body.Note)
		return &struct{ Body Absence }{absenceOf(d)}, err
	})
	add(s, http.MethodPost, "/v1/me/back", "back", "Say that you are back", func(ctx context.Context, _ *struct{}) (*doneOutput, error) {
		return done(), s.broker.Back(ctx)
	})
	add(s, http.MethodPost, "/v1/absences/{user}/end", "endAbsence", "End the absence of somebody else, and the say of their delegate; for administrators", func(ctx context.Context, in *struct {
		User string `path:"user" maxLength:"128" doc:"User name, or id in the directory"`
	},
	) (*doneOutput, error) {
		return done(), s.broker.EndAbsence(ctx, in.User)
	})
	s.conveniences()
}

func (s *Server) conveniences() {
	add(s, http.MethodGet, "/v1/favourites", "listFavourites", "What you ask for often", s.listFavourites)
	add(s, http.MethodPost, "/v1/favourites", "favour", "Keep a request of yours under a name", func(ctx context.Context, in *struct {
		Body struct {
			Name    string `json:"name" maxLength:"40"`
			Request string `json:"request" maxLength:"40" pattern:"^req-[0-9a-z]+$"`
		}
	},
	) (*struct{ Body Favourite }, error) {
		f, err := s.broker.Favour(ctx, in.Body.Name, in.Body.Request)
		return &struct{ Body Favourite }{favouriteOf(f)}, err
	})
	add(s, http.MethodPost, "/v1/favourites/{name}/forget", "disfavour", "Forget a favourite", func(ctx context.Context, in *struct {
		Name string `path:"name" maxLength:"40"`
	},
	) (*doneOutput, error) {
		return done(), s.broker.Disfavour(ctx, in.Name)
	})
	add(s, http.MethodPost, "/v1/grants/{id}/credentials", "vend", "Make credentials of a role session under a grant of yours", func(ctx context.Context, in *struct {
		GrantPath
		Body VendBody
	},
	) (*struct{ Body Credentials }, error) {
		c, err := s.broker.Credentials(ctx, in.ID, time.Duration(in.Body.Minutes)*time.Minute, in.Body.Policy)
		return &struct{ Body Credentials }{Credentials{c.AccessKeyID, c.SecretAccessKey, c.SessionToken, c.Expires}}, err
	})
	add(s, http.MethodGet, "/v1/groups", "listGroups", "Groups that lend by membership", s.listGroups)
	add(s, http.MethodPost, "/v1/groups", "prepareGroup", "Have a group made that lends a target by membership", func(ctx context.Context, in *struct{ Body AskTarget }) (*struct{ Body LentGroup }, error) {
		g, err := s.broker.PrepareGroup(ctx, broker.Names{Account: in.Body.Account, PermissionSet: in.Body.PermissionSet})
		return &struct{ Body LentGroup }{lentGroupOf(g)}, err
	})
}

func (s *Server) listReviews(ctx context.Context, in *struct {
	After string `query:"after" maxLength:"60" doc:"The cursor of the page before"`
	Limit int    `query:"limit" minimum:"1" maximum:"1000" default:"200"`
},
) (*reviewsOutput, error) {
	from, err := pageOf(ctx, aReview, in.After)
	if err != nil {
		return nil, err
	}
	duties, next, err := s.broker.Reviews(ctx, from, in.Limit)
	out := &reviewsOutput{}
	if next != (broker.Page{}) {
		out.Body.Next = cursorOf(next.At, next.ID)
	}
	out.Body.Now, out.Body.Reviews = s.now().UTC(), []Review{}
	for _, d := range duties {
		out.Body.Reviews = append(out.Body.Reviews, s.reviewOf(d))
	}
	return out, err
}

func (s *Server) reviewOf(d broker.Duty) Review {
	v := Review{
		ID: d.ID, State: string(d.State), Grant: d.Grant, Person: personOf(d.Person), Target: targetOf(d.Target), Reason: d.Reason, Rule: ruleOf(d.Rule),
		Reviewers: rules.Needs{Approvals: 1, Stages: [][]rules.Quorum{{d.Need.Quorum}}}.String(), OpenedAt: d.OpenedAt, DueAt: d.DueAt,
		Overdue: d.Overdue(s.now()), Yours: d.Yours, Wrong: d.Wrong,
	}
	if d.Done != nil {
		v.Done = &Decision{nameOf(d.Done.By), d.Done.At, d.Done.Comment}
	}
	return v
}

func (s *Server) listAbsences(ctx context.Context, _ *struct{}) (*absencesOutput, error) {
	all, err := s.broker.Absences(ctx)
	out := &absencesOutput{}
	out.Body.Absences = []Absence{}
	for _, d := range all {
		out.Body.Absences = append(out.Body.Absences, absenceOf(d))
	}
	return out, err
}

func absenceOf(d rules.Delegation) Absence {
	v := Absence{Person: personOf(d.From), Since: d.Since, Until: d.Until, Note: d.Note}
	if d.To.ID != "" {
		p := personOf(d.To)
		v.Delegate = &p
	}
	return v
}

func (s *Server) listFavourites(ctx context.Context, _ *struct{}) (*favouritesOutput, error) {
	all, err := s.broker.Favourites(ctx)
	out := &favouritesOutput{}
	out.Body.Favourites = []Favourite{}
	for _, f := range all {
		out.Body.Favourites = append(out.Body.Favourites, favouriteOf(f))
	}
	return out, err
}

func favouriteOf(f broker.Favourite) Favourite {
	v := Favourite{Name: f.Name, Targets: []Target{}, Minutes: f.Minutes, Reason: f.Reason}
	for _, t := range f.Targets {
		v.Targets = append(v.Targets, targetOf(t))
	}
	return v
}

func (s *Server) listGroups(ctx context.Context, _ *struct{}) (*groupsOutput, error) {
	all, err := s.broker.LentGroups(ctx)
	out := &groupsOutput{}
	out.Body.Groups = []LentGroup{}
	for _, g := range all {
		out.Body.Groups = append(out.Body.Groups, lentGroupOf(g))
	}
	return out, err
}

func lentGroupOf(g access.LentGroup) LentGroup {
	return LentGroup{targetOf(g.Target), string(g.Group), g.Name, g.MadeAt, g.Ready, g.Trouble}
}
