package events

import "encoding/json"

// OrderOf returns the order that an event of a category belongs to, "" when it
// belongs to none: key is its stream's, which for some categories is the order's
// own id, and data its JSON, which tells it for the others.
func OrderOf(category, key string, data []byte) string {
	switch category {
	case CategoryOrder, CategoryFulfilment, CategoryReservation:
		return key
	case CategoryPayment, CategoryShipment, CategoryRefund:
		var of struct {
			OrderID string `json:"order_id"`
		}
		if err := json.Unmarshal(data, &of); err != nil {
			return ""
		}
		return of.OrderID
	default:
		return ""
	}
}
