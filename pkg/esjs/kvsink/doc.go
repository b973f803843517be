// Package kvsink keeps the rows of projections in a NATS KV bucket: a read model
// that needs no database, and that any NATS client can get and watch.
//
// # What is promised
//
// A row is a value of its own that holds its state and its place: the position
// and version of the last event that changed it. [Update] folds an event into a
// row only when the row is not at or behind that event already, and a row is
// written only as it was when it was read. So every row is its events folded
// exactly once and in order, whatever crashes when, and whoever projects at the
// same time.
//
// A bucket has no transaction. The rows of one commit of the projector become
// visible one after the other, and its checkpoint after the last of them:
//
//   - A reader can see one row of a commit before another one. Where rows must
//     change together make them one row, or use sqlsink.
//   - After a crash between two rows the checkpoint is behind; the events come
//     again, and rows that had them stay as they are.
//   - An Effect may happen again: after a crash, and where another version takes
//     over while a commit is under way.
//   - [esjs.Projector.WaitFor] returns when all rows are stored; [Sink.Get] then
//     finds them, on a cluster too, because the leader answers it.
//
// Checkpoint and claim are one entry, moved by compare-and-set: a projector claims
// a commit before it writes the first row, and a second one is refused with
// [esjs.ErrConflict] before it writes any. Opening a projection takes over a
// claim that a crash left behind; a projector that still runs then ends with
// [esjs.ErrConflict], and the rows that it may have written are right. A projector waits for
// another program's [esjs.Projector.Release], for half a minute where that was cut off.
//
// # What a projection must keep to
//
// What Update does to a row depends on the row and the event alone, not on other
// rows. A row of events of one aggregate is what this is made for. A row of
// events of several aggregates is exact as well; but [esjs.Projector.Release] of a
// key is refused with [esjs.ErrInvalid] where the row has had later events of other
// aggregates, because the released ones would be ignored. A new version of the
// projection includes them.
//
// # What is stored
//
// The row of a key is the entry <name>_v<version>.row.<key as esjs.EscapeKey
// writes it>, a JSON object of position, version and state; its checkpoint is
// <name>_v<version>.checkpoint. A removed row keeps its place and has no state.
// Another version of a projection has other names and is built beside this one;
// which one is live stands in <name>.live.
package kvsink
