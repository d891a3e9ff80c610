{{- define "cloudsignal.env.broker" -}}
{{- $broker := .root.Values.broker -}}
{{- if and (eq (toString $broker.workers) "auto") (not (hasKey (default dict $broker.resources.limits) "cpu")) -}}
{{- fail "broker.workers auto needs broker.resources.limits.cpu: without it there is a worker for each core of the node" -}}
{{- end -}}
{{ include "cloudsignal.commonEnv" . }}
- { name: CLOUDSIGNAL_BROKER_HOST, value: {{ .root.Values.listenAddress | quote }} }
- { name: CLOUDSIGNAL_BROKER_MQTTS_PORT, value: "8883" }
- { name: CLOUDSIGNAL_BROKER_WSS_PORT, value: "18885" }
- { name: CLOUDSIGNAL_BROKER_TLS_CERT_FILE, value: /etc/cloudsignal/tls/tls.crt }
- { name: CLOUDSIGNAL_BROKER_TLS_KEY_FILE, value: /etc/cloudsignal/tls/tls.key }
- { name: CLOUDSIGNAL_BROKER_WORKERS, value: {{ $broker.workers | toString | quote }} }
- { name: CLOUDSIGNAL_BROKER_PROXY_PROTOCOL_FROM, value: {{ include "cloudsignal.proxyProtocolFrom" .root | quote }} }
- { name: CLOUDSIGNAL_BROKER_EXPIRY_NOTICE_SECONDS, value: {{ $broker.expiryNoticeSeconds | int64 | quote }} }
- { name: CLOUDSIGNAL_BROKER_MAX_STALENESS_SECONDS, value: {{ $broker.maxStalenessSeconds | int64 | quote }} }
- { name: CLOUDSIGNAL_BROKER_FAILED_CONNECTS_PER_CLIENT, value: {{ $broker.failedConnects.perClient | int64 | quote }} }
- { name: CLOUDSIGNAL_BROKER_FAILED_CONNECTS_PER_NAME, value: {{ $broker.failedConnects.perName | int64 | quote }} }
- { name: CLOUDSIGNAL_BROKER_FAILED_CONNECTS_PER_ADDRESS, value: {{ $broker.failedConnects.perAddress | int64 | quote }} }
- { name: CLOUDSIGNAL_BROKER_PASSWORD_CHECKS, value: {{ $broker.passwordChecks.hashing | int64 | quote }} }
- { name: CLOUDSIGNAL_BROKER_PASSWORD_CHECKS_WAITING, value: {{ $broker.passwordChecks.waiting | int64 | quote }} }
- { name: CLOUDSIGNAL_BROKER_PASSWORD_CHECKS_PER_NAME, value: {{ $broker.passwordChecks.perName | int64 | quote }} }
# Counted together with the token service.
- { name: CLOUDSIGNAL_BROKER_SUBJECT_PER_MINUTE, value: {{ .root.Values.tokenService.limits.subjectPerMinute | int64 | quote }} }
- { name: CLOUDSIGNAL_BROKER_DRAIN_DELAY_SECONDS, value: {{ $broker.drain.delaySeconds | int64 | quote }} }
- { name: CLOUDSIGNAL_BROKER_DRAIN_SECONDS, value: {{ $broker.drain.seconds | int64 | quote }} }
- { name: CLOUDSIGNAL_BROKER_DEFERRED_WILL_SECONDS, value: {{ $broker.drain.willSeconds | int64 | quote }} }
- { name: CLOUDSIGNAL_BROKER_SERVER_REFERENCE, value: {{ $broker.drain.serverReference | quote }} }
{{- end -}}

{{- define "cloudsignal.proxyProtocolFrom" -}}
{{- $broker := .Values.broker -}}
{{- with $broker.proxyProtocolFrom -}}
{{- if and (has $broker.service.type (list "NodePort" "LoadBalancer")) (ne $broker.service.externalTrafficPolicy "Local") -}}
{{- fail (printf "broker.proxyProtocolFrom needs broker.service.externalTrafficPolicy Local with type %s: otherwise connections that are not from the balancer come from a node's address too" $broker.service.type) -}}
{{- end -}}
{{- include "cloudsignal.trustedRanges" (dict "name" "broker.proxyProtocolFrom" "ranges" .) -}}
{{- end -}}
{{- end -}}
