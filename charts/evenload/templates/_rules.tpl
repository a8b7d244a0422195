{{/* What Evenload reads. Nothing here writes. */}}
{{- define "evenload.readRules" -}}
- apiGroups: [""]
  resources: [pods, services]
  verbs: [get, list, watch]
- apiGroups: [discovery.k8s.io]
  resources: [endpointslices]
  verbs: [get, list, watch]
- apiGroups: [apps]
  resources: [deployments, replicasets, statefulsets]
  verbs: [get, list, watch]
- apiGroups: [autoscaling]
  resources: [horizontalpodautoscalers]
  verbs: [get, list, watch]
{{- if .Values.drivers.httproute.enabled }}
- apiGroups: [gateway.networking.k8s.io]
  resources: [httproutes]
  verbs: [get, list, watch]
{{- end }}
{{- if .Values.crossNamespaceBackends }}
- apiGroups: [gateway.networking.k8s.io]
  resources: [referencegrants]
  verbs: [list, watch]
{{- end }}
- apiGroups: [evenload.dev]
  resources: [balancers, remediations]
  verbs: [get, list, watch]
{{- end }}

{{/* What Evenload writes in every mode: its own kinds, and Events. */}}
{{- define "evenload.recordRules" -}}
- apiGroups: [evenload.dev]
  resources: [balancers/status, remediations/status]
  verbs: [get, patch, update]
- apiGroups: [evenload.dev]
  resources: [remediations]
  verbs: [create, patch, delete]
- apiGroups: ["", events.k8s.io]
  resources: [events]
  verbs: [create, patch]
{{- end }}

{{/* What Evenload changes of yours: weights and, by the Eviction API, pods. Not in Observe. */}}
{{- define "evenload.actRules" -}}
{{- if ne .Values.maxMode "Observe" }}
{{- if .Values.drivers.httproute.enabled }}
- apiGroups: [gateway.networking.k8s.io]
  resources: [httproutes]
  verbs: [patch]
{{- end }}
- apiGroups: [""]
  resources: [pods/eviction]
  verbs: [create]
{{- end }}
{{- end }}

{{- define "evenload.rules" -}}
{{ include "evenload.readRules" . }}
{{ include "evenload.recordRules" . }}
{{- with include "evenload.actRules" . }}
{{- . }}
{{- end }}
{{- end }}
