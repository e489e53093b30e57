package broker

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"

	"sparekey/access"
	"sparekey/audit"
	"sparekey/internal/store"
	"sparekey/org"
	"sparekey/rules"
)

// longestAway is how long anybody may hand over their say at once.
const longestAway = 90 * 24 * time.Hour

// Away says that the caller is away until a time, and who has their say meanwhile: a user name or an id, or nobody. It takes
// the place of what the caller said before.
func (b *Broker) Away(ctx context.Context, until time.Time, delegate, note string) (rules.Delegation, error) {
	d, err := b.away(ctx, until, delegate, note)
	if err != nil {
		return d, b.refuse(ctx, "away", audit.Subject{Kind: "person"}, err)
	}
	return d, nil
}

func (b *Broker) away(ctx context.Context, until time.Time, delegate, note string) (rules.Delegation, error) {
	by, err := b.live(ctx)
	if err != nil {
		return rules.Delegation{}, err
	}
	now := b.Now().UTC().Truncate(time.Millisecond)
	until = until.UTC().Truncate(time.Millisecond)
	d := rules.Delegation{From: rules.Named{ID: by.ID, User: by.User}, Since: now, Until: until, Note: note}
	switch {
	case !until.After(now):
		return d, &access.Problem{Kind: access.ErrInvalid, Message: "the end of the absence has passed", Hint: "say when you will be back"}
	case until.After(now.Add(longestAway)):
		return d, &access.Problem{Kind: access.ErrInvalid, Message: fmt.Sprintf("an absence lasts at most %d days", int(longestAway.Hours()/24)), Hint: "for longer, change the groups or the rules"}
	case len([]rune(note)) > access.MaxText || strings.ContainsFunc(note, func(c rune) bool { return !unicode.IsPrint(c) }):
		return d, &access.Problem{Kind: access.ErrInvalid, Message: "the note is too long, or holds what cannot be printed", Hint: fmt.Sprintf("one line of plain text, of at most %d characters", access.MaxText)}
	}
	if delegate != "" {
		m := b.rules().Organization()
		p, ok := m.PersonNamed(delegate)
		switch {
		case !ok:
			return d, nameless("person", delegate, m.Names().Users)
		case p.ID == by.ID:
			return d, &access.Problem{Kind: access.ErrInvalid, Message: "nobody is their own delegate", Hint: "name somebody else, or nobody"}
		case p.Status != org.StatusEnabled:
			return d, &access.Problem{Kind: access.ErrInvalid, Message: fmt.Sprintf("%s is not enabled in the directory", p.User), Hint: "name somebody else, or nobody"}
		}
		d.To = rules.Named{ID: p.ID, User: p.User}
	}
	return d, b.Store.Update(ctx, func(tx *store.Tx) error {
		all, err := tx.Delegations(now)
		if err != nil {
			return err
		}
		for _, was := range all {
			if was.From.ID == d.From.ID && was.To.ID == d.To.ID && was.Until.Equal(d.Until) && was.Note == d.Note {
				d = was // said before
				return nil
			}
		}
		if err := tx.PutDelegation(d); err != nil {
			return err
		}
		return b.recordPerson(ctx, tx, by, "person.away", map[string]string{"until": until.Format(time.RFC3339), "delegate": d.To.User, "note": note})
	})
}

func (b *Broker) recordPerson(ctx context.Context, tx *store.Tx, by org.Person, kind string, detail map[string]string) error {
	return tx.Append(audit.From(ctx), audit.Event{At: b.Now(), Kind: kind, Actor: actorOf(ctx, by), Subject: audit.Subject{Kind: "person", ID: string(by.ID)}, Detail: detail})
}

// Back ends the caller's absence. Being back twice changes nothing.
func (b *Broker) Back(ctx context.Context) error {
	by, err := b.person(ctx)
	if err == nil {
		err = b.backAgain(ctx, by, by.ID, "")
	}
	if err != nil {
		return b.refuse(ctx, "back", audit.Subject{Kind: "person"}, err)
	}
	return nil
}

// EndAbsence ends the absence of somebody else, and with it the say of their delegate. Administrators may: a session that was
// stolen can have said it, and must not outlive its token.
func (b *Broker) EndAbsence(ctx context.Context, user string) error {
	by, err := b.administrator(ctx)
	if err == nil {
		err = b.endAbsence(ctx, by, user)
	}
	if err != nil {
		return b.refuse(ctx, "end an absence", audit.Subject{Kind: "person"}, err)
	}
	return nil
}

func (b *Broker) endAbsence(ctx context.Context, by org.Person, user string) error {
	var away []rules.Delegation
	if err := b.Store.View(ctx, func(tx *store.Tx) (err error) { away, err = tx.Delegations(b.Now()); return err }); err != nil {
		return err
	}
	for _, d := range away {
		if strings.EqualFold(d.From.User, user) || string(d.From.ID) == user {
			return b.backAgain(ctx, by, d.From.ID, d.From.User)
		}
	}
	return &access.Problem{Kind: access.ErrUnknown, Message: fmt.Sprintf("nobody called %s is away", user), Hint: "`sparekey absences` lists who is"}
}

// backAgain drops the absence of a person; user is their name where somebody else says it.
func (b *Broker) backAgain(ctx context.Context, by org.Person, id org.PersonID, user string) error {
	var detail map[string]string
	if user != "" {
		detail = map[string]string{"person": user}
	}
	return b.Store.Update(ctx, func(tx *store.Tx) error {
		if err := tx.DropDelegation(id); errors.Is(err, store.ErrNotFound) {
			return nil
		} else if err != nil {
			return err
		}
		return tx.Append(audit.From(ctx), audit.Event{At: b.Now(), Kind: "person.back", Actor: actorOf(ctx, by), Subject: audit.Subject{Kind: "person", ID: string(id)}, Detail: detail})
	})
}

// Absences lists who is away, and who has whose say.
func (b *Broker) Absences(ctx context.Context) (all []rules.Delegation, err error) {
	if _, err := b.person(ctx); err != nil {
		return nil, b.refuse(ctx, "absences", audit.Subject{Kind: "api"}, err)
	}
	err = b.Store.View(ctx, func(tx *store.Tx) (err error) { all, err = tx.Delegations(b.Now()); return err })
	return all, err
}

// Favourite is something that a person asks for often.
type Favourite = store.Favourite

var favouriteName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,39}$`)

const mostFavourites = 50

// Favourites lists what the caller asks for often.
func (b *Broker) Favourites(ctx context.Context) (all []Favourite, err error) {
	by, err := b.person(ctx)
	if err != nil {
		return nil, b.refuse(ctx, "favourites", audit.Subject{Kind: "api"}, err)
	}
	err = b.Store.View(ctx, func(tx *store.Tx) (err error) { all, err = tx.Favourites(by.ID); return err })
	return all, err
}

// Favour keeps a request of the caller under a name, to be asked for again.
func (b *Broker) Favour(ctx context.Context, name, request string) (Favourite, error) {
	f, err := b.favour(ctx, name, request)
	if err != nil {
		return f, b.refuse(ctx, "favourite", audit.Subject{Kind: "person"}, found(err, "request", request))
	}
	return f, nil
}

func (b *Broker) favour(ctx context.Context, name, request string) (Favourite, error) {
	f := Favourite{Name: name}
	by, err := b.person(ctx)
	if err == nil {
		err = checkFavourite(name)
	}
	if err != nil {
		return f, err
	}
	return f, b.Store.Update(ctx, func(tx *store.Tx) error {
		r, err := tx.Request(request)
		switch {
		case err != nil:
			return err
		case r.Requester.ID != by.ID && (r.Concerns(by) || b.sees(by)):
			return &access.Problem{Kind: access.ErrRefused, Message: fmt.Sprintf("%s is %s's request", r.ID, r.Requester.User), Hint: "favourites are made of what you asked for yourself"}
		case r.Requester.ID != by.ID:
			return unknown("request", request)
		}
		f.Minutes, f.Reason = r.Minutes, r.Reason
		for _, l := range r.Lines {
			f.Targets = append(f.Targets, l.Target)
		}
		all, err := tx.Favourites(by.ID)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(all, func(was Favourite) bool { return was.Name == name })
		if i < 0 && len(all) >= mostFavourites {
			return &access.Problem{Kind: access.ErrInvalid, Message: fmt.Sprintf("you have %d favourites, and more are not kept", len(all)), Hint: "forget one, or give one of their names"}
		}
		if i >= 0 && reflect.DeepEqual(all[i], f) {
			return nil
		}
		if err := tx.PutFavourite(by.ID, f); err != nil {
			return err
		}
		return b.recordPerson(ctx, tx, by, "person.favoured", map[string]string{"name": name, "request": request})
	})
}

func checkFavourite(name string) error {
	if favouriteName.MatchString(name) {
		return nil
	}
	return &access.Problem{Kind: access.ErrInvalid, Message: fmt.Sprintf("%q is no name for a favourite", name), Hint: "small letters, digits and dashes, at most 40"}
}

// Disfavour forgets a favourite.
func (b *Broker) Disfavour(ctx context.Context, name string) error {
	by, err := b.person(ctx)
	if err == nil {
		err = checkFavourite(name)
	}
	if err == nil {
		err = b.Store.Update(ctx, func(tx *store.Tx) error {
			if err := tx.DropFavourite(by.ID, name); err != nil {
				return err
			}
			return b.recordPerson(ctx, tx, by, "person.disfavoured", map[string]string{"name": name})
		})
	}
	if err != nil {
		return b.refuse(ctx, "forget a favourite", audit.Subject{Kind: "person"}, found(err, "favourite", name))
	}
	return nil
}

// Vendor is a way that hands out credentials while a grant lives.
type Vendor interface {
	Vend(ctx context.Context, v access.Vending) (access.Credentials, error)
}

// Credentials makes credentials under a grant of the caller: for lasts (zero: as long as can be), and perhaps only for what a
// narrower session policy allows. They are handed out once that is recorded.
func (b *Broker) Credentials(ctx context.Context, id string, lasts time.Duration, narrower string) (access.Credentials, error) {
	c, err := b.credentials(ctx, id, lasts, narrower)
	if err != nil {
		return access.Credentials{}, b.refuse(ctx, "credentials", audit.Subject{Kind: "grant", ID: id}, found(err, "grant", id))
	}
	return c, nil
}

func (b *Broker) credentials(ctx context.Context, id string, lasts time.Duration, narrower string) (access.Credentials, error) {
	by, err := b.live(ctx) // somebody who has left gets nothing more, whatever the mirror says
	if err != nil {
		return access.Credentials{}, err
	}
	var g access.Grant
	if err := b.Store.View(ctx, func(tx *store.Tx) (err error) { g, err = tx.Grant(id); return err }); err != nil {
		return access.Credentials{}, err
	}
	switch mine := g.Person.ID == by.ID; {
	case !mine && (g.MayEnd(by) == "" || b.sees(by)):
		return access.Credentials{}, &access.Problem{Kind: access.ErrRefused, Message: fmt.Sprintf("%s is %s's grant, and its credentials are nobody else's", g.ID, g.Person.User), Hint: "`sparekey access list` shows what you may ask for"}
	case !mine:
		return access.Credentials{}, unknown("grant", id)
	}
	v, err := g.MayVend(rules.Named{ID: by.ID, User: by.User}, lasts, narrower, b.Now())
	if err != nil {
		return access.Credentials{}, err
	}
	vendor, ok := b.Ways[access.Session].(Vendor)
	if !ok {
		return access.Credentials{}, &access.Problem{Kind: access.ErrUnavailable, Message: "this server vends no sessions"}
	}
	call, cancel := context.WithTimeout(ctx, b.CallTimeout)
	defer cancel()
	made, err := vendor.Vend(call, v)
	if err != nil {
		b.Log.Error("credentials could not be made", "grant", id, "error", err)
		problem := &access.Problem{Kind: access.ErrUnavailable, Message: "AWS does not hand out credentials for it at the moment", Hint: "try again in a moment"}
		if errors.Is(err, access.ErrDenied) || errors.Is(err, access.ErrRejected) || errors.Is(err, access.ErrMissing) {
			problem.Message, problem.Hint = "AWS does not hand out credentials for it", "the server's log has AWS's words; an administrator can mend it"
		}
		return access.Credentials{}, problem
	}
	_, err = b.update(context.WithoutCancel(ctx), func(tx *store.Tx) (access.Change, error) {
		g, err := tx.Grant(id)
		if err != nil {
			return access.Change{}, err
		}
		return g.Vended(actorOf(ctx, by), made, narrower != "", b.Now())
	})
	if err != nil {
		return access.Credentials{}, err
	}
	return made, nil
}
