package esjstest

import (
	"flag"
	"os"
)

// Rewriting tells that files that tests compare with shall be written: when the
// environment has ESJSTEST_REWRITE=1, or when the test program has a flag
// "rewrite" and was called with it. This package defines no flag, because
// others may define one of that name:
//
//	var _ = flag.Bool("rewrite", false, "write the files that tests compare with")
func Rewriting() bool {
	if os.Getenv("ESJSTEST_REWRITE") == "1" {
		return true
	}
	f := flag.Lookup("rewrite")
	return f != nil && f.Value.String() == "true"
}
