// Package schema checks the rendered manifests with the code by which an API server decides: strict decoding, defaults and
// validation of each kind, Pod Security admission, and the published schemas of others' resources. Its tests have the tag
// kubernetes and the module file kubernetes.mod: make test-k8s.
package schema
