package esjstest

import "bytes"

// The faults of deliveries apply to what subscriptions, projections, processes
// and timers are given by the server, for stores that were opened with
// [Faults.Dial]. esjs hands events over once and in order in spite of them.

// DeliverTwice lets each of the next n deliveries come twice.
func (f *Faults) DeliverTwice(n int) { f.arm(deliverTwice, n) }

// DeliverOutOfOrder lets each of the next n deliveries be overtaken by the one
// that follows it.
func (f *Faults) DeliverOutOfOrder(n int) { f.arm(deliverOutOfOrder, n) }

// DeliverLate lets each of the next n deliveries be overtaken by the eight that
// follow it.
func (f *Faults) DeliverLate(n int) { f.arm(deliverLate, n) }

// LoseDeliveries lets the next n deliveries not come at all.
func (f *Faults) LoseDeliveries(n int) { f.arm(loseDelivery, n) }

// withheld is a delivery that others overtake.
type withheld struct {
	whole []byte
	left  int // deliveries that still overtake it
}

// delivery tells that the server delivers a message of a stream, other than a
// bucket's, to a consumer.
func (f frame) delivery() bool {
	if len(f.fields) != 5 && len(f.fields) != 6 { // without a reply there are 4 and 5
		return false
	}
	tokens := bytes.Split(f.fields[3], []byte("."))
	return len(tokens) == 9 && string(tokens[1]) == "ACK" && !bytes.HasPrefix(tokens[2], []byte("KV_"))
}

// deliver returns what the client shall get instead of a delivery.
func (c *faultyConn) deliver(f frame) []byte {
	var out []byte
	hold := 0
	switch {
	case c.faults.take(loseDelivery):
	case c.faults.take(deliverTwice):
		out = append(bytes.Clone(f.whole), f.whole...)
	case c.faults.take(deliverOutOfOrder):
		hold = 1
	case c.faults.take(deliverLate):
		hold = 8
	default:
		out = bytes.Clone(f.whole)
	}
	waiting := c.withheld[:0]
	for _, w := range c.withheld {
		if w.left--; w.left == 0 {
			out = append(out, w.whole...)
		} else {
			waiting = append(waiting, w)
		}
	}
	if c.withheld = waiting; hold > 0 {
		c.withheld = append(c.withheld, withheld{bytes.Clone(f.whole), hold})
	}
	return out
}
