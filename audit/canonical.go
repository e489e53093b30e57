package audit

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"github.com/go-json-experiment/json/jsontext"
)

// Canonical returns the one JSON text of v: keys sorted, no blanks, shortest numbers (RFC 8785). Doubled keys and invalid
// UTF-8 are errors.
func Canonical(v any) ([]byte, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("encoding: %w", err)
	}
	value := jsontext.Value(text)
	if err := value.Canonicalize(); err != nil {
		return nil, fmt.Errorf("canonicalizing: %w", err)
	}
	return value, nil
}

// Digest returns "sha256:" and the hexadecimal SHA-256 of v's canonical form.
func Digest(v any) (string, error) {
	text, err := Canonical(v)
	if err != nil {
		return "", err
	}
	return DigestOf(text), nil
}

// DigestOf returns "sha256:" and the hexadecimal SHA-256 of text.
func DigestOf(text []byte) string {
	sum := sha256.Sum256(text)
	return "sha256:" + hex.EncodeToString(sum[:])
}
