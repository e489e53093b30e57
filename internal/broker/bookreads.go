package broker

import (
	"context"
	"time"

	"sparekey/access"
	"sparekey/internal/store"
	"sparekey/org"
	"sparekey/rules"
	"sparekey/strict"
)

// reader is the same for whoever may read the rules: administrators and auditors.
func (b *Broker) reader(ctx context.Context) (rules.Set, error) {
	by, err := b.person(ctx)
	if err != nil {
		return rules.Set{}, err
	}
	set, err := b.ready()
	if err == nil && !b.sees(by) {
		err = &access.Problem{Kind: access.ErrRefused, Message: by.User + " may not read the rules", Hint: "administrators and auditors may; `sparekey why` says what a rule means for you"}
	}
	return set, err
}

// Difference is what files of rules would change, and what is wrong with them in the organization as it is.
type Difference struct {
	Digest   string // of the files
	Base     string // of the rules in force that they were compared with
	Effect   rules.Effect
	Problems strict.Errors
}

// DiffRules says what files of rules would change. It changes nothing.
func (b *Broker) DiffRules(ctx context.Context, files []rules.File) (Difference, error) {
	set, err := b.reader(ctx)
	var d Difference
	if err == nil {
		var book *rules.Book
		if d, book, err = b.differ(ctx, set, files); err == nil {
			err = b.served(book)
		}
	}
	if err != nil {
		return Difference{}, b.refuse(ctx, "diff rules", aboutRules, err)
	}
	return d, nil
}

func (b *Broker) differ(ctx context.Context, set rules.Set, files []rules.File) (Difference, *rules.Book, error) {
	book, err := b.parse(files)
	if err != nil {
		return Difference{}, nil, err
	}
	digest, err := rules.FilesDigest(files)
	if err != nil {
		return Difference{}, nil, err
	}
	m := set.Organization()
	f, err := b.lendable(ctx)
	if err != nil {
		return Difference{}, nil, err
	}
	return Difference{digest, set.Digest(), rules.Diff(set.At(f), book.In(m).At(f)), book.Check(m)}, book, nil
}

// lendable is what this server can lend at all: whatever else is known at a moment is no difference between rules.
func (b *Broker) lendable(ctx context.Context) (rules.Facts, error) {
	made := map[org.Target]org.GroupID{}
	err := b.Store.View(ctx, func(tx *store.Tx) error {
		groups, err := tx.LentGroups()
		for _, g := range groups {
			if g.Ready {
				made[g.Target.Target] = g.Group
			}
		}
		return err
	})
	return rules.Facts{NotLent: b.notLent, Groups: func(t org.Target) org.GroupID { return made[t] }}, err
}

// Books is the rules in force, what is proposed in their place, and what was in force before.
type Books struct {
	InForce  rules.Proposal
	Proposed []rules.Proposal
	Before   []rules.Proposal // the newest first
	Now      time.Time
}

// Rules says which rules are in force, were, and may come.
func (b *Broker) Rules(ctx context.Context, most int) (Books, error) {
	books := Books{Now: b.Now()}
	_, err := b.reader(ctx)
	if err == nil {
		err = b.Store.View(ctx, func(tx *store.Tx) (err error) {
			if books.InForce, err = inForce(tx); err != nil {
				return err
			}
			if books.Proposed, err = tx.OpenBooks(); err != nil {
				return err
			}
			books.Before, err = tx.ActivatedBooks(most)
			return err
		})
	}
	if err != nil {
		return Books{}, b.refuse(ctx, "rules", aboutRules, err)
	}
	return books, nil
}

// Stored is a book of the database: its files, and what it would change if it came in force now.
type Stored struct {
	rules.Proposal
	Files      []rules.File
	Difference Difference
}

// RulesOf reads the newest book of a digest.
func (b *Broker) RulesOf(ctx context.Context, digest string) (Stored, error) {
	var s Stored
	set, err := b.reader(ctx)
	if err == nil {
		s.Proposal, s.Files, err = b.stored(ctx, digest, func(rules.Proposal) bool { return true }, "are known")
	}
	if err == nil {
		s.Difference, _, err = b.differ(ctx, set, s.Files)
	}
	if err != nil {
		return Stored{}, b.refuse(ctx, "show rules", aboutRules, err)
	}
	return s, nil
}
