// Command dns answers for the names of a cluster, on the machine of "make test-kubelet": CoreDNS with the plugins that a test
// needs, in a module of its own, because its versions are not those of Kubernetes.
package main

import (
	"github.com/coredns/coredns/coremain"

	_ "github.com/coredns/coredns/plugin/bind"
	_ "github.com/coredns/coredns/plugin/errors"
	_ "github.com/coredns/coredns/plugin/kubernetes"
)

func main() { coremain.Run() }
