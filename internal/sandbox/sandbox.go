package sandbox

import (
	"cmp"
	"encoding/base64"
	"encoding/hex"
	"sync"
	"time"

	"sparekey/internal/sandbox/sigv4"
	"sparekey/internal/sandbox/wire"
	"sparekey/internal/sandbox/world"
	"sparekey/org"
)

// Options say which organization a sandbox imitates, and how.
type Options struct {
	// Organization is what there is at the beginning; see [org.Describe]. A management account that it does not name, or does
	// not have, is added; without a name it is 100000000001.
	Organization org.Organization
	// Assignments are the standing assignments.
	Assignments []org.Assignment
	// Roles are the IAM roles that can be assumed; see [org.DescribeRoles].
	Roles []org.Role
	// DelegatedAdministrator is the member account that may administer Identity Center, if any.
	DelegatedAdministrator org.AccountID
	// Clock is the sandbox's time; nil is the machine's.
	Clock Clock
	// SignatureClock is a second clock that the date of a signature may be near to (5 minutes), beside Clock. When it is nil
	// and Clock is a [ManualClock], it is the machine's clock: SDKs sign by that one until the Date header of an answer has
	// told them the sandbox's time. From then on they sign by what they were told last, and a manual clock jumps; so dates
	// that a manual clock has shown since the sandbox was made are good as well.
	SignatureClock Clock
	// Region is Identity Center's Region; the default is us-east-1.
	Region string
	// StartURL is the access portal's; the default is made of the identity store's id, as AWS does.
	StartURL string
	// Behaviour is what may differ from organization to organization, and from day to day.
	Behaviour Behaviour
	// Seed makes every id, secret and token, the same ones for the same seed and the same calls. Whoever serves a sandbox to
	// more than a test takes it from crypto/rand: with the seed, the keys and the control token are known.
	Seed uint64
}

// Behaviour says how AWS behaves where that is not the same everywhere and always.
type Behaviour struct {
	AssignmentTakes time.Duration // from accepting an assignment operation to its end; 0 is 2 s, negative is no time
	AccountTakes    time.Duration // from accepting CreateAccount to its end; 0 is 30 s, negative is no time
	ListingLag      time.Duration // how long sso-admin's listings of assignments, and of what is provisioned, show the state before a change
	CallsPerSecond  int           // over all calls of sso-admin; 0 is 20, negative is unlimited
	Outstanding     int           // unfinished assignment operations; 0 is 10, negative is unlimited
	PortalSession   time.Duration // how long a sign-in to the access portal lasts; 0 is 8 h
	EmptyPages      bool          // listings of Organizations begin with an empty page, as its API reference warns

	// AWS leaves open what these decide; see the package comment.
	MissingIsNotFound bool // deleting an assignment that does not exist is a ResourceNotFoundException; else it SUCCEEDS
	OrphansStay       bool // deleting the assignment of a removed principal FAILS; else it SUCCEEDS
}

func (b *Behaviour) setDefaults() {
	b.AssignmentTakes = max(0, cmp.Or(b.AssignmentTakes, 2*time.Second))
	b.AccountTakes = max(0, cmp.Or(b.AccountTakes, 30*time.Second))
	b.CallsPerSecond = cmp.Or(b.CallsPerSecond, 20)
	b.Outstanding = cmp.Or(b.Outstanding, 10)
	b.PortalSession = cmp.Or(b.PortalSession, 8*time.Hour)
}

// Sandbox is an AWS organization behind an [http.Handler]. It may be used by any number of goroutines.
type Sandbox struct {
	options    Options
	clock      Clock
	signatures Clock // nil: there is no second clock for signatures
	started    time.Time
	startURL   string
	control    string

	mu       sync.Mutex
	world    *world.World
	source   *world.Source
	pages    wire.Pages
	keys     map[string]key
	bucket   bucket
	script   []*scripted
	log      log
	sessions sessions
}

// New makes a sandbox.
func New(o Options) *Sandbox {
	o.Region = cmp.Or(o.Region, "us-east-1")
	o.Behaviour.setDefaults()
	if o.Organization.ID == "" {
		o.Organization, _, _ = org.Describe("sandbox", []byte("partition: aws"))
	}
	o.Organization.ManagementAccount = cmp.Or(o.Organization.ManagementAccount, "100000000001")
	if o.Clock == nil {
		o.Clock = machineClock{}
	}
	if _, manual := o.Clock.(*ManualClock); manual && o.SignatureClock == nil {
		o.SignatureClock = machineClock{}
	}
	now := o.Clock.Now()
	source := world.NewSource(o.Seed)
	return &Sandbox{
		options: o, clock: o.Clock, signatures: o.SignatureClock, started: now, source: source,
		pages: wire.Pages{Key: source.Bytes(32, "pages")}, keys: map[string]key{}, sessions: newSessions(),
		startURL: cmp.Or(o.StartURL, "https://"+o.Organization.IdentityStore+".awsapps.com/start"),
		control:  hex.EncodeToString(source.Bytes(32, "control")),
		world: world.New(world.Seed{
			Organization: o.Organization, Assignments: o.Assignments, Roles: o.Roles, Region: o.Region, Delegated: o.DelegatedAdministrator,
			Timing: world.Timing{
				Assignment: o.Behaviour.AssignmentTakes, Account: o.Behaviour.AccountTakes, Listing: o.Behaviour.ListingLag,
			},
			OrphansStay: o.Behaviour.OrphansStay, Source: source, Now: now,
		}),
	}
}

// settle brings the world up to the clock, and returns what the clock says. The lock must be held.
func (s *Sandbox) settle() time.Time {
	now := s.clock.Now()
	s.world.Settle(now)
	return now
}

// Credentials are an access key. SessionToken is empty for a long-term one.
type Credentials struct {
	AccessKeyID     string `json:"accessKeyId"`
	SecretAccessKey string `json:"secretAccessKey"`
	SessionToken    string `json:"sessionToken,omitempty"`
}

// Key returns the access key of an IAM user of an account, the same one each time; the user is made by asking for it. What
// the key may do depends on the account: Sparekey uses one of the management account or of the delegated administrator.
// The account need not belong to the organization.
func (s *Sandbox) Key(account org.AccountID, user string) Credentials {
	s.mu.Lock()
	defer s.mu.Unlock()
	id := world.KeyID("AKIA", s.source.Bytes(20, "key", string(account), user))
	secret := base64.StdEncoding.EncodeToString(s.source.Bytes(30, "secret", string(account), user))
	s.keys[id] = key{sigv4.Key{Secret: secret}, caller{
		account: account, user: world.KeyID("AIDA", s.source.Bytes(20, "user", string(account), user)),
		arn: org.ARN{Partition: s.world.Partition, Service: "iam", Account: string(account), Resource: "user/" + user}.String(),
	}}
	return Credentials{AccessKeyID: id, SecretAccessKey: secret}
}

// Control returns the bearer token of the control calls.
func (s *Sandbox) Control() string { return s.control }

// StartURL returns the access portal's address, which StartDeviceAuthorization expects.
func (s *Sandbox) StartURL() string { return s.startURL }

// Assigned reports whether the assignment exists now, whatever listings show.
func (s *Sandbox) Assigned(a org.Assignment) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settle()
	return s.world.Assigned(a)
}

// Assignments lists the assignments that exist now, whatever listings show.
func (s *Sandbox) Assignments() []org.Assignment {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settle()
	return s.world.Assignments()
}

// Role is a role that Identity Center keeps in an account while a permission set is assigned there.
type Role struct {
	org.Target
	Name    string    `json:"name"` // AWSReservedSSO_SETNAME_16HEX
	ARN     string    `json:"arn"`
	Created time.Time `json:"created"`
}

// Roles lists the AWSReservedSSO_* roles that exist now in an account.
func (s *Sandbox) Roles(account org.AccountID) []Role {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settle()
	return s.roles(func(r world.Role) bool { return r.Account == account })
}

func (s *Sandbox) roles(which func(world.Role) bool) []Role {
	roles := []Role{}
	for _, r := range s.world.Roles() {
		if which(r) {
			roles = append(roles, Role{r.Target, r.Name, r.ARN, r.Created})
		}
	}
	return roles
}

// Outstanding counts the assignment operations that have not ended, and says whether any accepted operation, ended or not,
// may still have its effect.
func (s *Sandbox) Outstanding() (unfinished int, unlanded bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settle()
	return s.world.Outstanding(), s.world.Unlanded()
}
