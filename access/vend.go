package access

import (
	"fmt"
	"io"
	"strings"
	"time"

	"sparekey/org"
)

// Leaves reports whether a grant of this way leaves something in AWS that a listing shows and that must be taken away. Of
// sessions nothing stands there: each carries its own end.
func (w Way) Leaves() bool { return w != Session }

// How long vended credentials may live. AWS gives no less than 15 minutes, and to whoever holds a role itself no more than an
// hour ("AssumeRole", STS API Reference: role chaining); asking for more fails.
const (
	SessionLeast = 15 * time.Minute
	SessionMost  = time.Hour
)

// Vending is a request for credentials under a grant that is active.
type Vending struct {
	Target   org.Target // its PermissionSet is a role: [org.RolePrefix] and the role's path and name
	Person   Named
	Grant    string
	Request  string
	Lasts    time.Duration // of the credentials: from [SessionLeast] to [SessionMost], and no longer than the role's maximum
	End      time.Time     // of the grant; nothing is allowed after it, however long the credentials last
	Narrower string        // a session policy that the person asked for, or nothing; see [SessionPolicy]
}

// Policy returns the session policy that goes with the credentials.
func (v Vending) Policy() (string, error) { return SessionPolicy(v.End, v.Narrower) }

// Name returns the session's name, which is its source identity as well; see [SessionName].
func (v Vending) Name() string { return SessionName(v.Person.User, v.Grant) }

// longestName is how many characters a session's name and a source identity may have ("AssumeRole", STS API Reference).
const longestName = 64

// SessionName returns <person>.<grant> in at most 64 characters of [A-Za-z0-9_+=,.@-], the same for the same two. Other
// characters of the person's name become "-", and its end is cut off; the grant stays whole up to 62 characters, and without
// dots, so that what follows the last dot is the grant.
func SessionName(person, grant string) string {
	grant = clean(strings.ReplaceAll(grant, ".", "-"))
	grant = grant[:min(len(grant), longestName-2)]
	person = clean(person)
	return person[:min(len(person), longestName-1-len(grant))] + "." + grant
}

// clean replaces what a session's name may not hold. Nothing becomes "-".
func clean(text string) string {
	kept := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("_+=,.@-", r) {
			return r
		}
		return '-'
	}, text)
	if kept == "" {
		return "-"
	}
	return kept
}

// Credentials are an access key of a role, with its token. However they are printed, logged or encoded as a whole, the secret
// and the token do not show: whoever hands them out takes them field by field.
type Credentials struct {
	AccessKeyID     string
	SecretAccessKey string
	SessionToken    string
	Expires         time.Time // when they stop working, or when the grant ends, if that is earlier
}

// String names the key and its end, and nothing that is secret.
func (c Credentials) String() string {
	return fmt.Sprintf("%s until %s", c.AccessKeyID, c.Expires.UTC().Format(time.RFC3339))
}

// GoString is String.
func (c Credentials) GoString() string { return c.String() }

// Format is String, whatever the verb: %d would print the fields.
func (c Credentials) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, c.String()) }

// MarshalText is String, for JSON, for logs and whatever else encodes values. slog's handlers ask for it; a LogValue would
// need slog, which the core does not know.
func (c Credentials) MarshalText() ([]byte, error) { return []byte(c.String()), nil }
