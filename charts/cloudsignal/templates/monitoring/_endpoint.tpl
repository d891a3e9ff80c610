{{/* Takes (dict "monitors" .Values.monitoring.monitors "port" "name"). */}}
{{- define "cloudsignal.metricsEndpoint" -}}
port: {{ .port }}
path: /metrics
{{- with .monitors.interval }}
interval: {{ . }}
{{- end }}
{{- with .monitors.scrapeTimeout }}
scrapeTimeout: {{ . }}
{{- end }}
{{- end -}}
