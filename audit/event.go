package audit

import (
	"context"
	"encoding/json"
	"fmt"
	"time"
)

// Version is the version of the events' form. It changes when a reader of the old form would misread the new one.
const Version = 1

// ActorKind says what sort of actor did something.
type ActorKind string

// The kinds of actor.
const (
	APerson   ActorKind = "person"
	Sparekey  ActorKind = "sparekey"  // the program itself: the lane, the mirror, a clock that ran out
	Anonymous ActorKind = "anonymous" // nobody proved who they are
)

// Actor is who did something.
type Actor struct {
	Kind ActorKind `json:"kind"`
	ID   string    `json:"id,omitempty"`   // a person's immutable id, or the part of Sparekey
	Name string    `json:"name,omitempty"` // the user name at that moment, for people who read
	Key  string    `json:"key,omitempty"`  // which token or session was used: the beginning of its digest, never itself
}

// Cause is who asks, and with what: it travels in the context from the door to the record.
type Cause struct {
	Actor   Actor
	Request string // digest of the request as it came in; empty for what Sparekey does by itself
}

type causeKey struct{}

// With returns a context that carries the cause.
func With(ctx context.Context, c Cause) context.Context { return context.WithValue(ctx, causeKey{}, c) }

// By returns a context in which a part of Sparekey acts by itself.
func By(ctx context.Context, part string) context.Context {
	return With(ctx, Cause{Actor: Actor{Kind: Sparekey, ID: part}})
}

// From returns the cause that the context carries. Without one, nobody has proved who they are.
func From(ctx context.Context) Cause {
	if c, ok := ctx.Value(causeKey{}).(Cause); ok {
		return c
	}
	return Cause{Actor: Actor{Kind: Anonymous}}
}

// Subject is what something was done to.
type Subject struct {
	Kind string `json:"kind"` // request, grant, rules, mirror, person, api …
	ID   string `json:"id,omitempty"`
}

// Image is what the subject was at one moment. After an event the whole body is kept; before it, its digest is enough,
// since the body stands in the subject's earlier event.
type Image struct {
	State   string          `json:"state,omitempty"`
	Version int64           `json:"version,omitempty"`
	Digest  string          `json:"digest"`
	Body    json.RawMessage `json:"body,omitempty"`
}

// Event is one thing that happened.
type Event struct {
	At      time.Time
	Kind    string // "request.asked": the subject, a dot, and what happened to it
	Actor   Actor
	Subject Subject
	Request string
	Before  *Image
	After   *Image
	Detail  map[string]string // what the images do not show: AWS's words, why something was refused
}

// record is the form in which an event is kept.
type record struct {
	V       int               `json:"v"`
	At      string            `json:"at"`
	Kind    string            `json:"kind"`
	Actor   Actor             `json:"actor"`
	Subject Subject           `json:"subject"`
	Request string            `json:"request,omitempty"`
	Before  *Image            `json:"before,omitempty"`
	After   *Image            `json:"after,omitempty"`
	Detail  map[string]string `json:"detail,omitempty"`
}

const timeForm = "2006-01-02T15:04:05.000Z" // milliseconds, always UTC

// Encode returns the event's canonical form. Times are kept to the millisecond.
func (e Event) Encode() ([]byte, error) {
	if e.Kind == "" || e.Actor.Kind == "" || e.Subject.Kind == "" || e.At.IsZero() {
		return nil, fmt.Errorf("event %q lacks its time, kind, actor or subject", e.Kind)
	}
	return Canonical(record{Version, e.At.UTC().Format(timeForm), e.Kind, e.Actor, e.Subject, e.Request, e.Before, e.After, e.Detail})
}

// Decode reads an event's canonical form. A text that is not the canonical form of the event that it holds is refused.
func Decode(text []byte) (Event, error) {
	var r record
	if err := json.Unmarshal(text, &r); err != nil {
		return Event{}, fmt.Errorf("decoding an event: %w", err)
	}
	if r.V != Version {
		return Event{}, fmt.Errorf("decoding an event: it is of version %d, this program knows version %d", r.V, Version)
	}
	at, err := time.Parse(timeForm, r.At)
	if err != nil {
		return Event{}, fmt.Errorf("decoding an event: %w", err)
	}
	e := Event{at, r.Kind, r.Actor, r.Subject, r.Request, r.Before, r.After, r.Detail}
	again, err := e.Encode()
	if err != nil {
		return Event{}, err
	}
	if string(again) != string(text) {
		return Event{}, fmt.Errorf("decoding an event: the text is not in canonical form")
	}
	return e, nil
}

// ImageOf makes the image of a subject after an event.
func ImageOf(state string, version int64, body any) (*Image, error) {
	text, err := Canonical(body)
	if err != nil {
		return nil, err
	}
	return &Image{state, version, DigestOf(text), text}, nil
}

// Bare returns the image without its body, as it stands before the next event. The image of nothing is nothing.
func (i *Image) Bare() *Image {
	if i == nil {
		return nil
	}
	return &Image{State: i.State, Version: i.Version, Digest: i.Digest}
}
