package aws

import (
	"context"
	"fmt"
	"strings"
	"time"

	"sparekey/access"
	"sparekey/org"
)

// Way is what a way to give access can do; [Assignments], [Memberships] and [Sessions] are ways.
type Way interface {
	Assigned(ctx context.Context, k access.Key) (bool, error)
	Create(ctx context.Context, k access.Key) (access.Seen, error)
	Creation(ctx context.Context, id string) (access.Seen, error)
	Creations(ctx context.Context, k access.Key, since time.Time) ([]access.Seen, error)
	Delete(ctx context.Context, k access.Key) (access.Seen, error)
	Deletion(ctx context.Context, id string) (access.Seen, error)
}

// Split makes one way of two: keys of the management account go to the second, which has credentials of that account, and all
// others to the first. A delegated administrator cannot give access to the management account ("Delegated administration",
// IAM Identity Center User Guide), and nothing else should hold credentials that can. Without a second way (nil), keys of the
// management account are [access.ErrRejected].
//
// account says which one the management account is. Where that is not known yet ("") nothing is done for any key.
//
// Ids of the second way's operations begin with "management/", so that they find it again. Ids of the first stay as they are,
// so that those that were recorded before there was a second go on.
func Split(ordinary, management Way, account func() org.AccountID) Way {
	return split{ordinary, management, account}
}

type split struct {
	ordinary, management Way
	account              func() org.AccountID
}

const ofManagement = "management/"

// of returns the way of a key, and what its ids begin with.
func (s split) of(k access.Key) (Way, string, error) {
	switch account := s.account(); {
	case account == "":
		return nil, "", fmt.Errorf("%w: it is not known yet which account is the management account", access.ErrNotAsked)
	case account != k.Account:
		return s.ordinary, "", nil
	case s.management == nil:
		return nil, "", fmt.Errorf("%w: %s is the management account, and no adapter with its credentials is configured", access.ErrRejected, k.Account)
	}
	return s.management, ofManagement, nil
}

// by returns the way of an operation, and the operation's id there.
func (s split) by(id string) (Way, string, error) {
	inner, ok := strings.CutPrefix(id, ofManagement)
	switch {
	case !ok:
		return s.ordinary, id, nil
	case s.management == nil:
		return nil, "", fmt.Errorf("%w: the operation %s is the management account's, and no adapter with its credentials is configured", access.ErrRejected, id)
	}
	return s.management, inner, nil
}

// marked puts what an id begins with before it.
func marked(prefix string, op access.Seen, err error) (access.Seen, error) {
	if op.ID != "" {
		op.ID = prefix + op.ID
	}
	return op, err
}

func (s split) Assigned(ctx context.Context, k access.Key) (bool, error) {
	way, _, err := s.of(k)
	if err != nil {
		return false, err
	}
	return way.Assigned(ctx, k)
}

func (s split) Create(ctx context.Context, k access.Key) (access.Seen, error) {
	way, prefix, err := s.of(k)
	if err != nil {
		return access.Seen{}, err
	}
	op, err := way.Create(ctx, k)
	return marked(prefix, op, err)
}

func (s split) Creation(ctx context.Context, id string) (access.Seen, error) {
	way, inner, err := s.by(id)
	if err != nil {
		return access.Seen{}, err
	}
	op, err := way.Creation(ctx, inner)
	return marked(strings.TrimSuffix(id, inner), op, err)
}

func (s split) Creations(ctx context.Context, k access.Key, since time.Time) ([]access.Seen, error) {
	way, prefix, err := s.of(k)
	if err != nil {
		return nil, err
	}
	all, err := way.Creations(ctx, k, since)
	for i := range all {
		all[i], _ = marked(prefix, all[i], nil)
	}
	return all, err
}

func (s split) Delete(ctx context.Context, k access.Key) (access.Seen, error) {
	way, prefix, err := s.of(k)
	if err != nil {
		return access.Seen{}, err
	}
	op, err := way.Delete(ctx, k)
	return marked(prefix, op, err)
}

func (s split) Deletion(ctx context.Context, id string) (access.Seen, error) {
	way, inner, err := s.by(id)
	if err != nil {
		return access.Seen{}, err
	}
	op, err := way.Deletion(ctx, inner)
	return marked(strings.TrimSuffix(id, inner), op, err)
}

// Outstanding lists the operations that AWS has under way. They are of one Identity Center, whoever began them, and so without
// the word that the second way's begin with.
func (s split) Outstanding(ctx context.Context) ([]string, error) {
	counter, ok := s.ordinary.(interface {
		Outstanding(ctx context.Context) ([]string, error)
	})
	if !ok {
		return nil, nil
	}
	return counter.Outstanding(ctx)
}
