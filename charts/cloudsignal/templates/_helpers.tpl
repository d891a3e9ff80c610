{{- define "cloudsignal.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{/* Leaves room for "-token-service" in 63 characters. */}}
{{- define "cloudsignal.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 45 | trimSuffix "-" -}}
{{- else -}}
{{- $name := include "cloudsignal.name" . -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 45 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 45 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/*
The templates below take (dict "root" $ "component" "broker" "values" .Values.broker).
*/}}

{{- define "cloudsignal.componentName" -}}
{{- printf "%s-%s" (include "cloudsignal.fullname" .root) .component -}}
{{- end -}}

{{- define "cloudsignal.selectorLabels" -}}
app.kubernetes.io/name: {{ include "cloudsignal.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{/* Takes "more" beside: labels of this object, rather than those of all of the same name. */}}
{{- define "cloudsignal.labels" -}}
{{ include "cloudsignal.selectorLabels" . }}
app.kubernetes.io/part-of: cloudsignal
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- with merge dict (default dict .more) .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "cloudsignal.serviceAccountName" -}}
{{- if .values.serviceAccount.create -}}
{{- default (include "cloudsignal.componentName" .) .values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "cloudsignal.image" -}}
{{- $image := .root.Values.image -}}
{{- if $image.digest -}}
{{- printf "%s@%s" $image.repository $image.digest -}}
{{- else -}}
{{- printf "%s:%s" $image.repository (default .root.Chart.AppVersion $image.tag) -}}
{{- end -}}
{{- end -}}

{{- define "cloudsignal.brokerTlsSecret" -}}
{{- default (printf "%s-broker-tls" (include "cloudsignal.fullname" .)) .Values.broker.tls.secretName -}}
{{- end -}}

{{- define "cloudsignal.sealingSecret" -}}
{{- default (printf "%s-sealing" (include "cloudsignal.fullname" .)) .Values.sealing.secretName -}}
{{- end -}}

{{- define "cloudsignal.brokerHost" -}}
{{- default (printf "%s-broker.%s.svc" (include "cloudsignal.fullname" .) .Release.Namespace) .Values.broker.host -}}
{{- end -}}

{{/* What clients over WebSocket are told. */}}
{{- define "cloudsignal.wssUrl" -}}
{{- if .Values.broker.ingress.enabled -}}
{{- printf "wss://%s/" .Values.broker.ingress.host -}}
{{- else -}}
{{- printf "wss://%s:%v/" (include "cloudsignal.brokerHost" .) .Values.broker.service.wssPort -}}
{{- end -}}
{{- end -}}
