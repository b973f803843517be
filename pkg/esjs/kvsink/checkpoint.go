package kvsink

import (
	"context"
	"fmt"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/go-json-experiment/json"
	"github.com/google/uuid"
)

// storedCheckpoint is a checkpoint as it is stored.
type storedCheckpoint struct {
	Position esjs.Position          `json:"position"`
	Time     time.Time              `json:"time"`
	Parked   map[string]esjs.Parked `json:"parked,omitempty"`
	Claim    string                 `json:"claim,omitempty"` // the token of the sink that is writing rows behind the position
	Write    string                 `json:"write"`           // makes every write another one, so that a lost answer is settled
}

func (c storedCheckpoint) esjs() esjs.Checkpoint {
	return esjs.Checkpoint{Position: c.Position, Time: c.Time, Parked: c.Parked}
}

func checkpointKey(name string) string { return name + ".checkpoint" }

// putCheckpoint writes a checkpoint that must be at revision, 0 for none, with a
// claim or without; see [bucket.putJSON].
func (b bucket) putCheckpoint(ctx context.Context, name string, c esjs.Checkpoint, claim string, revision uint64) (uint64, error) {
	stored := storedCheckpoint{Position: c.Position, Time: c.Time, Parked: c.Parked, Claim: claim, Write: uuid.NewString()}
	return b.putJSON(ctx, checkpointKey(name), stored, revision)
}

// checkpoint reads a projection's checkpoint; revision 0 when there is none.
func (b bucket) checkpoint(ctx context.Context, name string) (c storedCheckpoint, revision uint64, err error) {
	value, revision, err := b.get(ctx, checkpointKey(name))
	if err != nil || len(value) == 0 {
		return c, revision, err
	}
	if err := json.Unmarshal(value, &c); err != nil {
		return c, revision, fmt.Errorf("checkpoint of %s: %w", name, err)
	}
	return c, revision, nil
}
