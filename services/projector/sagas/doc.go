// Package sagas is the operator's board: where the fulfilment of every order and
// every refund is, what it waits for and until when, what went wrong, how long
// steps take and why orders are undone. It reads the events of the processes
// alone; what they mean is folded by [Fold].
package sagas
