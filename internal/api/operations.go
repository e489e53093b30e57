package api

import (
	"context"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"sparekey/access"
	"sparekey/internal/broker"
)

// AskBody is what a person asks for.
type AskBody struct {
	Targets []AskTarget `json:"targets" maxItems:"50" doc:"What is asked for; with extends, none"`
	Minutes int         `json:"minutes" minimum:"1" maximum:"527040" doc:"How long, counted from when AWS confirms it; with extends, how much longer"`
	Reason  string      `json:"reason,omitempty" doc:"One line of at most 500 characters"`
	Ticket  string      `json:"ticket,omitempty" maxLength:"64"`
	StartAt *time.Time  `json:"startAt,omitempty" doc:"When it is to begin; at most 30 days ahead; once it is approved if left out"`
	Extends string      `json:"extends,omitempty" maxLength:"40" pattern:"^g-[0-9a-z]+$" doc:"The id of a live grant of yours that is to last longer"`
	Policy  string      `json:"policy,omitempty" maxLength:"4096" doc:"A session policy that allows less than the roles that are asked for; approvers see it"`
}

// AskTarget names a target.
type AskTarget struct {
	Account       string `json:"account" minLength:"1" maxLength:"100" doc:"Account id, or its name where only one has it"`
	PermissionSet string `json:"permissionSet" minLength:"1" maxLength:"2048" doc:"Name or ARN"`
}

// CommentBody goes with a decision.
type CommentBody struct {
	Comment string `json:"comment,omitempty" doc:"One line of at most 500 characters"`
}

// RequestPath names a request; huma looks into exported types only.
type RequestPath struct {
	ID string `path:"id" maxLength:"40" pattern:"^req-[0-9a-z]+$"`
}

// GrantPath names a grant.
type GrantPath struct {
	ID string `path:"id" maxLength:"40" pattern:"^g-[0-9a-z]+$"`
}

// ApproveBody goes with a yes.
type ApproveBody struct {
	CommentBody
	Minutes int `json:"minutes,omitempty" minimum:"0" maximum:"527040" doc:"For fewer minutes than asked; 0 or absent: for what was asked"`
}

type (
	decideInput struct {
		RequestPath
		Body CommentBody
	}
	approveInput struct {
		RequestPath
		Body ApproveBody
	}
	requestOutput struct{ Body Request }
	grantOutput   struct{ Body Grant }
)

func add[I, O any](s *Server, method, path, id, summary string, handle func(context.Context, *I) (*O, error)) {
	addLimited(s, method, path, id, summary, maxBody, handle)
}

func addLimited[I, O any](s *Server, method, path, id, summary string, most int64, handle func(context.Context, *I) (*O, error)) {
	huma.Register(s.api, huma.Operation{
		OperationID: id, Method: method, Path: path, Summary: summary, MaxBodyBytes: most,
		Errors: []int{
			http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusConflict, http.StatusRequestEntityTooLarge,
			http.StatusUnsupportedMediaType, http.StatusUnprocessableEntity, http.StatusTooManyRequests, http.StatusServiceUnavailable,
		},
	}, func(ctx context.Context, in *I) (*O, error) {
		reach(ctx, true)
		out, err := handle(ctx, in)
		return out, s.fail(err)
	})
}

func (s *Server) operations() {
	add(s, http.MethodGet, "/v1/me", "me", "Who you are", s.me)
	add(s, http.MethodGet, "/v1/status", "status", "How far the server is", s.status)
	add(s, http.MethodGet, "/v1/access", "listAccess", "What you may ask for", s.listAccess)
	add(s, http.MethodGet, "/v1/why", "why", "Why somebody may have something, or may not", s.why)
	add(s, http.MethodPost, "/v1/requests", "ask", "Ask for access", s.ask)
	add(s, http.MethodGet, "/v1/requests", "listRequests", "Your newest requests", s.listRequests)
	add(s, http.MethodGet, "/v1/requests/{id}", "getRequest", "A request, at once or when it changes", s.getRequest)
	add(s, http.MethodPost, "/v1/requests/{id}/approve", "approve", "Approve every line that you may decide", func(ctx context.Context, in *approveInput) (*requestOutput, error) {
		r, err := s.broker.Approve(ctx, in.ID, in.Body.Comment, in.Body.Minutes)
		return s.decided(ctx, r, err)
	})
	add(s, http.MethodPost, "/v1/requests/{id}/reject", "reject", "Reject every line that you may decide", func(ctx context.Context, in *decideInput) (*requestOutput, error) {
		r, err := s.broker.Reject(ctx, in.ID, in.Body.Comment)
		return s.decided(ctx, r, err)
	})
	add(s, http.MethodPost, "/v1/requests/{id}/withdraw", "withdraw", "Take back what still waits", func(ctx context.Context, in *decideInput) (*requestOutput, error) {
		r, err := s.broker.Withdraw(ctx, in.ID, in.Body.Comment)
		return s.decided(ctx, r, err)
	})
	add(s, http.MethodGet, "/v1/approvals", "listApprovals", "Requests of which you may decide something", s.listApprovals)
	add(s, http.MethodGet, "/v1/grants", "listGrants", "Grants", s.listGrants)
	add(s, http.MethodPost, "/v1/grants/{id}/end", "end", "End a grant", func(ctx context.Context, in *struct {
		GrantPath
		Body CommentBody
	},
	) (*grantOutput, error) {
		g, err := s.broker.End(ctx, in.ID, in.Body.Comment)
		if err != nil {
			return nil, err
		}
		return &grantOutput{s.ended(ctx, g)}, nil
	})
	s.kills()
	s.anchors()
	s.duties()
	s.ruleOperations()
	s.stopOperations()
	s.recoveryOperations()
	add(s, http.MethodGet, "/v1/drift", "drift", "What AWS gives that no grant has, and the other way round", s.drift)
}

// ended is a grant in the answer to its end: with what keeps its access, and until when.
func (s *Server) ended(ctx context.Context, g access.Grant) Grant {
	out := grantOf(g, s.now())
	for _, o := range s.broker.KeptBy(ctx, g) {
		out.KeptBy = append(out.KeptBy, o.ID)
		if last := grantOf(o, s.now()).LastMinute; last != nil && (out.LastMinute == nil || last.After(*out.LastMinute)) {
			out.LastMinute = last
		}
	}
	return out
}

// What a cursor can name.
var (
	anID     = regexp.MustCompile(`^(req|g)-[0-9a-z]+$`)
	aReview  = regexp.MustCompile(`^rev-[0-9a-z]+$`)
	aStop    = regexp.MustCompile(`^stop-[0-9a-z]+$`)
	aKilling = regexp.MustCompile(`^kill-[0-9a-z]+$`)
)

// pageOf reads the place in a listing that a cursor names. One that names none does not reach the listing.
func pageOf(ctx context.Context, named *regexp.Regexp, cursor string) (broker.Page, error) {
	if cursor == "" {
		return broker.Page{}, nil
	}
	ms, id, ok := strings.Cut(cursor, "-")
	at, err := strconv.ParseInt(ms, 36, 64)
	if !ok || err != nil || !named.MatchString(id) {
		reach(ctx, false)
		return broker.Page{}, &access.Problem{Kind: access.ErrInvalid, Message: "the cursor is none of this server's", Hint: "begin at the first page"}
	}
	return broker.Page{At: time.UnixMilli(at).UTC(), ID: id}, nil
}

func cursorOf(at time.Time, id string) string {
	return strconv.FormatInt(at.UnixMilli(), 36) + "-" + id
}

func (s *Server) me(ctx context.Context, _ *struct{}) (*struct{ Body Me }, error) {
	m, err := s.broker.Me(ctx)
	return &struct{ Body Me }{meOf(m)}, err
}

func (s *Server) status(ctx context.Context, _ *struct{}) (*struct{ Body Status }, error) {
	v, err := s.broker.Status(ctx)
	return &struct{ Body Status }{Status{s.version, v.Now, v.Ready, moment(v.MirrorReadAt), v.MirrorError, v.Accounts, v.People, v.Rules, v.Book, v.FolderDiffers, v.Halted}}, err
}

type accessInput struct {
	Account       string `query:"account" maxLength:"200" doc:"Any part of an account's name, id, OU path or tag"`
	PermissionSet string `query:"permissionSet" maxLength:"200" doc:"Any part of a permission set's name"`
	After         string `query:"after" maxLength:"200" doc:"The cursor of the page before"`
	Limit         int    `query:"limit" minimum:"1" maximum:"1000" default:"200"`
}

type accessOutput struct {
	Body struct {
		Offers []Offer `json:"offers"`
		Next   string  `json:"next,omitempty" doc:"The cursor of the next page"`
	}
}

func (s *Server) listAccess(ctx context.Context, in *accessInput) (*accessOutput, error) {
	offers, next, err := s.broker.Offers(ctx, broker.OfferFilter{Account: in.Account, PermissionSet: in.PermissionSet, After: in.After, Limit: in.Limit})
	out := &accessOutput{}
	out.Body.Offers, out.Body.Next = []Offer{}, next
	for _, o := range offers {
		out.Body.Offers = append(out.Body.Offers, offerOf(o))
	}
	return out, err
}

type whyInput struct {
	Person        string    `query:"person" required:"true" maxLength:"200" doc:"User name or id"`
	Account       string    `query:"account" required:"true" maxLength:"100"`
	PermissionSet string    `query:"permissionSet" required:"true" maxLength:"2048"`
	Minutes       int       `query:"minutes" minimum:"0" maximum:"527040" doc:"0 asks for the longest that there is"`
	Ticket        string    `query:"ticket" maxLength:"64"`
	StartAt       time.Time `query:"startAt" doc:"When it would begin; now if left out"`
}

func (s *Server) why(ctx context.Context, in *whyInput) (*struct{ Body Explanation }, error) {
	e, err := s.broker.Why(ctx, broker.Question{Person: in.Person, Names: broker.Names{Account: in.Account, PermissionSet: in.PermissionSet}, Duration: time.Duration(in.Minutes) * time.Minute, Ticket: in.Ticket, Start: in.StartAt})
	return &struct{ Body Explanation }{explanationOf(e)}, err
}

func (s *Server) ask(ctx context.Context, in *struct {
	Key  string `header:"Idempotency-Key" required:"true" minLength:"8" maxLength:"100" pattern:"^[!-~]+$" doc:"A random key: the same key and body make one request, however often they are sent"`
	Body AskBody
},
) (*requestOutput, error) {
	r, err := s.broker.Ask(ctx, wishOf(in.Body, in.Key))
	return s.decided(ctx, r, err)
}

// decided answers with the request as it is now, and its grants.
func (s *Server) decided(ctx context.Context, r access.Request, err error) (*requestOutput, error) {
	if err != nil {
		return nil, err
	}
	now, err := s.broker.Request(ctx, r.ID)
	return &requestOutput{requestOf(now, s.now())}, err
}

type requestsOutput struct {
	Body struct {
		Now      time.Time `json:"now" doc:"The server's time"`
		Requests []Request `json:"requests"`
		Next     string    `json:"next,omitempty" doc:"The cursor of the next page; absent at the end"`
	}
}

func (s *Server) listRequests(ctx context.Context, in *struct {
	After string `query:"after" maxLength:"60" doc:"The cursor of the page before"`
	Limit int    `query:"limit" minimum:"1" maximum:"1000" default:"50"`
},
) (*requestsOutput, error) {
	from, err := pageOf(ctx, anID, in.After)
	if err != nil {
		return nil, err
	}
	requests, err := s.broker.Requests(ctx, from, in.Limit)
	out := &requestsOutput{}
	out.Body.Now, out.Body.Requests = s.now().UTC(), []Request{}
	for _, r := range requests {
		out.Body.Requests = append(out.Body.Requests, requestOf(r, s.now()))
	}
	if n := len(requests); n == in.Limit {
		out.Body.Next = cursorOf(requests[n-1].AskedAt, requests[n-1].ID)
	}
	return out, err
}

func (s *Server) getRequest(ctx context.Context, in *struct {
	RequestPath
	After string `query:"after" maxLength:"40" doc:"A revision: the answer waits until there is another"`
	Wait  int    `query:"wait" minimum:"0" maximum:"25" doc:"How many seconds to wait at most"`
},
) (*requestOutput, error) {
	until := time.After(min(time.Duration(in.Wait)*time.Second, longest))
	for {
		changed := s.broker.Changed()
		r, err := s.broker.Request(ctx, in.ID)
		if err != nil {
			return nil, err
		}
		out := &requestOutput{requestOf(r, s.now())}
		if in.After == "" || out.Body.Revision != in.After {
			return out, nil
		}
		select {
		case <-changed:
		case <-time.After(time.Second): // another replica may have changed it
		case <-until:
			return out, nil
		case <-s.over:
			return out, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

type approvalsOutput struct {
	Body struct {
		Requests []Pending `json:"requests"`
	}
}

func (s *Server) listApprovals(ctx context.Context, _ *struct{}) (*approvalsOutput, error) {
	pending, err := s.broker.Approvals(ctx)
	out := &approvalsOutput{}
	out.Body.Requests = []Pending{}
	for _, p := range pending {
		out.Body.Requests = append(out.Body.Requests, Pending{requestOf(p.Asked, s.now()), p.Lines})
	}
	return out, err
}

type grantsOutput struct {
	Body struct {
		Now    time.Time `json:"now" doc:"The server's time, from which what is left is counted"`
		Grants []Grant   `json:"grants"`
		Next   string    `json:"next,omitempty" doc:"The cursor of the next page; absent at the end"`
	}
}

func (s *Server) listGrants(ctx context.Context, in *struct {
	All   bool   `query:"all" doc:"Not only your own, but all that you may end or read"`
	Ended bool   `query:"ended" doc:"Also those that are over"`
	After string `query:"after" maxLength:"60" doc:"The cursor of the page before"`
	Limit int    `query:"limit" minimum:"1" maximum:"1000" default:"200"`
},
) (*grantsOutput, error) {
	from, err := pageOf(ctx, anID, in.After)
	if err != nil {
		return nil, err
	}
	grants, next, err := s.broker.Grants(ctx, broker.GrantFilter{All: in.All, Ended: in.Ended, From: from, Most: in.Limit})
	out := &grantsOutput{}
	out.Body.Now, out.Body.Grants = s.now().UTC(), []Grant{}
	for _, g := range grants {
		out.Body.Grants = append(out.Body.Grants, grantOf(g, s.now()))
	}
	if next != (broker.Page{}) {
		out.Body.Next = cursorOf(next.At, next.ID)
	}
	return out, err
}
