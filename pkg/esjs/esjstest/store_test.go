package esjstest

import "testing"

func TestStoreKeepsItsContract(t *testing.T) {
	for name, start := range map[string]func(t testing.TB) func(testing.TB) StoreRig{
		"R1 over TCP":                 func(t testing.TB) func(testing.TB) StoreRig { return Server(t).StoreRig },
		"R3 over TCP":                 func(t testing.TB) func(testing.TB) StoreRig { return Cluster(t).StoreRig },
		"three partitions in process": func(t testing.TB) func(testing.TB) StoreRig { return Server(t, InProcess()).PartitionsRig(3) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			RunStore(t, start(t))
		})
	}
}
