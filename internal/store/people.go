package store

import (
	"fmt"
	"math"
	"time"

	"sparekey/access"
	"sparekey/audit"
	"sparekey/internal/store/query"
	"sparekey/org"
	"sparekey/rules"
)

func (tx *Tx) putReview(r access.Review, was int64) error {
	body, err := audit.Canonical(r)
	if err != nil {
		return err
	}
	open := bit(r.State == access.ReviewOpen)
	if was == 0 {
		return wrap("inserting review", r.ID, tx.q.InsertReview(tx.ctx, query.InsertReviewParams{
			ID: r.ID, Version: r.Version, Person: string(r.Person.ID), Open: open, Due: millis(r.DueAt), Body: string(body),
		}))
	}
	n, err := tx.q.UpdateReview(tx.ctx, query.UpdateReviewParams{Version: r.Version, Open: open, Body: string(body), ID: r.ID, Was: was})
	return changed("review", r.ID, n, err)
}

// Review reads a review; [ErrNotFound] when there is none.
func (tx *Tx) Review(id string) (access.Review, error) {
	body, err := tx.q.Review(tx.ctx, id)
	return one[access.Review]("review", id, body, err)
}

// OpenReviews lists reviews that are to be done, from a place on, the most urgent first.
func (tx *Tx) OpenReviews(from Page, most int) ([]access.Review, error) {
	params := query.OpenReviewsParams{ID: from.ID, Most: int32(most)}
	if from != (Page{}) {
		params.At = millis(from.At)
	}
	bodies, err := tx.q.OpenReviews(tx.ctx, params)
	return many[access.Review](bodies, err)
}

// ReviewsOf lists the reviews of what a person did, the newest first.
func (tx *Tx) ReviewsOf(p org.PersonID, most int) ([]access.Review, error) {
	bodies, err := tx.q.ReviewsOfPerson(tx.ctx, query.ReviewsOfPersonParams{Person: string(p), Most: int32(most)})
	return many[access.Review](bodies, err)
}

// Overdue names, for everybody whose use has a review that is overdue, the one that has been so for longest.
func (tx *Tx) Overdue(now time.Time) (map[org.PersonID]string, error) {
	rows, err := tx.q.OverdueReviews(tx.ctx, millis(now))
	if err != nil {
		return nil, err
	}
	overdue := map[org.PersonID]string{}
	for _, r := range rows {
		if _, has := overdue[org.PersonID(r.Person)]; !has {
			overdue[org.PersonID(r.Person)] = r.ID
		}
	}
	return overdue, nil
}

// PutDelegation keeps who has a person's say; it replaces what the person arranged before.
func (tx *Tx) PutDelegation(d rules.Delegation) error {
	body, err := audit.Canonical(d)
	if err != nil {
		return err
	}
	return tx.q.PutDelegation(tx.ctx, query.PutDelegationParams{Person: string(d.From.ID), Until: millis(d.Until), Body: string(body)})
}

// DropDelegation ends what a person arranged; [ErrNotFound] when there was nothing.
func (tx *Tx) DropDelegation(p org.PersonID) error {
	n, err := tx.q.DropDelegation(tx.ctx, string(p))
	if err == nil && n == 0 {
		err = ErrNotFound
	}
	return err
}

// Delegations lists those that are not over.
func (tx *Tx) Delegations(now time.Time) ([]rules.Delegation, error) {
	bodies, err := tx.q.Delegations(tx.ctx, millis(now))
	return many[rules.Delegation](bodies, err)
}

// ForgetDelegations deletes those that were over before a time.
func (tx *Tx) ForgetDelegations(before time.Time) error {
	return tx.q.ForgetDelegations(tx.ctx, millis(before))
}

// Favourite is something that a person asks for often.
type Favourite struct {
	Name    string         `json:"name"`
	Targets []access.Place `json:"targets"`
	Minutes int            `json:"minutes"`
	Reason  string         `json:"reason,omitempty"`
}

// PutFavourite keeps a favourite under its name, in the place of what had that name before.
func (tx *Tx) PutFavourite(p org.PersonID, f Favourite) error {
	body, err := audit.Canonical(f)
	if err != nil {
		return err
	}
	return tx.q.PutFavourite(tx.ctx, query.PutFavouriteParams{Person: string(p), Name: f.Name, Body: string(body)})
}

// DropFavourite forgets a favourite; [ErrNotFound] when there is none of the name.
func (tx *Tx) DropFavourite(p org.PersonID, name string) error {
	n, err := tx.q.DropFavourite(tx.ctx, query.DropFavouriteParams{Person: string(p), Name: name})
	if err == nil && n == 0 {
		err = fmt.Errorf("favourite %s: %w", name, ErrNotFound)
	}
	return err
}

// Favourites lists a person's favourites by name.
func (tx *Tx) Favourites(p org.PersonID) ([]Favourite, error) {
	rows, err := tx.q.Favourites(tx.ctx, string(p))
	bodies := make([]string, len(rows))
	for i, r := range rows {
		bodies[i] = r.Body
	}
	return many[Favourite](bodies, err)
}

// Page says where a listing goes on: after the entry of this time and id. The zero Page is the beginning.
type Page struct {
	At time.Time
	ID string
}

// RequestsBefore lists a person's requests from a place on, the newest first.
func (tx *Tx) RequestsBefore(p org.PersonID, from Page, most int) ([]access.Request, error) {
	if from == (Page{}) {
		return tx.RequestsOf(p, most)
	}
	bodies, err := tx.q.RequestsBefore(tx.ctx, query.RequestsBeforeParams{Requester: string(p), At: millis(from.At), ID: from.ID, Most: int32(most)})
	return many[access.Request](bodies, err)
}

// AskedSince counts a person's requests since a time.
func (tx *Tx) AskedSince(p org.PersonID, since time.Time) (int64, error) {
	return tx.q.CountRequestsSince(tx.ctx, query.CountRequestsSinceParams{Requester: string(p), Since: millis(since)})
}

// GrantsBefore lists the grants of a person, or of everybody for an empty id, from a place on, the newest first.
func (tx *Tx) GrantsBefore(p org.PersonID, from Page, most int) ([]access.Grant, error) {
	switch {
	case from == (Page{}) && p == "":
		return tx.RecentGrants(most)
	case from == (Page{}):
		return tx.GrantsOf(p, most)
	case p == "":
		bodies, err := tx.q.GrantsBefore(tx.ctx, query.GrantsBeforeParams{At: millis(from.At), ID: from.ID, Most: int32(most)})
		return many[access.Grant](bodies, err)
	}
	bodies, err := tx.q.GrantsOfPersonBefore(tx.ctx, query.GrantsOfPersonBeforeParams{Person: string(p), At: millis(from.At), ID: from.ID, Most: int32(most)})
	return many[access.Grant](bodies, err)
}

// LiveGrantsBefore lists the grants that are not over, from a place on, the newest first.
func (tx *Tx) LiveGrantsBefore(from Page, most int) ([]access.Grant, error) {
	params := query.LiveGrantsBeforeParams{At: math.MaxInt64, Most: int32(most)}
	if from != (Page{}) {
		params.At, params.ID = millis(from.At), from.ID
	}
	bodies, err := tx.q.LiveGrantsBefore(tx.ctx, params)
	return many[access.Grant](bodies, err)
}

// PutLentGroup keeps a group that lends by membership.
func (tx *Tx) PutLentGroup(g access.LentGroup) error {
	body, err := audit.Canonical(g)
	if err != nil {
		return err
	}
	return tx.q.PutLentGroup(tx.ctx, query.PutLentGroupParams{Account: string(g.Target.Account), PermissionSet: g.Target.PermissionSet, Body: string(body)})
}

// LentGroups lists the groups that lend by membership, and those that are being made.
func (tx *Tx) LentGroups() ([]access.LentGroup, error) {
	bodies, err := tx.q.LentGroups(tx.ctx)
	return many[access.LentGroup](bodies, err)
}

// LentGroup reads the group of a target; [ErrNotFound] when none was made.
func (tx *Tx) LentGroup(t org.Target) (access.LentGroup, error) {
	body, err := tx.q.LentGroup(tx.ctx, query.LentGroupParams{Account: string(t.Account), PermissionSet: t.PermissionSet})
	return one[access.LentGroup]("the group for", string(t.Account)+" "+t.PermissionSet, body, err)
}
