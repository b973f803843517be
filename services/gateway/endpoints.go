package gateway

import (
	"errors"
	"net/http"
	"reflect"
	"time"

	"github.com/b144f99b/orderflow/internal/service"
	"github.com/b144f99b/orderflow/pkg/events"
	"github.com/b144f99b/orderflow/pkg/queries"
	"github.com/b144f99b/orderflow/services/gateway/desk"
	"github.com/b144f99b/orderflow/services/gateway/live"
)

// endpoints is the API.
func (s *Service) endpoints() []endpoint {
	return []endpoint{
		ask(s, "/v1/orders", queries.OrderList),
		{
			method: http.MethodGet, path: "/v1/orders/{order_id}", summary: "One order as it is now, or as it was at a version or a time",
			roles: desk.Readers[queries.OrderRequest](), request: reflect.TypeFor[orderRequest](), answer: reflect.TypeFor[queries.Order](), or: reflect.TypeFor[queries.OrderMoment](),
			handle: s.order,
		},
		ask(s, "/v1/orders/{order_id}/timeline", queries.OrderTimeline),
		ask(s, "/v1/orders/{order_id}/events", queries.OrderEvents),
		ask(s, "/v1/orders/{order_id}/diff", queries.OrderDiff),
		{
			method: http.MethodGet, path: "/v1/orders/{order_id}/live", summary: "What happens to an order, as it happens",
			roles: desk.Readers[queries.OrderRequest](), request: reflect.TypeFor[liveOrderRequest](), answer: reflect.TypeFor[queries.StoredEvent](),
			stream: true, handle: s.liveOrder,
		},
		s.commands("/v1/orders/{order_id}/{verb}", events.CategoryOrder),

		ask(s, "/v1/products", queries.ProductList),
		s.commands("/v1/products/{sku}/{verb}", events.CategoryProduct),
		ask(s, "/v1/products/{sku}/sales", queries.SaleList),
		ask(s, "/v1/sales", queries.SaleList),
		ask(s, "/v1/stock", queries.StockList),
		ask(s, "/v1/stock/{sku}", queries.StockGet),
		ask(s, "/v1/stock/{sku}/movements", queries.StockMovements),
		s.commands("/v1/stock/{sku}/{verb}", events.CategoryStock),

		ask(s, "/v1/payments", queries.PaymentList),
		ask(s, "/v1/payments/summary", queries.PaymentSummary),
		ask(s, "/v1/payments/{payment_id}", queries.PaymentGet),
		ask(s, "/v1/customers", queries.CustomerList),
		ask(s, "/v1/customers/{customer_id}", queries.CustomerGet),
		{
			method: http.MethodGet, path: "/v1/customers/{customer_id}/live", summary: "What happens to the orders of a customer, as it happens",
			roles: desk.Readers[queries.CustomerRequest](), request: reflect.TypeFor[liveCustomerRequest](), answer: reflect.TypeFor[queries.StoredEvent](),
			stream: true, handle: s.liveCustomer,
		},

		ask(s, "/v1/sagas", queries.SagaList),
		ask(s, "/v1/sagas/summary", queries.SagaSummary),
		ask(s, "/v1/sagas/{order_id}", queries.SagaGet),
		ask(s, "/v1/refunds/{refund_id}", queries.SagaGet),
		s.commands("/v1/sagas/{order_id}/{verb}", desk.CategorySaga),
		s.live("/v1/sagas/live", "What happens to sagas, as it happens", live.Topic{Categories: []string{events.CategoryFulfilment, events.CategoryRefund}}),
		ask(s, "/v1/events", queries.EventList),
		ask(s, "/v1/events/{event_id}", queries.EventGet),
		ask(s, "/v1/events/{event_id}/causation", queries.EventCausation),
		ask(s, "/v1/correlations/{correlation_id}", queries.EventCorrelation),
		s.live("/v1/events/live", "Every event, as it happens", live.Topic{}),

		ask(s, "/v1/projections", queries.ProjectionList),
		s.commands("/v1/projections/{projection}/{verb}", desk.CategoryProjection),
	}
}

// orderRequest asks for an order, now or then.
type orderRequest struct {
	OrderID     string    `json:"order_id"`
	MinRevision string    `json:"min_revision,omitzero" jsonschema:"revision of a command's reply, which the answer must have passed"`
	AtVersion   *uint64   `json:"at_version,omitzero" jsonschema:"as it was after this many events"`
	AsOf        time.Time `json:"as_of,omitzero" jsonschema:"as it was at this time"`
}

func (s *Service) order(w http.ResponseWriter, r *http.Request) error {
	var request orderRequest
	if err := bind(r, &request); err != nil {
		return err
	}
	then := request.AtVersion != nil || !request.AsOf.IsZero()
	if request.AtVersion != nil && !request.AsOf.IsZero() {
		return problem(http.StatusBadRequest, "bad_request", `"at_version" and "as_of" both say when; give one of them`)
	}
	if then && request.MinRevision != "" {
		return problem(http.StatusBadRequest, "bad_request", `"min_revision" is for an order as it is now; leave it out, or "at_version" and "as_of"`)
	}
	if then {
		return askAs(s, w, r, queries.OrderAt, queries.OrderAtRequest{OrderID: request.OrderID, Version: request.AtVersion, AsOf: request.AsOf})
	}
	return notALive(request.OrderID, askAs(s, w, r, queries.OrderGet, queries.OrderRequest{
		OrderID: request.OrderID, ReadYourWrites: queries.ReadYourWrites{MinRevision: request.MinRevision},
	}))
}

// notALive adds to why there is no order "live" where the streams are: who asks for it
// mostly wants those.
func notALive(orderID string, err error) error {
	var p *service.Problem
	if orderID != "live" || !errors.As(err, &p) || p.Status != http.StatusNotFound {
		return err
	}
	said := *p
	said.Detail += "; what happens to an order is told at /v1/orders/{order_id}/live, to those of a customer at /v1/customers/{customer_id}/live, and everything at /v1/events/live"
	return &said
}
