// Package index is the view of all events, of every aggregate: it finds them by
// type, aggregate, correlation, actor, command and time, and shows what caused
// what. It holds no data of events; that is read from the store when one is asked
// for, so what was erased there is nowhere else.
package index
