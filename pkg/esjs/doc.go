// Package esjs is an event store on NATS JetStream, with everything needed to build
// event-sourced programs on it: aggregates, subscriptions, projections, processes and
// timers. It needs nats-server [MinServerVersion] or newer and nothing else.
//
// # Model
//
//	      command                                      query
//	         |                                           ^
//	         v                                           |
//	   CommandHandler                           rows + checkpoint (a Sink)
//	     Aggregate: Apply, Decide                        ^
//	      ^            |                                 |
//	 load |            | append, expecting a Revision    | Projection: Apply
//	      |            v                                 |
//	+-----+----------------------------------------------+-----------+
//	|  the store: commits of all aggregates in one order             |
//	|  ev.order.o-1   [1 2 3] [4]     [5 6]                          |
//	|  ev.order.o-2           [1]     [2]    [3]                     |
//	+-----+----------------------------+-----------------------^-----+
//	      |                            |                       | append
//	      v                            v                       |
//	  Subscription                  Process: Apply, React -----+
//	   handler: mails,                 ^            |
//	   other commands            fired |            | set
//	                                   +-- Timers <-+
//
// An [Event] is the payload of a fact. It is stored under a name that you choose and
// that never changes. A [Record] is a stored event with its envelope: id, version,
// time, [Metadata]. The envelope is a CloudEvent, so other tools can read it.
//
// A [Commit] is the 1 to n events that one decision caused for one aggregate. It is
// one message, stored whole or not at all. A [StreamID], category and key, names an
// aggregate; all its commits are under one subject.
//
// A [Revision] is what a writer knows of an aggregate: the number of its events,
// which is its version, and where the last of them is stored. An append says what it
// expects ([AtRevision], [ExpectVersion], [NoStream], [Any]) and fails with a
// *[ConflictError] if the expectation does not hold. A [Position] is a place in the
// order of all commits. In a store with several partitions, each partition has its
// own order.
//
// An [Aggregate] is a name, a [Codec] and two pure functions: Apply folds events into
// state, Decide turns a command into events or refuses it. A [CommandHandler] loads
// the aggregate, decides and appends, and decides again if another writer was faster.
//
// A subscription ([Subscribe], [SubscribeBatch]) passes events to a handler, first
// the history and then live ones. A [Projection] turns events into rows of a [Sink]:
// package sqlsink has one for SQLite and PostgreSQL, package kvsink one for a KV
// bucket. A [Process] is an event-sourced state machine that reacts to events of other
// aggregates and to [Timers].
//
// # What is guaranteed
//
//   - An append that returned without an error is stored once, and whole. Every error
//     but [ErrUnknownOutcome] means that nothing was stored; that includes
//     [ErrConflict], which is final. Whether a stored event survives a power failure
//     depends on the server's configuration: see docs/esjs/consistency.md.
//   - The versions of an aggregate are 1, 2, 3 …, and the times of its events never
//     decrease. Reads check that there is no gap and report one as a *[CorruptError]
//     that names the place; [Verify] checks the whole log.
//   - A decision on an old state never takes effect. One that writes is guarded by its
//     expectation; one that writes nothing (a refusal, or nothing to do) is checked
//     against the stream's leader before it is returned.
//   - [Store.AppendAll] stores commits of several aggregates of one partition, or none
//     of them.
//   - A command whose id is among the newest 128 that wrote to the aggregate gets its
//     first result again and writes nothing.
//   - A subscription handles the events of a key in order, each at least once, also
//     after a retry, a crash or a takeover. (A key in several partitions has an order in
//     each.) No event is skipped: if one cannot be handled, its key is parked, and that
//     event and all later ones of the key wait for [Subscription.Release].
//   - A projection applies each event exactly once. In an SQL database, rows and
//     checkpoint change in one transaction; in a KV bucket, each row knows which events
//     it has had. Versions of a projection stand side by side, one of them live; in SQL,
//     an Effect happens once over all versions.
//   - A process consumes each input that causes events exactly once, because the input
//     is recorded in the commit that it caused. A timer never fires early. One instance
//     can be set aside and released without affecting the others
//     ([ProcessRunner.Quarantine]).
//
// # Rules over several aggregates
//
// One append protects one aggregate. A rule over two aggregates is kept by
// [Store.AppendAll] with writes to both, or with a write to one while the other is
// [Unchanged]. Without that guard, two writers that are each right about what they
// read can break the rule together. To keep a value unique, make it the key of an
// aggregate and claim it, in the same call, by an append that expects it to be free
// (see the example on uniqueness). If the value is personal, use an HMAC of it as the
// key: keys are part of NATS subjects and can never be erased. Both are atomic batches,
// which cost more than an append.
//
// # Personal data
//
// A value of an event that is a [Personal] is encrypted with a key of the person whom
// the event names, if the store was opened with keys ([KeyConfig]). [Store.ErasePerson]
// destroys that key. From then on every reader gets the zero value, which says that it
// was erased. Snapshots are encrypted likewise, projections are told by [PersonErased],
// and [VerifyErased] shows that nothing of the person can be read. See
// docs/esjs/erasure.md.
//
// # Where to start
//
// The package example is a whole aggregate and can be run as it is. docs/esjs/tutorial.md
// adds a projection in ten minutes; next to it are guides on consistency, processes,
// projections, schema changes and migration from other stores. Package esjstest runs a
// real server inside a test, tests decisions and projections as given, when, then,
// checks an aggregate or a process in one call, and injects the faults of production:
// see docs/esjs/testing.md.
//
// # Setting up
//
// [Provision] creates the store's stream, [ProvisionBucket] the KV buckets that
// snapshots, subscriptions, processes and leased projections name in their
// configuration, [ProvisionTimers] the stream of timers, and [ProvisionKeys] the bucket
// of personal keys. They need permission to create streams, are safe to call
// repeatedly, and fail if what exists is configured differently. [Open] needs less: it
// checks the stream and changes nothing.
//
// A [Store] is safe for concurrent use and meant to be one per program. It opens six
// connections, because reads that share a connection with appends delay them.
//
// # Observing
//
// An [Observer] and a [Tracer], fields of [Config], are told what the store does and
// everything built on it; packages esjsprom and esjsotel bind them to Prometheus and
// OpenTelemetry. Even without a tracer, one trace leads from an event to everything
// that it causes: see [WithTraceParent].
//
// # Errors
//
// Match errors with errors.Is and errors.As, never by their text; the variables and
// types are listed below. A Decide function refuses with a *[Rejection]. Calls retry
// what retrying can mend until their context ends, so give them a deadline.
//
// # Units and limits
//
//   - A category is 1 to 64 bytes of [a-z0-9-], a key 1 to 255 bytes of UTF-8. The
//     categories "guard" and "erasure" are reserved.
//   - A commit is at most the server's max_payload (1 MiB unless configured) less 256
//     bytes; more is an [ErrTooLarge].
//   - AppendAll takes at most 1000 aggregates. A Store has at most 40 such batches under
//     way; more wait.
//   - Times are stored in UTC with nanoseconds.
//   - A stream holds [Config].MaxBytes, 1 GiB unless configured, which the server
//     reserves; when it is full, appends fail with [ErrStoreFull]. A bucket holds 64 MiB
//     unless [MaxBytes] says more; [Observer.SnapshotStored] is told when one of snapshots is full.
//   - A load takes one round trip when the snapshot is current, and one more for each 64
//     commits after it, whatever the size of the stream.
//   - A fired timer can be read for 7 days. A process that was stopped for longer sets it
//     again when it starts; a [Timers] subscription is told what it has lost.
//
// Nothing here deletes an event. A store is one stream unless [Config].Partitions says
// more, and writes as fast as its streams do.
package esjs
