package api

import (
	"flag"
	"log/slog"
	"os"
	"testing"

	"sparekey/internal/broker"
)

var update = flag.Bool("update", false, "write the OpenAPI document anew")

func TestTheDocumentIsWhatTheOperationsSay(t *testing.T) {
	b, err := broker.New(broker.Parts{Random: neverEmpty{}})
	if err != nil {
		t.Fatal(err)
	}
	got, err := New(b, nil, slog.New(slog.DiscardHandler), "dev").Document()
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile("openapi.json", got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile("openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != string(want) {
		t.Error("openapi.json is not what the operations say; run make generate")
	}
}

type neverEmpty struct{}

func (neverEmpty) Read(p []byte) (int, error) { return len(p), nil }
