package esjs

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// MinServerVersion is the oldest server that the store works with: the first
// one in which atomic batches, message schedules and per-subject expectations
// behave as measured for this library.
const MinServerVersion = "2.15.0"

// streamConfig is what the store needs of its stream.
func streamConfig(cfg Config) jetstream.StreamConfig {
	compression := jetstream.NoCompression
	if cfg.Compress {
		compression = jetstream.S2Compression
	}
	return jetstream.StreamConfig{
		Name:               cfg.Stream,
		Description:        "esjs event store: one subject per aggregate, one message per commit",
		Subjects:           []string{cfg.Prefix + ".>"},
		Storage:            jetstream.FileStorage,
		Retention:          jetstream.LimitsPolicy,
		Discard:            jetstream.DiscardNew,
		Replicas:           cfg.Replicas,
		MaxBytes:           cfg.MaxBytes,
		Compression:        compression,
		MaxMsgs:            -1,
		MaxMsgsPerSubject:  -1,
		MaxMsgSize:         -1,
		DenyDelete:         true,
		DenyPurge:          true,
		AllowDirect:        true,
		AllowAtomicPublish: true,
	}
}

// Provision creates the store's stream, or sets its limits, as cfg says; of one that exists it leaves
// alone what cfg does not say. A limit on bytes that is below what is stored is refused with [ErrConfig], because
// the store would be full at once, and so is a store that has moved (see [Repartition]). Everything else that differs is refused as
// well, because changing it under stored events could lose them. So is another number
// of partitions than a store of that name has. The streams of several partitions are led by
// different servers after it, as far as the servers follow. It needs the
// right to create streams, which services do not need.
func Provision(ctx context.Context, dial Dial, cfg Config) error {
	return provision(ctx, dial, func(ctx context.Context, p provisioner) error {
		return provisionStore(ctx, p, cfg)
	})
}

const (
	// provisionWait bounds one attempt to provision. A cluster that elects a
	// leader meanwhile may never answer it.
	provisionWait  = 10 * time.Second
	provisionPause = time.Second
	// spreadAttempts are made to have a leader elsewhere, spreadPause apart.
	spreadAttempts = 8
	spreadPause    = 250 * time.Millisecond
	// A cluster that has just started, lost a server or elects its leader answers for a
	// moment that it has no peers to place a stream on, or is not available.
	codeNoPeers      = 10005
	codeNotAvailable = 10008
)

// provisioner is the connection that creates and changes streams.
type provisioner struct {
	*requester
	js jetstream.JetStream
}

// provision connects and calls once, again until ctx ends while the servers do not
// answer. once looks before it creates or changes anything: what an attempt has
// done whose answer was lost is there for the next one.
func provision(ctx context.Context, dial Dial, once func(context.Context, provisioner) error) error {
	nc, err := dial("provision")
	if err != nil {
		return fmt.Errorf("esjs: connect to provision: %w", err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		return err
	}
	if err := checkServer(nc); err != nil {
		return err
	}
	p := provisioner{newRequester(nc, func(bool) {}), js}
	for began := time.Now(); ; {
		at := time.Now()
		attempt, cancel := context.WithTimeout(ctx, provisionWait)
		err := once(attempt, p)
		silent := err != nil && attempt.Err() != nil
		cancel()
		denied := p.deniedSince(at)
		switch {
		case silent && denied != nil:
			return fmt.Errorf("esjs: provision: %w", denied)
		case silent && ctx.Err() == nil:
			began = time.Now() // what comes to pass after a silence has its own time
		case comesToPass(err) && time.Since(began) < followPatience && sleep(ctx, provisionPause):
		default:
			return err
		}
	}
}

// comesToPass tells refusals that pass: those of a cluster that is not whole yet, and
// that somebody has created meanwhile what was not there.
func comesToPass(err error) bool {
	var api *jetstream.APIError
	return errors.As(err, &api) && (api.ErrorCode == codeNoPeers || api.ErrorCode == codeNotAvailable) ||
		errors.Is(err, jetstream.ErrStreamNameAlreadyInUse)
}

func provisionStore(ctx context.Context, p provisioner, asked Config) error {
	cfg := asked.withDefaults()
	if err := cfg.check(); err != nil {
		return err
	}
	for i, part := range cfg.streams() {
		if err := provisionStream(ctx, p, asked, part, i); err != nil {
			return err
		}
	}
	return nil
}

// provisionStream creates or changes the stream of a partition, which cfg is of.
func provisionStream(ctx context.Context, p provisioner, asked, cfg Config, partition int) error {
	want := streamConfig(cfg)
	stream, err := p.findStream(ctx, cfg.Stream)
	switch {
	case errors.Is(err, jetstream.ErrStreamNotFound):
		created, err := p.js.CreateStream(ctx, want)
		if err != nil {
			return fmt.Errorf("esjs: create stream %s: %w", cfg.Stream, err)
		}
		if cfg.isPart {
			p.spread(ctx, created.CachedInfo(), partition)
		}
		return nil
	case err != nil:
		return err
	}
	have := stream.Config
	if err := asked.withDefaults().otherwise(have.Name, have.Subjects); err != nil {
		return err
	}
	if err := movedConfig(have); err != nil {
		return err
	}
	if diff := difference(have, want); len(diff) > 0 {
		return configError(cfg.Stream, diff)
	}
	if have.Compression == jetstream.S2Compression { // whoever turned it on
		want.Compression = have.Compression
	}
	if asked.Replicas == 0 {
		want.Replicas = have.Replicas
	}
	if asked.MaxBytes == 0 {
		want.MaxBytes = have.MaxBytes
	}
	if have.MaxBytes == want.MaxBytes && have.Replicas == want.Replicas && have.Compression == want.Compression {
		return nil
	}
	if stored := stream.State.Bytes; want.MaxBytes > 0 && stored > uint64(want.MaxBytes) {
		return fmt.Errorf("%w: stream %s: %d bytes are stored, which is more than the limit of %d", ErrConfig, cfg.Stream, stored, want.MaxBytes)
	}
	have.MaxBytes, have.Replicas, have.Compression = want.MaxBytes, want.Replicas, want.Compression
	if _, err := p.js.UpdateStream(ctx, have); err != nil {
		return fmt.Errorf("esjs: upgrade stream %s: %w", cfg.Stream, err)
	}
	return nil
}

// spread gives the streams of a store's partitions different leaders: every server then
// has its share of the appends. It is a wish, which a server that has just got its replica may not
// follow at once; and servers may move leaders at any time.
func (p provisioner) spread(ctx context.Context, created *jetstream.StreamInfo, partition int) {
	if created.Cluster == nil || len(created.Cluster.Replicas) == 0 {
		return
	}
	servers := []string{created.Cluster.Leader}
	for _, replica := range created.Cluster.Replicas {
		servers = append(servers, replica.Name)
	}
	slices.Sort(servers)
	wanted, leader := servers[partition%len(servers)], created.Cluster.Leader
	request := fmt.Appendf(nil, `{"placement":{"preferred":%q}}`, wanted)
	for range spreadAttempts {
		if leader == wanted {
			return
		}
		_, err := p.doWithin(ctx, &nats.Msg{Subject: "$JS.API.STREAM.LEADER.STEPDOWN." + created.Config.Name, Data: request}, provisionPause)
		if err != nil || !sleep(ctx, spreadPause) { // who may not ask has no answer
			return
		}
		if now, err := p.findStream(ctx, created.Config.Name); err == nil {
			leader = now.Cluster.Leader
		}
	}
}

// verify compares the store's streams with what it needs.
func verify(ctx context.Context, r *requester, cfg Config) ([]jetstream.StreamConfig, error) {
	if err := checkServer(r.nc); err != nil {
		return nil, err
	}
	var all []jetstream.StreamConfig
	for _, part := range cfg.streams() {
		have, err := verifyStream(ctx, r, cfg, part)
		if err != nil {
			return nil, err
		}
		all = append(all, have)
	}
	return all, nil
}

func verifyStream(ctx context.Context, r *requester, store, cfg Config) (have jetstream.StreamConfig, err error) {
	stream, err := r.findStream(ctx, cfg.Stream)
	switch {
	case errors.Is(err, jetstream.ErrStreamNotFound):
		return have, fmt.Errorf("%w: there is no stream %s; provision the store first", ErrConfig, cfg.Stream)
	case err != nil:
		return have, err
	}
	if err := store.otherwise(stream.Config.Name, stream.Config.Subjects); err != nil {
		return have, err
	}
	have = stream.Config
	if of := have.Metadata[metadataCopyOf]; of != "" && !store.copying {
		return have, fmt.Errorf("%w: stream %s is a copy of the store %s that is not complete: let Repartition finish it", ErrConfig, cfg.Stream, of)
	}
	want := streamConfig(cfg)
	if have.Metadata[metadataMovedTo] != "" {
		want.MaxMsgSize = fencedSize // it can be read
	}
	if diff := difference(have, want); len(diff) > 0 {
		return have, configError(cfg.Stream, diff)
	}
	return have, nil
}

// Check asks the store's servers whether the stream is there, and as [Open] wants it: a
// difference is an [ErrConfig], field by field, and so is that the store has moved. Other errors: what else [Open] refuses, that
// none can be reached, and that none of them answers for the stream for as long as ctx lasts.
func (s *Store) Check(ctx context.Context) error {
	if !s.general.nc.IsConnected() {
		return fmt.Errorf("esjs: no server can be reached: %w", nats.ErrDisconnected)
	}
	streams, err := verify(ctx, s.general, s.cfg)
	for _, have := range streams {
		err = errors.Join(err, movedConfig(have))
	}
	if isContextError(err) {
		return fmt.Errorf("esjs: no server answers for stream %s; it may have no leader: %w", s.cfg.Stream, context.DeadlineExceeded)
	}
	return err
}

// movedConfig is the [ErrConfig] of a stream that takes no more appends; see [Repartition].
func movedConfig(have jetstream.StreamConfig) error {
	if to := have.Metadata[metadataMovedTo]; to != "" {
		return fmt.Errorf("%w: the store %s has moved to %s: use that", ErrConfig, have.Name, to)
	}
	return nil
}

func checkServer(nc *nats.Conn) error {
	have := nc.ConnectedServerVersion()
	if compareVersions(have, MinServerVersion) < 0 {
		return fmt.Errorf("%w: %s has version %s; the store needs %s or newer",
			ErrServerTooOld, nc.ConnectedUrlRedacted(), have, MinServerVersion)
	}
	return nil
}

// compareVersions compares "2.15.0" with "2.9.25-beta.1" by their numbers.
func compareVersions(a, b string) int {
	var x, y [3]int
	_, _ = fmt.Sscanf(a, "%d.%d.%d", &x[0], &x[1], &x[2]) // what does not parse counts as 0: too old
	_, _ = fmt.Sscanf(b, "%d.%d.%d", &y[0], &y[1], &y[2])
	for i := range x {
		if x[i] != y[i] {
			return x[i] - y[i]
		}
	}
	return 0
}

// difference lists what keeps a stream from holding events safely. Limits on
// bytes and replicas are the operator's and are not compared.
func difference(have, want jetstream.StreamConfig) []string {
	var diff []string
	field := func(name string, have, want any) {
		if fmt.Sprint(have) != fmt.Sprint(want) {
			diff = append(diff, fmt.Sprintf("%s is %v, needed %v", name, have, want))
		}
	}
	field("subjects", have.Subjects, want.Subjects)
	field("storage", have.Storage, want.Storage)
	field("retention", have.Retention, want.Retention)
	field("discard", have.Discard, want.Discard)
	field("max_msgs", have.MaxMsgs, want.MaxMsgs)
	field("max_msgs_per_subject", have.MaxMsgsPerSubject, want.MaxMsgsPerSubject)
	field("max_msg_size", have.MaxMsgSize, want.MaxMsgSize)
	field("max_age", have.MaxAge, want.MaxAge)
	field("deny_delete", have.DenyDelete, want.DenyDelete)
	field("deny_purge", have.DenyPurge, want.DenyPurge)
	field("allow_rollup_hdrs", have.AllowRollup, want.AllowRollup)
	field("allow_direct", have.AllowDirect, want.AllowDirect)
	field("allow_atomic", have.AllowAtomicPublish, want.AllowAtomicPublish)
	field("allow_msg_ttl", have.AllowMsgTTL, want.AllowMsgTTL)
	field("allow_msg_schedules", have.AllowMsgSchedules, want.AllowMsgSchedules)
	field("persist_mode", have.PersistMode, want.PersistMode)
	field("sealed", have.Sealed, want.Sealed)
	field("no_ack", have.NoAck, want.NoAck)
	if have.Mirror != nil {
		diff = append(diff, "mirror is set, needed none: a mirror cannot be written")
	}
	return diff
}

func configError(stream string, diff []string) error {
	return fmt.Errorf("%w: stream %s: %s", ErrConfig, stream, strings.Join(diff, "; "))
}
