{{- define "cloudsignal.env.token-service" -}}
{{- $service := .root.Values.tokenService -}}
{{- $limits := $service.limits -}}
{{- $mqtts := printf "mqtts://%s:%v" (include "cloudsignal.brokerHost" .root) .root.Values.broker.service.mqttsPort -}}
{{- $proxies := include "cloudsignal.trustedRanges" (dict "name" "tokenService.trustedProxies" "ranges" $service.trustedProxies) -}}
{{ include "cloudsignal.commonEnv" . }}
{{ include "cloudsignal.sealingEnv" . }}
- { name: CLOUDSIGNAL_TOKEN_SERVICE_HTTP_HOST, value: {{ .root.Values.listenAddress | quote }} }
- { name: CLOUDSIGNAL_TOKEN_SERVICE_HTTP_PORT, value: "8080" }
- { name: CLOUDSIGNAL_TOKEN_SERVICE_ALLOW_PRIVATE_ISSUERS, value: {{ $service.allowPrivateIssuers | quote }} }
- { name: CLOUDSIGNAL_TOKEN_SERVICE_TRUSTED_PROXIES, value: {{ $proxies | quote }} }
- { name: CLOUDSIGNAL_TOKEN_SERVICE_USERS_API, value: {{ $service.usersApi.enabled | quote }} }
- { name: CLOUDSIGNAL_TOKEN_SERVICE_MQTTS_URL, value: {{ $mqtts | quote }} }
- { name: CLOUDSIGNAL_TOKEN_SERVICE_WSS_URL, value: {{ include "cloudsignal.wssUrl" .root | quote }} }
- { name: CLOUDSIGNAL_TOKEN_SERVICE_CREDENTIALS_PER_SUBJECT, value: {{ $service.credentialsPerSubject | int64 | quote }} }
- { name: CLOUDSIGNAL_TOKEN_SERVICE_KEY_PER_MINUTE, value: {{ $limits.keyPerMinute | int64 | quote }} }
- { name: CLOUDSIGNAL_TOKEN_SERVICE_ORGANIZATION_PER_MINUTE, value: {{ $limits.organizationPerMinute | int64 | quote }} }
- { name: CLOUDSIGNAL_TOKEN_SERVICE_WITHOUT_KEY_PER_MINUTE, value: {{ $limits.withoutKeyPerMinute | int64 | quote }} }
- { name: CLOUDSIGNAL_TOKEN_SERVICE_SUBJECT_PER_MINUTE, value: {{ $limits.subjectPerMinute | int64 | quote }} }
- { name: CLOUDSIGNAL_TOKEN_SERVICE_ADDRESS_PER_MINUTE, value: {{ $limits.addressPerMinute | int64 | quote }} }
- { name: CLOUDSIGNAL_TOKEN_SERVICE_WEBHOOK_PER_MINUTE, value: {{ $limits.webhookPerMinute | int64 | quote }} }
{{- end -}}
