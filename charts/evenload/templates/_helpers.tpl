{{- define "evenload.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "evenload.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" }}
{{- else }}
{{- $name := default .Chart.Name .Values.nameOverride }}
{{- if contains $name .Release.Name }}
{{- .Release.Name | trunc 40 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 40 | trimSuffix "-" }}
{{- end }}
{{- end }}
{{- end }}

{{/* Cluster-wide objects of two releases must not collide. */}}
{{- define "evenload.clusterName" -}}
{{- if eq .Release.Namespace (include "evenload.fullname" .) }}
{{- include "evenload.fullname" . }}
{{- else }}
{{- printf "%s-%s" .Release.Namespace (include "evenload.fullname" .) }}
{{- end }}
{{- end }}

{{- define "evenload.chart" -}}
{{- printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "evenload.labels" -}}
helm.sh/chart: {{ include "evenload.chart" . }}
{{ include "evenload.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "evenload.selectorLabels" -}}
app.kubernetes.io/name: {{ include "evenload.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "evenload.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "evenload.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- define "evenload.image" -}}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) }}
{{- end }}

{{/* The NetworkPolicy peers behind an address of a Service: its namespace, or ours where the host has one label. */}}
{{- define "evenload.peersOf" -}}
{{- $host := regexReplaceAll ":[0-9]*$" (urlParse .).host "" -}}
{{- $labels := splitList "." (trimSuffix "." $host) -}}
{{- if regexMatch "^[0-9.]+$" $host -}}
- ipBlock: {cidr: {{ $host }}/32}
{{- else if eq (len $labels) 1 -}}
- podSelector: {}
{{- else if or (eq (len $labels) 2) (eq (index $labels 2) "svc") -}}
- namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: {{ index $labels 1 }}}}
{{- else -}}
{{- fail (printf "networkPolicy.prometheus.to: %s is no Service of this cluster; name the addresses behind it, as in [{ipBlock: {cidr: 203.0.113.7/32}}]" $host) -}}
{{- end -}}
{{- end }}

{{- define "evenload.portOf" -}}
{{- default (ternary "443" "80" (hasPrefix "https:" .)) (regexFind "[0-9]+$" (regexFind ":[0-9]+$" (urlParse .).host)) -}}
{{- end }}
