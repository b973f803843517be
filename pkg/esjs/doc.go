// Package esjs is an event store on NATS JetStream, and what is needed to build
// event-sourced programs on it: aggregates, subscriptions, projections,
// processes and timers. It needs nats-server [MinServerVersion] or newer and
// nothing else.
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
// An [Event] is the payload of a fact; it is stored under a name that a person
// has written, and that never changes. A [Record] is a stored event with its
// envelope: id, version, time, [Metadata]. The envelope is a CloudEvent, so other
// tools read it.
//
// A [Commit] is the 1 to n events that one decision caused for one aggregate.
// It is one message and is stored whole or not at all. A [StreamID], category and
// key, names the aggregate whose commits are under one subject.
//
// A [Revision] is what a writer knew of an aggregate: the number of its events,
// which is its version, and where the last of them is stored. An append says what it
// expects ([AtRevision], [ExpectVersion], [NoStream], [Any]) and is refused with
// a *[ConflictError] when that is not so. A [Position] is a place in the store's
// one order of all commits; of several partitions each has its own.
//
// An [Aggregate] is a name, a [Codec] and two pure functions: Apply folds events into state, Decide
// turns a command into events or refuses it. A [CommandHandler] loads the
// aggregate, decides, appends, and decides again when another writer was faster.
//
// A subscription ([Subscribe], [SubscribeBatch]) gives events to a handler,
// history first and then live. A [Projection] turns events into rows of a
// [Sink]; package sqlsink has one for SQLite and PostgreSQL, package kvsink one for
// a KV bucket.
// A [Process] is an event-sourced state machine over events of other aggregates
// and over [Timers].
//
// # What is guaranteed
//
//   - An append that returned without an error is stored once, whole. Every error but
//     [ErrUnknownOutcome] means that nothing was stored, [ErrConflict] included: it is final. How
//     safe stored is against a loss of power is the server's configuration: see
//     docs/esjs/consistency.md.
//   - Versions of an aggregate are 1, 2, 3 …, and its events' times never decrease. Reads check
//     that there is no gap, and name the place with a *[CorruptError] when there is one;
//     [Verify] reads the whole log for that.
//   - A decision on an old state never takes effect: one that writes is guarded by its
//     expectation, one that writes nothing is taken on what the leader has shown during the call.
//   - [Store.AppendAll] stores commits of several aggregates of one partition, or none of them.
//   - A command whose id is among the newest 128 that wrote something to the aggregate gets its
//     first result again and writes nothing.
//   - A subscription handles a key's events of one partition in order, also after a retry, a
//     crash or a takeover, each at least once, and leaves none out: what cannot be
//     handled is parked with all that comes later for its key, until [ReleaseParked].
//   - A projection applies each event exactly once: in an SQL database rows and checkpoint
//     change in one transaction, in a KV bucket each row knows which events it has had. Its
//     versions stand side by side; one is live, and in SQL an Effect happens once over all.
//   - A process consumes each input that causes events exactly once, because the input is
//     recorded in the commit that it caused. A timer never fires early. One instance can be
//     set aside and released without the others noticing ([ProcessRunner.Quarantine]).
//
// # Rules over several aggregates
//
// One append protects one aggregate. A rule over two is kept by [Store.AppendAll]
// with writes to both, or with a write to one and the other [Unchanged]: without
// that guard two writers, each right about what it had read, break the rule
// together. A value that nobody else may have is the key of an aggregate, and is
// claimed by an append that expects it free, together with what claims it (see the
// example on uniqueness). Where the value is personal make the key from a keyed
// hash of it: keys stand in subjects, which nothing erases. Both are atomic
// batches, which cost more than an append.
//
// # Personal data
//
// A value of an event that is a [Personal] is stored encrypted with a key of the
// person whom the event names, by a store that was opened with keys ([KeyConfig]).
// [Store.ErasePerson] destroys the key: the value is then the zero value, for every reader, and
// tells that it was erased. Snapshots are sealed in the same way, projections are
// told by [PersonErased], and [VerifyErased] shows that nothing of the person can be
// read. See docs/esjs/erasure.md.
//
// # Where to start
//
// The package example runs as it is: it is a whole aggregate. docs/esjs/tutorial.md
// adds a projection in ten minutes; next to it are guides on consistency, processes,
// projections, changing schemas and copying from other stores. Package esjstest
// runs a real server inside a test, tells decisions and projections as given, when,
// then, checks an aggregate or a process in one call, and breaks what breaks in
// production: see docs/esjs/testing.md.
//
// # Setting up
//
// [Provision] creates the store's stream, [ProvisionBucket] the KV buckets that
// snapshots, subscriptions, processes and leased projections name in their configuration,
// [ProvisionTimers] the stream of timers, and [ProvisionKeys] the bucket of persons'
// keys. They need the right to create streams;
// may be called again; and refuse a stream that is not as it must be. [Open] needs less: it
// verifies the stream and changes nothing.
//
// A [Store] is safe for concurrent use and meant to be one per program. It opens
// six connections, because a read that is answered on the connection that
// appends delays the appends behind it.
//
// # Observing
//
// An [Observer] and a [Tracer], fields of [Config], are told what the store does and
// all that is built on it; packages esjsprom and esjsotel bind them to Prometheus and
// OpenTelemetry. Also without a tracer one trace goes from an event to
// everything that it causes: see [WithTraceParent].
//
// # Errors
//
// Errors are matched with errors.Is and errors.As, never by their text; the
// variables and types are listed below. A Decide function says no with a
// *[Rejection]. Calls try again, as long as that helps, until their context
// ends: give it a deadline.
//
// # Units and limits
//
//   - A category is 1 to 64 bytes of [a-z0-9-], a key 1 to 255 bytes of UTF-8. The
//     categories "guard" and "erasure" are the store's own.
//   - A commit is at most the server's max_payload (1 MiB unless configured) less 256 bytes;
//     more is an [ErrTooLarge].
//   - AppendAll takes at most 1000 aggregates, and a Store has at most 40 such
//     batches under way; more wait.
//   - Times are stored in UTC with nanoseconds.
//   - A stream holds [Config].MaxBytes, 1 GiB unless configured, which the server
//     reserves; then appends are refused with [ErrStoreFull]. A bucket holds 64 MiB.
//   - A load takes one round trip when the snapshot is current, and one more for each 64
//     commits after it, whatever the size of the stream.
//   - A fired timer can be read for 7 days. A process that was stopped for longer arms
//     it again when it starts; a [Timers] subscription is told what it has lost.
//
// Nothing here deletes an event. A store is one stream unless [Config].Partitions says
// more, and writes as fast as its streams do.
package esjs
