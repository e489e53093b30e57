package aws

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	ssotypes "github.com/aws/aws-sdk-go-v2/service/ssoadmin/types"

	"sparekey/access"
	"sparekey/org"
)

var creationBehaviours = []behaviour{
	{"the creates that are under way or recent are found", recentCreations},
	{"creates of others, of other places and of before are left out", foreignCreations},
	{"creates are found on every page", creationsOnEveryPage},
	{"a create whose answer was lost is found again", lostCreation},
}

// found checks which creates of an access are reported, in any order.
func (b *backend) found(ctx context.Context, k access.Key, since time.Time, want ...access.Seen) error {
	got, err := b.assignments().Creations(ctx, k, since)
	if err != nil {
		return err
	}
	if len(got) != len(want) || slices.ContainsFunc(want, func(s access.Seen) bool { return !slices.Contains(got, s) }) {
		return fmt.Errorf("since %s there are the creates %+v, not %+v", since.Format(time.TimeOnly), got, want)
	}
	return nil
}

func recentCreations(ctx context.Context, b *backend) error {
	a, k := b.assignments(), b.key("dana", "payments", "ReadOnly")
	if err := b.found(ctx, k, start); err != nil {
		return err
	}
	old, err := b.created(ctx, k)
	if err != nil {
		return err
	}
	b.pass(time.Minute)
	under, err := a.Create(ctx, k)
	if err != nil {
		return err
	}
	if under.Outcome != "" {
		return fmt.Errorf("the second create is %s", under.Outcome)
	}
	if err := b.found(ctx, k, old.At, old, under); err != nil {
		return err
	}
	if err := b.found(ctx, k, old.At.Add(time.Second), under); err != nil {
		return err
	}
	// What is under way is found however old it is; what has ended is not.
	future := start.Add(24 * time.Hour)
	if err := b.found(ctx, k, future, under); err != nil {
		return err
	}
	if _, err = b.ended(ctx, under.ID, a.Creation); err != nil {
		return err
	}
	return b.found(ctx, k, future)
}

func foreignCreations(ctx context.Context, b *backend) error {
	k := b.key("dana", "payments", "ReadOnly")
	for _, other := range []access.Key{b.key("kim", "payments", "ReadOnly"), b.key("dana", "play", "ReadOnly"), b.key("dana", "payments", "Admin")} {
		if _, err := b.assignments().Create(ctx, other); err != nil {
			return err
		}
	}
	if err := b.assign(ctx, ssotypes.PrincipalTypeGroup, string(b.group("developers")), k.Target); err != nil {
		return err
	}
	// A create for a group with the person's id is not the person's, and FAILS besides.
	if err := b.assign(ctx, ssotypes.PrincipalTypeGroup, string(k.Person), k.Target); err != nil {
		return err
	}
	if _, err := b.assignments().Delete(ctx, k); err != nil && !errors.Is(err, access.ErrMissing) {
		return err
	}
	b.pass(time.Minute)
	return b.found(ctx, k, start.Add(-time.Hour))
}

func creationsOnEveryPage(ctx context.Context, b *backend) error {
	k := b.key("dana", "payments", "ReadOnly")
	first, err := b.created(ctx, k)
	if err != nil {
		return err
	}
	b.pass(time.Second)
	for range 105 { // a page has at most 100
		if err := b.assign(ctx, ssotypes.PrincipalTypeUser, string(b.person("kim").ID), k.Target); err != nil {
			return err
		}
		b.pass(time.Minute)
	}
	last, err := b.created(ctx, k)
	if err != nil {
		return err
	}
	return b.found(ctx, k, start, first, last)
}

// lostCreation shows what Creations is for: AWS took the create of another client of ours, whose answer nobody got.
func lostCreation(ctx context.Context, b *backend) error {
	k := b.key("dana", "payments", "ReadOnly")
	if err := b.assign(ctx, ssotypes.PrincipalTypeUser, string(k.Person), org.Target{Account: k.Account, PermissionSet: k.PermissionSet}); err != nil {
		return err
	}
	all, err := b.assignments().Creations(ctx, k, start)
	if err != nil {
		return err
	}
	if len(all) != 1 || all[0].ID == "" || all[0].Outcome != "" {
		return fmt.Errorf("one create is under way; found were %+v", all)
	}
	s, err := b.ended(ctx, all[0].ID, b.assignments().Creation)
	if err != nil || s.Outcome != access.Succeeded {
		return but(err, "the create that was found became %s", s.Outcome)
	}
	return b.is(ctx, k, true, "after the create that was found")
}
