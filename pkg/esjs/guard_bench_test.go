package esjs_test

import (
	"testing"

	"github.com/b144f99b/orderflow/pkg/esjs"
)

// What a guard costs on one server: an append alone, against an append to two
// aggregates and against one that guards the second one.
func BenchmarkGuardedAppend(b *testing.B) {
	onBothSyncs(b, func(n *bench) {
		still, err := n.store.Append(n.ctx, n.account(), esjs.NoStream(), deposited{Amount: 1})
		n.check(err)
		guard := esjs.Unchanged(account("bench-1"), still.Revision)
		one := n.appends(1)
		one.name = "alone"
		batch := func(name string, also ...esjs.StreamID) operation {
			ids := append([]esjs.StreamID{n.account()}, also...)
			revisions := make([]esjs.Revision, len(ids))
			return operation{name, func() {
				var writes []esjs.Write
				for i, id := range ids {
					writes = append(writes, put(id, esjs.AtRevision(revisions[i]), 1))
				}
				if len(also) == 0 {
					writes = append(writes, guard)
				}
				out, err := n.store.AppendAll(n.ctx, writes...)
				n.check(err)
				for i := range ids {
					revisions[i] = out[i].Revision
				}
			}}
		}
		compare(n.b, one, batch("two", n.account()), batch("guarded"))
	})
}
