// Only a source of files: tests take Traefik's CRDs (integration/fixtures/k8s) out of this module.
module evenload.dev/lab/traefik-crds

go 1.26.0

require github.com/traefik/traefik/v3 v3.7.13
