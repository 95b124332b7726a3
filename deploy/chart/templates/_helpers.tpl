{{/*
Names are fixed, not derived from the release: there is one installation in a cluster. Two would
both inject, and the name of the webhook configurations decides on the order (see webhooks.yaml).
*/}}

{{- define "imds-emulator.selector" -}}
app.kubernetes.io/name: imds-emulator
app.kubernetes.io/component: webhook
{{- end }}

{{- define "imds-emulator.labels" -}}
{{ include "imds-emulator.selector" . }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{/* Days for which what Helm signs is good: nothing here renews it, so twenty years. */}}
{{- define "imds-emulator.days" -}}7300{{- end }}

{{/* Secret with the webhooks' certificate. Never the same one for both sources: while one is
replaced by the other, neither Helm nor cert-manager may delete what the other has made. */}}
{{- define "imds-emulator.certificate" -}}
{{- if eq .Values.certificate.source "helm" -}}
imds-emulator-webhook-tls
{{- else -}}
imds-emulator-webhook-cert
{{- end -}}
{{- end }}

{{/* The settings file of the webhooks (emulator/webhook/settings.py). */}}
{{- define "imds-emulator.settings" -}}
image: {{ .Values.image | quote }}
imagePullPolicy: {{ .Values.imagePullPolicy }}
authorityNamespace: {{ .Release.Namespace | quote }}
resources:
  {{- toYaml .Values.sidecar.resources | nindent 2 }}
keysSecret: {{ .Values.sidecar.keysSecret | quote }}
bindingPlugins:
  {{- range .Values.sidecar.bindingPlugins }}
  - {{ . | quote }}
  {{- else }} []
  {{- end }}
keysNamespaces:
  {{- range concat .Values.namespaces .Values.keysNamespaces | uniq | sortAlpha }}
  - {{ . | quote }}
  {{- else }} []
  {{- end }}
{{- end }}

{{/*
The Secret .name of .namespace as it is in the cluster, {} where there is none or no cluster.
*/}}
{{- define "imds-emulator.kept" -}}
{{- toJson (get (lookup "v1" "Secret" .namespace .name | default dict) "data" | default dict) -}}
{{- end }}

{{/*
CEL: there is a value at .path below .root; never an error, whatever is missing or null.
*/}}
{{- define "imds-emulator.present" -}}
{{- $at := .root }}
{{- $parts := list }}
{{- range .path }}
{{- $at = printf "%s.%s" $at . }}
{{- $parts = append $parts (printf "has(%s) && %s != null" $at $at) }}
{{- end }}
{{- join " &&\n" $parts }}
{{- end }}

{{/*
CEL: there are annotations of ours at .path, known or misspelt; with .update, others than before.
*/}}
{{- define "imds-emulator.ours" -}}
{{- $path := append .path "annotations" }}
{{- $now := printf "object.%s" (join "." $path) }}
{{- $before := printf "oldObject.%s" (join "." $path) }}
{{- $ours := "name.startsWith(\"imds.kubevirt.io/\")" }}
{{- include "imds-emulator.present" (dict "root" "object" "path" $path) }} &&
{{ $now }}.exists(name, {{ $ours }})
{{- if .update }} && !(
  oldObject != null &&
  {{- include "imds-emulator.present" (dict "root" "oldObject" "path" $path) | nindent 2 }} &&
  {{ $now }}.all(name, !{{ $ours }} || (name in {{ $before }} && {{ $before }}[name] == {{ $now }}[name])) &&
  {{ $before }}.all(name, !{{ $ours }} || name in {{ $now }}))
{{- end }}
{{- end }}

{{/*
matchConditions: an object is sent only if it has an annotation of ours at one of .paths; with
.update, an update only if it changes these, so that the controllers' own updates, a VM's end among
them, never wait for us, nor does whoever removes them all.
*/}}
{{- define "imds-emulator.conditions" -}}
{{- $parts := list }}
{{- range .paths }}
{{- $parts = append $parts (printf "(%s)" (include "imds-emulator.ours" (dict "path" . "update" $.update))) }}
{{- end -}}
- name: {{ if .update }}annotations-of-ours-change{{ else }}has-an-annotation-of-ours{{ end }}
  expression: |-
    {{- join " ||\n" $parts | nindent 4 }}
{{- end }}

{{/* What all webhooks have in common: .path is asked, .root is the chart's. */}}
{{- define "imds-emulator.webhook" -}}
admissionReviewVersions: [v1]
sideEffects: None
# An annotated VM never starts half-made; others are not sent at all (matchConditions).
failurePolicy: Fail
matchPolicy: Equivalent
timeoutSeconds: {{ .root.Values.webhook.timeoutSeconds }}
clientConfig:
  service:
    name: imds-emulator
    namespace: {{ .root.Release.Namespace | quote }}
    path: {{ .path }}
    port: 443
  {{- with .authority }}
  caBundle: {{ . }}
  {{- end }}
{{- with .root.Values.webhook }}
namespaceSelector:
  {{- with .namespaceSelector.matchLabels }}
  matchLabels:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  matchExpressions:
    - key: kubernetes.io/metadata.name
      operator: NotIn
      values:
        {{- range append .excludedNamespaces $.root.Release.Namespace | uniq | sortAlpha }}
        - {{ . | quote }}
        {{- end }}
    {{- with .namespaceSelector.matchExpressions }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end }}
{{- end }}
