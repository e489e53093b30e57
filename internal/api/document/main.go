// Command document writes the API's OpenAPI document, from which the client is generated. It is a program of its own because
// the tests that compare the document need the client.
package main

import (
	"fmt"
	"log/slog"
	"os"

	"sparekey/internal/api"
	"sparekey/internal/broker"
)

func main() {
	text, err := api.New(&broker.Broker{}, nil, slog.New(slog.DiscardHandler), "dev").Document()
	if err == nil {
		err = os.WriteFile(os.Args[1], text, 0o644)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "document:", err)
		os.Exit(1)
	}
}
