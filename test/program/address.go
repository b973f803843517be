package program

import (
	"net"
	"strings"
)

// FreeAddresses finds some of the loopback interface that nobody listens on, for programs that must be found where they
// were when they are started again. Somebody else may take one before the program does.
func FreeAddresses(n int) (found []string, err error) {
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer func() { _ = l.Close() }()
		found = append(found, l.Addr().String())
	}
	return found, nil
}

// Port is that of an address of [FreeAddresses].
func Port(address string) string { return address[strings.LastIndexByte(address, ':')+1:] }
