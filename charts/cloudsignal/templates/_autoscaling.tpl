{{/* Takes "metrics" and "scaleDown" beside, as YAML. */}}
{{- define "cloudsignal.autoscaler" -}}
{{- $autoscaling := .values.autoscaling -}}
{{- $name := include "cloudsignal.componentName" . -}}
{{- if lt (int $autoscaling.maxReplicas) (int $autoscaling.minReplicas) -}}
{{- fail (printf "autoscaling.maxReplicas of the %s must not be less than its minReplicas" .component) -}}
{{- end -}}
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata:
  name: {{ $name }}
  namespace: {{ .root.Release.Namespace }}
  labels:
    {{- include "cloudsignal.labels" . | nindent 4 }}
spec:
  scaleTargetRef:
    apiVersion: apps/v1
    kind: Deployment
    name: {{ $name }}
  minReplicas: {{ $autoscaling.minReplicas }}
  maxReplicas: {{ $autoscaling.maxReplicas }}
  metrics:
    {{- .metrics | nindent 4 }}
  behavior:
    scaleUp:
      stabilizationWindowSeconds: 0
      policies:
        - { type: Percent, value: 100, periodSeconds: 30 }
        - { type: Pods, value: 2, periodSeconds: 30 }
      selectPolicy: Max
    scaleDown:
      {{- .scaleDown | nindent 6 }}
{{- end -}}

{{- define "cloudsignal.cpuMetric" -}}
- type: Resource
  resource:
    name: cpu
    target: { type: Utilization, averageUtilization: {{ .values.autoscaling.targetCPUUtilizationPercentage }} }
{{- end -}}
