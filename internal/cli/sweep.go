package cli

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"sparekey/access"
	"sparekey/internal/aws"
	"sparekey/internal/awsconn"
	"sparekey/internal/place"
	"sparekey/org"
)

// sweeping is what a sweep is told.
type sweeping struct {
	onlyEnd, dryRun               bool
	ledger, publicKey             string
	region, endpoint, proxy       string
	credentials, role, management string
	// Of a ledger in S3.
	ledgerRegion, ledgerFrom, ledgerOwner string
	instance, store                       string
	after                                 time.Duration
}

func (a *app) sweepCommand() *cobra.Command {
	var s sweeping
	c := &cobra.Command{
		Use: "sweep --only-end --ledger FILE --public-key FILE --region REGION --credentials FILE", Short: "End what is overdue while Sparekey is dead", Args: none,
		Long: "End what a dead Sparekey should have ended: of the accesses in a signed ledger, those that are past their end and that AWS still lists.\n" +
			"It needs no server, no database and no configuration, runs on another machine, and takes a role that can list and delete only.\n" +
			"--only-end is said on purpose: nothing else is there. It exits with 1 when something overdue still stands, and may be run again.",
		RunE: func(c *cobra.Command, _ []string) error { return a.sweep(c.Context(), s) },
	}
	f := c.Flags()
	f.BoolVar(&s.onlyEnd, "only-end", false, "end, and do nothing else")
	f.BoolVar(&s.dryRun, "dry-run", false, "say what would be ended")
	f.StringVar(&s.ledger, "ledger", "", "the file with the ledger, or s3://BUCKET/OBJECT")
	f.StringVar(&s.publicKey, "public-key", "", "the public key that it is checked with")
	f.StringVar(&s.region, "region", "", "the Region of Identity Center")
	f.StringVar(&s.endpoint, "endpoint", "", "instead of AWS's own")
	f.StringVar(&s.proxy, "proxy", "", "an HTTP proxy")
	f.StringVar(&s.credentials, "credentials", "", "a file with an access key as JSON, or: instance, container")
	f.StringVar(&s.role, "role", "", "ARN of a role to assume with them")
	f.StringVar(&s.management, "management-credentials", "", "the same for access to the management account, which takes credentials of that account")
	f.StringVar(&s.ledgerRegion, "ledger-region", "", "the Region of a ledger in S3, where it is another one")
	f.StringVar(&s.ledgerFrom, "ledger-credentials", "", "credentials to read it with, where they are others: as for --credentials")
	f.StringVar(&s.ledgerOwner, "ledger-owner", "", "the account that must own its bucket")
	f.StringVar(&s.instance, "instance", "", "ARN of the Identity Center instance, where several are visible")
	f.StringVar(&s.store, "identity-store", "", "id of its identity store; with --instance nothing is looked up")
	f.DurationVar(&s.after, "after", 2*time.Minute, "how long after its end something is overdue: a Sparekey that lives ends it before")
	return c
}

func (a *app) sweep(ctx context.Context, s sweeping) error {
	if !s.onlyEnd {
		return usage("say --only-end: it deletes what is past its end, and never gives or extends anything", "a sweep does nothing but end, and that is said on purpose")
	}
	for _, need := range [][3]string{{"ledger", s.ledger, "/mnt/ledger/sparekey.ledger"}, {"public-key", s.publicKey, "ledger.key.pub"}, {"region", s.region, "eu-west-1"}, {"credentials", s.credentials, "sweep.json"}} {
		if err := needed(need[0], need[1], need[2]); err != nil {
			return err
		}
	}
	if s.after < 0 {
		return usage("0s is the least", "--after is %s", s.after)
	}
	key, err := place.PublicKey(s.publicKey)
	if err != nil {
		return err
	}
	skew := awsconn.NewSkew(time.Now)
	from, err := s.reader(skew)
	if err != nil {
		return err
	}
	b := &broom{app: a, key: key, from: from, name: s.ledger, after: s.after, dry: s.dryRun, now: time.Now, halt: skew.Halt, sleep: sleep}
	account := func() org.AccountID { return b.management }
	if b.ways, err = s.ways(skew, account); err != nil {
		return err
	}
	return b.sweep(ctx)
}

// ways are those of a sweep: their clients refuse everything but listing and deleting before it is sent.
func (s sweeping) ways(skew *awsconn.Skew, account func() org.AccountID) (map[access.Way]aws.Way, error) {
	ordinary, people, err := s.connect(skew, s.credentials, s.role)
	if err != nil {
		return nil, err
	}
	var second aws.Way
	if s.management != "" {
		if second, _, err = s.connect(skew, s.management, ""); err != nil {
			return nil, err
		}
	}
	return map[access.Way]aws.Way{access.Assignment: aws.Split(ordinary, second, account), access.Membership: people}, nil
}

// ledgerReader is where a ledger is read; nothing is ever written there by a sweep.
type ledgerReader interface {
	Get(ctx context.Context) ([]byte, error)
}

func (s sweeping) reader(skew *awsconn.Skew) (ledgerReader, error) {
	bucket, object, ok := place.ParseObject(s.ledger)
	switch {
	case ok:
	case strings.HasPrefix(s.ledger, "s3:"):
		return nil, usage("as in s3://bucket/sparekey/ends.ledger", "%q names no object in S3", s.ledger)
	default:
		return place.File{Path: s.ledger}, nil
	}
	from, role := s.ledgerFrom, ""
	if from == "" {
		from, role = s.credentials, s.role
	}
	settings := s.settings(skew, from, role)
	settings.Region = cmp.Or(s.ledgerRegion, s.region)
	c, err := awsconn.Open(settings)
	if err != nil {
		return nil, err
	}
	return place.NewObject(awsconn.Reading(c), bucket, object, s.ledgerOwner), nil
}

func (s sweeping) connect(skew *awsconn.Skew, from, role string) (assignments, memberships aws.Way, err error) {
	c, err := awsconn.Open(s.settings(skew, from, role))
	if err != nil {
		return nil, nil, err
	}
	c = aws.Ending(c)
	center := aws.NewCenter(c, s.instance, s.store)
	return aws.NewAssignments(c, center), aws.NewMemberships(c, center), nil
}

func (s sweeping) settings(skew *awsconn.Skew, from, role string) awsconn.Settings {
	settings := awsconn.Settings{Region: s.region, Endpoint: s.endpoint, Proxy: s.proxy, Skew: skew, Credentials: awsconn.Credentials{Role: role, RoleSession: "sparekey-sweep"}}
	switch from {
	case "instance":
		settings.Credentials.Instance = true
	case "container":
		c := container()
		settings.Credentials.Container = &c
	default:
		settings.Credentials.File = from
	}
	return settings
}

// broom ends what is overdue in a ledger.
type broom struct {
	*app
	key   ed25519.PublicKey
	from  ledgerReader
	name  string
	after time.Duration
	dry   bool
	now   func() time.Time
	halt  func() string // why the clock is not to be trusted; empty: it is
	sleep func(context.Context, time.Duration) error
	ways  map[access.Way]aws.Way

	management org.AccountID
	mu         sync.Mutex // of what follows, and of what is said
	ledger     access.Ledger
	swept      []swept
}

// swept is what became of one access.
type swept struct {
	Way           access.Way    `json:"way"`
	Person        org.PersonID  `json:"person"`
	Account       org.AccountID `json:"account"`
	PermissionSet string        `json:"permissionSet"`
	Group         org.GroupID   `json:"group,omitempty"`
	Outcome       string        `json:"outcome"` // ended, would end, not listed, needed, failed
	Error         string        `json:"error,omitempty"`
}

const (
	sweptTogether = 8 // accounts: AWS takes ten operations at once, one in each account
	sweepTries    = 8
	sweepPatience = 15 * time.Minute // for one operation of AWS
)

func (b *broom) sweep(ctx context.Context) error {
	l, err := b.read(ctx)
	if err != nil {
		return err
	}
	b.ledger, b.management = l, l.Management
	overdue := l.Overdue(b.now(), b.after)
	if b.output != "json" {
		fmt.Fprintf(b.out, "ledger     written %s ago, epoch %d, %d events; %d ends owed, %d overdue\n", span(b.now().Sub(l.WrittenAt)), l.Epoch, l.Seq, len(l.Owed), len(overdue))
	}
	byAccount := map[org.AccountID][]access.Key{}
	var accounts []org.AccountID // in the order of what is longest overdue
	for _, k := range overdue {
		if len(byAccount[k.Account]) == 0 {
			accounts = append(accounts, k.Account)
		}
		byAccount[k.Account] = append(byAccount[k.Account], k)
	}
	var all errgroup.Group
	all.SetLimit(sweptTogether)
	for _, account := range accounts {
		all.Go(func() error {
			for _, k := range byAccount[account] {
				outcome, err := b.end(ctx, k)
				b.report(k, outcome, err)
			}
			return nil
		})
	}
	_ = all.Wait() // none of them fails: what does is reported
	return b.conclude(l)
}

// read reads and checks the ledger. One that is older than what was read before is refused.
func (b *broom) read(ctx context.Context) (access.Ledger, error) {
	text, err := b.from.Get(ctx)
	if err != nil {
		return access.Ledger{}, err
	}
	l, err := access.OpenLedger(text, b.key)
	if err == nil && b.ledger.Before(l.Epoch, l.Seq) {
		err = fmt.Errorf("%w: it is older than the one that stood there a moment ago", access.ErrLedger)
	}
	if err != nil {
		return l, fmt.Errorf("%s: %w", b.name, err)
	}
	return l, nil
}

// needed reads the ledger again, since a Sparekey that lives goes on writing it, and reports whether an access is not overdue
// any more. What cannot be read now leaves what was read before.
func (b *broom) needed(ctx context.Context, k access.Key) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if l, err := b.read(ctx); err == nil {
		b.ledger = l
	}
	for _, still := range b.ledger.Overdue(b.now(), b.after) {
		if still == k {
			return false
		}
	}
	return true
}

// end ends one access, if AWS lists it, and waits until AWS does not list it any more.
func (b *broom) end(ctx context.Context, k access.Key) (outcome string, err error) {
	way, outcome := b.ways[k.Way], "not listed"
	for try := range sweepTries {
		if try > 0 {
			if err := b.sleep(ctx, min(time.Second<<try, 20*time.Second)); err != nil {
				return "failed", err
			}
		}
		var listed bool
		if listed, err = way.Assigned(ctx, k); errors.Is(err, access.ErrRejected) {
			return "failed", err
		}
		switch {
		case err != nil:
			continue
		case b.halt() != "":
			return "failed", errors.New(b.halt())
		case !listed:
			return outcome, nil
		case b.needed(ctx, k):
			return "needed", nil
		case b.dry:
			return "would end", nil
		}
		if err = b.take(ctx, way, k); err == nil {
			outcome = "ended"
		}
	}
	if err == nil {
		err = errors.New("AWS still lists it")
	}
	return "failed", err
}

// take asks AWS to delete, and waits for the outcome.
func (b *broom) take(ctx context.Context, way aws.Way, k access.Key) error {
	op, err := way.Delete(ctx, k)
	if errors.Is(err, access.ErrMissing) {
		return nil
	}
	began := b.now()
	for err == nil && op.Outcome == "" {
		age := b.now().Sub(began)
		if age > sweepPatience {
			return fmt.Errorf("AWS has not answered for %s", sweepPatience)
		}
		if err := b.sleep(ctx, access.PollAfter(age)); err != nil {
			return err
		}
		op, err = way.Deletion(ctx, op.ID)
	}
	if err == nil && op.Outcome == access.FailedOp {
		err = errors.New("AWS did not delete it: " + op.Reason)
	}
	return err
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

func (b *broom) report(k access.Key, outcome string, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	v := swept{Way: k.Way, Person: k.Person, Account: k.Account, PermissionSet: k.PermissionSet, Group: k.Group, Outcome: outcome}
	if err != nil {
		v.Error = err.Error()
	}
	b.swept = append(b.swept, v)
	if b.output != "json" {
		fmt.Fprintf(b.out, "%-10s %s  %s of %s in %s\n", outcome, k.Way, plain(k.PermissionSet), plain(string(k.Person)), plain(string(k.Account)))
		if err != nil {
			fmt.Fprintf(b.err, "error: %s in %s: %s\n", plain(string(k.Person)), plain(string(k.Account)), plain(v.Error))
		}
	}
}

func (b *broom) conclude(l access.Ledger) error {
	failed := 0
	for _, v := range b.swept {
		if v.Outcome == "failed" {
			failed++
		}
	}
	if b.output == "json" {
		if b.swept == nil {
			b.swept = []swept{}
		}
		if err := b.json(map[string]any{"writtenAt": l.WrittenAt, "epoch": l.Epoch, "seq": l.Seq, "owed": len(l.Owed), "swept": b.swept}); err != nil {
			return err
		}
	}
	if failed > 0 {
		return &failure{exitFailed, fmt.Sprintf("%s could not be ended", number(failed, "access that is overdue", "accesses that are overdue")), "run it again; management-account access takes --management-credentials"}
	}
	return nil
}
