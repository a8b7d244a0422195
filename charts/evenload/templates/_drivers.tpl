{{/* Generated from evenload/drivers by `python -m charts.generate`: do not edit. */}}

{{- define "evenload.driverReadRules" -}}
{{- if ((.Values.drivers.httproute).enabled) }}
- apiGroups: [gateway.networking.k8s.io]
  resources: [httproutes]
  verbs: [list, watch]
{{- end }}
{{- end }}

{{- define "evenload.driverActRules" -}}
{{- if ((.Values.drivers.httproute).enabled) }}
- apiGroups: [gateway.networking.k8s.io]
  resources: [httproutes]
  verbs: [get, patch]
{{- end }}
{{- end }}

{{- define "evenload.disabledDrivers" -}}
{{- $names := list -}}
{{- if not ((.Values.drivers.httproute).enabled) }}{{- $names = append $names "httproute" }}{{- end -}}
{{- join "," $names -}}
{{- end }}
