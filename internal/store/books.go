package store

import (
	"fmt"

	"sparekey/audit"
	"sparekey/internal/store/query"
	"sparekey/rules"
)

// kept is one file of rules as it is kept.
type kept struct {
	Name string `json:"name"`
	Text string `json:"text"`
}

// PutBook carries out a step of a proposed book with its event. files are those of a book that is new; later steps have none.
// A proposal whose version in the database is not the one that the step began with is [ErrChanged]. The database itself
// refuses a second book in force.
func (tx *Tx) PutBook(t rules.Turn, files []rules.File, cause audit.Cause) error {
	p := t.Proposal
	body, err := audit.Canonical(p)
	if err != nil {
		return err
	}
	if t.Event.Before == nil {
		list := make([]kept, len(files))
		for i, f := range files {
			list[i] = kept{f.Name, string(f.Text)}
		}
		text, err := audit.Canonical(list)
		if err != nil {
			return fmt.Errorf("encoding the files of %s: %w", p.ID, err)
		}
		err = tx.q.InsertBook(tx.ctx, query.InsertBookParams{
			ID: p.ID, Version: p.Version, State: string(p.State), Digest: p.Digest, ProposedAt: millis(p.ProposedAt), ActivatedAt: millis(p.ActivatedAt), Body: string(body), Files: string(text),
		})
		if err != nil {
			return wrap("inserting rules", p.ID, err)
		}
		return tx.Append(cause, t.Event)
	}
	n, err := tx.q.UpdateBook(tx.ctx, query.UpdateBookParams{
		Version: p.Version, State: string(p.State), ActivatedAt: millis(p.ActivatedAt), Body: string(body), ID: p.ID, Was: t.Event.Before.Version,
	})
	if err := changed("rules", p.ID, n, err); err != nil {
		return err
	}
	return tx.Append(cause, t.Event)
}

// Book reads a proposed book; [ErrNotFound] when there is none.
func (tx *Tx) Book(id string) (rules.Proposal, error) {
	body, err := tx.q.Book(tx.ctx, id)
	return one[rules.Proposal]("rules", id, body, err)
}

// BookInForce reads which book is in force; [ErrNotFound] when none ever was.
func (tx *Tx) BookInForce() (rules.Proposal, error) {
	body, err := tx.q.BookInForce(tx.ctx)
	return one[rules.Proposal]("rules", "in force", body, err)
}

// BookFiles reads the files of a proposed book; [ErrNotFound] when there is no such proposal.
func (tx *Tx) BookFiles(id string) ([]rules.File, error) {
	text, err := tx.q.BookFiles(tx.ctx, id)
	list, err := one[[]kept]("rules", id, text, err)
	files := make([]rules.File, len(list))
	for i, f := range list {
		files[i] = rules.File{Name: f.Name, Text: []byte(f.Text)}
	}
	return files, err
}

// OpenBooks lists the books that wait for a second administrator, the oldest first.
func (tx *Tx) OpenBooks() ([]rules.Proposal, error) {
	bodies, err := tx.q.OpenBooks(tx.ctx)
	return many[rules.Proposal](bodies, err)
}

// ActivatedBooks lists the books that are or were in force, the newest first.
func (tx *Tx) ActivatedBooks(most int) ([]rules.Proposal, error) {
	bodies, err := tx.q.ActivatedBooks(tx.ctx, int32(most))
	return many[rules.Proposal](bodies, err)
}

// BooksOfDigest lists the proposals of the same files, the newest first.
func (tx *Tx) BooksOfDigest(digest string, most int) ([]rules.Proposal, error) {
	bodies, err := tx.q.BooksOfDigest(tx.ctx, query.BooksOfDigestParams{Digest: digest, Most: int32(most)})
	return many[rules.Proposal](bodies, err)
}
