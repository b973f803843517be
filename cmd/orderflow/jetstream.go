package main

import (
	"github.com/b144f99b/orderflow/internal/service"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/prometheus/client_golang/prometheus"
)

// What each NATS server says of its streams. Every server is asked, because replicas may differ, and because one
// whose disk has damaged something calls itself healthy.
var (
	jsServers  = service.Gauge("jetstream_servers", "NATS servers that answered.")
	jsKnown    = service.Gauge("jetstream_servers_known", "NATS servers that are to answer: those of the cluster, also while they are away.")
	jsStorage  = service.Gauge("jetstream_server_storage_bytes", "What a server's streams take on its disk.", "server")
	jsMost     = service.Gauge("jetstream_server_storage_limit_bytes", "What they may take.", "server")
	jsMessages = service.Gauge("jetstream_stream_messages", "Messages that a server has of a stream.", "server", "account", "stream")
	jsFirst    = service.Gauge("jetstream_stream_first_sequence", "Sequence of the first message that a server has of a stream.", "server", "account", "stream")
	jsLast     = service.Gauge("jetstream_stream_last_sequence", "Sequence of the last message that a server has, or had, of a stream.", "server", "account", "stream")
	jsBytes    = service.Gauge("jetstream_stream_bytes", "What a stream takes on a server.", "server", "account", "stream")
	jsLimit    = service.Gauge("jetstream_stream_limit_bytes", "What it may take, where it has a limit.", "server", "account", "stream")
	jsLeads    = service.Gauge("jetstream_stream_leader", "1 where the server leads the stream.", "server", "account", "stream")
	jsOffline  = service.Gauge("jetstream_replica_offline", "1 when a stream's leader does not hear of a replica.", "server", "account", "stream", "replica")
	jsBackup   = service.Gauge("backup_completed_timestamp_seconds", "When the last backup was completed; 0 when none ever was.", "account")
	jsLag      = service.Gauge("jetstream_replica_lag", "Operations that a replica is behind a stream's leader.", "server", "account", "stream", "replica")
)

// jetstreamOptions asks a server for all of it.
var jetstreamOptions = server.JSzOptions{Accounts: true, Streams: true, Config: true}

// serverReport is what one server says.
type serverReport struct {
	name string
	info *server.JSInfo
}

// jetstreamFigures are the metrics of what the servers say.
func jetstreamFigures(reports []serverReport) []prometheus.Metric {
	known := 1                      // a server alone
	backups := map[string]float64{} // by account: each server says it of its replica
	all := []prometheus.Metric{jsServers(float64(len(reports)))}
	for _, r := range reports {
		if r.info.Meta != nil {
			known = max(known, r.info.Meta.Size)
		}
		all = append(all, jsStorage(float64(r.info.Store), r.name))
		if most := r.info.Config.MaxStore; most > 0 {
			all = append(all, jsMost(float64(most), r.name))
		}
		for _, account := range r.info.AccountDetails {
			for _, stream := range account.Streams {
				all = append(all, streamFigures(r.name, account.Name, stream)...)
				if stream.Name == notedStream {
					backups[account.Name] = max(backups[account.Name], noted(stream))
				}
			}
		}
	}
	for account, at := range backups {
		all = append(all, jsBackup(at, account))
	}
	return append(all, jsKnown(float64(known)))
}

// noted is when the last backup was noted, in seconds since 1970.
func noted(s server.StreamDetail) float64 {
	if s.State.Msgs == 0 || s.State.LastTime.IsZero() {
		return 0
	}
	return float64(s.State.LastTime.UnixMilli()) / 1000
}

func streamFigures(name, account string, s server.StreamDetail) []prometheus.Metric {
	leads := 1.0 // a server alone
	if s.Cluster != nil && s.Cluster.Leader != name {
		leads = 0
	}
	all := []prometheus.Metric{
		jsMessages(float64(s.State.Msgs), name, account, s.Name), jsFirst(float64(s.State.FirstSeq), name, account, s.Name),
		jsLast(float64(s.State.LastSeq), name, account, s.Name), jsBytes(float64(s.State.Bytes), name, account, s.Name),
		jsLeads(leads, name, account, s.Name),
	}
	if s.Config != nil && s.Config.MaxBytes > 0 {
		all = append(all, jsLimit(float64(s.Config.MaxBytes), name, account, s.Name))
	}
	if s.Cluster == nil || leads == 0 { // what others say of replicas may be old; for a moment two may say that they lead
		return all
	}
	for _, peer := range s.Cluster.Replicas {
		offline := 0.0
		if peer.Offline {
			offline = 1
		}
		all = append(all, jsOffline(offline, name, account, s.Name, peer.Name), jsLag(float64(peer.Lag), name, account, s.Name, peer.Name))
	}
	return all
}
