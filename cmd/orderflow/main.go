// Command orderflow runs the order system, as a whole or a service at a time,
// and sends it commands and queries. "orderflow up" is where to begin.
package main

import (
	"context"
	"os"
)

func main() { os.Exit(run(context.Background(), os.Args[1:], os.Stdout, os.Stderr)) }
