package esjstest

import "testing"

func TestStoreKeepsItsContract(t *testing.T) {
	for name, start := range map[string]func(t testing.TB) *Deployment{
		"R1 over TCP":   func(t testing.TB) *Deployment { return Server(t) },
		"R1 in process": func(t testing.TB) *Deployment { return Server(t, InProcess()) },
		"R3 over TCP":   func(t testing.TB) *Deployment { return Cluster(t) },
		"R3 in process": func(t testing.TB) *Deployment { return Cluster(t, InProcess()) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := start(t)
			RunStore(t, d.StoreRig)
		})
	}
	t.Run("R1 with three partitions", func(t *testing.T) {
		t.Parallel()
		RunStore(t, Server(t, InProcess()).PartitionsRig(3))
	})
}
