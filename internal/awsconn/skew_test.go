package awsconn

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/aws/aws-sdk-go-v2/service/sts"
)

// TestASkewIsSeenWhenItIsCertain compares with what an all-knowing observer says. Requirement trap: only what no moment between
// sending and answer explains counts.
func TestASkewIsSeenWhenItIsCertain(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ms := func(name string, least, most int) time.Duration {
			return time.Duration(rapid.IntRange(least, most).Draw(t, name)) * time.Millisecond
		}
		off, way, back := ms("off", -200_000, 200_000), ms("there", 0, 40_000), ms("back", 0, 40_000)
		sent := time.Date(2026, 11, 25, 3, 0, 0, 0, time.UTC).Add(ms("at", 0, 5000))
		date := sent.Add(way + off).Truncate(time.Second)
		s := NewSkew(nil)
		s.saw(sent, sent.Add(way+back), date)
		said := s.Off()
		if said.Abs() > off.Abs() || said != 0 && (said > 0) != (off > 0) {
			t.Fatalf("%s off, and %s is said", off, said)
		}
		if off.Abs()-said.Abs() > way+back+time.Second {
			t.Fatalf("%s off, and only %s is seen", off, said)
		}
		if (s.Halt() != "") != (said.Abs() > MostSkew) {
			t.Fatalf("%s: %q", said, s.Halt())
		}
	})
}

func TestEveryAnswerOfAWSIsLookedAt(t *testing.T) {
	clock := time.Date(2026, 11, 25, 3, 0, 0, 0, time.UTC)
	aws := clock
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Date", aws.Format(http.TimeFormat))
		w.WriteHeader(http.StatusForbidden)
	}))
	defer server.Close()
	skew := NewSkew(func() time.Time { return clock })
	c, err := Open(Settings{Region: "us-east-1", Endpoint: server.URL, Credentials: Credentials{File: write(t, "key.json", key("AKIA1", ""), 0o600)}, Skew: skew})
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		aws  time.Duration
		want string
	}{
		{0, ""}, {time.Minute, ""}, {62 * time.Second, "the clock is more than 60 s behind AWS's"}, {-62 * time.Second, "the clock is more than 60 s ahead of AWS's"}, {-time.Second, ""},
	} {
		aws = clock.Add(step.aws)
		if _, err := sts.NewFromConfig(c).GetCallerIdentity(t.Context(), nil); err == nil {
			t.Fatal("it was let through")
		}
		if got := skew.Halt(); got != step.want {
			t.Errorf("%s: %q, want %q", step.aws, got, step.want)
		}
	}
}
