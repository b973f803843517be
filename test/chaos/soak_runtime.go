//go:build linux

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/b144f99b/orderflow/test/chaos/rig"
	"github.com/google/pprof/profile"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// goRuntime is what Go's runtime has in a process; buffers are a part of the heap, and 0 where there are none.
type goRuntime struct{ heap, buffers, goroutines float64 }

// givesBack is how long the runtime is given to return to the system what a collection has freed.
const givesBack = 2 * time.Second

func get(ctx context.Context, url string) (io.ReadCloser, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return nil, err
	}
	request.Close = true // no connection stays with whom we measure
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	if answer.StatusCode != http.StatusOK {
		answer.Body.Close()
		return nil, fmt.Errorf("GET %s: %s", url, answer.Status)
	}
	return answer.Body, nil
}

// goMetrics reads a service's own metrics. The heap is what the last collection left: by default the next one
// is at twice that, at 4 MB at least.
func goMetrics(ctx context.Context, url string) (r goRuntime, err error) {
	body, err := get(ctx, url)
	if err != nil {
		return r, err
	}
	defer body.Close()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(body)
	if err != nil {
		return r, err
	}
	for name, into := range map[string]*float64{"go_memstats_next_gc_bytes": &r.heap, "go_goroutines": &r.goroutines} {
		f := families[name]
		if f == nil || len(f.GetMetric()) != 1 {
			return r, fmt.Errorf("%s has no %s", url, name)
		}
		*into = f.GetMetric()[0].GetGauge().GetValue()
	}
	r.heap /= 2
	return r, nil
}

// goProfiles reads a server's profiles, and keeps that of its heap. The heap is collected twice before: what a sync.Pool has
// outlives the first time, and the server has the buffers of blocks that are read no more in such pools. What
// is resident then is what the server needs.
func goProfiles(ctx context.Context, url, file string) (r goRuntime, err error) {
	if _, err = numberAfter(ctx, url+"/heap?gc=1&debug=1", "# HeapAlloc = "); err != nil {
		return r, err
	}
	if r.heap, err = numberAfter(ctx, url+"/heap?gc=1&debug=1", "# HeapAlloc = "); err != nil {
		return r, err
	}
	if r.buffers, err = keepHeap(ctx, url, file); err != nil {
		return r, err
	}
	if r.goroutines, err = numberAfter(ctx, url+"/goroutine?debug=1", "goroutine profile: total "); err != nil {
		return r, err
	}
	return r, rig.Pause(ctx, givesBack)
}

// keepHeap writes what holds a server's heap to a file, for "go tool pprof"; -base takes an earlier one. It returns how much of
// that are the buffers of blocks.
func keepHeap(ctx context.Context, url, file string) (buffers float64, err error) {
	body, err := get(ctx, url+"/heap?gc=1")
	if err != nil {
		return 0, err
	}
	defer body.Close()
	text, err := io.ReadAll(body)
	if err != nil {
		return 0, err
	}
	p, err := profile.ParseData(text)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", url, err)
	}
	return bytesBelow(p, "server.getMsgBlockBuf"), os.WriteFile(file, text, 0o600)
}

// bytesBelow is how much of a heap was allocated by a function, or by one that it called.
func bytesBelow(p *profile.Profile, function string) (sum float64) {
	inUse := slices.IndexFunc(p.SampleType, func(t *profile.ValueType) bool { return t.Type == "inuse_space" })
	for _, s := range p.Sample {
		if slices.ContainsFunc(s.Location, func(l *profile.Location) bool {
			return slices.ContainsFunc(l.Line, func(line profile.Line) bool { return strings.HasSuffix(line.Function.Name, function) })
		}) {
			sum += float64(s.Value[inUse])
		}
	}
	return sum
}

func numberAfter(ctx context.Context, url, prefix string) (float64, error) {
	body, err := get(ctx, url)
	if err != nil {
		return 0, err
	}
	defer body.Close()
	lines := bufio.NewScanner(body)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if text, ok := strings.CutPrefix(lines.Text(), prefix); ok {
			return strconv.ParseFloat(text, 64)
		}
	}
	return 0, errors.Join(fmt.Errorf("%s does not tell %q", url, prefix), lines.Err())
}

func serverConnections(ctx context.Context, monitor string) (float64, error) {
	body, err := get(ctx, monitor+"/varz")
	if err != nil {
		return 0, err
	}
	defer body.Close()
	var varz struct {
		Connections float64 `json:"connections"`
	}
	return varz.Connections, json.NewDecoder(body).Decode(&varz)
}
