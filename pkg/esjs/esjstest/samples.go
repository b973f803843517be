package esjstest

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/b144f99b/orderflow/pkg/esjs"
)

// ReadSamples reads an event from every file that matches pattern, which is
// named for type and schema version, as in "OrderPaid.v1.json", and holds the
// event's data as it is stored, as the files of [CheckGolden] do. It fails the
// test when there is none, or when one does not decode.
func ReadSamples[E esjs.Event](t testing.TB, codec *esjs.Codec[E], pattern string) []E {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("%s: there are no samples: %v", pattern, err)
	}
	samples := make([]E, 0, len(files))
	for _, file := range files {
		of, ok := parseFile(filepath.Base(file))
		if !ok {
			t.Fatalf("%s is not named TYPE.vVERSION.json", file)
		}
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		recorded, err := codec.Decode(esjs.Record{Type: of.name, SchemaVersion: of.version, Data: data})
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		samples = append(samples, recorded.Event)
	}
	return samples
}
