package rules

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"sparekey/audit"
)

var (
	amy   = audit.Actor{Kind: audit.APerson, ID: "id-amy", Name: "amy", Key: "k"}
	lee   = audit.Actor{Kind: audit.APerson, ID: "id-lee", Name: "lee"}
	now0  = time.Date(2026, 11, 22, 3, 0, 0, 0, time.UTC)
	wider = Effect{Latent: []string{"it may"}}
)

func proposal(t testing.TB, e Effect) Proposal {
	t.Helper()
	p, err := Propose("rules-1", []File{{"a.yaml", []byte("x")}}, &Book{digest: "sha256:new"}, "sha256:old", e, false, amy, now0)
	if err != nil {
		t.Fatal(err)
	}
	return p.Proposal
}

func TestAWideningTakesASecondPerson(t *testing.T) {
	renamed := amy
	renamed.Name, renamed.Key = "amy2", "other"
	for name, c := range map[string]struct {
		effect  Effect
		by      audit.Actor
		inForce string
		want    error
	}{
		"somebody else":                   {wider, lee, "sha256:old", nil},
		"the same person":                 {wider, amy, "sha256:old", ErrSecond},
		"the same person by another name": {wider, renamed, "sha256:old", ErrSecond},
		"nobody gains":                    {Effect{}, amy, "sha256:old", nil},
		"other rules in force":            {wider, lee, "sha256:other", ErrStale},
		"other rules, and nobody gains":   {Effect{}, amy, "sha256:other", ErrStale},
		"no rules in force":               {wider, lee, "", ErrStale},
	} {
		p, err := proposal(t, c.effect).Activate(c.by, c.inForce, now0)
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
		if c.want == nil && (p.State != StateInForce || p.ActivatedBy.ID != c.by.ID || p.ActivatedBy.Key != "" || p.Event.Kind != "rules.activated" || p.Event.Before.Version != 1 || p.Event.After.Version != 2) {
			t.Errorf("%s: %+v", name, p)
		}
	}
}

// TestEveryStepIsInTheTable takes arbitrary commands: what the table does not know changes nothing, and what is over stays so.
func TestEveryStepIsInTheTable(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, err := Propose("rules-1", nil, &Book{}, "", Effect{}, false, amy, now0)
		if err != nil {
			t.Fatal(err)
		}
		for range rapid.IntRange(1, 6).Draw(t, "steps") {
			c := rapid.SampledFrom([]command{activate, reject, supersede, replace}).Draw(t, "command")
			var next Turn
			switch c {
			case activate:
				next, err = p.Activate(lee, "", now0)
			case reject:
				next, err = p.Reject(lee, "no", now0)
			case supersede:
				next, err = p.Supersede(lee, "late", now0)
			default:
				next, err = p.Replace(lee, "other", now0)
			}
			step, known := activation[p.State][c]
			switch {
			case !known && !errors.Is(err, ErrClosed):
				t.Fatalf("%s in %s: %v", c, p.State, err)
			case known && (err != nil || next.State != step.to || next.Event.Kind != step.event || next.Version != p.Version+1 || next.Event.Before.Digest != p.Event.After.Digest):
				t.Fatalf("%s in %s: %+v, %v", c, p.State, next, err)
			case known:
				p = next
			}
		}
	})
	for state, row := range activation {
		if over := slices.Contains([]State{StateReplaced, StateRejected, StateSuperseded}, state); over != (len(row) == 0) {
			t.Errorf("%s leads on: %v", state, row)
		}
	}
}

func TestTheDigestOfFilesIsOfNamesAndTexts(t *testing.T) {
	digest := func(files ...File) string {
		d, err := FilesDigest(files)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	a, b := File{"a", []byte("1")}, File{"b", []byte("2")}
	if digest(a, b) != digest(b, a) {
		t.Error("the order counts")
	}
	all := []string{digest(), digest(a), digest(b), digest(a, b), digest(File{"a", []byte("2")}), digest(File{"a", []byte("1\n")})}
	if slices.Sort(all); len(slices.Compact(all)) != 6 {
		t.Errorf("two are alike: %v", all)
	}
}

func TestFilesThatAreTooMuchAreRefused(t *testing.T) {
	many := make([]File, MostFiles+1)
	for i := range many {
		many[i].Name = strings.Repeat("a", i%150+1) + string(rune('a'+i/150))
	}
	for name, c := range map[string]struct {
		files []File
		want  string
	}{
		"none":     {nil, "there are no files"},
		"many":     {many, "501 files"},
		"large":    {[]File{{"a", make([]byte, MostBytes)}, {"b", []byte("x")}}, "1048577 bytes"},
		"twice":    {[]File{{"a", nil}, {"a", nil}}, "twice"},
		"no name":  {[]File{{}}, "not the name"},
		"above":    {[]File{{"../a", nil}}, "not the name"},
		"absolute": {[]File{{"/a", nil}}, "not the name"},
		"unclean":  {[]File{{"a//b", nil}}, "not the name"},
		"control":  {[]File{{"a\x1b[1m", nil}}, "not the name"},
		"windows":  {[]File{{`a\b`, nil}}, "not the name"},
		"long":     {[]File{{strings.Repeat("a", 201), nil}}, "not the name"},
	} {
		if err := CheckFiles(c.files); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := CheckFiles([]File{{"prod/payments.yaml", make([]byte, MostBytes)}, {"b.yml", nil}}); err != nil {
		t.Error(err)
	}
}
