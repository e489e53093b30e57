package place

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"sparekey/internal/awsconn"
	"sparekey/internal/judge"
)

// connected makes a bucket in an S3 that we did not write. AWS's answers pass through change before they come back.
func connected(t *testing.T, change func(w http.ResponseWriter, q *http.Request, pass http.Handler)) aws.Config {
	t.Helper()
	behind, err := url.Parse(judge.Moto(t))
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) { change(w, q, httputil.NewSingleHostReverseProxy(behind)) }))
	t.Cleanup(s.Close)
	key := filepath.Join(t.TempDir(), "key.json")
	if err := os.WriteFile(key, []byte(`{"accessKeyId":"AKIAIOSFODNN7EXAMPLE","secretAccessKey":"of moto"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := awsconn.Open(awsconn.Settings{Region: "us-east-1", Endpoint: s.URL, Credentials: awsconn.Credentials{File: key}})
	if err != nil {
		t.Fatal(err)
	}
	client := s3.NewFromConfig(c, func(o *s3.Options) { o.UsePathStyle = true })
	if _, err := client.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: aws.String("ends")}); err != nil {
		t.Fatal(err)
	}
	return c
}

func through(w http.ResponseWriter, q *http.Request, pass http.Handler) { pass.ServeHTTP(w, q) }

func TestAnObjectIsReplacedOnlyWhileItIsWhatWasRead(t *testing.T) {
	c := connected(t, through)
	one, other := NewObject(c, "ends", "a/b c.ledger", ""), NewObject(c, "ends", "a/b c.ledger", "")
	if _, err := one.Get(t.Context()); !errors.Is(err, ErrNothing) || !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	if _, err := other.Get(t.Context()); !errors.Is(err, ErrNothing) {
		t.Fatal(err)
	}
	put := func(o *Object, text string, want error) {
		t.Helper()
		if err := o.Put(t.Context(), []byte(text)); !errors.Is(err, want) {
			t.Errorf("%q: %v, not %v", text, err, want)
		}
	}
	get := func(o *Object, want string) {
		t.Helper()
		if text, err := o.Get(t.Context()); err != nil || string(text) != want {
			t.Errorf("%q, %v, not %q", text, err, want)
		}
	}
	put(one, "first", nil)
	put(other, "of somebody who saw nothing there", ErrReplaced)
	get(other, "first")
	put(one, "second", nil) // what it has put, it has read
	put(other, "older than what is there", ErrReplaced)
	get(other, "second")
	put(other, "third", nil)
	get(one, "third")
}

func TestAnObjectThatWasRemovedMeanwhileIsSaidToBeReplaced(t *testing.T) {
	c := connected(t, through)
	o := NewObject(c, "ends", "l", "")
	if err := o.Put(t.Context(), []byte("x")); err != nil {
		t.Fatal(err)
	}
	client := s3.NewFromConfig(c, func(o *s3.Options) { o.UsePathStyle = true })
	if _, err := client.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: aws.String("ends"), Key: aws.String("l")}); err != nil {
		t.Fatal(err)
	}
	if err := o.Put(t.Context(), []byte("y")); !errors.Is(err, ErrReplaced) {
		t.Error(err)
	}
}

// What failed, and what failed but happened: both are errors, and what is read afterwards is the truth.
func TestAPutThatFailsIsAnError(t *testing.T) {
	var after bool
	var fail bool
	c := connected(t, func(w http.ResponseWriter, q *http.Request, pass http.Handler) {
		if !fail || q.Method != http.MethodPut {
			pass.ServeHTTP(w, q)
			return
		}
		if after {
			pass.ServeHTTP(httptest.NewRecorder(), q)
		}
		w.WriteHeader(http.StatusServiceUnavailable)
	})
	for _, after = range []bool{false, true} {
		o, want := NewObject(c, "ends", "l", ""), "old"
		fail = false
		if err := o.Put(t.Context(), []byte("old")); err != nil {
			t.Fatal(err)
		}
		fail = true
		if err := o.Put(t.Context(), []byte("new")); err == nil || errors.Is(err, ErrReplaced) {
			t.Error(err)
		}
		fail = false
		if after {
			want = "new"
		}
		if text, err := o.Get(t.Context()); err != nil || string(text) != want {
			t.Errorf("%q, %v", text, err)
		}
		if err := o.Put(t.Context(), []byte("newer")); err != nil {
			t.Error(err)
		}
	}
}

// Whose bucket it must be is said with every call; S3 refuses those that name another account than the owner.
func TestTheOwnerOfTheBucketIsSaidWithEveryCall(t *testing.T) {
	var said []string
	c := connected(t, func(w http.ResponseWriter, q *http.Request, pass http.Handler) {
		said = append(said, q.Method+" "+q.Header.Get("X-Amz-Expected-Bucket-Owner"))
		pass.ServeHTTP(w, q)
	})
	said = nil
	o := NewObject(c, "ends", "l", "111122223333")
	_, _ = o.Get(t.Context())
	_ = o.Put(t.Context(), []byte("x"))
	if want := []string{"GET 111122223333", "PUT 111122223333"}; !slices.Equal(said, want) {
		t.Errorf("%q, not %q", said, want)
	}
}

func TestABucketThatIsNotThereIsNotAnEmptyPlace(t *testing.T) {
	c := connected(t, through)
	if _, err := NewObject(c, "elsewhere", "l", "").Get(t.Context()); err == nil || errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "s3://elsewhere/l") {
		t.Error(err)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if err := NewObject(c, "ends", "l", "").Put(gone, []byte("x")); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestAnObjectThatIsTooLongIsRefused(t *testing.T) {
	c := connected(t, func(w http.ResponseWriter, q *http.Request, pass http.Handler) {
		if q.Method == http.MethodGet {
			for piece, sent := bytes.Repeat([]byte("x"), 1<<20), 0; sent <= Most; sent += len(piece) {
				if _, err := w.Write(piece); err != nil {
					return
				}
			}
			return
		}
		pass.ServeHTTP(w, q)
	})
	if _, err := NewObject(c, "ends", "l", "").Get(t.Context()); err == nil || !strings.Contains(err.Error(), "has more than") {
		t.Error(err)
	}
}

func TestNamesOfObjects(t *testing.T) {
	for name, want := range map[string][3]string{
		"s3://b/k": {"b", "k", "yes"}, "s3://b/a/k.ledger": {"b", "a/k.ledger", "yes"}, "s3://b": {}, "s3://b/": {}, "s3:///k": {}, "s3://b/a/": {}, "/mnt/l": {}, "s3:b/k": {},
	} {
		bucket, key, ok := ParseObject(name)
		if ok != (want[2] == "yes") || ok && (bucket != want[0] || key != want[1]) {
			t.Errorf("%s: %q %q %v", name, bucket, key, ok)
		}
	}
}
