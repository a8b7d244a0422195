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

{{/* How to sign in to Prometheus, by environment and files: for the operator, and for the check of helm test. */}}
{{- define "evenload.prometheusEnv" -}}
{{- $root := "/var/run/secrets/evenload.dev/prometheus" -}}
- name: EVENLOAD_PROMETHEUS_URL
  value: {{ .url | quote }}
{{- with .tokenSecret }}{{ if .name }}
- name: EVENLOAD_PROMETHEUS_TOKEN_FILE
  value: {{ $root }}/{{ .key }}
{{- end }}{{ end }}
{{- with .basicAuthSecret }}{{ if .name }}
- name: EVENLOAD_PROMETHEUS_USERNAME_FILE
  value: {{ $root }}-basic-auth/{{ .usernameKey }}
- name: EVENLOAD_PROMETHEUS_PASSWORD_FILE
  value: {{ $root }}-basic-auth/{{ .passwordKey }}
{{- end }}{{ end }}
{{- with .caSecret }}{{ if .name }}
- name: EVENLOAD_PROMETHEUS_CA_FILE
  value: {{ $root }}-ca/{{ .key }}
{{- end }}{{ end }}
{{- with .clientCertSecret }}{{ if .name }}
- name: EVENLOAD_PROMETHEUS_CERT_FILE
  value: {{ $root }}-client-cert/{{ .certKey }}
- name: EVENLOAD_PROMETHEUS_KEY_FILE
  value: {{ $root }}-client-cert/{{ .keyKey }}
{{- end }}{{ end }}
{{- if .headers }}
- name: EVENLOAD_PROMETHEUS_HEADERS
  value: |-
    {{- range $name, $value := .headers }}
    {{ $name }}: {{ $value }}
    {{- end }}
{{- end }}
{{- with .headersSecret }}{{ if .name }}
- name: EVENLOAD_PROMETHEUS_HEADERS_FOLDER
  value: {{ $root }}-headers
{{- end }}{{ end }}
{{- if .matchers }}
- name: EVENLOAD_PROMETHEUS_MATCHERS
  value: {{ join "\n" .matchers | quote }}
{{- end }}
{{- if .presets }}
- name: EVENLOAD_PROMETHEUS_PRESETS
  value: {{ toJson .presets | quote }}
{{- end }}
{{- end }}

{{/* The Secrets that it reads: suffix of the volume's name, Secret, and the keys to mount (all where there are none). */}}
{{- define "evenload.prometheusSecrets" -}}
{{- with .tokenSecret }}{{ if .name }}
- {suffix: "", name: {{ .name }}, keys: [{{ .key }}]}
{{- end }}{{ end }}
{{- with .basicAuthSecret }}{{ if .name }}
- {suffix: -basic-auth, name: {{ .name }}, keys: [{{ .usernameKey }}, {{ .passwordKey }}]}
{{- end }}{{ end }}
{{- with .caSecret }}{{ if .name }}
- {suffix: -ca, name: {{ .name }}, keys: [{{ .key }}]}
{{- end }}{{ end }}
{{- with .clientCertSecret }}{{ if .name }}
- {suffix: -client-cert, name: {{ .name }}, keys: [{{ .certKey }}, {{ .keyKey }}]}
{{- end }}{{ end }}
{{- with .headersSecret }}{{ if .name }}
- {suffix: -headers, name: {{ .name }}, keys: []}
{{- end }}{{ end }}
{{- end }}

{{- define "evenload.prometheusMounts" -}}
{{- range include "evenload.prometheusSecrets" . | fromYamlArray }}
- name: prometheus{{ .suffix }}
  mountPath: /var/run/secrets/evenload.dev/prometheus{{ .suffix }}
  readOnly: true
{{- end }}
{{- end }}

{{- define "evenload.prometheusVolumes" -}}
{{- range include "evenload.prometheusSecrets" . | fromYamlArray }}
- name: prometheus{{ .suffix }}
  secret:
    secretName: {{ .name }}
    {{- with .keys }}
    items:
      {{- range . }}
      - key: {{ . }}
        path: {{ . }}
      {{- end }}
    {{- end }}
{{- end }}
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
