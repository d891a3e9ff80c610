{{/*
What the chart makes up itself has to be the same the next time, so it looks for what is there (lookup). Helm can do that;
who only renders can not, and would make another each time. Where nothing is rendered for, that does no harm. Where
something is, as with Argo CD, helm is told what the cluster serves, and adds that to the list that it has for no cluster:
groups of long ago, which none that this chart is for serves any more. docs/decisions/0016-what-the-chart-makes-up.md
*/}}
{{- define "cloudsignal.canNotLook" -}}
{{- $served := .Capabilities.APIVersions -}}
{{- if and ($served.Has "apps/v1beta1") ($served.Has "apiregistration.k8s.io/v1") -}}true{{- end -}}
{{- end -}}
