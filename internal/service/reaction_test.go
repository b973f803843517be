package service_test

import (
	"reflect"
	"testing"

	"github.com/b144f99b/orderflow/internal/service"
	"github.com/b144f99b/orderflow/pkg/esjs"
)

func TestWhatAnEventCausesIsTiedToIt(t *testing.T) {
	jar := esjs.StreamID{Category: "jar", Key: "j-1"}
	for name, c := range map[string]struct {
		had  esjs.Metadata
		want string
	}{
		"its correlation goes on":       {esjs.Metadata{CorrelationID: "shelf-1", CommandID: "other"}, "shelf-1"},
		"the first of a story gets one": {esjs.Metadata{Actor: "somebody"}, "j-1"},
	} {
		got := service.CausedBy(esjs.Record{ID: "e-1", Stream: jar, Metadata: c.had})
		if want := (esjs.Metadata{CommandID: "e-1", CausationID: "e-1", CorrelationID: c.want}); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v", name, got)
		}
	}
}
