package broker

import (
	"context"
	"time"

	"sparekey/access"
	"sparekey/internal/store"
)

// Meter counts what happens, for whoever watches the program. Its methods return at once, and may be called by any number of
// goroutines.
type Meter interface {
	// Changed is told every change after it was committed.
	Changed(c access.Change)
	// Refused is told why something was refused: the kind of an [access.Problem], or that nobody proved who they are.
	Refused(kind string)
}

// Unproven is the kind of a refusal of somebody who has not proved who they are.
const Unproven = "nobody proved who asks"

// uncounted stands in where nobody counts.
type uncounted struct{}

func (uncounted) Changed(access.Change) {}
func (uncounted) Refused(string)        {}

// Figures is how Sparekey is doing, in numbers that name nobody.
type Figures struct {
	store.Figures
	Known        bool      // whether the organization has been read
	MirrorReadAt time.Time // when
	Now          time.Time
}

// Figures is for whoever watches the program, and asks nobody who they are: who may connect to where it is shown is the
// operator's choice.
func (b *Broker) Figures(ctx context.Context) (Figures, error) {
	f := Figures{Now: b.Now()}
	if set := b.rules(); set.Ready() {
		f.Known, f.MirrorReadAt = true, set.Organization().Organization().ReadAt
	}
	err := b.Store.View(ctx, func(tx *store.Tx) (err error) { f.Figures, err = tx.Figures(f.Now); return err })
	return f, err
}

// Answers is an error when the database does not answer while the context lasts.
func (b *Broker) Answers(ctx context.Context) error {
	return b.Store.View(ctx, func(tx *store.Tx) error { _, err := tx.MirrorHead(); return err })
}
