{{/* Takes "port" beside: the name of a port of the program's Service. */}}
{{- define "cloudsignal.ingress" -}}
{{- $ingress := .values.ingress -}}
{{- if $ingress.enabled -}}
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: {{ include "cloudsignal.componentName" . }}
  namespace: {{ .root.Release.Namespace }}
  labels:
    {{- include "cloudsignal.labels" . | nindent 4 }}
  {{- with $ingress.annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  {{- with $ingress.className }}
  ingressClassName: {{ . }}
  {{- end }}
  tls:
    - hosts: [{{ required (printf "ingress.host of the %s must be given" .component) $ingress.host | quote }}]
      secretName: {{ required (printf "ingress.tlsSecretName of the %s must be given: passwords and tokens go over it" .component) $ingress.tlsSecretName }}
  rules:
    - host: {{ $ingress.host | quote }}
      http:
        paths:
          - path: /
            pathType: Prefix
            backend:
              service:
                name: {{ include "cloudsignal.componentName" . }}
                port: { name: {{ .port }} }
{{- end -}}
{{- end -}}
