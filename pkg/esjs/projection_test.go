package esjs

import (
	"errors"
	"testing"
)

func TestAFullNameIsANameAndAVersion(t *testing.T) {
	for _, p := range []Projection[struct{}, Event]{{Name: "orders", Version: 1}, {Name: "by_v2_day", Version: 12}, {Name: "a_v1", Version: 3}} {
		name, version, err := SplitFullName(p.FullName())
		if name != p.Name || version != p.Version || err != nil {
			t.Errorf("%s is %q, %d, %v", p.FullName(), name, version, err)
		}
	}
	for _, wrong := range []string{"", "orders", "orders_v", "orders_v0", "orders_v-1", "orders_v01", "orders_v1x", "_v1", "orders_V1"} {
		if name, version, err := SplitFullName(wrong); !errors.Is(err, ErrInvalid) {
			t.Errorf("%q is %q, %d, %v; want ErrInvalid", wrong, name, version, err)
		}
	}
}
