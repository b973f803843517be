// Package rig runs a cluster of three nats-servers on one machine, each in a network
// namespace and on a file system of its own, and does to them what happens to
// machines: it kills and pauses them, cuts and slows their network, fills their disk
// and takes their power. It needs Linux and root; [Missing] says what is not there.
package rig
