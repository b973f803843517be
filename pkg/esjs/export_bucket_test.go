package esjs

import "context"

// ErrChanged opens errChanged to tests.
var ErrChanged = errChanged

// PutEntry writes the entry of a bucket that must be at revision.
func PutEntry(ctx context.Context, s *Store, name, key string, value []byte, revision uint64) (uint64, error) {
	return bucket{store: s, name: name}.put(ctx, key, value, revision)
}
