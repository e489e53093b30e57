package place

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"
)

// Object is a place in Amazon S3. It should be in another account than Sparekey, and in another Region than Identity Center.
//
// It is replaced only while it is what was read last ("How to prevent object overwrites with conditional writes", Amazon S3 User
// Guide): a process that was stopped for a while does not put an older document over a newer one. It may be used by many at once.
type Object struct {
	bucket, key string
	owner       *string // account that must own the bucket; nil: any
	client      *s3.Client
	mu          sync.Mutex
	read        string // entity tag of what was read or put last; empty: nothing was there
	known       bool
}

// NewObject names an object. owner is the account that owns the bucket: S3 refuses what is asked of another's, as that of somebody who
// has made a bucket by the name of one that was deleted ("Verifying bucket ownership with bucket owner condition", Amazon S3 User Guide);
// empty: whoever owns it. The configuration says how often a call is tried.
func NewObject(c aws.Config, bucket, key, owner string) *Object {
	var whose *string
	if owner != "" {
		whose = &owner
	}
	return &Object{bucket: bucket, key: key, owner: whose, client: s3.NewFromConfig(c, func(o *s3.Options) {
		o.UsePathStyle = c.BaseEndpoint != nil // an emulator has no names for buckets
	})}
}

// ParseObject reads a name such as s3://bucket/folder/object.
func ParseObject(name string) (bucket, key string, ok bool) {
	rest, ok := strings.CutPrefix(name, "s3://")
	if !ok {
		return "", "", false
	}
	bucket, key, _ = strings.Cut(rest, "/")
	return bucket, key, bucket != "" && key != "" && !strings.HasSuffix(key, "/")
}

// String is the name of the object.
func (o *Object) String() string { return "s3://" + o.bucket + "/" + o.key }

// ErrReplaced is wrapped when somebody else has replaced a document since it was read.
var ErrReplaced = errors.New("somebody else has replaced it since it was read")

// Put replaces the object, if it is still what was read last.
func (o *Object) Put(ctx context.Context, text []byte) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	in := &s3.PutObjectInput{Bucket: &o.bucket, Key: &o.key, ExpectedBucketOwner: o.owner, Body: bytes.NewReader(text), ContentType: aws.String("text/plain")}
	switch {
	case o.known && o.read == "":
		in.IfNoneMatch = aws.String("*")
	case o.known:
		in.IfMatch = &o.read
	}
	out, err := o.client.PutObject(ctx, in)
	if err != nil {
		o.known = false // it may have been put all the same
		if is(err, "PreconditionFailed", "ConditionalRequestConflict", "NoSuchKey") {
			err = ErrReplaced
		}
		return fmt.Errorf("writing %s: %w", o, err)
	}
	o.read, o.known = aws.ToString(out.ETag), true
	return nil
}

// Get reads the object; [ErrNothing] when there is none. S3 says that only to who may list the bucket; for others what is
// missing is denied.
func (o *Object) Get(ctx context.Context) ([]byte, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.known = false
	out, err := o.client.GetObject(ctx, &s3.GetObjectInput{Bucket: &o.bucket, Key: &o.key, ExpectedBucketOwner: o.owner})
	if is(err, "NoSuchKey") {
		o.read, o.known = "", true
		return nil, fmt.Errorf("reading %s: %w", o, ErrNothing)
	}
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", o, err)
	}
	defer out.Body.Close()
	text, err := atMost(out.Body, o.String())
	if err == nil {
		o.read, o.known = aws.ToString(out.ETag), true
	}
	return text, err
}

func is(err error, codes ...string) bool {
	var api smithy.APIError
	if !errors.As(err, &api) {
		return false
	}
	for _, code := range codes {
		if api.ErrorCode() == code {
			return true
		}
	}
	return false
}
