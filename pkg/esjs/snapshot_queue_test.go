package esjs

import (
	"errors"
	"fmt"
	"testing"
)

// droppedSnapshots counts the snapshots that were given up before they were tried.
type droppedSnapshots struct {
	NopObserver
	of []SnapshotInfo
}

func (d *droppedSnapshots) SnapshotStored(info SnapshotInfo) { d.of = append(d.of, info) }

// A queue that is full gives up new aggregates, tells so, and keeps taking newer states of those that wait.
func TestSnapshotsThatFindTheQueueFullAreTold(t *testing.T) {
	dropped := &droppedSnapshots{}
	s := &snapshotter[int]{store: &Store{observer: dropped}, waiting: map[StreamID]*folded[int]{}, wake: make(chan struct{}, 1)}
	key := func(i int) StreamID { return StreamID{Category: "account", Key: fmt.Sprint(i)} }
	for i := range snapshotQueue {
		s.queue(key(i), &folded[int]{revision: Revision{sequence: 1}})
	}
	s.queue(key(0), &folded[int]{revision: Revision{sequence: 2}})
	if len(dropped.of) != 0 {
		t.Fatalf("%d aggregates wait, and told is %+v", snapshotQueue, dropped.of)
	}
	s.queue(key(snapshotQueue), &folded[int]{revision: Revision{sequence: 1}})
	if len(dropped.of) != 1 || dropped.of[0].Stream != key(snapshotQueue) || !errors.Is(dropped.of[0].Err, ErrUnavailable) {
		t.Errorf("of one more, told is %+v", dropped.of)
	}
	if id, f, _ := s.next(); id != key(0) || f.revision.sequence != 2 {
		t.Errorf("the first one is %s at %d", id, f.revision.sequence)
	}
}
