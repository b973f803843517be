package gateway

import (
	"net/http"
	"strconv"
	"time"

	"github.com/b144f99b/orderflow/internal/service"
	"github.com/b144f99b/orderflow/services/gateway/live"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
)

type metrics struct {
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	live     *live.Metrics
}

func newMetrics(r prometheus.Registerer) metrics {
	f := promauto.With(r)
	return metrics{
		requests: f.NewCounterVec(prometheus.CounterOpts{
			Name: "http_requests_total", Help: "Requests of the HTTP API by route and status.",
		}, []string{"route", "status"}),
		seconds: f.NewHistogramVec(prometheus.HistogramOpts{
			Name: "http_request_seconds", Help: "From a request's header to the end of its answer.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 15), // 0.5 ms to 8.2 s
		}, []string{"route"}),
		live: live.NewMetrics(r),
	}
}

// traced answers inside a span of the trace that the request came with.
func (s *Service) traced(route string, h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ctx, span := s.env.StartSpan(r.Context(), route, r.Header.Get(service.HeaderTraceParent),
			attribute.String("http.request.method", r.Method), attribute.String("http.route", route))
		defer span.End()
		h(w, r.WithContext(ctx))
		if sw, ok := w.(*statusWriter); ok {
			span.SetAttributes(attribute.Int("http.response.status_code", sw.status))
			if sw.status >= http.StatusInternalServerError {
				span.SetStatus(codes.Error, http.StatusText(sw.status))
			}
		}
	}
}

// observe counts and times the requests of a route; one that streams is counted
// when it ends, and not timed: it lasts as long as its client wants.
func (m metrics) observe(route string, stream bool, h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		begun := time.Now()
		sw := &statusWriter{ResponseWriter: w, status: http.StatusOK}
		defer func() {
			m.requests.WithLabelValues(route, strconv.Itoa(sw.status)).Inc()
			if !stream {
				m.seconds.WithLabelValues(route).Observe(time.Since(begun).Seconds())
			}
		}()
		h(sw, r)
	}
}

// statusWriter remembers the status.
type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap lets [http.ResponseController] reach the server's own writer.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
