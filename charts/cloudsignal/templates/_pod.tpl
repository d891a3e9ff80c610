{{/* What the pods of the three programs have in common. They take the same dict as the templates of _helpers.tpl. */}}

{{- define "cloudsignal.podMetadata" -}}
labels:
  {{- include "cloudsignal.selectorLabels" . | nindent 2 }}
  {{- with merge dict .values.podLabels .root.Values.commonLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with .values.podAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "cloudsignal.podSpec" -}}
serviceAccountName: {{ include "cloudsignal.serviceAccountName" . }}
# Its variables are called CLOUDSIGNAL_..., and the programs refuse settings that they do not know.
enableServiceLinks: false
securityContext:
  {{- toYaml .root.Values.podSecurityContext | nindent 2 }}
{{- with concat .root.Values.imagePullSecrets (default list .root.Values.global.imagePullSecrets) }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
topologySpreadConstraints:
  {{- if .values.topologySpreadConstraints }}
  {{- toYaml .values.topologySpreadConstraints | nindent 2 }}
  {{- else }}
  {{- range tuple "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
  - topologyKey: {{ . }}
    maxSkew: 1
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "cloudsignal.selectorLabels" $ | nindent 8 }}
    matchLabelKeys: [pod-template-hash]
  {{- end }}
  {{- end }}
{{- end -}}

{{- define "cloudsignal.container" -}}
name: {{ .component }}
image: {{ include "cloudsignal.image" . | quote }}
imagePullPolicy: {{ .root.Values.image.pullPolicy }}
command: [node]
args: [{{ .component }}/main.ts]
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
livenessProbe:
  httpGet: { path: /healthz, port: probes }
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 3
readinessProbe:
  httpGet: { path: /readyz, port: probes }
  periodSeconds: 5
  timeoutSeconds: 5
  failureThreshold: 2
startupProbe:
  httpGet: { path: /healthz, port: probes }
  periodSeconds: 1
  failureThreshold: 60
resources:
  {{- toYaml .values.resources | nindent 2 }}
{{- end -}}

{{/* Pods go on for a while after they are told to end: load balancers are told at the same time. */}}
{{- define "cloudsignal.preStop" -}}
{{- if .values.preStopSeconds -}}
lifecycle:
  preStop:
    sleep: { seconds: {{ .values.preStopSeconds }} }
{{- end -}}
{{- end -}}

{{/* Takes "seconds" beside: what a program has after SIGTERM, a little more than it takes at most. */}}
{{- define "cloudsignal.gracePeriod" -}}
terminationGracePeriodSeconds: {{ max (add (default 0 .values.preStopSeconds) .seconds) (default 0 .values.terminationGracePeriodSeconds) }}
{{- end -}}

{{- define "cloudsignal.probesPort" -}}
- { name: probes, containerPort: 9090 }
{{- end -}}

{{/* What every program mounts. Empty where that is nothing. */}}
{{- define "cloudsignal.volumeMounts" -}}
{{- $mounts := .values.extraVolumeMounts -}}
{{- with include "cloudsignal.redisVolumeMount" . | fromYamlArray }}{{ $mounts = concat . $mounts }}{{ end -}}
{{- with $mounts }}{{ toYaml . }}{{ end -}}
{{- end -}}

{{- define "cloudsignal.volumes" -}}
{{- $volumes := .values.extraVolumes -}}
{{- with include "cloudsignal.redisVolume" . | fromYamlArray }}{{ $volumes = concat . $volumes }}{{ end -}}
{{- with $volumes }}{{ toYaml . }}{{ end -}}
{{- end -}}

{{/* For the operator and the token service only. */}}
{{- define "cloudsignal.sealingVolumeMount" -}}
- { name: sealing, mountPath: /etc/cloudsignal/sealing, readOnly: true }
{{- end -}}

{{- define "cloudsignal.sealingVolume" -}}
- name: sealing
  secret:
    secretName: {{ include "cloudsignal.sealingSecret" .root }}
    defaultMode: 0440
    items: [{ key: keys, path: keys }]
{{- end -}}

{{- define "cloudsignal.serviceAccount" -}}
{{- if .values.serviceAccount.create -}}
apiVersion: v1
kind: ServiceAccount
metadata:
  name: {{ include "cloudsignal.serviceAccountName" . }}
  namespace: {{ .root.Release.Namespace }}
  labels:
    {{- include "cloudsignal.labels" . | nindent 4 }}
  {{- with .values.serviceAccount.annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
# Pods that talk to the API server mount the token themselves: those of the operator, and of a token service with users by REST.
automountServiceAccountToken: false
{{- end -}}
{{- end -}}

{{- define "cloudsignal.podDisruptionBudget" -}}
{{- $replicas := .values.replicas -}}
{{- with .values.autoscaling }}{{ if .enabled }}{{ $replicas = .minReplicas }}{{ end }}{{ end -}}
{{- if and .root.Values.podDisruptionBudget.enabled (gt (int $replicas) 1) -}}
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: {{ include "cloudsignal.componentName" . }}
  namespace: {{ .root.Release.Namespace }}
  labels:
    {{- include "cloudsignal.labels" . | nindent 4 }}
spec:
  maxUnavailable: {{ .root.Values.podDisruptionBudget.maxUnavailable }}
  unhealthyPodEvictionPolicy: AlwaysAllow
  selector:
    matchLabels:
      {{- include "cloudsignal.selectorLabels" . | nindent 6 }}
{{- end -}}
{{- end -}}
