package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/b144f99b/orderflow/internal/service"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/rs/zerolog"
)

// authority signs certificates for a test.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	file string
}

// signed makes a certificate and its key, in files; of nil it is an authority's own.
func signed(t *testing.T, name string, by *authority) (a *authority, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, BasicConstraintsValid: true, IsCA: by == nil,
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	issuer, issuerKey := template, key
	if by != nil {
		issuer, issuerKey = by.cert, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, issuer, &key.PublicKey, issuerKey)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write := func(file, kind string, data []byte) string {
		path := filepath.Join(dir, file)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: data}), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	return &authority{cert, key, write("cert.pem", "CERTIFICATE", der)}, write("key.pem", "PRIVATE KEY", private)
}

// A server that wants a certificate and a key lets in who has both and trusts it, and nobody else.
func TestKeysAndCertificatesSayWhoConnects(t *testing.T) {
	ca, _ := signed(t, "authority", nil)
	stranger, _ := signed(t, "another authority", nil)
	serverCert, serverKey := signed(t, "nats", ca)
	clientCert, clientKey := signed(t, "order", ca)
	tlsConfig, err := server.GenTLSConfig(&server.TLSConfigOpts{CertFile: serverCert.file, KeyFile: serverKey, CaFile: ca.file, Verify: true})
	if err != nil {
		t.Fatal(err)
	}
	tlsConfig.MinVersion = tls.VersionTLS12
	seed, public := nkeyUser(t)
	otherSeed, _ := nkeyUser(t)
	s, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT, TLSConfig: tlsConfig, TLSVerify: true, TLSTimeout: 10,
		Nkeys: []*server.NkeyUser{{Nkey: public}}, NoSigs: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(patience) {
		t.Fatal("the server is not ready")
	}
	url := "nats://" + s.Addr().String()
	for name, c := range map[string]struct {
		settings settings
		says     string
	}{
		"all":               {settings{nkey: seed, ca: ca.file, certificate: clientCert.file, key: clientKey}, ""},
		"another's key":     {settings{nkey: otherSeed, ca: ca.file, certificate: clientCert.file, key: clientKey}, "does not accept the credentials"},
		"no key":            {settings{ca: ca.file, certificate: clientCert.file, key: clientKey}, "does not accept the credentials"},
		"no certificate":    {settings{nkey: seed, ca: ca.file}, "no NATS server can be reached"},
		"another authority": {settings{nkey: seed, ca: stranger.file, certificate: clientCert.file, key: clientKey}, "no NATS server can be reached"},
	} {
		c.settings.natsURL = url
		err := c.settings.reach(t.Context(), c.settings.dialExternal("order", zerolog.Nop()), 0, zerolog.Nop())
		if c.says == "" && err != nil || c.says != "" && (exitStatus(err) != exitNoServer || !strings.Contains(err.Error(), c.says)) {
			t.Errorf("%s: %v, want %q", name, err, c.says)
		}
	}
}

// A secret that is missing or damaged is named by its flag and its file.
func TestSecretsThatCannotBeUsed(t *testing.T) {
	seed, _ := nkeyUser(t)
	cert, key := signed(t, "order", nil)
	damaged := filepath.Join(t.TempDir(), "damaged")
	if err := os.WriteFile(damaged, []byte("SUnot a seed\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	missing, dir := filepath.Join(t.TempDir(), "missing"), t.TempDir()
	empty, loop := filepath.Join(dir, "empty"), filepath.Join(dir, "loop") // which root cannot read either
	if err := errors.Join(os.WriteFile(empty, []byte("\n"), 0o600), os.Symlink(loop, loop)); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		settings settings
		says     []string
	}{
		"no seed file":            {settings{nkey: missing}, []string{"--nats-nkey", missing, "no such file"}},
		"an empty seed":           {settings{nkey: empty}, []string{"--nats-nkey", empty, "does not hold the seed"}},
		"a seed beyond reach":     {settings{nkey: loop}, []string{"--nats-nkey", loop, "too many levels of symbolic links"}},
		"a directory as the seed": {settings{nkey: dir}, []string{"--nats-nkey", dir, "is a directory"}},
		"a damaged seed":          {settings{nkey: damaged}, []string{"--nats-nkey", damaged, "does not hold the seed"}},
		"seed and credentials":    {settings{nkey: seed, credentials: damaged}, []string{"--nats-nkey and --nats-creds"}},
		"no credentials file":     {settings{credentials: missing}, []string{"--nats-creds", missing, "no such file"}},
		"empty credentials":       {settings{credentials: empty}, []string{"--nats-creds", empty, "does not hold the credentials"}},
		"no authorities":          {settings{ca: missing}, []string{"--nats-ca", missing, "no such file"}},
		"empty authorities":       {settings{ca: empty}, []string{"--nats-ca", empty, "has no certificate"}},
		"damaged authorities":     {settings{ca: damaged}, []string{"--nats-ca", damaged, "has no certificate"}},
		"a certificate alone":     {settings{certificate: cert.file}, []string{"--nats-cert and --nats-key belong together"}},
		"a key alone":             {settings{key: key}, []string{"--nats-cert and --nats-key belong together"}},
		"a damaged certificate":   {settings{certificate: damaged, key: key}, []string{"--nats-cert"}},
		"no webhook secret file":  {settings{secretFile: missing}, []string{"--webhook-secret-file", missing, "no such file"}},
		"a secret beyond reach":   {settings{secretFile: loop}, []string{"--webhook-secret-file", loop, "too many levels of symbolic links"}},
		"an empty webhook secret": {settings{secretFile: empty}, []string{"--webhook-secret-file", empty, "is empty; it must hold the secret"}},
	} {
		c.settings.natsURL = "nats://127.0.0.1:1"
		err := c.settings.readSecret()
		if err == nil {
			err = c.settings.reach(t.Context(), c.settings.dialExternal("order", zerolog.Nop()), time.Hour, zerolog.Nop())
		}
		if exitStatus(err) != service.ExitUsage {
			t.Errorf("%s: %v, want a usage error", name, err)
			continue
		}
		for _, want := range c.says {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v, want …%s…", name, err, want)
			}
		}
	}
}
