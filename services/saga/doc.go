// Package saga is the saga service: it runs the processes that lead through
// several services. There is one so far, fulfilment, which carries a submitted
// order to its end; see its package for the states and docs/saga.md for the table.
package saga

import (
	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/events"
)

// codec decodes everything that the service reads and writes.
func codec() (*esjs.Codec[events.Event], error) {
	types := make([]esjs.EventType[events.Event], len(events.Types))
	for i, t := range events.Types {
		types[i] = esjs.EventType[events.Event](t)
	}
	return esjs.NewCodec(types...)
}
