package gateway

import (
	"net/http"
	"reflect"

	"github.com/b144f99b/orderflow/pkg/events"
	"github.com/b144f99b/orderflow/pkg/queries"
	"github.com/b144f99b/orderflow/services/gateway/desk"
	"github.com/b144f99b/orderflow/services/gateway/live"
)

// liveRequest says where a stream begins.
type liveRequest struct {
	After string `json:"after,omitzero" jsonschema:"id of the event after which to begin, where no Last-Event-ID says it; without either it begins now"`
}

// live is the endpoint of a topic that is everybody's.
func (s *Service) live(path, summary string, topic live.Topic) endpoint {
	return endpoint{
		method: http.MethodGet, path: path, summary: summary, roles: desk.Overseers(), stream: true,
		request: reflect.TypeFor[liveRequest](), answer: reflect.TypeFor[queries.StoredEvent](),
		handle: func(w http.ResponseWriter, r *http.Request) error {
			var request liveRequest
			if err := bind(r, &request); err != nil {
				return err
			}
			return s.hub.Serve(w, r, topic, request.After)
		},
	}
}

// liveOrderRequest names an order.
type liveOrderRequest struct {
	OrderID string `json:"order_id"`
	liveRequest
}

// liveOrder shows what happens to an order, which an operator may ask for before
// it exists.
func (s *Service) liveOrder(w http.ResponseWriter, r *http.Request) error {
	var request liveOrderRequest
	if err := bind(r, &request); err != nil {
		return err
	}
	if err := s.desk.SeeOrder(r.Context(), request.OrderID); err != nil {
		return err
	}
	return s.hub.Serve(w, r, live.Topic{OrderID: request.OrderID}, request.After)
}

// liveCustomerRequest names a customer.
type liveCustomerRequest struct {
	CustomerID string `json:"customer_id"`
	liveRequest
}

// liveCustomer shows what happens to the orders of a customer.
func (s *Service) liveCustomer(w http.ResponseWriter, r *http.Request) error {
	var request liveCustomerRequest
	if err := bind(r, &request); err != nil {
		return err
	}
	customer, err := s.desk.SeeCustomer(r.Context(), request.CustomerID)
	if err != nil {
		return err
	}
	return s.hub.Serve(w, r, live.Topic{CustomerID: customer, Categories: []string{events.CategoryOrder}}, request.After)
}
