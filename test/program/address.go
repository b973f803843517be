package program

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
)

// FreeAddresses finds some of the loopback interface that nobody listens on, below the range that the system gives
// to outgoing connections: for programs that must be found where they were when they are started again. Somebody else may
// take one before the program does.
func FreeAddresses(n int) (found []string, err error) {
	for range 1000 {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 15000+rand.IntN(15000)))
		if err != nil {
			continue
		}
		defer func() { _ = l.Close() }()
		if found = append(found, l.Addr().String()); len(found) == n {
			return found, nil
		}
	}
	return nil, errors.New("there are no free ports")
}

// Port is that of an address of [FreeAddresses].
func Port(address string) string { return address[strings.LastIndexByte(address, ':')+1:] }
