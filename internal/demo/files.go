package demo

import "embed"

// Organization describes the demo's organization.
//
//go:embed organization.yaml
var Organization []byte

// Rules are the example rules, which the demo lives by.
//
//go:embed rules/*.yaml
var Rules embed.FS
