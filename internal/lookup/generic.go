package lookup

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"

	"sparekey/rules"
)

// The headers of a signed question. The signature is "v1=" and, in hexadecimal, the HMAC-SHA256 under the shared secret of
// "v1:", the timestamp (seconds since 1970), ":" and the body, byte for byte. Who is asked compares it in constant time and
// refuses timestamps that are more than five minutes away, so that a question that was overheard is of no use later.
const (
	headerTimestamp = "Sparekey-Timestamp"
	headerSignature = "Sparekey-Signature"
)

const leastSecret = 32 // characters

// generic asks a service of the organization's own.
type generic struct {
	wire       *wire
	url        string
	secretFile string
}

// question is the body of a question.
type question struct {
	Ticket string `json:"ticket"`
	Person asker  `json:"person"`
	From   string `json:"from"` // RFC 3339, UTC, as To
	To     string `json:"to"`
}

type asker struct {
	ID    string `json:"id"` // UserId in the identity store
	User  string `json:"user"`
	Email string `json:"email"` // empty when the directory has none
}

func (g *generic) ask(ctx context.Context, q rules.TicketQuestion) (answer, error) {
	secret, err := readSecret(g.secretFile)
	if err != nil {
		return nil, err
	}
	if len(secret) < leastSecret {
		return nil, silent("cannot be asked: its secret is shorter than %d characters", leastSecret)
	}
	body, err := json.Marshal(question{
		Ticket: q.ID, Person: asker{string(q.Person.ID), q.Person.User, q.Person.Email},
		From: q.From.UTC().Format(time.RFC3339), To: q.To.UTC().Format(time.RFC3339),
	})
	if err != nil {
		return nil, silent("cannot be asked about %s", q.Person.ID)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, g.url, bytes.NewReader(body))
	if err != nil {
		return nil, silent("cannot be asked: its URL is not right")
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json")
	timestamp := strconv.FormatInt(g.wire.now().Unix(), 10)
	r.Header.Set(headerTimestamp, timestamp)
	r.Header.Set(headerSignature, "v1="+hex.EncodeToString(signature(secret, timestamp, body)))
	reply, err := g.wire.do(r)
	if err != nil {
		return nil, err
	}
	if !reply.found {
		return nil, silent("answered 404; is its URL right?") // a ticket that there is not is {"ok": false}
	}
	t, err := readVerdict(reply.body)
	return func(_ string, q rules.TicketQuestion) rules.Ticket {
		if t.OK && !t.Until.IsZero() && !q.From.Before(t.Until) {
			return rules.Ticket{Why: q.ID + " served until " + minute(t.Until)}
		}
		return t
	}, err
}

// signature returns what the signature of a question is, before its hexadecimal digits.
func signature(secret, timestamp string, body []byte) []byte {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte("v1:" + timestamp + ":"))
	mac.Write(body)
	return mac.Sum(nil)
}

// readVerdict reads an answer, strictly: one key more or one twice, and it is none.
func readVerdict(body []byte) (rules.Ticket, error) {
	var v struct {
		OK    *bool     `json:"ok"`
		Why   string    `json:"why"`
		Until time.Time `json:"until"`
		Title string    `json:"title"`
		Link  string    `json:"link"`
	}
	if err := json.Unmarshal(body, &v, json.RejectUnknownMembers(true)); err != nil || v.OK == nil {
		return rules.Ticket{}, silent(`answered with something else than {"ok": …, "why": …, "until": …, "title": …, "link": …}`)
	}
	t := rules.Ticket{OK: *v.OK, Why: clip(v.Why), Until: v.Until, Title: clip(v.Title), Link: link(v.Link)}
	switch {
	case t.OK:
		t.Why = ""
	case t.Why == "":
		t.Why = "it does not serve, and the service does not say why"
	}
	return t, nil
}
