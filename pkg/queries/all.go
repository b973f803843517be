package queries

// All lists every question.
func All() []Description {
	return []Description{
		OrderGet.Describe(),
		OrderList.Describe(),
		OrderTimeline.Describe(),
		OrderAt.Describe(),
		OrderDiff.Describe(),
		OrderEvents.Describe(),
		SagaGet.Describe(),
		SagaList.Describe(),
		SagaSummary.Describe(),
		SaleList.Describe(),
		ProductList.Describe(),
		StockGet.Describe(),
		StockList.Describe(),
		StockMovements.Describe(),
		PaymentGet.Describe(),
		PaymentList.Describe(),
		PaymentSummary.Describe(),
		CustomerGet.Describe(),
		CustomerList.Describe(),
		EventGet.Describe(),
		EventList.Describe(),
		EventCausation.Describe(),
		EventCorrelation.Describe(),
		ProjectionList.Describe(),
		PaymentReconciliation.Describe(),
	}
}
