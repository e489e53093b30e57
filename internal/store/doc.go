// Package store keeps everything, in SQLite or PostgreSQL.
//
// One set of statements (queries/, made into package query by sqlc) runs on both engines; the same tests run over both. The
// store decides nothing: it carries out an [access.Change] whole or not at all, with its events, in one transaction.
//
// # One writer at a time
//
// A writing transaction first locks the head of the log: SQLite has one writer anyway, and on PostgreSQL a row lock makes it
// so. Events therefore have no gaps and stand in the order in which they were committed, which a hash tree needs, and what a
// transaction has read stays true until it commits. Versions are checked all the same: whoever brings a value that was read
// elsewhere gets [ErrChanged] when it is no longer the newest.
//
// Writes are durable when [Store.Update] returns: SQLite runs with synchronous=FULL.
package store
