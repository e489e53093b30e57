package world

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strings"
)

// Source makes ids and secrets from a seed, the same ones for the same seed. They are as hard to guess as the seed.
type Source struct {
	seed  uint64
	drawn map[string]uint64
}

// NewSource returns the source of a seed.
func NewSource(seed uint64) *Source { return &Source{seed, map[string]uint64{}} }

// Bytes returns n bytes, at most 32, that belong to the words for ever.
func (s *Source) Bytes(n int, words ...string) []byte {
	text := binary.BigEndian.AppendUint64(nil, s.seed)
	for _, w := range words {
		text = append(binary.BigEndian.AppendUint64(text, uint64(len(w))), w...)
	}
	sum := sha256.Sum256(text)
	return sum[:n]
}

// draw returns n bytes, others each time, as one goes on drawing of a kind.
func (s *Source) draw(n int, kind string) []byte {
	s.drawn[kind]++
	return s.Bytes(n, kind, fmt.Sprint(s.drawn[kind]))
}

// UUID draws an id of the form that AWS gives to requests, users and groups.
func (s *Source) UUID(kind string) string {
	h := hex.EncodeToString(s.draw(16, kind))
	return fmt.Sprintf("%s-%s-%s-%s-%s", h[:8], h[8:12], h[12:16], h[16:20], h[20:])
}

// Hex draws n hexadecimal digits, at most 64.
func (s *Source) Hex(n int, kind string) string {
	return hex.EncodeToString(s.draw(32, kind))[:n]
}

// Digits draws n decimal digits, at most 32, of which the first is not 0.
func (s *Source) Digits(n int, kind string) string {
	b := s.draw(n, kind)
	for i := range b {
		b[i] = '0' + b[i]%10
	}
	if b[0] == '0' {
		b[0] = '9'
	}
	return string(b)
}

// Secret draws 43 characters of base64url.
func (s *Source) Secret(kind string) string {
	return base64.RawURLEncoding.EncodeToString(s.draw(32, kind))
}

// KeyID makes an access key's or a principal's unique id: the prefix and letters and digits, twenty in all.
func KeyID(prefix string, random []byte) string {
	return prefix + strings.TrimRight(base32.StdEncoding.EncodeToString(random), "=")[:20-len(prefix)]
}

// KeyID draws a unique id with the prefix.
func (s *Source) KeyID(prefix string) string { return KeyID(prefix, s.draw(20, prefix)) }
