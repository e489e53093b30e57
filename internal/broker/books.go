package broker

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"sparekey/access"
	"sparekey/audit"
	"sparekey/internal/store"
	"sparekey/org"
	"sparekey/rules"
	"sparekey/strict"
)

// The rules in force are the book that the database says. Administrators change them: who would gain by it is shown first,
// and a book by which anybody gains anything takes a second administrator.

// Begin takes over the rules in force from the database, whatever the folder of the configuration says. If there never were
// any, those of the folder are put in force. unread is why the folder could not be read; it matters only then.
func (b *Broker) Begin(ctx context.Context, files []rules.File, unread error) error {
	err := b.Store.View(ctx, func(tx *store.Tx) error { _, err := tx.BookInForce(); return err })
	switch {
	case errors.Is(err, store.ErrNotFound) && unread != nil:
		return unread
	case errors.Is(err, store.ErrNotFound):
		err = b.first(ctx, files)
	case err == nil:
		err = b.Follow(ctx)
		if err == nil {
			err = b.served(b.book)
		}
	}
	if err != nil {
		return err
	}
	return b.compareFolder(files, unread)
}

// compareFolder says in the log when the folder is not what is in force, and remembers it for the status.
func (b *Broker) compareFolder(files []rules.File, unread error) error {
	if unread != nil {
		b.Log.Warn("the folder of rules cannot be read; the rules in force are those of the database", "error", unread)
		return nil
	}
	digest, err := rules.FilesDigest(files)
	if err != nil {
		return fmt.Errorf("reading the folder of rules: %w", err)
	}
	b.folder.Store(&digest)
	if b.folderDiffers() {
		b.Log.Warn("the folder of rules is not what is in force; `sparekey rules apply` proposes it", "inForce", b.current.Load().Digest, "folder", digest)
	}
	return nil
}

func (b *Broker) folderDiffers() bool {
	folder, current := b.folder.Load(), b.current.Load()
	return folder != nil && current != nil && *folder != current.Digest
}

// first puts files of rules in force without asking anybody, since at the very first start there is nobody who could be. Of
// several replicas that start together, one does.
func (b *Broker) first(ctx context.Context, files []rules.File) error {
	if err := rules.CheckFiles(files); err != nil {
		return err
	}
	book, err := rules.Parse(files, b.Longest)
	if err == nil {
		err = b.served(book)
	}
	if err != nil {
		return err
	}
	err = b.Store.Update(ctx, func(tx *store.Tx) error {
		current, err := inForce(tx)
		if err != nil || current.ID != "" {
			return err
		}
		t, err := rules.Propose(b.newID("rules"), files, book, "", rules.Effect{}, false, audit.From(ctx).Actor, b.Now())
		if err == nil {
			err = b.activate(tx, audit.From(ctx), t, files, current)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("putting the rules in force: %w", err)
	}
	return b.Follow(ctx)
}

// inForce is the book in force; the zero proposal when there never was one.
func inForce(tx *store.Tx) (rules.Proposal, error) {
	p, err := tx.BookInForce()
	if errors.Is(err, store.ErrNotFound) {
		return rules.Proposal{}, nil
	}
	return p, err
}

// activate puts a proposal in force, in the place of the current one; other proposals were compared with that one and are
// over. files are those of a proposal that is new.
func (b *Broker) activate(tx *store.Tx, cause audit.Cause, proposed rules.Turn, files []rules.File, current rules.Proposal) error {
	actor := cause.Actor
	if files != nil {
		if err := tx.PutBook(proposed, files, cause); err != nil {
			return err
		}
	}
	active, err := proposed.Activate(actor, current.Rules, b.Now())
	if err != nil {
		return err
	}
	var turns []rules.Turn
	if current.ID != "" {
		t, err := current.Replace(actor, "for "+proposed.ID, b.Now())
		if err != nil {
			return err
		}
		turns = append(turns, t)
	}
	open, err := tx.OpenBooks()
	if err != nil {
		return err
	}
	for _, p := range open {
		if p.ID == proposed.ID || p.Base == proposed.Rules {
			continue
		}
		t, err := p.Supersede(actor, proposed.ID+" came in force", b.Now())
		if err != nil {
			return err
		}
		turns = append(turns, t)
	}
	for _, t := range append(turns, active) {
		if err := tx.PutBook(t, nil, cause); err != nil {
			return err
		}
	}
	return nil
}

// parse reads files of rules as they came from somebody.
func (b *Broker) parse(files []rules.File) (*rules.Book, error) {
	if err := rules.CheckFiles(files); err != nil {
		return nil, &access.Problem{Kind: access.ErrInvalid, Message: err.Error()}
	}
	book, err := rules.Parse(files, b.Longest)
	if err != nil {
		p := &access.Problem{Kind: access.ErrInvalid, Message: "the rules are not right", Hint: "`sparekey rules check FOLDER` finds it as well"}
		for i, wrong := range strict.Problems(err) {
			if i == mostProblems {
				p.Message += "\n…"
				break
			}
			p.Message += fmt.Sprintf("\n%s: %s", wrong.Position, wrong.Problem)
		}
		return nil, p
	}
	return book, nil
}

// served refuses rules that name a service or a schedule that the configuration lacks: they could never give what they say.
func (b *Broker) served(book *rules.Book) error {
	for _, name := range book.TicketServices() {
		if b.Tickets == nil || !b.Tickets.Known(name) {
			return unanswered("a rule has tickets checked by %q, which is not among lookup.tickets in the configuration", name)
		}
	}
	for _, name := range book.Schedules() {
		if b.Rota == nil || !b.Rota.Known(name) {
			return unanswered("a rule asks who is on call in %q, which is not among lookup.schedules in the configuration", name)
		}
	}
	return nil
}

// stillServed asks the same of a proposal: the configuration may be another since it was made.
func (b *Broker) stillServed(tx *store.Tx, p rules.Proposal) error {
	files, err := tx.BookFiles(p.ID)
	if err != nil {
		return err
	}
	book, err := b.parse(files)
	if err != nil {
		return err
	}
	return b.served(book)
}

func unanswered(format, name string) error {
	return &access.Problem{Kind: access.ErrInvalid, Message: fmt.Sprintf(format, name), Hint: "add it there and start the server again, or take it out of the rule"}
}

const mostProblems = 20 // that are told at once

// followRules takes over the book in force from the store if it is another than ours. b.changing is held; whoever calls binds.
func (b *Broker) followRules(ctx context.Context) (changed bool, err error) {
	var p rules.Proposal
	if err := b.Store.View(ctx, func(tx *store.Tx) (err error) { p, err = inForce(tx); return err }); err != nil {
		return false, fmt.Errorf("looking for other rules: %w", err)
	}
	if current := b.current.Load(); p.ID == "" || current != nil && current.ID == p.ID {
		return false, nil
	}
	var files []rules.File
	if err := b.Store.View(ctx, func(tx *store.Tx) (err error) { files, err = tx.BookFiles(p.ID); return err }); err != nil {
		return false, fmt.Errorf("reading the rules: %w", err)
	}
	book, err := rules.Parse(files, b.Longest)
	if err != nil {
		return false, fmt.Errorf("reading the rules in force (%s): %w", p.Digest, err)
	}
	if digest, err := rules.FilesDigest(files); err != nil || digest != p.Digest || book.Digest() != p.Rules {
		return false, fmt.Errorf("the rules in the database are not those that were agreed to: their digest is not %s; somebody has written to the database past Sparekey", p.Digest)
	}
	b.book = book
	b.current.Store(&p)
	b.Log.Info("rules are in force", "id", p.ID, "digest", p.Digest, "rules", p.Count)
	return true, nil
}

// causedBy is the cause that the context carries, with the person's name as it is now.
func causedBy(ctx context.Context, by org.Person) audit.Cause {
	cause := audit.From(ctx)
	cause.Actor.Name = by.User
	return cause
}

// changer returns the caller if they may change the rules, as AWS knows them now.
func (b *Broker) changer(ctx context.Context) (org.Person, error) {
	by, err := b.live(ctx)
	if err == nil && !b.administers(by) {
		err = &access.Problem{Kind: access.ErrRefused, Message: by.User + " is no administrator, and the rules are theirs", Hint: "roles.administrators in the configuration says who is"}
	}
	return by, err
}

var aboutRules = audit.Subject{Kind: "rules"}

// ProposeRules proposes files of rules. If nobody gains anything by them they are in force at once; otherwise another
// administrator must agree. base is the digest of the rules in force that the caller saw them compared with, or empty.
func (b *Broker) ProposeRules(ctx context.Context, files []rules.File, base string) (rules.Proposal, error) {
	p, err := b.proposeRules(ctx, files, base, false)
	if err != nil {
		return p, b.refuse(ctx, "propose rules", aboutRules, err)
	}
	return p, nil
}

// ActivateAgain proposes a book that was in force before, by the digest of its files. Going back is a change like any other.
func (b *Broker) ActivateAgain(ctx context.Context, digest string) (rules.Proposal, error) {
	p, err := b.activateAgain(ctx, digest)
	if err != nil {
		return p, b.refuse(ctx, "activate rules", aboutRules, err)
	}
	return p, nil
}

func (b *Broker) activateAgain(ctx context.Context, digest string) (rules.Proposal, error) {
	if _, err := b.changer(ctx); err != nil {
		return rules.Proposal{}, err
	}
	_, files, err := b.stored(ctx, digest, func(p rules.Proposal) bool { return !p.ActivatedAt.IsZero() }, "were ever in force")
	if err != nil {
		return rules.Proposal{}, err
	}
	return b.proposeRules(ctx, files, "", true)
}

// stored finds the newest proposal of a digest that is of some sort, and its files.
func (b *Broker) stored(ctx context.Context, digest string, is func(rules.Proposal) bool, sort string) (rules.Proposal, []rules.File, error) {
	var found rules.Proposal
	var files []rules.File
	err := b.Store.View(ctx, func(tx *store.Tx) error {
		all, err := tx.BooksOfDigest(digest, mostBooks)
		if err != nil {
			return err
		}
		for _, p := range all {
			if is(p) {
				found = p
				files, err = tx.BookFiles(p.ID)
				return err
			}
		}
		return &access.Problem{Kind: access.ErrUnknown, Message: fmt.Sprintf("no rules with the digest %s %s", digest, sort), Hint: "`sparekey rules history` lists them"}
	})
	return found, files, err
}

const mostBooks = 1000 // that are looked through

func (b *Broker) proposeRules(ctx context.Context, files []rules.File, base string, again bool) (rules.Proposal, error) {
	by, err := b.changer(ctx)
	if err == nil {
		err = b.Follow(ctx) // another replica may have changed the rules a moment ago
	}
	if err != nil {
		return rules.Proposal{}, err
	}
	set := b.rules()
	d, book, err := b.differ(ctx, set, files)
	if err == nil {
		err = b.served(book)
	}
	if err != nil {
		return rules.Proposal{}, err
	}
	if base != "" && base != d.Base {
		return rules.Proposal{}, stale()
	}
	cause := causedBy(ctx, by)
	t, err := rules.Propose(b.newID("rules"), files, book, d.Base, d.Effect, again, cause.Actor, b.Now())
	if err != nil {
		return rules.Proposal{}, err
	}
	return b.kept(ctx, func(tx *store.Tx) (string, error) {
		current, err := inForce(tx)
		switch {
		case err != nil:
			return "", err
		case current.Rules != d.Base:
			return "", stale()
		case current.Digest == t.Digest:
			return current.ID, nil // said twice
		case !t.Widens:
			return t.ID, b.activate(tx, cause, t, files, current)
		}
		if id, err := already(tx, t.Proposal, by); id != "" || err != nil {
			return id, err
		}
		return t.ID, tx.PutBook(t, files, cause)
	})
}

// already finds an open proposal of the same files: proposing twice is proposing once, and what somebody else proposed is
// there to be agreed to.
func already(tx *store.Tx, p rules.Proposal, by org.Person) (string, error) {
	open, err := tx.OpenBooks()
	for _, o := range open {
		switch {
		case o.Digest != p.Digest || o.Base != p.Base:
		case o.By.ID == string(by.ID):
			return o.ID, nil
		default:
			return "", &access.Problem{Kind: access.ErrOver, Message: o.By.Name + " has proposed the same rules", Hint: "sparekey rules agree " + short(o.Digest)}
		}
	}
	if len(open) >= mostOpen {
		return "", &access.Problem{Kind: access.ErrOver, Message: fmt.Sprintf("%d proposals of rules wait already", len(open)), Hint: "agree to one, or reject some"}
	}
	return "", err
}

const mostOpen = 50 // proposals at once

// short is the beginning of a digest, as people write it.
func short(digest string) string {
	digest = strings.TrimPrefix(digest, "sha256:")
	return digest[:min(12, len(digest))]
}

func stale() error {
	return &access.Problem{Kind: access.ErrOver, Message: rules.ErrStale.Error(), Hint: "look at the difference again, and propose them anew"}
}

// kept runs a change of proposals and returns the one that it names, taking over what came in force.
func (b *Broker) kept(ctx context.Context, change func(tx *store.Tx) (id string, err error)) (rules.Proposal, error) {
	var p rules.Proposal
	err := b.Store.Update(ctx, func(tx *store.Tx) error {
		id, err := change(tx)
		if err == nil {
			p, err = tx.Book(id)
		}
		return err
	})
	if err != nil {
		return rules.Proposal{}, ruleProblem(err)
	}
	if p.State == rules.StateInForce {
		if err := b.Follow(ctx); err != nil {
			return p, err
		}
		b.promises.Wake()
	}
	b.tell()
	return p, nil
}

// ruleProblem turns the lifecycle's errors into what a person is told.
func ruleProblem(err error) error {
	switch {
	case errors.Is(err, rules.ErrSecond):
		return &access.Problem{Kind: access.ErrRefused, Message: rules.ErrSecond.Error()}
	case errors.Is(err, rules.ErrStale):
		return stale()
	case errors.Is(err, rules.ErrClosed), errors.Is(err, store.ErrChanged):
		return &access.Problem{Kind: access.ErrOver, Message: rules.ErrClosed.Error(), Hint: "`sparekey rules history` shows what became of it"}
	}
	return err
}

// AgreeRules puts in force what another administrator proposed, by the digest of its files. Whoever has done so may say it twice.
func (b *Broker) AgreeRules(ctx context.Context, digest string) (rules.Proposal, error) {
	said := func(current rules.Proposal, by org.Person) bool {
		return current.Digest == digest && current.Widens && current.ActivatedBy != nil && current.ActivatedBy.ID == string(by.ID)
	}
	err := b.proposerStays(ctx, digest)
	var p rules.Proposal
	if err == nil {
		p, err = b.onProposal(ctx, digest, said, func(tx *store.Tx, cause audit.Cause, p, current rules.Proposal) error {
			if err := b.stillServed(tx, p); err != nil {
				return err
			}
			return b.activate(tx, cause, rules.Turn{Proposal: p}, nil, current)
		})
	}
	if err != nil {
		return p, b.refuse(ctx, "agree rules", aboutRules, err)
	}
	return p, nil
}

// proposerStays refuses to agree to what somebody proposed who may not change the rules any more, as AWS knows them now: it
// would be the decision of one person.
func (b *Broker) proposerStays(ctx context.Context, digest string) error {
	var by audit.Actor
	err := b.Store.View(ctx, func(tx *store.Tx) error {
		open, err := tx.OpenBooks()
		for _, p := range open {
			if p.Digest == digest {
				by = p.By
			}
		}
		return err
	})
	if err != nil || by.Kind != audit.APerson {
		return err
	}
	p, err := b.lookUp(ctx, access.Named{ID: org.PersonID(by.ID), User: by.Name})
	switch {
	case err != nil:
		b.Log.Error("who proposed rules could not be looked up", "person", by.Name, "error", err)
		return &access.Problem{Kind: access.ErrUnavailable, Message: "AWS does not say at the moment whether " + by.Name + " may still change the rules", Hint: "try again in a moment"}
	case !b.administers(p):
		return &access.Problem{Kind: access.ErrRefused, Message: by.Name + ", who proposed it, is no administrator any more", Hint: "two administrators must want it: propose it yourself, and let another agree"}
	}
	return nil
}

// RejectRules closes a proposal, by the digest of its files. Whoever proposed it may as well.
func (b *Broker) RejectRules(ctx context.Context, digest, why string) (rules.Proposal, error) {
	said := func(rules.Proposal, org.Person) bool { return false }
	p, err := b.onProposal(ctx, digest, said, func(tx *store.Tx, cause audit.Cause, p, _ rules.Proposal) error {
		t, err := p.Reject(cause.Actor, why, b.Now())
		if err != nil {
			return err
		}
		return tx.PutBook(t, nil, cause)
	})
	if err != nil {
		return p, b.refuse(ctx, "reject rules", aboutRules, err)
	}
	return p, nil
}

// onProposal does something with the open proposal of a digest. said reports whether the caller has done it before.
func (b *Broker) onProposal(ctx context.Context, digest string, said func(current rules.Proposal, by org.Person) bool, do func(tx *store.Tx, cause audit.Cause, p, current rules.Proposal) error) (rules.Proposal, error) {
	by, err := b.changer(ctx)
	if err != nil {
		return rules.Proposal{}, err
	}
	cause := causedBy(ctx, by)
	return b.kept(ctx, func(tx *store.Tx) (string, error) {
		open, err := tx.OpenBooks()
		if err != nil {
			return "", err
		}
		current, err := inForce(tx)
		if err != nil {
			return "", err
		}
		for _, p := range open {
			if p.Digest == digest {
				return p.ID, do(tx, cause, p, current)
			}
		}
		if said(current, by) {
			return current.ID, nil
		}
		return "", &access.Problem{Kind: access.ErrUnknown, Message: fmt.Sprintf("no open proposal of rules has the digest %s", digest), Hint: "`sparekey rules history` lists them"}
	})
}
