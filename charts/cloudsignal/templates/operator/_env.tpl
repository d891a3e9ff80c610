{{- define "cloudsignal.env.operator" -}}
{{- $operator := .root.Values.operator -}}
{{- $broker := .root.Values.broker -}}
{{ include "cloudsignal.commonEnv" . }}
{{ include "cloudsignal.sealingEnv" . }}
# Ten thousand users live long, little else does: a larger young generation only takes memory.
- { name: NODE_OPTIONS, value: --max-semi-space-size=2 }
- { name: CLOUDSIGNAL_OPERATOR_INSTALLATION, value: {{ $operator.installation | quote }} }
- { name: CLOUDSIGNAL_OPERATOR_NAMESPACES, value: {{ join "," $operator.namespaces | quote }} }
- { name: CLOUDSIGNAL_OPERATOR_LEASE_NAME, value: {{ include "cloudsignal.componentName" . | quote }} }
- { name: CLOUDSIGNAL_OPERATOR_LEASE_NAMESPACE, value: {{ .root.Release.Namespace | quote }} }
- { name: CLOUDSIGNAL_OPERATOR_LEASE_SECONDS, value: {{ $operator.leaseSeconds | int64 | quote }} }
- { name: CLOUDSIGNAL_OPERATOR_CONCURRENCY, value: {{ $operator.concurrency | int64 | quote }} }
- { name: CLOUDSIGNAL_OPERATOR_FINALIZER_SECONDS, value: {{ $operator.finalizerSeconds | int64 | quote }} }
- { name: CLOUDSIGNAL_OPERATOR_SWEEP_PERCENT, value: {{ $operator.sweepPercent | int64 | quote }} }
- { name: CLOUDSIGNAL_OPERATOR_UPKEEP_SECONDS, value: {{ $operator.upkeepSeconds | int64 | quote }} }
- { name: CLOUDSIGNAL_OPERATOR_MQTT_HOST, value: {{ include "cloudsignal.brokerHost" .root | quote }} }
- { name: CLOUDSIGNAL_OPERATOR_MQTTS_PORT, value: {{ $broker.service.mqttsPort | int64 | quote }} }
- { name: CLOUDSIGNAL_OPERATOR_WSS_PORT, value: {{ $broker.service.wssPort | int64 | quote }} }
{{- if $broker.ingress.enabled }}
- { name: CLOUDSIGNAL_OPERATOR_WSS_URL, value: {{ include "cloudsignal.wssUrl" .root | quote }} }
{{- end }}
{{- end -}}
