// Package strict reads YAML documents, and names the place and the nearest right word of whatever is wrong in them.
//
// Rules, configuration and everything else that people write for Sparekey goes through [Decode]. It is stricter than YAML:
// unknown and doubled keys, empty values, anchors, aliases, tags, merge keys and second documents are refused, since each of
// them can make a file mean something else than its reader thinks. All problems of a file are reported, not only the first.
//
// It does not know what a document is about: limits and references are checked by the package that owns the type, which
// reports with [Position.Errorf] in the same form.
package strict
