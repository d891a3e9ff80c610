{{/*
How it sees whether the installed kinds are as new as it needs: those are of no namespace.
*/}}
{{- define "cloudsignal.operatorClusterRules" -}}
- apiGroups: [apiextensions.k8s.io]
  resources: [customresourcedefinitions]
  resourceNames:
    - organizations.cloudsignal.app
    - accesslists.cloudsignal.app
    - identityproviders.cloudsignal.app
    - apikeys.cloudsignal.app
    - mqttusers.cloudsignal.app
  verbs: [get]
{{- end -}}

{{/*
What the operator may do where its resources are. It never deletes: generated Secrets go with the MqttUser that
owns them. It changes a Secret only to rotate the password that it generated into it. It lists and watches Secrets by their metadata only, and reads one where a resource names it.
*/}}
{{- define "cloudsignal.operatorRules" -}}
- apiGroups: [cloudsignal.app]
  resources: [organizations, accesslists, identityproviders, apikeys, mqttusers]
  verbs: [get, list, watch]
# Finalizers, and the short id of an Organization.
- apiGroups: [cloudsignal.app]
  resources: [organizations, identityproviders, mqttusers]
  verbs: [patch]
- apiGroups: [cloudsignal.app]
  resources:
    - organizations/status
    - accesslists/status
    - identityproviders/status
    - apikeys/status
    - mqttusers/status
  verbs: [patch]
- apiGroups: [""]
  resources: [secrets]
  verbs: [get, list, watch, create{{ if .Values.operator.passwordRotation }}, patch{{ end }}]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create]
{{- end -}}
