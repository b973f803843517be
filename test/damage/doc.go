// Package damage tests what becomes of events when a disk changes or forgets what was
// written to it: what the real nats-server does, that orderflow verify names what is
// wrong, and that a backup, or the other replicas, bring everything back.
// docs/reliability.md has the table that these tests print.
package damage
