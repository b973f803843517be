package events

// ProductListed is appended by inventory: the sku (the stream's key) is for
// sale, for the first time or again.
type ProductListed struct {
	Name  string `json:"name"`
	Price Money  `json:"price"`
}

// ProductPriceChanged is appended by inventory: new lines get this price;
// lines that exist keep theirs.
type ProductPriceChanged struct {
	Price Money `json:"price"`
}

// ProductDelisted is appended by inventory: the sku is no longer for sale.
type ProductDelisted struct {
	Reason string `json:"reason,omitzero"`
}

func (ProductListed) EventType() string       { return "ProductListed" }
func (ProductPriceChanged) EventType() string { return "ProductPriceChanged" }
func (ProductDelisted) EventType() string     { return "ProductDelisted" }
