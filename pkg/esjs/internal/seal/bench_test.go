package seal

import "testing"

func BenchmarkSeal(b *testing.B) {
	k, value := NewKey(), []byte(`"Ada Lovelace"`)
	b.ReportAllocs()
	var buffer []byte
	for b.Loop() {
		buffer = k.AppendSealed(buffer[:0], value, place)
	}
}

func BenchmarkOpen(b *testing.B) {
	k := NewKey()
	data := append(k.AppendSealed([]byte(`{"name":`), []byte(`"Ada Lovelace"`), place), '}')
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := opened(k, data, place); err != nil {
			b.Fatal(err)
		}
	}
}
