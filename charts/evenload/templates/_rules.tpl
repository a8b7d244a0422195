{{/* What Evenload reads. Nothing here writes. */}}
{{- define "evenload.readRules" -}}
- apiGroups: [""]
  resources: [pods, services]
  verbs: [list, watch]
- apiGroups: [discovery.k8s.io]
  resources: [endpointslices]
  verbs: [list, watch]
- apiGroups: [apps]
  resources: [deployments, replicasets, statefulsets]
  verbs: [get, list, watch]
- apiGroups: [apps]
  resources: [daemonsets]
  verbs: [list, watch]
- apiGroups: [argoproj.io, rollouts.kruise.io]
  resources: [rollouts]
  verbs: [list, watch]
- apiGroups: [apps.kruise.io]
  resources: [clonesets]
  verbs: [list, watch]
- apiGroups: [autoscaling]
  resources: [horizontalpodautoscalers]
  verbs: [list, watch]
{{- with include "evenload.driverReadRules" . }}
{{- . }}
{{- end }}
{{- if .Values.crossNamespaceBackends }}
- apiGroups: [gateway.networking.k8s.io]
  resources: [referencegrants]
  verbs: [list, watch]
{{- end }}
- apiGroups: [evenload.dev]
  resources: [balancers, remediations]
  verbs: [list, watch]
{{- end }}

{{/* What Evenload writes in every mode: its own kinds, and Events. */}}
{{- define "evenload.recordRules" -}}
- apiGroups: [evenload.dev]
  resources: [balancers/status, remediations/status]
  verbs: [patch]
- apiGroups: [evenload.dev]
  resources: [remediations]
  verbs: [get, create, delete]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create]
{{- end }}

{{/* What Evenload changes of yours: weights and, by the Eviction API, pods. Not in Observe. */}}
{{- define "evenload.actRules" -}}
{{- if ne .Values.maxMode "Observe" }}
{{- with include "evenload.driverActRules" . }}
{{- . }}
{{- end }}
- apiGroups: [""]
  resources: [pods]
  verbs: [get, patch]
- apiGroups: [""]
  resources: [pods/eviction]
  verbs: [create]
- apiGroups: [evenload.dev]
  resources: [balancers]
  verbs: [get]
{{- end }}
{{- end }}

{{- define "evenload.rules" -}}
{{ include "evenload.readRules" . }}
{{ include "evenload.recordRules" . }}
{{- with include "evenload.actRules" . }}
{{- . }}
{{- end }}
{{- end }}
