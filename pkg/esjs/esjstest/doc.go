// Package esjstest is for tests of what is built on esjs: it runs the real
// nats-server inside the test, one server or a cluster of three; breaks its
// connections, answers and deliveries where that matters ([Faults]); tells
// scenarios of aggregates ([Given]), processes ([GivenProcess]) and projections
// ([GivenProjection]), also as text files to be read ([AggregateScript],
// [ProcessScript]); and checks in one call what every aggregate and every process
// must be ([CheckAggregate], [CheckProcess]). [RunStore] and [TestSink] are the contracts
// of a store and of a sink, for those who build or run one.
//
//	func TestOrders(t *testing.T) {
//		store := esjstest.Server(t).Store(t)
//		...
//	}
//
// [CheckGolden] proves that what was published once is read for ever.
//
// A server starts in about 50 ms and a cluster in about two seconds; everything
// ends with the test. Set ESJSTEST_LOG=1 to see what the servers log.
package esjstest
