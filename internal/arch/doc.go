// Package arch keeps ARCHITECTURE.md true.
//
// It reads the map and the tables of that page and the Go files of the tree, and names every place where the two
// disagree. It is only ever run as a test; nothing imports it.
package arch
