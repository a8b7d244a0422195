// Only a source of files: the lab takes the Gateway API's CRDs (config/crd/standard) out of this module.
module evenload.dev/lab/gateway-api

go 1.24.0

require sigs.k8s.io/gateway-api v1.6.3
