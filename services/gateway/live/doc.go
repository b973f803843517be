// Package live shows events to HTTP clients as they happen, as server-sent events.
//
// One subscription follows the end of the event stream for all clients of a
// process. Each client has a bounded queue; one whose queue is full, or who does
// not take what is written, is dropped, and comes back with the id of the last
// event that he got: what he missed is then read from the store, and after that he
// follows the end again. An event's id is the position of its commit, of whose events only the
// last one carries it: who breaks off in the middle of a commit gets all of it again.
package live
