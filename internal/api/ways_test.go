package api

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"
	"sync"
	"time"

	"sparekey/access"
	"sparekey/org"
)

// What is vended here begins with these words, so that it can be looked for where it must not be.
const (
	secretMark = "vended-secret-"
	tokenMark  = "vended-token-"
)

// marks are what no log, no record and no database may hold.
var marks = []string{"spk_", secretMark, tokenMark}

// marked says where a text holds something secret, or nothing.
func marked(text string) string {
	lower := strings.ToLower(text)
	for _, mark := range marks {
		if i := strings.Index(lower, mark); i >= 0 {
			return "…" + text[max(0, i-200):min(len(text), i+len(mark))]
		}
	}
	return ""
}

// lender is the ways and groups that are no assignments, in memory: what is asked for is there at once.
type lender struct {
	now func() time.Time

	mu     sync.Mutex
	there  map[access.Key]bool
	groups map[string]org.GroupID
	vended []access.Vending
	// vends takes the place of vending where a test wants another answer; made is what was made all the same.
	vends func(made access.Credentials) (access.Credentials, error)
}

func newLender(now func() time.Time) *lender {
	return &lender{now: now, there: map[access.Key]bool{}, groups: map[string]org.GroupID{}}
}

func (l *lender) turn(k access.Key, there bool) access.Seen {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.there[k] = there
	return access.Seen{ID: "op-" + rand.Text(), Outcome: access.Succeeded, At: l.now()}
}

// Assigned implements broker.Way.
func (l *lender) Assigned(_ context.Context, k access.Key) (bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.there[k], nil
}

// Create implements broker.Way.
func (l *lender) Create(_ context.Context, k access.Key) (access.Seen, error) {
	return l.turn(k, true), nil
}

// Delete implements broker.Way.
func (l *lender) Delete(_ context.Context, k access.Key) (access.Seen, error) {
	return l.turn(k, false), nil
}

// Creation implements broker.Way.
func (l *lender) Creation(context.Context, string) (access.Seen, error) {
	return access.Seen{}, access.ErrMissing
}

// Deletion implements broker.Way.
func (l *lender) Deletion(context.Context, string) (access.Seen, error) {
	return access.Seen{}, access.ErrMissing
}

// Creations implements broker.Way.
func (l *lender) Creations(context.Context, access.Key, time.Time) ([]access.Seen, error) {
	return nil, nil
}

// Vend implements broker.Vendor.
func (l *lender) Vend(_ context.Context, v access.Vending) (access.Credentials, error) {
	l.mu.Lock()
	l.vended = append(l.vended, v)
	vends := l.vends
	l.mu.Unlock()
	made := access.Credentials{
		AccessKeyID: "ASIA" + rand.Text()[:16], SecretAccessKey: secretMark + rand.Text(), SessionToken: tokenMark + rand.Text(), Expires: l.now().Add(v.Lasts),
	}
	if vends != nil {
		return vends(made)
	}
	return made, nil
}

// lentGroups are the lender's groups, as broker.Groups: assigned at the second look.
type lentGroups struct{ *lender }

// Make implements broker.Groups.
func (l lentGroups) Make(_ context.Context, name, _ string) (org.GroupID, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.groups[name] == "" {
		l.groups[name] = org.GroupID(fmt.Sprintf("group-%d", len(l.groups)+1))
	}
	return l.groups[name], nil
}

// Assigned implements broker.Groups.
func (l lentGroups) Assigned(_ context.Context, g org.GroupID, t org.Target) (bool, error) {
	return l.lender.Assigned(context.Background(), access.Key{Group: g, Target: t})
}

// Assign implements broker.Groups.
func (l lentGroups) Assign(_ context.Context, g org.GroupID, t org.Target) (access.Seen, error) {
	return l.turn(access.Key{Group: g, Target: t}, true), nil
}

// Assigning implements broker.Groups.
func (l lentGroups) Assigning(context.Context, string) (access.Seen, error) {
	return access.Seen{Outcome: access.Succeeded}, nil
}
