package esjs_test

import (
	"context"
	"fmt"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
)

// A program that sets deadlines by its own clock asks whether that clock is right: what it is off by, less what the
// answer took, is certain.
func ExampleStore_ClockSkew() {
	withStore(func(ctx context.Context, _ esjs.Dial, store *esjs.Store) error {
		skew, err := store.ClockSkew(ctx)
		if err != nil {
			return err
		}
		fmt.Println("wrong by more than a minute:", skew.Ahead.Abs()-skew.Within > time.Minute)
		return nil
	})
	// Output: wrong by more than a minute: false
}
