package config

import (
	"regexp"

	"sparekey/internal/awsconn"
	"sparekey/strict"
)

// Ledger says where what must end is written outside of the database, and the key that it is signed with.
type Ledger struct {
	At   strict.Position
	Key  string `yaml:"key,required"` // a file that `sparekey ledger key` made
	File string `yaml:"file"`         // on another machine's disk than the database; or:
	S3   *S3    `yaml:"s3"`
}

// S3 names an object in Amazon S3, and as whom it is read and written.
type S3 struct {
	At          strict.Position
	Bucket      strict.Word `yaml:"bucket,required"`
	Object      strict.Word `yaml:"object,required"` // its key
	Region      string      `yaml:"region,required"` // of the bucket
	Owner       strict.Word `yaml:"owner"`           // account that must own it
	Endpoint    string      `yaml:"endpoint"`        // instead of S3's own
	Credentials Credentials `yaml:"credentials,required"`
}

var accountID = regexp.MustCompile(`^[0-9]{12}$`)

// bucketName is what general purpose buckets may be called ("General purpose bucket naming rules", Amazon S3 User Guide).
var bucketName = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`)

func (l *Ledger) check(say sayer) {
	if l == nil {
		return
	}
	if l.Key == "" {
		say(l.At, "`sparekey ledger key` makes one", "ledger.key is empty")
	}
	if (l.File == "") == (l.S3 == nil) {
		say(l.At, "a file on another machine's disk than the database, or an object in S3", "ledger names not exactly one of file and s3")
	}
	if l.File != "" && l.File == l.Key {
		say(l.At, "name two files", "ledger.file is the key")
	}
	if s := l.S3; s != nil {
		s.Credentials.check(say)
		if !bucketName.MatchString(s.Bucket.Text) {
			say(s.Bucket.At, "3 to 63 lower-case letters, digits, dots and hyphens", "%q is not the name of a bucket", s.Bucket.Text)
		}
		if s.Owner.Text != "" && !accountID.MatchString(s.Owner.Text) {
			say(s.Owner.At, "the 12 digits of the account that owns the bucket", "%q is not the id of an account", s.Owner.Text)
		}
		if n := len(s.Object.Text); n == 0 || n > 1024 || s.Object.Text[n-1] == '/' || s.Object.Text[0] == '/' {
			say(s.Object.At, "as in sparekey/ends.ledger", "%q is not the name of an object", s.Object.Text)
		}
	}
}

// LedgerConnection returns the settings with which the ledger in S3 is read and written; nil where there is none.
func (c *Config) LedgerConnection(container awsconn.Container) (*awsconn.Settings, error) {
	if c.Ledger == nil || c.Ledger.S3 == nil {
		return nil, nil
	}
	s, err := c.connection(c.Ledger.S3.Credentials, container)
	s.Region, s.Endpoint = c.Ledger.S3.Region, c.Ledger.S3.Endpoint
	return &s, err
}
