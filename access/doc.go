// Package access decides what may happen next to a request and its grants.
//
// A [Request] has one [Line] per target; each line is decided under its own rule and lives on its own. An approved line
// becomes a [Grant]. Both lifecycles are tables, state × command → state and event; the drawing of them in docs/design is
// made from the tables. A transition is a pure function: it takes what was seen and returns a [Change], which holds the new
// values, their events and the promises to keep. Nothing here talks to a database or to AWS.
//
// # The order of a grant
//
//  1. Look: list what is assigned, read the person live. An assignment that exists and that no grant of ours holds is
//     pre-existing: it is never ours to delete.
//  2. Record the intent: who, where, what, and a hard end that binds whatever else is recorded or not.
//  3. Call AWS. A crash from here on leaves a recorded intent without an answer; [Recover] looks before it calls again.
//  4. Poll the asynchronous status to its end.
//  5. Confirm by listing.
//  6. Record "active". Only now does the clock start: the end is the earlier of active + duration and the hard end.
//
// Ending is the same backwards, is never refused, and never stops being retried. An end that meets a create waits for the
// create's end. "Ended" becomes "verified" after listings 5 and 15 minutes later, since a delayed create can land after a
// delete.
//
// [Grant.Task] says what is to be done next, and [Grant.Due] when. Whoever does it reports back through the method named
// after the task. That is the whole protocol; it survives the death of its driver between any two steps.
package access
