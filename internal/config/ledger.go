package config

import "sparekey/strict"

// Ledger says where what must end is written outside of the database, and the key that it is signed with.
type Ledger struct {
	At   strict.Position
	Key  string `yaml:"key,required"`  // a file that `sparekey ledger key` made
	File string `yaml:"file,required"` // on another machine's disk than the database
}

func (l *Ledger) check(say sayer) {
	if l == nil {
		return
	}
	if l.Key == "" {
		say(l.At, "`sparekey ledger key` makes one", "ledger.key is empty")
	}
	if l.File == "" {
		say(l.At, "a file on another machine's disk than the database", "ledger.file is empty")
	}
	if l.File != "" && l.File == l.Key {
		say(l.At, "name two files", "ledger.file is the key")
	}
}
