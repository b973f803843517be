// Package esjsbench measures what esjs costs, on the machine where it runs: [Run] takes
// the bars that the library is meant to keep, [Grow] what a store takes that becomes large.
// The benchmarks of package esjs and "orderflow bench" are the same code.
//
// Every bar is a ratio, or an amount, of one run: the operation and its baseline (a raw publish of the same body, a raw
// request, a bare consumer) take turns, so that what else the machine does meets both.
// The server is in a process of its own, over loopback TCP, as users have it; the
// program that measures starts itself again for that, and calls [Serve] then.
//
// What is measured and how it is reported may change with every version; what is
// promised is in the bars.
package esjsbench
