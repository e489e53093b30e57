package rules

import _ "embed" // a part of the program, not a file that is read

//go:embed schema.json
var schema []byte

// Schema returns the JSON Schema (draft 7) of a file of rules, for editors. It knows the form; what only makes sense together,
// and names, is for [Parse] and [Book.Check].
func Schema() []byte { return schema }
