package access

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"sparekey/audit"
	"sparekey/org"
	"sparekey/rules"
)

// ReviewState is where a review stands.
type ReviewState string

// The states of a review.
const (
	ReviewOpen ReviewState = "open"
	ReviewDone ReviewState = "done"
)

type reviewCommand string

const (
	openReview    reviewCommand = "open"
	escalate      reviewCommand = "escalate" // it is overdue
	concludeFine  reviewCommand = "find fine"
	concludeWrong reviewCommand = "find wrong"
)

var reviewStates = []ReviewState{"", ReviewOpen, ReviewDone}

var reviewTable = table[ReviewState, reviewCommand]{
	"": {openReview: {ReviewOpen, "review.opened"}},
	ReviewOpen: {
		escalate:      {ReviewOpen, "review.overdue"},
		concludeFine:  {ReviewDone, "review.fine"},
		concludeWrong: {ReviewDone, "review.wrong"},
	},
	ReviewDone: {},
}

// Review is the duty to look at what was done with a grant. Somebody else than its person does.
type Review struct {
	ID       string          `json:"id"`
	Version  int64           `json:"version"`
	State    ReviewState     `json:"state"`
	Grant    string          `json:"grant"`
	Person   Named           `json:"person"`
	Target   Place           `json:"target"`
	Reason   string          `json:"reason,omitempty"`
	Rule     rules.Ref       `json:"rule"`
	Need     rules.Reviewers `json:"need"`
	OpenedAt time.Time       `json:"openedAt"`
	DueAt    time.Time       `json:"dueAt"`
	Late     bool            `json:"late,omitempty"` // that it is overdue was recorded
	Wrong    bool            `json:"wrong,omitempty"`
	Done     *Decision       `json:"done,omitempty"`
}

// review opens the review of a grant that has become active, or was ended when it may have been. It is due some time after
// the grant's end.
func (c *Change) review(g Grant, now time.Time) error {
	r := Review{
		ID: "rev" + strings.TrimPrefix(g.ID, "g"), Grant: g.ID, Person: g.Person, Target: g.Target, Reason: g.Reason, Rule: g.Rule, Need: *g.Review, OpenedAt: now,
		DueAt: latest(g.EndsAt, now).Add(time.Duration(g.Review.Within) * time.Minute),
	}
	more, err := r.turn(openReview, partActor("lane"), now, nil, nil)
	c.Reviews, c.Events = append(c.Reviews, more.Reviews...), append(c.Events, more.Events...)
	return err
}

func (r Review) turn(command reviewCommand, by audit.Actor, now time.Time, d detail, edit func(*Review)) (Change, error) {
	step, err := reviewTable.take(r.State, command)
	if err != nil {
		return Change{}, err
	}
	var before *audit.Image
	if r.State != "" {
		if before, err = audit.ImageOf(string(r.State), r.Version, r); err != nil {
			return Change{}, err
		}
	}
	next := r
	next.State = step.to
	if edit != nil {
		edit(&next)
	}
	next.Version++
	after, err := audit.ImageOf(string(next.State), next.Version, next)
	if err != nil {
		return Change{}, err
	}
	return Change{Reviews: []Review{next}, Events: []audit.Event{{
		At: moment(now), Kind: step.event, Actor: by, Subject: audit.Subject{Kind: "review", ID: r.ID}, Before: before.Bare(), After: after, Detail: d,
	}}}, nil
}

// Overdue reports whether the review should have been done.
func (r Review) Overdue(now time.Time) bool { return r.State == ReviewOpen && !now.Before(r.DueAt) }

// MayConclude says why by may not conclude the review, or nothing when they may: the reviewers of its rule, those of the
// ladder once it is overdue for so long, and never the person whose use it is about.
func (r Review) MayConclude(by org.Person, in rules.Set) string {
	_, why := in.MayApprove(rules.Case{Needs: rules.Needs{Approvals: 1, Stages: [][]rules.Quorum{{r.Need.Quorum}}}, Requester: r.Person.ID, Asked: r.DueAt}, by)
	if by.ID == r.Person.ID {
		return "nobody reviews what they did themselves"
	}
	return why
}

// Conclude ends the review of g: what was done is fine, or it is wrong and the comment says what is. What goes on cannot be
// fine yet.
func (r Review) Conclude(g Grant, by org.Person, wrong bool, comment string, in rules.Set, now time.Time) (Change, error) {
	if err := checkText("the comment", comment); err != nil {
		return Change{}, err
	}
	if r.State != ReviewOpen {
		return Change{}, problem(ErrOver, "%s was concluded by %s at %s", r.ID, r.Done.By.Name, r.Done.At.Format(time.RFC3339))
	}
	if why := r.MayConclude(by, in); why != "" {
		return Change{}, problem(ErrRefused, "%s", why).hint("`sparekey reviews` shows what waits for you")
	}
	if wrong && strings.TrimSpace(comment) == "" {
		return Change{}, problem(ErrInvalid, "what is wrong is not said").hint("say it in a comment")
	}
	if !wrong && g.Live() {
		return Change{}, problem(ErrRefused, "%s is not over, and what is done in it until then is not known", g.ID).hint("review it when it has ended; what is wrong already can be said now, and `sparekey end %s` ends it", g.ID)
	}
	command := concludeFine
	if wrong {
		command = concludeWrong
	}
	return r.turn(command, personActor(named(by)), now, detail{"comment": comment}, func(n *Review) {
		n.Wrong, n.Done = wrong, &Decision{By: personActor(named(by)), At: moment(now), Comment: comment}
	})
}

// Escalate records, once, that the review is overdue.
func (r Review) Escalate(now time.Time) (Change, error) {
	if !r.Overdue(now) || r.Late {
		return Change{}, nil
	}
	return r.turn(escalate, partActor("clock"), now, detail{"due": fmt.Sprint(r.DueAt.Format(time.RFC3339))}, func(n *Review) { n.Late = true })
}

// Concerns reports whether the review is about p, or p did it or could.
func (r Review) Concerns(p org.Person) bool {
	return r.Person.ID == p.ID || r.Done != nil && r.Done.By.ID == string(p.ID) ||
		slices.ContainsFunc([]rules.Needs{{Stages: [][]rules.Quorum{{r.Need.Quorum}}}}, func(n rules.Needs) bool { return n.Includes(p) })
}
