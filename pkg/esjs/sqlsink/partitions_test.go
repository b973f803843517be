package sqlsink_test

import (
	"testing"

	"github.com/b144f99b/orderflow/pkg/esjs/esjstest"
)

func TestProjectionsOfThreePartitions(t *testing.T) {
	esjstest.OnPartitions(t, 3,
		"TestReplayFromZeroEqualsLive", "TestAProjectorGoesOnWhereItStopped", "TestAProjectorOutlivesTheServer",
		"TestThePositionAdvancesOverWhatIsIgnored", "TestSelectedTypesAloneAreApplied", "TestAnUnavailableSinkIsWaitedForAndAppliesOnce",
		"TestASecondProjectorIsRefused", "TestWithALeaseTheSecondProjectorTakesOver", "TestCaughtUpIsToldOnceAlsoWithNothingToDo",
		"TestWaitForEndsWithItsContext", "TestWaitForReturnsWhatRunEndedWith",
		"TestACrashAtAnyPointOfABatchLeavesRowsAndCheckpointAgreeing", "TestACrashInTheMiddleOfAReleaseChangesNothing",
		"TestACommitThatFailsForEverParksItsKeyAndTheOthersGoOn", "TestACommitThatFailsForAWhileIsAppliedOnce",
		"TestAReleasedKeyGoesOnWhereItWasParked", "TestReleasesWhileOthersProject",
		"TestANewVersionTakesOverByItselfWhenItHasCaughtUp", "TestByHandVersionsGoForthAndBack",
		"TestWhatTheOldVersionDidNotReachHasItsEffectsFromTheNewOne", "TestAVersionHasNoEffectsOfWhatTheOneBeforeItApplied",
		"TestEffectsHappenOnceWhereAVersionWasLiveForAMomentOnly", "TestEffectsHappenOnceHoweverOftenVersionsChange",
	)
}
