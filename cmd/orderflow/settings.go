package main

import (
	"bytes"
	"io"
	"net"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/b144f99b/orderflow/internal/service"
	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/services/gateway/signin"
	"github.com/b144f99b/orderflow/services/saga"
	"github.com/b144f99b/orderflow/services/saga/fulfilment"
	"github.com/rs/zerolog"
	"github.com/spf13/pflag"
)

const (
	defaultNATS      = "127.0.0.1:4222"
	defaultNATSURL   = "nats://" + defaultNATS
	defaultHTTP      = "127.0.0.1:8080"
	defaultData      = "./data"
	defaultEventsMax = int64(1) << 30
)

// settings are all flags of the process, and what was found out from them. A
// command registers the groups that it understands.
type settings struct {
	natsURL     string
	context     string // of the nats CLI
	credentials string // file
	nkey        string // file with the seed of the user's key
	ca          string // file with the authorities that the server's certificate may be from
	certificate string // file of the client's, with its key in the next one
	key         string
	http        string
	metrics     string   // HOST:PORT of theirs; empty: see [settings.listenWeb]
	hosts       []string // by which the HTTP server is asked, besides loopback names
	signIn      signin.Config
	logLevel    string
	replicas    int

	withoutSignIn bool // although others than this machine reach the HTTP API
	eventsMax     int64

	data        string // directory of the projector's database and the partners' ledger
	databaseURL string // of the projector's PostgreSQL database; empty: SQLite in data
	psp         partner
	carrier     partner
	webhooks    string // HOST:PORT on which a service takes its partner's webhooks
	secretFile  string
	lease       time.Duration
	policyFile  string // of sagas
	policies    []fulfilment.Policy

	partnersListen  string
	paymentWebhook  string // URL
	shippingWebhook string // URL
	faultSeed       uint64

	// What "up" prepares for its services; without it they listen by themselves.
	listeners map[string]net.Listener
	secret    []byte
	owner     string // of leases; see [service.Env]
}

func (s *settings) addLog(f *pflag.FlagSet) {
	f.StringVar(&s.logLevel, "log-level", "info", "least `LEVEL` that is logged: debug, info, warn or error")
}

func (s *settings) addHosts(f *pflag.FlagSet) {
	f.StringSliceVar(&s.hosts, "http-host", nil, "`NAME` by which a proxy on this machine asks a loopback --http, besides localhost; may be given several times")
}

// checkHosts refuses what no request could name.
func (s *settings) checkHosts() error {
	for _, host := range s.hosts {
		if host == "" || strings.ContainsAny(host, ":/ ") {
			return usageError("--http-host is %q; it must be a name, without scheme and port", host)
		}
	}
	return nil
}

func (s *settings) addServer(f *pflag.FlagSet) {
	f.StringVar(&s.natsURL, "nats-url", "", "`URL` of the NATS server, or several separated by commas (default that of the context, or "+defaultNATSURL+")")
	f.StringVar(&s.context, "context", "", "`NAME` of a context of the nats CLI that says where the server is and who connects (default $"+variableContext+", or the selected one)")
	insteadOf(f, "nats-url", "context")
	f.StringVar(&s.credentials, "nats-creds", "", "`FILE` with the NATS user's credentials")
	s.addIdentity(f)
}

// addIdentity adds what says who connects, and to whom, besides credentials.
func (s *settings) addIdentity(f *pflag.FlagSet) {
	f.StringVar(&s.nkey, "nats-nkey", "", "`FILE` with the seed of the NATS user's key, as \"orderflow keys\" makes it")
	f.StringVar(&s.ca, "nats-ca", "", "`FILE` with the certificates of those who may have signed the NATS server's; with it the connection must be encrypted")
	f.StringVar(&s.certificate, "nats-cert", "", "`FILE` with the client's certificate, for a NATS server that asks for one")
	f.StringVar(&s.key, "nats-key", "", "`FILE` with the private key of --nats-cert")
	insteadOf(f, "nats-nkey", "nats-creds")
}

func (s *settings) addStore(f *pflag.FlagSet) {
	f.IntVar(&s.replicas, "replicas", 1, "copies of every stream: 1, or 3 or 5 on a cluster of as many servers")
	f.Int64Var(&s.eventsMax, "events-max-bytes", defaultEventsMax, "`BYTES` that the event stream may hold; a full one refuses commands until this is raised")
}

// checkStore refuses what no server can keep.
func (s *settings) checkStore() error {
	switch {
	case s.replicas != 1 && s.replicas != 3 && s.replicas != 5:
		return usageError("--replicas is %d; it must be 1, 3 or 5", s.replicas)
	case s.eventsMax < 1:
		return usageError("--events-max-bytes is %d; it must be at least 1", s.eventsMax)
	}
	return nil
}

func (s *settings) addData(f *pflag.FlagSet) {
	f.StringVar(&s.data, "data", defaultData, "keep what is stored beside the events in `DIR`")
}

func (s *settings) addDatabase(f *pflag.FlagSet) {
	f.StringVar(&s.databaseURL, "database-url", "", "`URL` of a PostgreSQL database for the read models, which several projectors may share, instead of SQLite in --data; a password is better kept in the file that $PGPASSFILE names")
}

func (s *settings) addLease(f *pflag.FlagSet) {
	f.DurationVar(&s.lease, "lease", 20*time.Second, "how long a silent instance keeps its subscriptions before another one takes them over")
}

func (s *settings) addPolicies(f *pflag.FlagSet) {
	f.StringVar(&s.policyFile, "policies", "", "`FILE` with deadlines and retries of sagas, as docs/saga.md says; without it the built-in ones hold")
}

// readPolicies reads the policies of sagas, if there is a file of them.
func (s *settings) readPolicies() (err error) {
	if s.policyFile == "" {
		return nil
	}
	if s.policies, err = saga.ReadPolicies(s.policyFile); err != nil {
		return usageError("--policies: %w", err)
	}
	return nil
}

// webhooksOf is where a service takes its partner's webhooks.
func (s *settings) webhooksOf(name string) service.WebhookConfig {
	return service.WebhookConfig{Listen: s.webhooks, Listener: s.listeners[name], Secret: s.secret}
}

func (s *settings) addSecret(f *pflag.FlagSet) {
	f.StringVar(&s.secretFile, "webhook-secret-file", "", "`FILE` with the secret that signs the partners' webhooks; without it they are refused")
}

// readSecret reads the secret that partners sign with, if there is one.
func (s *settings) readSecret() error {
	if s.secretFile == "" {
		return nil
	}
	secret, err := os.ReadFile(s.secretFile)
	if err != nil {
		return usageError("--webhook-secret-file: %w", err)
	}
	if s.secret = bytes.TrimSpace(secret); len(s.secret) == 0 {
		return usageError("--webhook-secret-file: %s is empty; it must hold the secret that signs the partners' webhooks, as \"orderflow keys\" makes it", s.secretFile)
	}
	return nil
}

// partner is another company's API.
type partner struct {
	name    string // of its flags
	url     string
	keyFile string
	key     string // from the file
}

// add adds the flags of a partner, of whom what says more.
func (p *partner) add(f *pflag.FlagSet, name, path, what string) {
	p.name = name
	f.StringVar(&p.url, name+"-url", "http://"+defaultPartners+path, "`URL` of "+what+"'s API, without a user or a password")
	f.StringVar(&p.keyFile, name+"-key-file", "", "`FILE` with the key that "+what+" knows us by, which each call carries as \"Authorization: Bearer\"; without it they carry none")
}

// read reads the partner's key, if there is one, and refuses one in the URL: traces and logs show that.
func (p *partner) read() error {
	if u, err := url.Parse(p.url); err == nil && u.User != nil {
		return usageError("--%s-url has a user or a password, which traces would show; leave them out, and give the key in the file that --%s-key-file names", p.name, p.name)
	}
	if p.keyFile == "" {
		return nil
	}
	key, err := os.ReadFile(p.keyFile)
	if err != nil {
		return usageError("--%s-key-file: %w", p.name, err)
	}
	p.key = string(bytes.TrimSpace(key))
	if p.key == "" || strings.ContainsFunc(p.key, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return usageError("--%s-key-file: %s must hold one key, of printable ASCII without blanks", p.name, p.keyFile)
	}
	return nil
}

func (p *partner) config() service.PartnerConfig {
	return service.PartnerConfig{URL: p.url, Key: p.key}
}

func addWait(f *pflag.FlagSet, wait *time.Duration) {
	f.DurationVar(wait, "wait", 30*time.Second, "how long to wait for a NATS server that is not there yet")
}

func (s *settings) store() esjs.Config {
	return esjs.Config{Replicas: s.replicas, MaxBytes: s.eventsMax}
}

func (s *settings) logger(w io.Writer) (zerolog.Logger, error) {
	level, err := zerolog.ParseLevel(s.logLevel)
	if err != nil || level < zerolog.DebugLevel || level > zerolog.ErrorLevel {
		return zerolog.Nop(), usageError("--log-level is %q; it must be debug, info, warn or error", s.logLevel)
	}
	return service.NewLogger(w, level), nil
}
