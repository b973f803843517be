package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/b144f99b/orderflow/internal/service"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"
	"github.com/spf13/cobra"
)

const (
	// monitorEvery is how often the servers are asked, and lastAnswer how long one may take after the one before it.
	monitorEvery = 10 * time.Second
	lastAnswer   = 2 * time.Second
	// monitored is what the monitor's readiness depends on.
	monitored = "answers of NATS servers"
	// jetstreamRequest asks every server for its streams.
	jetstreamRequest = "$SYS.REQ.SERVER.PING.JSZ"
)

func newMonitor() *cobra.Command {
	s := &settings{}
	var wait time.Duration
	cmd := &cobra.Command{
		Use:   "monitor",
		Short: "Tell Prometheus what every NATS server says of its streams",
		Long: `Tell Prometheus what every NATS server says of its streams: messages, bytes and limits,
leaders and replicas.

It asks all servers every 10 s, as a user of their system account: --nats-nkey is the
key of "monitor". Its HTTP server answers /livez, /readyz (whether a server answered) and,
unless --metrics says otherwise, /metrics. "orderflow up" tells it of its own server.

` + startHelp(),
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			log, err := s.logger(cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			if err := s.checkHosts(); err != nil {
				return err
			}
			return unlessStopped(cmd.Context(), runMonitor(cmd.Context(), s, wait, log.With().Str("service", userMonitor).Logger()))
		},
	}
	f := cmd.Flags()
	s.addServer(f)
	addWait(f, &wait)
	f.StringVar(&s.http, "http", "127.0.0.1:0", "`HOST:PORT` of the HTTP server; port 0 is a free one, which the log tells")
	s.addMetrics(f)
	s.addHosts(f)
	s.addLog(f)
	return cmd
}

func runMonitor(ctx context.Context, s *settings, wait time.Duration, log zerolog.Logger) error {
	web, err := s.listenWeb()
	if err != nil {
		return err
	}
	defer web.close()
	dial := s.dialExternal(userMonitor, log)
	if err := s.reach(ctx, dial, wait, log); err != nil {
		return err
	}
	nc, err := dial("servers")
	if err != nil {
		return err
	}
	defer nc.Close()
	metrics, health := service.NewMetrics(), service.NewHealth()
	health.Await(monitored)
	mux := http.NewServeMux()
	service.HandleProbes(mux, health.Err)
	log.Info().Stringer("http", web.main.Addr()).Stringer("metrics", web.metricsAt()).Str("version", versionText()).Msg("service starts")
	return service.Group(ctx,
		func(ctx context.Context) error { return web.serve(ctx, mux, metrics) },
		func(ctx context.Context) error {
			return watchServers(ctx, metrics, health, log, func(ctx context.Context) ([]serverReport, error) { return askServers(ctx, nc) })
		},
	)
}

// watchServers keeps the figures of the servers that answer until ctx ends. While none does, none are exported.
func watchServers(
	ctx context.Context, m *service.Metrics, h *service.Health, log zerolog.Logger, ask func(context.Context) ([]serverReport, error),
) error {
	var figures service.Figures
	m.Registry.MustRegister(&figures)
	tick := time.NewTicker(monitorEvery)
	defer tick.Stop()
	for told := ""; ; {
		reports, err := ask(ctx)
		if ctx.Err() != nil {
			return nil
		}
		said := ""
		if err != nil {
			said = err.Error()
		}
		if said != "" && said != told {
			log.Error().Err(err).Msg("what NATS servers say of their streams is not known of all; they are asked again")
		}
		told = said
		if len(reports) == 0 {
			figures.Set()
			h.Set(monitored, err)
		} else {
			figures.Set(jetstreamFigures(reports)...)
			h.Set(monitored, nil)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// askServers asks all servers, and waits for those that answer: nobody says how many there are. The error tells of
// those that do not know, and the others' reports are there all the same.
func askServers(ctx context.Context, nc *nats.Conn) ([]serverReport, error) {
	inbox := nc.NewInbox()
	answers, err := nc.SubscribeSync(inbox)
	if err != nil {
		return nil, err
	}
	defer func() { _ = answers.Unsubscribe() }() // fails when the connection is closed
	body, err := json.Marshal(jetstreamOptions)
	if err != nil {
		return nil, err
	}
	if err := nc.PublishRequest(jetstreamRequest, inbox, body); err != nil {
		return nil, err
	}
	var (
		reports []serverReport
		refused error
	)
	for {
		next, cancel := context.WithTimeout(ctx, lastAnswer)
		msg, err := answers.NextMsgWithContext(next)
		cancel()
		switch {
		case err == nil:
		case (len(reports) > 0 || refused != nil) && errors.Is(err, context.DeadlineExceeded):
			return reports, refused
		default:
			return nil, fmt.Errorf("no NATS server says anything of its streams; is the key that of the user %q? %w", userMonitor, err)
		}
		if len(msg.Data) == 0 { // nobody is there who could answer
			return nil, fmt.Errorf("no NATS server says anything of its streams; is the key that of the user %q? %w", userMonitor, nats.ErrNoResponders)
		}
		if report, err := readReport(msg.Data); err != nil {
			refused = errors.Join(refused, err)
		} else {
			reports = append(reports, report)
		}
	}
}

func readReport(data []byte) (serverReport, error) {
	var answer struct {
		Server struct {
			Name string `json:"name"`
		} `json:"server"`
		Data  *server.JSInfo `json:"data"`
		Error *struct {
			Description string `json:"description"`
		} `json:"error"`
	}
	err := json.Unmarshal(data, &answer)
	switch {
	case err != nil:
		return serverReport{}, fmt.Errorf("a NATS server's answer does not decode: %w", err)
	case answer.Error != nil:
		return serverReport{}, fmt.Errorf("the NATS server %s refuses to tell of its streams: %s", answer.Server.Name, answer.Error.Description)
	case answer.Data == nil:
		return serverReport{}, fmt.Errorf("the NATS server %s tells nothing of its streams", answer.Server.Name)
	case answer.Data.Disabled:
		return serverReport{}, fmt.Errorf("the NATS server %s has no JetStream, and so no streams; switch it on in its configuration", answer.Server.Name)
	}
	return serverReport{name: answer.Server.Name, info: answer.Data}, nil
}

// report is what the server in this process says of its streams.
func (e *embedded) report(context.Context) ([]serverReport, error) {
	info, err := e.srv.Jsz(&jetstreamOptions)
	if err != nil {
		return nil, err
	}
	return []serverReport{{name: e.srv.Name(), info: info}}, nil
}
