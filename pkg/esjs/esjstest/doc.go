// Package esjstest is for tests of what is built on esjs: it runs the real
// nats-server inside the test, one server or a cluster of three; breaks its
// connections and answers where that matters ([Faults]); and tells what an
// aggregate decides as scenarios ([Given]).
//
//	func TestOrders(t *testing.T) {
//		store := esjstest.Server(t).Store(t)
//		...
//	}
//
// A server starts in about 50 ms and a cluster in about two seconds; everything
// ends with the test. Set ESJSTEST_LOG=1 to see what the servers log.
package esjstest
