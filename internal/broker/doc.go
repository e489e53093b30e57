// Package broker carries out decisions: one transaction, one record, one promise.
//
// Every change goes through here: the caller is taken from the context, may they is asked, a pure transition of package
// access runs inside the store's transaction, its events are appended there, and what is promised for later is left there
// too. Every refusal is recorded as well. Reads pass the same door, for the same reason.
//
// AWS is called here and only here, and never inside a transaction. [Broker.Carry] does the next thing for one grant, as
// [access.Grant.Task] says; who calls it, how often and for how many grants at once, is the lane's business.
package broker
