package main

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// addresses are the loopback addresses on which the parts of one "orderflow up"
// find each other over HTTP. They are free ones at first and kept in the data
// directory, so that they stay the same as long as nobody else takes them.
type addresses map[string]string

const addressesFile = "addresses.json"

// listenAll opens a listener for each name, on its address of last time when
// that is still free, and keeps the addresses in dir.
func listenAll(dir string, names ...string) (listeners map[string]net.Listener, err error) {
	path := filepath.Join(dir, addressesFile)
	known := addresses{}
	data, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(data, &known)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fail(exitBadDirectory, "%s cannot be read: %w; it may be removed", path, err)
	}
	listeners = make(map[string]net.Listener, len(names))
	defer func() {
		if err != nil {
			closeAll(listeners)
		}
	}()
	for _, name := range names {
		ln, err := listenAgain(known[name])
		if err != nil {
			return listeners, fail(exitAddressInUse, "no free loopback address for %s: %w", name, err)
		}
		listeners[name] = ln
		known[name] = ln.Addr().String()
	}
	data, err = json.Marshal(known, json.Deterministic(true), jsontext.WithIndent("  "))
	if err == nil {
		err = os.WriteFile(path, append(data, '\n'), 0o600)
	}
	if err != nil {
		return listeners, fail(exitBadDirectory, "%s cannot be written: %w", path, err)
	}
	return listeners, nil
}

// listenAgain listens on addr, or on a free loopback address when addr is empty
// or taken.
func listenAgain(addr string) (net.Listener, error) {
	if addr != "" {
		if ln, err := net.Listen("tcp", addr); err == nil {
			return ln, nil
		}
	}
	return net.Listen("tcp", "127.0.0.1:0")
}

func closeAll(listeners map[string]net.Listener) {
	for _, ln := range listeners {
		ln.Close()
	}
}
