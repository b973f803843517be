package schema

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// others are the modules in which others publish the schemas of their resources, and the files there.
var others = map[string]string{
	"github.com/cert-manager/cert-manager@v1.21.2":               "deploy/crds/*.yaml",
	"github.com/prometheus-operator/prometheus-operator@v0.85.0": "example/prometheus-operator-crd/*.yaml",
}

// Definitions downloads the CustomResourceDefinitions of what others' resources the overlays have, and returns the files.
func Definitions(ctx context.Context) (files []string, err error) {
	for module, pattern := range others {
		cmd := exec.CommandContext(ctx, "go", "mod", "download", "-json", module)
		cmd.Dir = os.TempDir() // in no module, whose versions would count
		out, err := cmd.Output()
		if err != nil {
			return nil, fmt.Errorf("go mod download %s: %w: %s", module, err, out)
		}
		var downloaded struct{ Dir string }
		if err := json.Unmarshal(out, &downloaded); err != nil {
			return nil, err
		}
		found, err := filepath.Glob(filepath.Join(downloaded.Dir, filepath.FromSlash(pattern)))
		if err != nil || len(found) == 0 { // the pattern is well formed
			return nil, fmt.Errorf("%s has no %s", module, pattern)
		}
		files = append(files, found...)
	}
	return files, nil
}
