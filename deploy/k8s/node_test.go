//go:build apiserver && kubelet

package k8s

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/b144f99b/orderflow/test/program"
)

// node makes this machine one of the cluster's: with a container runtime, a kubelet, the proxy of Services, and DNS. It has the images
// that were brought along, and empty volumes.
func (c *cluster) node(t *testing.T) {
	t.Helper()
	brought := os.Getenv(machineDir)
	network := filepath.Join(c.dir, "network")
	if err := os.Mkdir(network, 0o755); err != nil {
		t.Fatal(err)
	}
	c.write(t, "network/pods.conflist", `{"cniVersion": "0.4.0", "name": "pods", "plugins": [{"type": "ptp", "ipam": {"type": "host-local", "subnet": "10.244.0.0/24", "routes": [{"dst": "0.0.0.0/0"}]}}]}`)
	begin(t, filepath.Join(c.logs, "containerd"), exec.Command("containerd", "--log-level", "warn", "--config", c.write(t, "containerd.toml", fmt.Sprintf(`
version = 2
root = %q
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "docker.io/library/%s"
  restrict_oom_score_adj = true # who may not lower it is no reason to start nothing
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = %q
`, filepath.Join(brought, "containerd"), pause, network))))
	program.Until(t, patience, "containerd has the images", func() bool {
		_, err := c.try("ctr --namespace k8s.io images import " + filepath.Join(brought, "images.tar"))
		return err == nil
	})

	c.run(t, "kubectl create clusterrolebinding kubelets-of-the-server --clusterrole system:kubelet-api-admin --user kube-apiserver")
	c.start(t, "kubelet", "--kubeconfig", c.kubeconfig(t, "kubelet"), "--node-ip", machineIP, "--config", c.write(t, "kubelet-config.json", string(write(t, object{
		"apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration",
		"authentication":           map[string]any{"anonymous": map[string]any{"enabled": false}, "x509": map[string]any{"clientCAFile": filepath.Join(c.dir, "kubelets-ca.crt")}},
		"containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
		"clusterDNS":               []string{machineIP}, "clusterDomain": "cluster.local", "resolvConf": "/dev/null",
		"cgroupDriver": "cgroupfs", "cgroupRoot": os.Getenv(machineCgroup), "failCgroupV1": false, "failSwapOn": false,
		"protectKernelDefaults": true, // what it would change is everybody's
		"oomScoreAdj":           0,
		"crashLoopBackOff":      map[string]any{"maxContainerRestartPeriod": "10s"}, // as many are killed here as elsewhere in a year
	}))))
	c.start(t, "kube-proxy", "--kubeconfig", c.kubeconfig(t, "kube-proxy"), "--hostname-override", "machine", "--proxy-mode", "iptables", "--cluster-cidr", "10.244.0.0/24",
		"--oom-score-adj", "0", "--conntrack-max-per-core", "0", "--conntrack-min", "0", "--conntrack-tcp-timeout-established", "0", "--conntrack-tcp-timeout-close-wait", "0")
	c.start(t, "dns", "-conf", c.write(t, "Corefile", fmt.Sprintf("cluster.local {\n bind %s\n errors\n kubernetes cluster.local {\n  kubeconfig %s test\n }\n}\n", machineIP, filepath.Join(c.dir, "admin.json"))))

	objects := []string{`{"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": "disks", "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}},
		"provisioner": "kubernetes.io/no-provisioner", "volumeBindingMode": "WaitForFirstConsumer"}`}
	for _, name := range []string{"disk-0", "disk-1", "disk-2"} { // NATS may lose one
		path := filepath.Join(brought, name)
		if err := os.Mkdir(path, 0o755); err != nil {
			t.Fatal(err)
		}
		objects = append(objects, fmt.Sprintf(`{"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": %q}, "spec": {"capacity": {"storage": "5Gi"},
			"accessModes": ["ReadWriteOnce"], "storageClassName": "disks", "persistentVolumeReclaimPolicy": "Retain", "local": {"path": %q}, "nodeAffinity": {"required":
			{"nodeSelectorTerms": [{"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": ["machine"]}]}]}}}}`, name, path))
	}
	c.run(t, "kubectl apply --server-side -f "+c.write(t, "disks.json", `{"apiVersion": "v1", "kind": "List", "items": [`+strings.Join(objects, ",")+`]}`))
	program.Until(t, patience, "the kubelet has told of its machine", func() bool { _, err := c.try("kubectl get node machine"); return err == nil })
	c.run(t, "kubectl wait --for=condition=Ready node/machine --timeout=5m")
}
