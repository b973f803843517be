package kvsink_test

import (
	"testing"

	"github.com/b144f99b/orderflow/pkg/esjs/esjstest"
)

func TestRowsOfThreePartitions(t *testing.T) {
	esjstest.OnPartitions(t, 3, "TestACutAnywhereChangesNoRow", "TestProjectorsAtTheSameTimeSpoilNoRow", "TestVersionsInABucket")
}
