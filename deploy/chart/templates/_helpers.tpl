{{/* A manifest of the repository, in the release's namespace: one source for chart and lab. */}}
{{- define "sluice.manifest" -}}
{{- .root.Files.Get .file | replace "sluice-system" .root.Release.Namespace -}}
{{- end -}}

{{- define "sluice.image" -}}
{{ .image.repository }}:{{ .image.tag | default .root.Chart.AppVersion }}
{{- end -}}
