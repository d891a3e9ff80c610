{{/* How the programs reach Redis. They take the same dict as the templates of _helpers.tpl, with "redis" beside. */}}

{{- define "cloudsignal.redisSecret" -}}
{{- if eq .Values.redis.mode "development" -}}
{{- printf "%s-redis" (include "cloudsignal.fullname" .) -}}
{{- else -}}
{{- .Values.redis.secretName -}}
{{- end -}}
{{- end -}}

{{/* Refuses what contradicts itself. */}}
{{- define "cloudsignal.checkRedis" -}}
{{- $redis := .Values.redis -}}
{{- $hosts := len $redis.hosts -}}
{{- if and (has $redis.mode (list "secret" "development")) $hosts -}}
{{- fail (printf "redis.hosts is given, and redis.mode is %s: set it to standalone, sentinel or cluster" $redis.mode) -}}
{{- end -}}
{{- if and (eq $redis.mode "secret") (not $redis.secretName) -}}
{{- fail "redis.secretName must name the Secret with the URL of Redis" -}}
{{- end -}}
{{- if and (has $redis.mode (list "sentinel" "cluster")) (not $hosts) -}}
{{- fail (printf "redis.hosts must name some, for redis.mode %s" $redis.mode) -}}
{{- end -}}
{{- if and (eq $redis.mode "standalone") (ne $hosts 1) -}}
{{- fail "redis.hosts must name one, for redis.mode standalone" -}}
{{- end -}}
{{- if and (eq $redis.mode "cluster") $redis.database -}}
{{- fail "redis.database must be 0: a Redis Cluster has no other" -}}
{{- end -}}
{{- if and (eq $redis.mode "development") (or $redis.tls.enabled $redis.tls.secretName) -}}
{{- fail "redis.tls must be empty: the Redis of redis.mode development speaks no TLS" -}}
{{- end -}}
{{- if and $redis.tls.clientCertificate (not $redis.tls.secretName) -}}
{{- fail "redis.tls.secretName must name the Secret with the certificate of redis.tls.clientCertificate" -}}
{{- end -}}
{{- if and $redis.users.sentinel.name (not $redis.users.sentinel.passwordKey) -}}
{{- fail "redis.users.sentinel.passwordKey must be given with redis.users.sentinel.name" -}}
{{- end -}}
{{- end -}}

{{- define "cloudsignal.redisEnv" -}}
{{- include "cloudsignal.checkRedis" .root -}}
{{- $redis := .root.Values.redis -}}
{{- $secret := include "cloudsignal.redisSecret" .root -}}
{{- if has $redis.mode (list "secret" "development") -}}
- name: CLOUDSIGNAL_REDIS_URL
  valueFrom:
    secretKeyRef:
      name: {{ $secret }}
      key: {{ eq $redis.mode "secret" | ternary (index $redis.urlKeys .redis) "url" }}
{{- else -}}
{{- $user := index $redis.users .redis -}}
{{- $login := "" -}}
{{- $query := "" -}}
{{- if and $secret $user.passwordKey -}}
{{- $login = printf "%s:$(REDIS_PASSWORD)@" $user.name -}}
# Not called CLOUDSIGNAL_...: it is no setting, but a part of one.
- name: REDIS_PASSWORD
  valueFrom:
    secretKeyRef:
      name: {{ $secret }}
      key: {{ $user.passwordKey }}
{{ end -}}
{{- $sentinel := $redis.users.sentinel -}}
{{- if and (eq $redis.mode "sentinel") $secret $sentinel.passwordKey -}}
{{- $query = "?sentinel_password=$(SENTINEL_PASSWORD)" -}}
{{- with $sentinel.name }}{{ $query = printf "%s&sentinel_username=%s" $query . }}{{ end -}}
- name: SENTINEL_PASSWORD
  valueFrom:
    secretKeyRef:
      name: {{ $secret }}
      key: {{ $sentinel.passwordKey }}
{{ end -}}
{{- $scheme := $redis.tls.enabled | ternary "rediss" "redis" -}}
{{- $path := printf "/%v" $redis.database -}}
{{- if eq $redis.mode "sentinel" -}}
{{- $scheme = printf "%s+sentinel" $scheme -}}
{{- $path = printf "/%s/%v" $redis.sentinelMaster $redis.database -}}
{{- else if eq $redis.mode "cluster" -}}
{{- $scheme = printf "%s+cluster" $scheme -}}
{{- $path = "" -}}
{{- end -}}
- name: CLOUDSIGNAL_REDIS_URL
  value: {{ printf "%s://%s%s%s%s" $scheme $login (join "," $redis.hosts) $path $query | quote }}
{{- end }}
{{- with $redis.tls }}
{{- if .secretName }}
- name: CLOUDSIGNAL_REDIS_CA_FILE
  value: /etc/cloudsignal/redis/ca.crt
{{- if .clientCertificate }}
- name: CLOUDSIGNAL_REDIS_CERT_FILE
  value: /etc/cloudsignal/redis/tls.crt
- name: CLOUDSIGNAL_REDIS_KEY_FILE
  value: /etc/cloudsignal/redis/tls.key
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{/* What proves to the programs that Redis is Redis, and to Redis who they are. Empty without redis.tls.secretName. */}}
{{- define "cloudsignal.redisVolumeMount" -}}
{{- if .root.Values.redis.tls.secretName -}}
- { name: redis-tls, mountPath: /etc/cloudsignal/redis, readOnly: true }
{{- end -}}
{{- end -}}

{{- define "cloudsignal.redisVolume" -}}
{{- if .root.Values.redis.tls.secretName -}}
- name: redis-tls
  secret:
    secretName: {{ .root.Values.redis.tls.secretName }}
    defaultMode: 0440
{{- end -}}
{{- end -}}
