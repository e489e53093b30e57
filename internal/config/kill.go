package config

import (
	"regexp"

	"sparekey/access"
	"sparekey/internal/awsconn"
	"sparekey/strict"
)

// Kill names the service control policy that holds session kills, and a way into AWS of which nothing but that is asked.
type Kill struct {
	At          strict.Position
	Policy      strict.Word `yaml:"policy,required"` // its id
	Credentials Credentials `yaml:"credentials,required"`
	Size        int         `yaml:"size"`         // characters that a service control policy may have; 5120 by default
	EmergencyOU strict.Word `yaml:"emergency-ou"` // where the policy must not be in effect
}

var (
	policyID = regexp.MustCompile(`^p-[0-9a-zA-Z_]{8,128}$`)
	ouID     = regexp.MustCompile(`^ou-[0-9a-z]{4,32}-[a-z0-9]{8,32}$`)
)

func (k *Kill) check(say sayer) {
	k.Credentials.check(say)
	if !policyID.MatchString(k.Policy.Text) {
		say(k.Policy.At, "an id as in p-1234567890", "%q is not the id of a policy", k.Policy.Text)
	}
	if k.Size == 0 {
		k.Size = access.KillSize
	}
	if k.Size < access.KillLeast || k.Size > access.KillMost {
		say(k.At, "AWS takes 5120 characters, and more in some organizations", "size is %d", k.Size)
	}
	if k.EmergencyOU.Text != "" && !ouID.MatchString(k.EmergencyOU.Text) {
		say(k.EmergencyOU.At, "an id as in ou-ab12-11111111", "%q is not the id of an organizational unit", k.EmergencyOU.Text)
	}
}

// KillConnection returns the settings with which the policy of session kills is read and written; nil where there is none.
func (c *Config) KillConnection(container awsconn.Container) (*awsconn.Settings, error) {
	if c.Kill == nil {
		return nil, nil
	}
	s, err := c.connection(c.Kill.Credentials, container)
	return &s, err
}
