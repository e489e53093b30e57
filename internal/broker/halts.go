package broker

import (
	"context"
	"strings"
	"time"

	"sparekey/access"
	"sparekey/audit"
	"sparekey/internal/store"
)

// A halt stops what starts, and nothing else: no request is made and no access is created while a disk is nearly full or a
// clock is wrong. Approvals, rejections, ends and the record go on, so nothing that ends may look here.

// halted says why nothing may start now; empty: it may. It may be called inside a transaction.
func (b *Broker) halted() string {
	var all []string
	for _, halt := range append([]func() string{b.ledgerHalt}, b.Halts...) {
		if why := halt(); why != "" {
			all = append(all, why)
		}
	}
	return strings.Join(all, "; ")
}

// halt is halted, and says in the log and the record when the answer changes. It is not called inside a transaction.
func (b *Broker) halt(ctx context.Context) string {
	why := b.halted()
	b.halting.Lock()
	was := b.halts
	b.halts = why
	b.halting.Unlock()
	if why == was {
		return why
	}
	ctx = audit.By(context.WithoutCancel(ctx), "watch")
	e := audit.Event{At: b.Now(), Kind: "starts.halted", Actor: audit.From(ctx).Actor, Subject: audit.Subject{Kind: "starts"}, Detail: map[string]string{"why": why}}
	if why == "" {
		e.Kind, e.Detail = "starts.resumed", map[string]string{"was": was}
		b.Log.Info("requests and starts go on", "was", was)
		b.promises.Wake()
	} else {
		b.Log.Error("nothing starts until this is mended; ends go on", "why", why)
	}
	if err := b.Store.Update(ctx, func(tx *store.Tx) error { return tx.Append(audit.From(ctx), e) }); err != nil {
		b.Log.Error("an event could not be recorded", "event", e.Kind, "error", err)
	}
	return why
}

// unhalted refuses a request while nothing may start. Such refusals are recorded as a sum: a disk that is nearly full is not
// filled with them.
func (b *Broker) unhalted(ctx context.Context) error {
	why := b.halt(ctx)
	if why == "" {
		return nil
	}
	b.Unproven(ctx, "requests while nothing could start")
	return &haltError{access.Problem{
		Kind: access.ErrUnavailable, Message: "nothing can be asked for at the moment: " + why, Hint: "whoever runs Sparekey has to mend it; what is held ends as ever, and `sparekey status` shows when it is over",
	}}
}

// haltError is a refusal that is not the asker's doing, and is recorded otherwise than one by one.
type haltError struct{ access.Problem }

// As makes it the problem that it is to whoever speaks to people.
func (h *haltError) As(target any) bool {
	p, ok := target.(**access.Problem)
	if ok {
		*p = &h.Problem
	}
	return ok
}

// lookAgain is how long a start that is halted waits before it is looked at again.
const lookAgain = 15 * time.Second

// heldBack waits with a grant that may not begin now. That is recorded once, and not at each look: a disk may be what is
// short. An hour after its time the grant begins no more, as with whatever else is in its way.
func (c carrier) heldBack(ctx context.Context) (wait time.Duration, held bool, err error) {
	why := c.halt(ctx)
	if why == "" {
		return 0, false, nil
	}
	if c.g.Trouble == why && !c.g.Late(c.Now()) {
		return lookAgain, true, nil
	}
	return lookAgain, true, c.turn(ctx, func(_ *store.Tx, g access.Grant) (access.Change, error) { return g.Wait(why, c.Now()) })
}

// unlessHalted takes the place of a decision to call AWS to create, when nothing may start: the grant waits instead.
func (c carrier) unlessHalted(tx *store.Tx, g access.Grant, change access.Change, must bool, err error) (access.Change, bool, error) {
	if err == nil && must { // another replica may have found the database behind a moment ago
		var r access.Recovery
		if r, err = tx.Recovery(); err == nil {
			c.ledger.recovery.Store(&r)
		}
	}
	why := c.halted()
	if err != nil || !must || why == "" {
		return change, must, err
	}
	change, err = g.Wait(why, c.Now())
	return change, false, err
}
