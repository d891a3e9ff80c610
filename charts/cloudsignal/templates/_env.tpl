{{/* What the three programs are told. The templates take the same dict as those of _pod.tpl. */}}

{{/* The environment of a program. What extraEnv names is taken from there: a name given twice is refused by Kubernetes. */}}
{{- define "cloudsignal.env" -}}
{{- $more := .values.extraEnv -}}
{{- $given := dict -}}
{{- range $more }}{{ $_ := set $given .name true }}{{ end -}}
{{- $env := list -}}
{{- range include (printf "cloudsignal.env.%s" .component) . | fromYamlArray -}}
{{- if not (hasKey $given .name) }}{{ $env = append $env . }}{{ end -}}
{{- end -}}
{{- toYaml (concat $env $more) -}}
{{- end -}}

{{/* Takes "redis" beside: the program's name in redis.urlKeys and redis.users. */}}
{{- define "cloudsignal.commonEnv" -}}
{{ include "cloudsignal.redisEnv" . }}
- { name: CLOUDSIGNAL_KEY_PREFIX, value: {{ .root.Values.keyPrefix | quote }} }
- { name: CLOUDSIGNAL_LOG_LEVEL, value: {{ .root.Values.logLevel | quote }} }
- { name: CLOUDSIGNAL_AUDIT, value: {{ .root.Values.audit | quote }} }
- { name: CLOUDSIGNAL_AUDIT_KEPT, value: {{ .root.Values.auditKept.events | int64 | quote }} }
- { name: CLOUDSIGNAL_AUDIT_KEPT_HOURS, value: {{ .root.Values.auditKept.hours | int64 | quote }} }
- { name: CLOUDSIGNAL_METRICS_ORGANIZATIONS, value: {{ .root.Values.monitoring.organizations | int64 | quote }} }
- { name: CLOUDSIGNAL_PROBE_HOST, value: {{ .root.Values.listenAddress | quote }} }
- { name: CLOUDSIGNAL_PROBE_PORT, value: "9090" }
{{- end -}}

{{/* The keys that secrets of identity providers are sealed with in Redis: for the operator and the token service only. */}}
{{- define "cloudsignal.sealingEnv" -}}
- { name: CLOUDSIGNAL_SEALING_KEYS_FILE, value: /etc/cloudsignal/sealing/keys }
{{- end -}}

{{/*
Addresses and subnets whose word on the address of a client is taken, with commas between them. Takes a dict of "name" and
"ranges". Wide ones are refused: who can connect from within one chooses its own address.
*/}}
{{- define "cloudsignal.trustedRanges" -}}
{{- range .ranges -}}
{{- $parts := splitList "/" . -}}
{{- if gt (len $parts) 1 -}}
{{- $least := ternary 7 8 (contains ":" .) -}}
{{- if lt (index $parts 1 | int) $least -}}
{{- fail (printf "%s holds %s, from which anybody could pretend to be somebody else: name the proxies themselves, by ranges of /%d at least" $.name . $least) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- join "," .ranges -}}
{{- end -}}
