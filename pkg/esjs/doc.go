// Package esjs is event sourcing on NATS JetStream.
//
// Every aggregate has a subject of its own in one stream, and one message is one
// commit: the events that one decision produced, all or nothing, as a JSON array
// of CloudEvents. Each commit carries pointers to the aggregate's earlier ones,
// so a load is independent of the stream's size and never needs a consumer.
//
// # Writing
//
// An [Aggregate] is three pure functions' worth of domain. A [CommandHandler]
// loads it, decides, and appends guarded by what it loaded; when another writer
// was faster it loads what is new and decides again. [Store.Append] is beneath
// it, [Store.AppendAll] stores commits of several aggregates together. Whatever
// the server answers, an append ends as stored, as refused or, if it cannot be
// found out in time, as [ErrUnknownOutcome]; never as a guess.
//
// # Reading
//
// [Store.Read] and [Store.ReadAll] iterate what is stored, [AtVersion] and [AsOf]
// load an aggregate as it was. Every load checks that versions are gapless, and
// fails with a *[CorruptError] instead of returning a wrong state.
//
// # Reacting
//
// [Subscribe] delivers events, history first and then live, in order per key,
// always, and different keys in parallel. A [Projection] stores rows and
// position in one transaction. A [Process] is a state machine of its own events
// that reacts to others' events and to timers.
//
// # Running
//
// [Provision] and [ProvisionBucket] create what must exist, [Open] verifies it.
// The server needs JetStream, at least version [MinServerVersion], and
// sync_interval: always, because an acknowledged event must survive a power
// failure.
package esjs
