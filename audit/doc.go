// Package audit defines the record of what happened, and proves it whole.
//
// Every command, refusal, decision and outcome is one [Event]. An event has one canonical form, RFC 8785 JSON, and that form
// is what is kept, hashed and exported; a hash tree can be laid over it without touching a byte. Storing events is the
// store's business; making them is the business of the transition that they record.
package audit
