package k8s

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
)

// place is where a connection comes from or goes to.
type place struct {
	workload  string            // "Deployment/order", in our namespace
	namespace string            // another one
	labels    map[string]string // of a pod there
	address   string            // outside the cluster
}

// flow is one connection, and whether it may be.
type flow struct {
	from, to place
	protocol string
	port     int
	allowed  bool
}

func (f flow) String() string {
	return fmt.Sprintf("%v to %v at %s %d", f.from, f.to, f.protocol, f.port)
}

func our(workload string) place { return place{workload: workload} }

func flows() (all []flow) {
	nats, internet := our("StatefulSet/nats"), place{address: "203.0.113.7"}
	dns := place{namespace: "kube-system", labels: map[string]string{"k8s-app": "kube-dns"}}
	monitoring, ingress, other := place{namespace: "monitoring"}, place{namespace: "ingress"}, place{namespace: "default"}
	add := func(allowed bool, from, to place, ports ...int) {
		for _, port := range ports {
			all = append(all, flow{from, to, "TCP", port, allowed})
		}
	}
	for _, w := range []string{"order", "inventory", "payment", "shipping", "saga", "projector", "gateway", "monitor"} {
		service := our("Deployment/" + w)
		add(true, service, nats, 4222)
		add(false, service, nats, 6222, 8222)
		all = append(all, flow{service, dns, "UDP", 53, true})
		add(true, monitoring, service, 9090)
		add(false, other, service, 8080, 8091, 8092, 9090)
		add(false, service, our("Deployment/order"), 8080)
		add(false, service, place{address: "10.0.0.1"}, 443) // the API server, and whatever else is near
		add(false, service, place{address: "169.254.169.254"}, 443, 80)
		add(false, service, internet, 22, 80)
		outside := slices.Contains([]string{"payment", "shipping", "gateway"}, w)
		add(outside, service, internet, 443)
		add(w == "projector", service, place{address: "10.0.0.1"}, 5432)
		add(true, service, monitoring, 4318)
		add(false, service, monitoring, 4317) // services refuse gRPC
	}
	add(true, our("Job/provision"), nats, 4222)
	add(true, our("CronJob/backup"), nats, 4222)
	add(false, our("CronJob/backup"), internet, 443)
	add(false, other, our("CronJob/backup"), 8080) // nothing is open of a pod that no other policy knows
	add(true, nats, nats, 6222)
	all = append(all, flow{nats, dns, "UDP", 53, true}) // routes are names
	add(false, nats, internet, 443)
	add(false, monitoring, nats, 4222, 6222, 8222)
	add(false, other, nats, 4222, 6222, 8222)
	add(true, ingress, our("Deployment/gateway"), 8080)
	add(true, ingress, our("Deployment/payment"), 8091)
	add(true, ingress, our("Deployment/shipping"), 8092)
	add(false, ingress, our("Deployment/gateway"), 9090)
	add(false, ingress, our("Deployment/order"), 8080)
	return all
}

func networkRules() []rule {
	return []rule{{
		name: "what may talk to what",
		broken: func(_ *testing.T, m manifests) (c []string) {
			check := (*complaints)(&c)
			if m.overlay == "dev" {
				check.unless(len(m.of("NetworkPolicy")) == 0, "there are policies")
				return c
			}
			n := network{pods: map[string]map[string]string{}}
			for _, w := range m.workloads() {
				n.pods[w.String()] = w.labels
			}
			for _, o := range m.of("NetworkPolicy") {
				n.policies = append(n.policies, decode[policy](o["spec"]))
			}
			for _, f := range flows() {
				allowed := n.allows(f, "Egress", f.from, f.to) && n.allows(f, "Ingress", f.to, f.from)
				check.unless(allowed == f.allowed, "%s is allowed: %v", f, allowed)
			}
			return c
		},
		damage: []damage{
			{"prod", "NetworkPolicy/deny-all", nil, nil},
			{"prod", "NetworkPolicy/names", nil, nil},
			{"prod", "NetworkPolicy/names", []any{"spec", "podSelector"}, map[string]any{"matchLabels": map[string]any{label + "component": "service"}}},
			{"prod", "NetworkPolicy/nats", []any{"spec", "ingress", 0, "from"}, nil},
			{"prod", "NetworkPolicy/nats", []any{"spec", "ingress", 1, "from"}, nil},
			{"prod", "NetworkPolicy/nats", []any{"spec", "egress"}, nil},
			{"prod", "NetworkPolicy/nats-clients", []any{"spec", "egress", 0, "ports", 0, "port"}, 4223},
			{"prod", "NetworkPolicy/outside", []any{"spec", "podSelector"}, map[string]any{}},
			{"prod", "NetworkPolicy/outside", []any{"spec", "egress", 0, "to", 0, "ipBlock", "except"}, nil},
			{"prod", "NetworkPolicy/monitoring", []any{"spec", "ingress", 0, "from", 0, "namespaceSelector"}, map[string]any{}},
			{"prod", "NetworkPolicy/monitoring", []any{"spec", "egress", 0, "ports", 0, "port"}, 4317},
			{"prod", "Deployment/order", []any{"spec", "template", "metadata", "labels", label + "component"}, "server"},
		},
	}}
}

// policy is a NetworkPolicy.
type policy struct {
	PodSelector expression
	PolicyTypes []string
	Ingress     []policyRule
	Egress      []policyRule
}

type policyRule struct {
	From  []peer
	To    []peer
	Ports []struct {
		Protocol string
		Port     int
	}
}

type peer struct {
	PodSelector       *expression
	NamespaceSelector *expression
	IPBlock           *struct {
		CIDR   string
		Except []string
	}
}

// expression selects labels.
type expression struct {
	MatchLabels      map[string]string
	MatchExpressions []struct {
		Key      string
		Operator string
		Values   []string
	}
}

func (e expression) matches(labels map[string]string) bool {
	for _, m := range e.MatchExpressions {
		if m.Operator != "In" || !slices.Contains(m.Values, labels[m.Key]) {
			return false
		}
	}
	return selector{e.MatchLabels}.matches(labels)
}

// network is what decides about connections.
type network struct {
	pods     map[string]map[string]string // workload to labels
	policies []policy
}

// labelsOf are those of a pod, and whether it is one of ours.
func (n network) labelsOf(p place) (labels map[string]string, ours bool) {
	if labels, ours = n.pods[p.workload]; !ours {
		labels = p.labels
	}
	return labels, ours
}

// allows tells whether the policies of one side let a connection pass, as Kubernetes defines it: what no policy
// selects may do everything, and what one selects may do what any of them lists.
func (n network) allows(f flow, direction string, self, other place) bool {
	labels, ours := n.labelsOf(self)
	if !ours {
		return true // others' policies are not ours
	}
	selected := false
	for _, p := range n.policies {
		if !p.PodSelector.matches(labels) || !slices.Contains(p.PolicyTypes, direction) {
			continue
		}
		selected = true
		rules := p.Ingress
		if direction == "Egress" {
			rules = p.Egress
		}
		for _, r := range rules {
			peers := r.From
			if direction == "Egress" {
				peers = r.To
			}
			if r.hasPort(f) && (len(peers) == 0 || slices.ContainsFunc(peers, func(p peer) bool { return n.isPeer(p, other) })) {
				return true
			}
		}
	}
	return !selected
}

func (r policyRule) hasPort(f flow) bool {
	if len(r.Ports) == 0 {
		return true
	}
	for _, p := range r.Ports {
		if p.Protocol == f.protocol && p.Port == f.port {
			return true
		}
	}
	return false
}

func (n network) isPeer(p peer, other place) bool {
	if p.IPBlock != nil {
		if other.address == "" {
			return false
		}
		at := netip.MustParseAddr(other.address)
		in := func(cidr string) bool { return netip.MustParsePrefix(cidr).Contains(at) }
		return in(p.IPBlock.CIDR) && !slices.ContainsFunc(p.IPBlock.Except, in)
	}
	if other.address != "" {
		return false
	}
	labels, ours := n.labelsOf(other)
	switch {
	case p.NamespaceSelector == nil:
		if !ours {
			return false
		}
	default:
		namespace := other.namespace
		if ours {
			namespace = "orderflow"
		}
		if !p.NamespaceSelector.matches(map[string]string{"kubernetes.io/metadata.name": namespace}) {
			return false
		}
	}
	return p.PodSelector == nil || p.PodSelector.matches(labels)
}
