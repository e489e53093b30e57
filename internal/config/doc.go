// Package config reads Sparekey's configuration, strictly.
//
// The configuration is one YAML file and a folder of rules. Whatever is wrong with either is said with its file, line and
// column, all at once, before anything is opened. Secrets are not part of it: it names the files that hold them.
package config
