package main

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"
)

// identity is who connects by a key or a certificate, and whose server is trusted. Every file is
// read and checked here, so that one that is missing or damaged is a sentence and not a
// server that does not accept somebody.
func (s *settings) identity() (opts []nats.Option, err error) {
	if s.nkey != "" && s.credentials != "" {
		return nil, usageError("--nats-nkey and --nats-creds both say who connects; give one of them")
	}
	if s.credentials != "" {
		if err := checkCredentials(s.credentials); err != nil {
			return nil, err
		}
	}
	if s.nkey != "" {
		opt, err := nats.NkeyOptionFromSeed(s.nkey)
		switch {
		case err != nil && strings.Contains(err.Error(), s.nkey):
			return nil, usageError("--nats-nkey: %w", err)
		case err != nil:
			return nil, usageError("--nats-nkey: %s does not hold the seed of a user's key: %w", s.nkey, err)
		}
		opts = append(opts, opt)
	}
	if s.ca != "" {
		if err := checkAuthorities(s.ca); err != nil {
			return nil, err
		}
		opts = append(opts, nats.RootCAs(s.ca))
	}
	if (s.certificate == "") != (s.key == "") {
		return nil, usageError("--nats-cert and --nats-key belong together; give both")
	}
	if s.certificate != "" {
		if _, err := tls.LoadX509KeyPair(s.certificate, s.key); err != nil {
			return nil, usageError("--nats-cert and --nats-key: %w", err)
		}
		opts = append(opts, nats.ClientCert(s.certificate, s.key))
	}
	return opts, nil
}

// checkCredentials refuses a file without the key that a user's credentials end with.
func checkCredentials(file string) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return usageError("--nats-creds: %w", err)
	}
	if _, err := nkeys.ParseDecoratedNKey(data); err != nil {
		return usageError("--nats-creds: %s does not hold the credentials of a NATS user: %w", file, err)
	}
	return nil
}

// checkAuthorities refuses a file without a certificate in it.
func checkAuthorities(file string) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return usageError("--nats-ca: %w", err)
	}
	if !x509.NewCertPool().AppendCertsFromPEM(data) {
		return usageError("--nats-ca: %s has no certificate in PEM", file)
	}
	return nil
}
