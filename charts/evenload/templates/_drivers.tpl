{{/* Generated from evenload/drivers by `python -m charts.generate`: do not edit. */}}

{{- define "evenload.driverReadRules" -}}
{{- if ((.Values.drivers.httproute).enabled) }}
- apiGroups: [gateway.networking.k8s.io]
  resources: [httproutes]
  verbs: [list, watch]
{{- end }}
{{- if ((.Values.drivers.grpcroute).enabled) }}
- apiGroups: [gateway.networking.k8s.io]
  resources: [grpcroutes]
  verbs: [list, watch]
{{- end }}
{{- if ((.Values.drivers.traefikservice).enabled) }}
- apiGroups: [traefik.io]
  resources: [traefikservices]
  verbs: [list, watch]
{{- end }}
{{- if ((.Values.drivers.ingressroute).enabled) }}
- apiGroups: [traefik.io]
  resources: [ingressroutes]
  verbs: [list, watch]
{{- end }}
{{- if ((.Values.drivers.virtualservice).enabled) }}
- apiGroups: [networking.istio.io]
  resources: [virtualservices]
  verbs: [list, watch]
{{- end }}
{{- if ((.Values.drivers.virtualservice).enabled) }}
- apiGroups: [networking.istio.io]
  resources: [destinationrules]
  verbs: [list, watch]
{{- end }}
{{- end }}

{{- define "evenload.driverActRules" -}}
{{- if ((.Values.drivers.httproute).enabled) }}
- apiGroups: [gateway.networking.k8s.io]
  resources: [httproutes]
  verbs: [get, patch]
{{- end }}
{{- if ((.Values.drivers.grpcroute).enabled) }}
- apiGroups: [gateway.networking.k8s.io]
  resources: [grpcroutes]
  verbs: [get, patch]
{{- end }}
{{- if ((.Values.drivers.traefikservice).enabled) }}
- apiGroups: [traefik.io]
  resources: [traefikservices]
  verbs: [get, patch]
{{- end }}
{{- if ((.Values.drivers.ingressroute).enabled) }}
- apiGroups: [traefik.io]
  resources: [ingressroutes]
  verbs: [get, patch]
{{- end }}
{{- if ((.Values.drivers.virtualservice).enabled) }}
- apiGroups: [networking.istio.io]
  resources: [virtualservices]
  verbs: [get, patch]
{{- end }}
{{- end }}

{{- define "evenload.disabledDrivers" -}}
{{- $names := list -}}
{{- if not ((.Values.drivers.httproute).enabled) }}{{- $names = append $names "httproute" }}{{- end -}}
{{- if not ((.Values.drivers.grpcroute).enabled) }}{{- $names = append $names "grpcroute" }}{{- end -}}
{{- if not ((.Values.drivers.traefikservice).enabled) }}{{- $names = append $names "traefikservice" }}{{- end -}}
{{- if not ((.Values.drivers.ingressroute).enabled) }}{{- $names = append $names "ingressroute" }}{{- end -}}
{{- if not ((.Values.drivers.virtualservice).enabled) }}{{- $names = append $names "virtualservice" }}{{- end -}}
{{- if not ((.Values.drivers.service).enabled) }}{{- $names = append $names "service" }}{{- end -}}
{{- join "," $names -}}
{{- end }}
