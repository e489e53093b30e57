package place

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
)

// Keys are Ed25519, in PEM files as OpenSSL reads and writes them: PKCS #8 and SubjectPublicKeyInfo.

// NewKey writes a private key, which only its owner can read, and its public key, both to files that are not there yet.
func NewKey(random ed25519.PrivateKey, private, public string) error {
	secret, err := x509.MarshalPKCS8PrivateKey(random)
	if err != nil {
		return err
	}
	open, err := x509.MarshalPKIXPublicKey(random.Public())
	if err != nil {
		return err
	}
	if err := write(private, "PRIVATE KEY", secret, 0o600); err != nil {
		return err
	}
	return write(public, "PUBLIC KEY", open, 0o644)
}

func write(name, kind string, der []byte, mode os.FileMode) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return fmt.Errorf("writing a key: %w", err)
	}
	return errors.Join(pem.Encode(f, &pem.Block{Type: kind, Bytes: der}), f.Sync(), f.Close())
}

// PrivateKey reads a private key. A file that others can read is refused.
func PrivateKey(name string) (ed25519.PrivateKey, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, fmt.Errorf("reading the ledger's key: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("others than its owner may read the key in %s; chmod 600 mends it", name)
	}
	der, err := read(name, "PRIVATE KEY")
	if err != nil {
		return nil, err
	}
	if key, err := x509.ParsePKCS8PrivateKey(der); err == nil {
		if k, ok := key.(ed25519.PrivateKey); ok {
			return k, nil
		}
	}
	return nil, fmt.Errorf("%s holds no Ed25519 key; `sparekey ledger key` makes one", name)
}

// PublicKey reads a public key.
func PublicKey(name string) (ed25519.PublicKey, error) {
	der, err := read(name, "PUBLIC KEY")
	if err != nil {
		return nil, err
	}
	if key, err := x509.ParsePKIXPublicKey(der); err == nil {
		if k, ok := key.(ed25519.PublicKey); ok {
			return k, nil
		}
	}
	return nil, fmt.Errorf("%s holds no Ed25519 key; `sparekey ledger key` makes one", name)
}

func read(name, kind string) ([]byte, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("reading the ledger's key: %w", err)
	}
	block, _ := pem.Decode(text)
	if block == nil || block.Type != kind {
		return nil, fmt.Errorf("%s is no PEM file with a %s", name, kind)
	}
	return block.Bytes, nil
}
