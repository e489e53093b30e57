package broker

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"sparekey/access"
	"sparekey/internal/store"
)

// Counter is a way that knows which of AWS's operations are under way, whoever began them.
type Counter interface {
	Outstanding(ctx context.Context) ([]string, error)
}

// Throttles is how often AWS has said, while grants were carried, that it was asked too much.
func (b *Broker) Throttles() int64 { return b.throttles.Load() }

// Foreign counts the operations of AWS that are under way and that no grant accounts for: those of other tools, and of a
// Sparekey that died before it could write an answer down. They take from what AWS lets be under way at once.
func (b *Broker) Foreign(ctx context.Context) (int, error) {
	counter, ok := b.Ways[access.Assignment].(Counter)
	if !ok {
		return 0, nil
	}
	ctx, cancel := context.WithTimeout(ctx, b.CallTimeout)
	defer cancel()
	ids, err := counter.Outstanding(ctx)
	if err != nil {
		return 0, fmt.Errorf("counting what AWS has under way: %w", err)
	}
	var busy []access.Grant
	if err := b.Store.View(ctx, func(tx *store.Tx) (err error) { busy, err = tx.BusyGrants(); return err }); err != nil {
		return 0, err
	}
	unanswered := 0 // operations of ours whose ids are not known are among AWS's
	ours := map[string]bool{}
	for _, g := range busy {
		for _, op := range []*access.Operation{g.Create, g.Delete} {
			switch {
			case g.Way != access.Assignment || op == nil || op.Outcome != "":
			case op.ID == "":
				unanswered++
			default:
				ours[op.ID[strings.LastIndexByte(op.ID, '/')+1:]] = true // a way may put a word before AWS's id
			}
		}
	}
	ids = slices.DeleteFunc(ids, func(id string) bool { return ours[id] })
	return max(0, len(ids)-unanswered), nil
}
