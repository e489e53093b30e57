// Package place keeps small documents in a second place, outside of the database, and the keys that they are signed with.
//
// What is put there replaces what was there, whole or not at all: whoever reads meanwhile sees the one or the other. It does
// not know what the documents say.
package place
