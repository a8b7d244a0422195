// Only a source of files: tests take Istio's CRDs (kubernetes/customresourcedefinitions.gen.yaml) out of this module.
module evenload.dev/lab/istio-crds

go 1.24.0

require istio.io/api v1.32.0
