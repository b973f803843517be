// Package wire holds the encodings of the store: how keys become subject
// tokens, how back-pointers become an attribute, and how a commit becomes the
// body of one message. All of them are final: what was written once is read for ever.
package wire
