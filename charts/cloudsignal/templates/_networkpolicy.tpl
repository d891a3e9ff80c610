{{/*
Takes "ports", the names of ports that clients use, "from", who these are, and "egress", as YAML, beside.
*/}}
{{- define "cloudsignal.networkPolicy" -}}
{{- $policy := .root.Values.networkPolicy -}}
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: {{ include "cloudsignal.componentName" . }}
  namespace: {{ .root.Release.Namespace }}
  labels:
    {{- include "cloudsignal.labels" . | nindent 4 }}
spec:
  podSelector:
    matchLabels:
      {{- include "cloudsignal.selectorLabels" . | nindent 6 }}
  policyTypes: [Ingress, Egress]
  {{- if or .ports $policy.metricsFrom }}
  ingress:
    {{- if .ports }}
    - ports:
        {{- range .ports }}
        - { port: {{ . }} }
        {{- end }}
      {{- with .from }}
      from:
        {{- toYaml . | nindent 8 }}
      {{- end }}
    {{- end }}
    {{- with $policy.metricsFrom }}
    - ports:
        - { port: probes }
      from:
        {{- toYaml . | nindent 8 }}
    {{- end }}
  {{- else }}
  # Nobody asks it anything.
  ingress: []
  {{- end }}
  egress:
    - ports:
        - { port: 53, protocol: UDP }
        - { port: 53, protocol: TCP }
    {{- include "cloudsignal.egressRule" (dict "ports" $policy.redisPorts "to" $policy.redisTo) | nindent 4 }}
    {{- with .egress }}
    {{- . | nindent 4 }}
    {{- end }}
{{- end -}}

{{- define "cloudsignal.egressRule" -}}
- ports:
    {{- range .ports }}
    - { port: {{ . }} }
    {{- end }}
  {{- with .to }}
  to:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end -}}
