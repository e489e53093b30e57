// Package world keeps the sandbox's organization, and lets its unfinished work come true when its time has come.
//
// Nothing here knows HTTP, services or who is asking; that is the sandbox's. A [World] is not safe for concurrent use, and it
// has no clock: the caller passes the time, and calls [World.Settle] before it looks.
//
// An account assignment is asynchronous, as in AWS. [World.Begin] accepts an [Operation]; two things then happen to it, each at
// a time of its own: it lands (its effect happens) and it ends (its status says SUCCEEDED or FAILED). In AWS's good days the
// two are one moment. A [Fate] moves them apart, or leaves one out:
//
//	accepted ──takes──▶ lands and ends           the good day
//	accepted ──takes──▶ ends FAILED              Lost: nothing happened
//	accepted ──takes──▶ lands, ends FAILED       Fails: it happened all the same
//	accepted ──takes──▶ ends FAILED ──▶ lands    Fails, Lands: it happens when nobody looks any more
//
// Operations in one account end one after another, since Identity Center updates one role of an account at a time.
package world
