package order

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/events"
)

// catalog is the order service's own copy of the published products.
type catalog struct {
	store *esjs.Store
	codec *esjs.Codec[events.Event]

	mu       sync.RWMutex
	products map[string]Product // by sku
	current  bool               // everything stored before the start is in it
}

func newCatalog(store *esjs.Store, codec *esjs.Codec[events.Event]) *catalog {
	return &catalog{store: store, codec: codec, products: map[string]Product{}}
}

// follow keeps the copy current until ctx ends; caughtUp is called once it is.
func (c *catalog) follow(ctx context.Context, observer esjs.Observer, caughtUp func()) error {
	return esjs.Subscribe(ctx, c.store, esjs.SubscriptionConfig[events.Event]{
		Name:          "order-prices",
		EveryInstance: true,
		Codec:         c.codec,
		Query:         esjs.Query{Categories: []string{events.CategoryProduct}},
		OnCaughtUp: func() {
			c.mu.Lock()
			c.current = true
			c.mu.Unlock()
			caughtUp()
		},
		Observer: observer,
	}, func(_ context.Context, e esjs.Recorded[events.Event]) error {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.products[e.Stream.Key] = applyProduct(c.products[e.Stream.Key], e)
		return nil
	})
}

// product returns what is known of a sku, the zero Product when it was never
// listed. What the copy does not have may have been listed a moment ago, so it
// is read from the store before it is called unknown.
func (c *catalog) product(ctx context.Context, sku string) (Product, error) {
	c.mu.RLock()
	p, known := c.products[sku]
	known = known && c.current
	c.mu.RUnlock()
	if known || sku == "" || len(sku) > MaxText {
		return p, nil
	}
	p = Product{}
	for record, err := range c.store.Read(ctx, esjs.StreamID{Category: events.CategoryProduct, Key: sku}, 1, 0) {
		if errors.Is(err, esjs.ErrNotFound) {
			return Product{}, nil
		}
		if err != nil {
			return Product{}, fmt.Errorf("read product %q: %w", sku, err)
		}
		e, err := c.codec.Decode(record)
		if err != nil {
			return Product{}, err
		}
		p = applyProduct(p, e)
	}
	return p, nil
}

// applyProduct folds one event of a product.
func applyProduct(p Product, r esjs.Recorded[events.Event]) Product {
	switch e := r.Event.(type) {
	case events.ProductListed:
		p.Name, p.Price, p.Listed = e.Name, e.Price, true
	case events.ProductPriceChanged:
		p.Price = e.Price
	case events.ProductDelisted:
		p.Listed = false
	}
	p.Revision = fmt.Sprintf("%d-%d", r.Version, r.Position.Sequence())
	return p
}
