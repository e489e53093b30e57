package broker

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"time"

	"sparekey/access"
	"sparekey/audit"
	"sparekey/internal/store"
)

// Everything that is refused is recorded. What a known person was refused is one event each. Who proves nothing could fill
// the record with as much as they can send, so those refusals are counted, and one event a minute holds the sum.

// refuse records that a command was refused to the caller, and returns the error. Errors that are no refusal (the database
// is away) are not recorded; there is nothing to record them in.
func (b *Broker) refuse(ctx context.Context, command string, s audit.Subject, err error) error {
	var p *access.Problem
	if !errors.As(err, &p) {
		return err
	}
	b.Meter.Refused(p.Kind.Error())
	cause := audit.From(ctx)
	record := b.Store.Update(context.WithoutCancel(ctx), func(tx *store.Tx) error {
		return tx.Append(cause, audit.Event{
			At: b.Now(), Kind: s.Kind + ".refused", Actor: cause.Actor, Subject: s,
			Detail: map[string]string{"command": command, "kind": p.Kind.Error(), "why": p.Message},
		})
	})
	if record != nil {
		b.Log.Error("a refusal could not be recorded", "command", command, "error", record)
	}
	return err
}

type refusals struct {
	sync.Mutex
	since  time.Time
	counts map[string]int
}

// Unproven counts a refusal of somebody who has not proved who they are. reason is one of a few fixed words.
func (b *Broker) Unproven(ctx context.Context, reason string) {
	b.Meter.Refused(Unproven)
	b.refused.Lock()
	if b.refused.counts == nil {
		b.refused.counts, b.refused.since = map[string]int{}, b.Now()
	}
	b.refused.counts[reason]++
	due := b.Now().Sub(b.refused.since) >= time.Minute
	b.refused.Unlock()
	if due {
		b.RecordUnproven(ctx)
	}
}

// RecordUnproven writes down the refusals that were counted since the last time. It is called every minute and at the end.
func (b *Broker) RecordUnproven(ctx context.Context) {
	b.refused.Lock()
	counts := b.refused.counts
	b.refused.counts = nil
	b.refused.Unlock()
	if len(counts) == 0 {
		return
	}
	detail := map[string]string{}
	for reason, n := range counts {
		detail[reason] = strconv.Itoa(n)
	}
	anonymous := audit.Cause{Actor: audit.Actor{Kind: audit.Anonymous}}
	err := b.Store.Update(context.WithoutCancel(ctx), func(tx *store.Tx) error {
		return tx.Append(anonymous, audit.Event{At: b.Now(), Kind: "api.refused", Actor: anonymous.Actor, Subject: audit.Subject{Kind: "api"}, Detail: detail})
	})
	if err != nil {
		b.Log.Error("refusals could not be recorded", "error", err)
	}
}

// Malformed records a request of a known person that could not be understood, and so reached no command.
func (b *Broker) Malformed(ctx context.Context, what, why string) {
	_ = b.refuse(ctx, what, audit.Subject{Kind: "api"}, &access.Problem{Kind: access.ErrInvalid, Message: why})
}
