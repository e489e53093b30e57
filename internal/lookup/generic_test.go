package lookup

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"
)

// fakeGeneric checks a question as docs/lookup.md tells its readers to, and then gives the answer.
func fakeGeneric(t *testing.T, clock *clock, answer string) *ear {
	return listen(t, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(io.LimitReader(r.Body, 64<<10))
		seconds, err2 := strconv.ParseInt(r.Header.Get("Sparekey-Timestamp"), 10, 64)
		given, isV1 := strings.CutPrefix(r.Header.Get("Sparekey-Signature"), "v1=")
		raw, err3 := hex.DecodeString(given)
		mac := hmac.New(sha256.New, []byte(secretMarker))
		fmt.Fprintf(mac, "v1:%d:%s", seconds, body)
		age := clock.Now().Sub(time.Unix(seconds, 0)).Abs()
		if err != nil || err2 != nil || err3 != nil || !isV1 || !hmac.Equal(raw, mac.Sum(nil)) || age > 5*time.Minute {
			says(asJSON, http.StatusUnauthorized, `{}`)(w, r)
			return
		}
		var q map[string]any
		if err := json.Unmarshal(body, &q); err != nil || r.Method != http.MethodPost || r.Header.Get("Content-Type") != "application/json" || r.Header.Get("Authorization") != "" {
			t.Errorf("%s %v: %v", r.Method, r.Header, err)
		}
		want := `map[from:2026-11-22T12:00:00Z person:map[email:Dana@Example.com id:97671b36-dana user:dana] ticket:OPS-1 to:2026-11-22T13:00:00Z]`
		if got := fmt.Sprint(q); got != want {
			t.Errorf("asked %s", got)
		}
		says(asJSON, http.StatusOK, "%s", answer)(w, r)
	})
}

// TestAServiceOfOnesOwnAnswersASignedQuestion gives one answer at a time.
// Requirement partly S1-29.
func TestAServiceOfOnesOwnAnswersASignedQuestion(t *testing.T) {
	const odd = `down: desk answered with something else than {"ok": …, "why": …, "until": …, "title": …, "link": …}`
	for _, c := range []struct{ name, answer, want string }{
		{"yes", `{"ok": true}`, "ok"},
		{"yes, with everything", `{"ok": true, "until": "2026-11-22T21:30:00+09:00", "title": "Payments", "link": "https://desk.test/OPS-1", "why": "because"}`, "ok"},
		{"no", `{"ok": false, "why": "the freeze\nbegan"}`, "no: the freeze began"},
		{"no without a why", `{"ok": false, "title": "Payments", "link": "https://desk.test/OPS-1", "until": "2026-11-22T21:30:00+09:00"}`, "no: it does not serve, and the service does not say why"},
		{"yes until now", `{"ok": true, "until": "2026-11-22T12:00:00Z"}`, "no: OPS-1 served until 2026-11-22 12:00 UTC"},
		{"neither", `{"why": "perhaps"}`, odd},
		{"null", `{"ok": null}`, odd},
		{"nothing", ``, odd},
		{"yes as text", `{"ok": "true"}`, odd},
		{"in another case", `{"OK": true}`, odd},
		{"one key more", `{"ok": true, "id": 1}`, odd},
		{"both", `{"ok": false, "ok": true}`, odd},
		{"two answers", `{"ok": true} {"ok": false}`, odd},
		{"a day for until", `{"ok": true, "until": "2026-11-22"}`, odd},
		{"a list", `[{"ok": true}]`, odd},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := fakeGeneric(t, &clock{now: noon}, c.answer)
			all, _ := open(t, Service{Generic: &Generic{URL: e.URL + "/check", SecretFile: secretFile(t)}})
			got := all.Ticket(t.Context(), asks(dana, "OPS-1"))
			wantTicket(t, got, c.want)
			if c.name == "yes, with everything" && (!got.Until.Equal(noon.Add(30*time.Minute)) || got.Title != "Payments" || got.Link != "https://desk.test/OPS-1" || got.Why != "") {
				t.Errorf("%+v", got)
			}
		})
	}
}

func TestAWrongSecretAndAnOldQuestionAreRefused(t *testing.T) {
	e := fakeGeneric(t, &clock{now: noon}, `{"ok": true}`)
	all, _ := open(t, Service{Generic: &Generic{URL: e.URL, SecretFile: write(t, "s", "another-secret-0123456789-0123456789", 0o600)}})
	wantTicket(t, all.Ticket(t.Context(), asks(dana, "OPS-1")), "down: desk refused the credentials (401)")
	e = fakeGeneric(t, &clock{now: noon.Add(6 * time.Minute)}, `{"ok": true}`)
	all, _ = open(t, Service{Generic: &Generic{URL: e.URL, SecretFile: secretFile(t)}})
	wantTicket(t, all.Ticket(t.Context(), asks(dana, "OPS-1")), "down: desk refused the credentials (401)")
	all, _ = open(t, Service{Generic: &Generic{URL: e.URL, SecretFile: write(t, "s", "short", 0o600)}})
	wantTicket(t, all.Ticket(t.Context(), asks(dana, "OPS-1")), "down: desk cannot be asked: its secret is shorter than 32 characters")
}

func TestAMissingServiceIsNoMissingTicket(t *testing.T) {
	e := listen(t, says(asJSON, 404, `{"ok": false}`))
	all, _ := open(t, Service{Generic: &Generic{URL: e.URL, SecretFile: secretFile(t)}})
	wantTicket(t, all.Ticket(t.Context(), asks(dana, "OPS-1")), "down: desk answered 404; is its URL right?")
}

func TestAnAnswerForOneTimeIsNoneForAnother(t *testing.T) {
	e := listen(t, says(asJSON, 200, `{"ok": true}`))
	all, _ := open(t, Service{Generic: &Generic{URL: e.URL, SecretFile: secretFile(t)}})
	q := asks(dana, "OPS-1")
	for range 2 {
		all.Ticket(t.Context(), q)
	}
	q.To = q.To.Add(time.Hour)
	all.Ticket(t.Context(), q)
	if e.times() != 2 {
		t.Errorf("asked %d times", e.times())
	}
}

// TestTheSignatureIsTheOneOfTheDocs pins the format with a value that `printf … | openssl dgst -sha256 -hmac …` gave.
func TestTheSignatureIsTheOneOfTheDocs(t *testing.T) {
	got := hex.EncodeToString(signature("0123456789abcdef0123456789abcdef", "1795348800", []byte(`{"ticket":"OPS-1"}`)))
	if got != "5842db8cba7b389d6db148a60b4dc543461e04cd23f47e50a535732c4dc32c6f" {
		t.Error(got)
	}
}
