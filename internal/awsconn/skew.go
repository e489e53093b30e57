package awsconn

import (
	"fmt"
	"net/http"
	"sync/atomic"
	"time"
)

// MostSkew is by how much a clock may differ from AWS's before nothing starts any more (design rule 11). AWS itself refuses
// what is signed five minutes off ("Signing AWS API requests", IAM User Guide).
const MostSkew = time.Minute

// Skew compares a clock with AWS's, by the Date of every answer that AWS gives. The zero value is of no use; see [NewSkew].
type Skew struct {
	now func() time.Time
	off atomic.Int64 // by how much AWS's clock is ahead, at the least; negative: behind
}

// NewSkew compares the clock that now tells. Set it as [Settings.Skew] of every connection.
func NewSkew(now func() time.Time) *Skew { return &Skew{now: now} }

// saw notes an answer. AWS wrote its time, in whole seconds, between the sending and the answer: the clocks differ at least by
// what no moment in between explains.
func (s *Skew) saw(sent, received, date time.Time) {
	var off time.Duration
	switch least, most := date.Sub(received), date.Add(time.Second).Sub(sent); {
	case least > 0:
		off = least
	case most < 0:
		off = most
	}
	s.off.Store(int64(off))
}

// Off is by how much AWS's clock was ahead in its last answer, at the least; negative: behind.
func (s *Skew) Off() time.Duration { return time.Duration(s.off.Load()) }

// Halt says why nothing may start: the clock is wrong by more than [MostSkew]. Empty: it is not, as far as AWS's last answer
// shows. Ends do not ask.
func (s *Skew) Halt() string {
	switch off := s.Off(); { // the words are the same however much it is
	case off > MostSkew:
		return fmt.Sprintf("the clock is more than %d s behind AWS's", int(MostSkew.Seconds()))
	case off < -MostSkew:
		return fmt.Sprintf("the clock is more than %d s ahead of AWS's", int(MostSkew.Seconds()))
	}
	return ""
}

// dated notes the Date of every answer.
type dated struct {
	http.RoundTripper
	skew *Skew
}

func (d dated) RoundTrip(r *http.Request) (*http.Response, error) {
	sent := d.skew.now()
	answer, err := d.RoundTripper.RoundTrip(r)
	if err != nil {
		return answer, err
	}
	if date, wrong := http.ParseTime(answer.Header.Get("Date")); wrong == nil {
		d.skew.saw(sent, d.skew.now(), date)
	}
	return answer, nil
}
