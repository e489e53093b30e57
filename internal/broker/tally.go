package broker

import (
	"context"
	"fmt"
	"sync"
	"time"

	"sparekey/access"
	"sparekey/org"
)

// tally counts what people did in the present stretch of time. A replica counts for itself.
type tally struct {
	mu    sync.Mutex
	began time.Time
	by    map[org.PersonID]int
}

// count is how often p did it in the stretch of the given length that now lies in, with more added.
func (t *tally) count(p org.PersonID, more int, now time.Time, length time.Duration) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	if began := now.Truncate(length); !began.Equal(t.began) {
		t.began, t.by = began, map[org.PersonID]int{}
	}
	if more > 0 {
		t.by[p] += more
	}
	return t.by[p]
}

const mostQuestions = 30 // about tickets, a minute for each person

// question refuses a question about a ticket to somebody who has asked too many: a service that one person wears out is down
// for everybody, and rules may let tickets pass that nobody can check.
func (b *Broker) question(p org.PersonID, ticket string) error {
	if ticket == "" || b.questions.count(p, 1, b.Now(), time.Minute) <= mostQuestions {
		return nil
	}
	return &access.Problem{Kind: access.ErrTooMany, Message: fmt.Sprintf("you have asked about tickets %d times within a minute", mostQuestions), Hint: "try again in the next"}
}

// tiresome refuses to listen to somebody whose requests were refused as often within an hour as they may make requests. It is
// recorded as a sum: nobody fills the record by being refused.
func (b *Broker) tiresome(ctx context.Context) error {
	by, err := b.person(ctx)
	if err != nil || b.vain.count(by.ID, 0, b.Now(), time.Hour) < b.PerHour {
		return nil // whoever proves nothing is refused elsewhere
	}
	b.Unproven(ctx, "requests of people who were refused too often")
	return &access.Problem{Kind: access.ErrTooMany, Message: fmt.Sprintf("%d of your requests were refused within an hour", b.PerHour), Hint: "`sparekey access list` shows what you may ask for; ask again in the next hour"}
}
