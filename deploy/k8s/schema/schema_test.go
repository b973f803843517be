//go:build kubernetes

package schema

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apiextensions "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	crvalidation "k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
	"k8s.io/kubernetes/pkg/apis/apps"
	_ "k8s.io/kubernetes/pkg/apis/apps/install"
	appsvalidation "k8s.io/kubernetes/pkg/apis/apps/validation"
	"k8s.io/kubernetes/pkg/apis/autoscaling"
	_ "k8s.io/kubernetes/pkg/apis/autoscaling/install"
	autoscalingvalidation "k8s.io/kubernetes/pkg/apis/autoscaling/validation"
	"k8s.io/kubernetes/pkg/apis/batch"
	_ "k8s.io/kubernetes/pkg/apis/batch/install"
	batchvalidation "k8s.io/kubernetes/pkg/apis/batch/validation"
	"k8s.io/kubernetes/pkg/apis/core"
	_ "k8s.io/kubernetes/pkg/apis/core/install"
	corev1conversion "k8s.io/kubernetes/pkg/apis/core/v1"
	corevalidation "k8s.io/kubernetes/pkg/apis/core/validation"
	"k8s.io/kubernetes/pkg/apis/networking"
	_ "k8s.io/kubernetes/pkg/apis/networking/install"
	networkingvalidation "k8s.io/kubernetes/pkg/apis/networking/validation"
	"k8s.io/kubernetes/pkg/apis/policy"
	_ "k8s.io/kubernetes/pkg/apis/policy/install"
	policyvalidation "k8s.io/kubernetes/pkg/apis/policy/validation"
	"k8s.io/kubernetes/pkg/apis/scheduling"
	_ "k8s.io/kubernetes/pkg/apis/scheduling/install"
	schedulingvalidation "k8s.io/kubernetes/pkg/apis/scheduling/validation"
	"k8s.io/pod-security-admission/api"
	psa "k8s.io/pod-security-admission/policy"
	sigsyaml "sigs.k8s.io/yaml"
)

// rendered is an overlay, one JSON text for each object.
func rendered(t *testing.T, overlay string) (objects []string) {
	t.Helper()
	root, err := filepath.Abs(filepath.Join("..", "..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	tree := t.TempDir()
	for _, dir := range []string{"nats", "k8s"} {
		if err := os.CopyFS(filepath.Join(tree, dir), os.DirFS(filepath.Join(root, "deploy", dir))); err != nil {
			t.Fatal(err)
		}
	}
	command(t, root, "run", "./cmd/orderflow", "keys", filepath.Join(tree, "secrets"))
	text := command(t, root, "run", "-modfile=deploy/k8s/kustomize.mod", "sigs.k8s.io/kustomize/kustomize/v5", "build", filepath.Join(tree, "k8s", "overlays", overlay))
	for d := yaml.NewYAMLOrJSONDecoder(strings.NewReader(text), 4096); ; {
		var object json.RawMessage
		if err := d.Decode(&object); errors.Is(err, io.EOF) {
			return objects
		} else if err != nil {
			t.Fatal(err)
		}
		objects = append(objects, string(object))
	}
}

func command(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.Command("go", args...)
	cmd.Dir = dir
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go %v: %v: %s", args, err, stderr.String())
	}
	return string(out)
}

// server decides as an API server does.
type server struct {
	strict runtime.Decoder
	pods   psa.Evaluator
	custom map[schema.GroupVersionKind]crvalidation.SchemaValidator
}

func newServer(t *testing.T) *server {
	t.Helper()
	pods, err := psa.NewEvaluator(psa.DefaultChecks(), nil)
	if err != nil {
		t.Fatal(err)
	}
	s := &server{
		strict: serializer.NewCodecFactory(legacyscheme.Scheme, serializer.EnableStrict).UniversalDeserializer(),
		pods:   pods,
		custom: map[schema.GroupVersionKind]crvalidation.SchemaValidator{},
	}
	files, err := Definitions(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		s.define(t, file)
	}
	return s
}

// define takes the schemas of a CustomResourceDefinition.
func (s *server) define(t *testing.T, file string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var definition apiextensionsv1.CustomResourceDefinition
	if err := sigsyaml.Unmarshal(text, &definition); err != nil {
		t.Fatal(err)
	}
	for _, v := range definition.Spec.Versions {
		var internal apiextensions.JSONSchemaProps
		if err := apiextensionsv1.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(v.Schema.OpenAPIV3Schema, &internal, nil); err != nil {
			t.Fatal(err)
		}
		validator, _, err := crvalidation.NewSchemaValidator(&internal)
		if err != nil {
			t.Fatal(err)
		}
		s.custom[schema.GroupVersionKind{Group: definition.Spec.Group, Version: v.Name, Kind: definition.Spec.Names.Kind}] = validator
	}
}

// check returns why an object would be refused.
func (s *server) check(text string) error {
	var head struct{ APIVersion, Kind string }
	if err := json.Unmarshal([]byte(text), &head); err != nil {
		return err
	}
	if validator, ok := s.custom[schema.FromAPIVersionAndKind(head.APIVersion, head.Kind)]; ok {
		var object map[string]any
		if err := json.Unmarshal([]byte(text), &object); err != nil {
			return err
		}
		return crvalidation.ValidateCustomResource(nil, object, validator).ToAggregate()
	}
	external, _, err := s.strict.Decode([]byte(text), nil, nil)
	if err != nil {
		return err
	}
	legacyscheme.Scheme.Default(external)
	internal, err := legacyscheme.Scheme.UnsafeConvertToVersion(external, runtime.InternalGroupVersioner)
	if err != nil {
		return err
	}
	wrong, template, err := validate(internal)
	if err != nil || len(wrong) > 0 || template == nil {
		return errors.Join(err, wrong.ToAggregate())
	}
	var pod corev1.PodTemplateSpec
	if err := corev1conversion.Convert_core_PodTemplateSpec_To_v1_PodTemplateSpec(template, &pod, nil); err != nil {
		return err
	}
	restricted := api.LevelVersion{Level: api.LevelRestricted, Version: api.LatestVersion()}
	if result := psa.AggregateCheckResults(s.pods.EvaluatePod(restricted, &pod.ObjectMeta, &pod.Spec)); !result.Allowed {
		return fmt.Errorf("violates PodSecurity %q: %s", restricted, result.ForbiddenDetail())
	}
	return nil
}

// validate returns what is wrong with an object, and the pods that it makes.
func validate(object runtime.Object) (wrong field.ErrorList, pod *core.PodTemplateSpec, err error) {
	options := corevalidation.PodValidationOptions{}
	switch o := object.(type) {
	case *core.Namespace:
		return corevalidation.ValidateNamespace(o), nil, nil
	case *core.Service: // the server fills in the plural
		if o.Spec.ClusterIP != "" {
			o.Spec.ClusterIPs = []string{o.Spec.ClusterIP}
		}
		return corevalidation.ValidateServiceCreate(o), nil, nil
	case *core.ConfigMap:
		return corevalidation.ValidateConfigMap(o), nil, nil
	case *core.Secret:
		return corevalidation.ValidateSecret(o), nil, nil
	case *core.PersistentVolumeClaim:
		return corevalidation.ValidatePersistentVolumeClaim(o, corevalidation.PersistentVolumeClaimSpecValidationOptions{}), nil, nil
	case *apps.Deployment:
		return appsvalidation.ValidateDeployment(o, options), &o.Spec.Template, nil
	case *apps.StatefulSet:
		return appsvalidation.ValidateStatefulSet(o, options), &o.Spec.Template, nil
	case *batch.Job: // the server makes its selector
		o.Spec.Selector = &metav1.LabelSelector{MatchLabels: o.Spec.Template.Labels}
		return batchvalidation.ValidateJobSpec(&o.Spec, field.NewPath("spec"), options), &o.Spec.Template, nil
	case *batch.CronJob:
		return batchvalidation.ValidateCronJobCreate(o, options), &o.Spec.JobTemplate.Spec.Template, nil
	case *networking.NetworkPolicy:
		return networkingvalidation.ValidateNetworkPolicy(o, networkingvalidation.NetworkPolicyValidationOptions{}), nil, nil
	case *networking.Ingress:
		return networkingvalidation.ValidateIngressCreate(o), nil, nil
	case *policy.PodDisruptionBudget:
		return policyvalidation.ValidatePodDisruptionBudget(o, policyvalidation.PodDisruptionBudgetValidationOptions{}), nil, nil
	case *autoscaling.HorizontalPodAutoscaler:
		return autoscalingvalidation.ValidateHorizontalPodAutoscaler(o, autoscalingvalidation.HorizontalPodAutoscalerSpecValidationOptions{}), nil, nil
	case *scheduling.PriorityClass:
		return schedulingvalidation.ValidatePriorityClass(o), nil, nil
	}
	return nil, nil, fmt.Errorf("nothing checks a %T", object)
}

// Every object of every overlay would be taken, and its pods admitted.
func TestEveryObjectWouldBeTaken(t *testing.T) {
	s := newServer(t)
	for _, overlay := range []string{"dev", "prod"} {
		objects := rendered(t, overlay)
		if len(objects) < 30 {
			t.Fatalf("%s has %d objects only", overlay, len(objects))
		}
		for _, text := range objects {
			if err := s.check(text); err != nil {
				t.Errorf("%s: %.200s: %v", overlay, text, err)
			}
		}
		t.Logf("%s: %d objects would be taken", overlay, len(objects))
	}
}

// What an API server refuses is refused.
func TestWhatIsWrongIsRefused(t *testing.T) {
	s := newServer(t)
	objects := strings.Join(rendered(t, "prod"), "\n")
	for _, c := range []struct{ in, from, to, because string }{
		{`"kind":"Deployment"`, `"minReadySeconds"`, `"minReadyMinutes"`, `unknown field "spec.minReadyMinutes"`},
		{`"kind":"Deployment"`, `"allowPrivilegeEscalation":false`, `"allowPrivilegeEscalation":true`, `allowPrivilegeEscalation != false`},
		{`"kind":"StatefulSet"`, `"runAsNonRoot":true`, `"runAsNonRoot":false`, `runAsNonRoot != true`},
		{`"kind":"CronJob"`, `"seccompProfile":{"type":"RuntimeDefault"}`, `"supplementalGroups":[65532]`, `seccompProfile`},
		{`"kind":"Job"`, `"mountPath":"/run/secrets/nats"`, `"mountPath":""`, `mountPath`},
		{`"kind":"NetworkPolicy"`, `"Egress"`, `"Outgress"`, `Outgress`},
		{`"kind":"PodDisruptionBudget"`, `"maxUnavailable":1`, `"maxUnavailable":-1`, `maxUnavailable`},
		{`"kind":"HorizontalPodAutoscaler"`, `"minReplicas":2`, `"minReplicas":20`, `maxReplicas`},
		{`"kind":"Certificate"`, `"renewBefore":"720h"`, `"renewBefore":720`, `renewBefore`},
		{`"kind":"ServiceMonitor"`, `"interval":"15s"`, `"interval":"often"`, `interval`},
		{`"kind":"PrometheusRule"`, `"alert":"SagaNeedsAttention"`, `"alert":7`, `alert`},
	} {
		found := false
		for text := range strings.SplitSeq(objects, "\n") {
			if !strings.Contains(text, c.in) || !strings.Contains(text, c.from) || found {
				continue
			}
			found = true
			if err := s.check(strings.Replace(text, c.from, c.to, 1)); err == nil || !strings.Contains(err.Error(), c.because) {
				t.Errorf("%s instead of %s in a %s: %v", c.to, c.from, c.in, err)
			}
		}
		if !found {
			t.Errorf("there is no %s with %s", c.in, c.from)
		}
	}
}
