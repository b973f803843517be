package sqlsink_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/esjstest"
	"github.com/b144f99b/orderflow/pkg/esjs/sqlsink"
)

func TestProjectionsOfThreePartitions(t *testing.T) {
	esjstest.OnPartitions(t, 3,
		"TestReplayFromZeroEqualsLive", "TestAProjectorGoesOnWhereItStopped", "TestAProjectorOutlivesTheServer",
		"TestThePositionAdvancesOverWhatIsIgnored", "TestSelectedTypesAloneAreApplied", "TestAnUnavailableSinkIsWaitedForAndAppliesOnce",
		"TestASecondProjectorIsRefused", "TestWithALeaseTheSecondProjectorTakesOver", "TestCaughtUpIsToldOnceAlsoWithNothingToDo",
		"TestWaitForEndsWithItsContext", "TestWaitForReturnsWhatRunEndedWith",
		"TestACrashAtAnyPointOfABatchLeavesRowsAndCheckpointAgreeing", "TestACrashInTheMiddleOfAReleaseChangesNothing",
		"TestACommitThatFailsForEverParksItsKeyAndTheOthersGoOn", "TestACommitThatFailsForAWhileIsAppliedOnce",
	)
}

// A version with effects that waits behind the live one would wait in every partition for the first.
func TestEffectsNeedOnePartition(t *testing.T) {
	store := esjstest.Server(t, esjstest.Partitions(2)).Store(t)
	err := esjs.NewProjector(store, sqlsink.New(openTemp(t)), version(t, 1), esjs.ProjectionConfig{}).Run(t.Context())
	if !errors.Is(err, esjs.ErrConfig) || !strings.Contains(err.Error(), "a projection with effects") {
		t.Error(err)
	}
}
