package main

import (
	"errors"
	"os"

	"github.com/nats-io/jsm.go/natscontext"
	"github.com/nats-io/nats.go"
	"github.com/spf13/pflag"
)

// variableContext is the nats CLI's own.
const variableContext = "NATS_CONTEXT"

// server is where the server of the settings is, and how it is connected to. Where
// no URL is given it is that of a context of the nats CLI: the one that --context or
// NATS_CONTEXT names, or the one that "nats context select" has selected. A context that
// cannot be used is a usage error; one that nobody has is none.
func (s *settings) server() (url string, opts []nats.Option, err error) {
	name := s.context
	if name != "" && s.natsURL != "" {
		return "", nil, usageError("--nats-url and --context both say where the server is; give one of them")
	}
	if name == "" && s.natsURL == "" {
		if name = os.Getenv(variableContext); name == "" {
			name = natscontext.SelectedContext()
		}
	}
	if name == "" {
		url = s.natsURL
		if url == "" {
			url = defaultNATSURL
		}
		if s.credentials != "" {
			opts = append(opts, nats.UserCredentials(s.credentials))
		}
		identity, err := s.identity()
		return url, append(opts, identity...), err
	}
	if s.nkey != "" || s.ca != "" || s.certificate != "" || s.key != "" {
		return "", nil, usageError("the NATS context %q says who connects and whom it trusts; --nats-nkey, --nats-ca, --nats-cert and --nats-key are for --nats-url", name)
	}
	c, err := natscontext.New(name, true, natscontext.WithCreds(s.credentials))
	switch {
	case errors.Is(err, natscontext.ErrNotFound):
		return "", nil, usageError("there is no NATS context %q; \"nats context ls\" shows those that there are", name)
	case err != nil:
		return "", nil, usageError("the NATS context %q: %w", name, err)
	case c.JSDomain() != "" || c.JSAPIPrefix() != "":
		return "", nil, usageError("the NATS context %q names a JetStream domain or API prefix; orderflow asks the JetStream of the server that it is connected to, so use a context of a server in that domain", name)
	case s.credentials != "" && c.User() != "":
		return "", nil, usageError("the NATS context %q has a user of its own, and --nats-creds names another one; give one of them", name)
	}
	if opts, err = c.NATSOptions(); err != nil {
		return "", nil, usageError("the NATS context %q: %w", name, err)
	}
	return c.ServerURL(), opts, nil
}

// serverOf reads back what [settings.addServer] has registered.
func serverOf(f *pflag.FlagSet) (s settings) {
	s.natsURL, _ = f.GetString("nats-url")
	s.context, _ = f.GetString("context")
	s.credentials, _ = f.GetString("nats-creds")
	s.nkey, _ = f.GetString("nats-nkey")
	s.ca, _ = f.GetString("nats-ca")
	s.certificate, _ = f.GetString("nats-cert")
	s.key, _ = f.GetString("nats-key")
	return s
}
