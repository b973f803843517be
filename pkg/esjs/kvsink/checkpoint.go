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
	Newest   esjs.CommitRef         `json:"newest,omitzero"`
	NewestIn map[int]esjs.CommitRef `json:"newest_in,omitempty"`
	Claim    string                 `json:"claim,omitempty"` // the token of the sink that is writing rows behind the position, with what it does unless it projects
	Write    string                 `json:"write"`           // makes every write another one, so that a lost answer is settled
}

func (c storedCheckpoint) esjs() esjs.Checkpoint {
	return esjs.Checkpoint{Position: c.Position, Time: c.Time, Parked: c.Parked, Newest: c.Newest, NewestIn: c.NewestIn}
}

func checkpointKey(name string) string { return name + ".checkpoint" }

// storedLive is which version of a projection is live, as it is stored.
type storedLive struct {
	Name  string        `json:"name"`  // its full name
	Since esjs.Position `json:"since"` // where the effects of those before it end
	Write string        `json:"write"` // makes every write another one
}

func liveKey(projection string) string { return projection + ".live" }

// live reads which version of a projection is live; revision 0 when none is.
func (b bucket) live(ctx context.Context, projection string) (l storedLive, revision uint64, err error) {
	value, revision, err := b.get(ctx, liveKey(projection))
	if err != nil || len(value) == 0 {
		return l, revision, err
	}
	if err := json.Unmarshal(value, &l); err != nil {
		return l, revision, fmt.Errorf("live version of %s: %w", projection, err)
	}
	return l, revision, nil
}

// putLive writes which version is live over the entry at revision.
func (b bucket) putLive(ctx context.Context, projection string, l storedLive, revision uint64) error {
	l.Write = uuid.NewString()
	_, err := b.putJSON(ctx, liveKey(projection), l, revision)
	return err
}

// putCheckpoint writes a checkpoint that must be at revision, 0 for none, with a
// claim or without; see [bucket.putJSON].
func (b bucket) putCheckpoint(ctx context.Context, name string, c esjs.Checkpoint, claim string, revision uint64) (uint64, error) {
	stored := storedCheckpoint{Position: c.Position, Time: c.Time, Parked: c.Parked, Newest: c.Newest, NewestIn: c.NewestIn, Claim: claim, Write: uuid.NewString()}
	return b.putJSON(ctx, checkpointKey(name), stored, revision)
}

// checkpoint reads a projection's checkpoint; none when it was not opened, and
// then the revision to write one at.
func (b bucket) checkpoint(ctx context.Context, name string) (c storedCheckpoint, revision uint64, none bool, err error) {
	value, revision, err := b.get(ctx, checkpointKey(name))
	if err != nil || len(value) == 0 {
		return c, revision, true, err
	}
	if err := json.Unmarshal(value, &c); err != nil {
		return c, revision, false, fmt.Errorf("checkpoint of %s: %w", name, err)
	}
	return c, revision, false, nil
}

// withLive is a checkpoint together with what is stored of the live version.
func (b bucket) withLive(ctx context.Context, name string, stored storedCheckpoint) (esjs.Checkpoint, error) {
	c := stored.esjs()
	projection, _, err := esjs.SplitFullName(name)
	if err != nil {
		return c, err
	}
	l, _, err := b.live(ctx, projection)
	if err == nil && l.Name == name {
		c.Live, c.Since = true, l.Since
	}
	return c, err
}
