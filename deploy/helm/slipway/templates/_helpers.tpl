{{/* Labels that select the pods of a component: (dict "root" $ "component" NAME). They never change: selectors are immutable. */}}
{{- define "slipway.labels" -}}
app.kubernetes.io/name: slipway
app.kubernetes.io/instance: {{ .root.Release.Name | quote }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{/* Metadata of an object of a component in the release's namespace. */}}
{{- define "slipway.metadata" -}}
name: {{ .root.Release.Name }}-{{ .component }}
namespace: {{ .root.Release.Namespace }}
labels:
  {{- include "slipway.labels" . | nindent 2 }}
{{- end }}

{{/*
Name of a component's object outside of the release's namespace. Other releases have theirs in the same place, so it names
both. RBAC allows colons; nothing else does, so no two pairs of names give the same one.
*/}}
{{- define "slipway.nameElsewhere" -}}
{{ .root.Release.Namespace }}:{{ .root.Release.Name }}-{{ .component }}
{{- end }}

{{/* The key of `workers` in the values, as the phase is called everywhere else: bootKeystrokes is boot-keystrokes. */}}
{{- define "slipway.phase" -}}
{{ kebabcase . }}
{{- end }}

{{- define "slipway.redisUrl" -}}
{{ .Values.redis.url | default (printf "redis://%s-redis:6379" .Release.Name) }}
{{- end }}

{{- define "slipway.blobsUrl" -}}
{{ .Values.blobs.url | default (printf "http://%s-scheduler.%s.svc" .Release.Name .Release.Namespace) }}
{{- end }}

{{/* What the `restricted` pod security standard asks of a pod: (dict "user" UID). */}}
{{- define "slipway.podSecurity" -}}
runAsNonRoot: true
runAsUser: {{ .user }}
runAsGroup: {{ .user }}
fsGroup: {{ .user }}
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{/* What it asks of a container, and a root file system that cannot be written. */}}
{{- define "slipway.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{/* A budget for voluntary disruptions. */}}
{{- define "slipway.budget" -}}
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  {{- include "slipway.metadata" . | nindent 2 }}
spec:
  maxUnavailable: 1
  selector:
    matchLabels:
      {{- include "slipway.labels" . | nindent 6 }}
{{- end }}

{{/*
Pod of a process of the farm:
(dict "root" $ "component" NAME "args" LIST "readiness" PATH "resources" RESOURCES "secrets" KEYS, and "env", "mounts", "volumes" of its own)
*/}}
{{- define "slipway.pod" -}}
metadata:
  labels:
    {{- include "slipway.labels" . | nindent 4 }}
  annotations:
    # Pods follow changes of the list of clusters; they read the rest of the configuration once, at their start.
    slipway.dev/config: {{ omit .root.Values.config "clusters" | toYaml | sha256sum }}
spec:
  serviceAccountName: {{ .root.Release.Name }}-{{ .component }}
  imagePullSecrets: {{- toYaml .root.Values.imagePullSecrets | nindent 4 }}
  enableServiceLinks: false
  # A worker may take 20 s to hand its work back.
  terminationGracePeriodSeconds: 40
  securityContext:
    {{- include "slipway.podSecurity" (dict "user" 65532) | nindent 4 }}
  containers:
    - name: {{ .component }}
      image: "{{ .root.Values.image.repository }}:{{ .root.Values.image.tag }}"
      imagePullPolicy: {{ .root.Values.image.pullPolicy }}
      args: {{- toYaml .args | nindent 8 }}
      env:
        - name: SLIPWAY_CONFIG
          value: /etc/slipway/config/farm.yaml
        - name: SLIPWAY_FARM_KEY_FILE
          value: /run/secrets/slipway/farm-key
        - name: SLIPWAY_METRICS_TOKEN_FILE
          value: /run/secrets/slipway/metrics-token
        - name: SLIPWAY_REDIS_URL
          value: {{ include "slipway.redisUrl" .root | quote }}
        - name: SLIPWAY_REDIS_PASSWORD_FILE
          value: /run/secrets/slipway/redis-password
        - name: SLIPWAY_BLOBS_URL
          value: {{ include "slipway.blobsUrl" .root | quote }}
        {{- toYaml .env | nindent 8 }}
      ports:
        - name: http
          containerPort: 8080
      startupProbe:
        httpGet: { path: /healthz, port: http }
        timeoutSeconds: 5
        periodSeconds: 2
        failureThreshold: 30
      livenessProbe:
        httpGet: { path: /healthz, port: http }
        timeoutSeconds: 5
        periodSeconds: 20
      readinessProbe:
        httpGet: { path: {{ .readiness }}, port: http }
        timeoutSeconds: 5
        periodSeconds: 5
      securityContext:
        {{- include "slipway.containerSecurity" . | nindent 8 }}
      resources: {{- toYaml .resources | nindent 8 }}
      volumeMounts:
        - name: config
          mountPath: /etc/slipway/config
          readOnly: true
        - name: secrets
          mountPath: /run/secrets/slipway
          readOnly: true
        - name: kubeconfigs
          mountPath: /etc/slipway/kubeconfigs
          readOnly: true
        - name: tmp
          mountPath: /tmp
        {{- with .mounts }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
  volumes:
    - name: config
      configMap:
        name: {{ .root.Release.Name }}-config
    - name: secrets
      secret:
        secretName: {{ .root.Values.secretName }}
        defaultMode: 288 # 0440
        # Keys that this process needs, and no other.
        items:
          {{- range .secrets }}
          - key: {{ . }}
            path: {{ . }}
          {{- end }}
    - name: kubeconfigs
      secret:
        secretName: {{ .root.Values.kubeconfigSecretName }}
        optional: true
        defaultMode: 288 # 0440
    # Files of modules pass through it.
    - name: tmp
      emptyDir:
        sizeLimit: 8Gi
    {{- with .volumes }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  affinity:
    # One node's end should not take all processes of a kind.
    podAntiAffinity:
      preferredDuringSchedulingIgnoredDuringExecution:
        - weight: 100
          podAffinityTerm:
            labelSelector:
              matchLabels:
                {{- include "slipway.labels" . | nindent 16 }}
            topologyKey: kubernetes.io/hostname
  nodeSelector: {{- toYaml .root.Values.nodeSelector | nindent 4 }}
  tolerations: {{- toYaml .root.Values.tolerations | nindent 4 }}
{{- end }}

{{/* What Prometheus scrapes: the metrics lie behind a token of their own. */}}
{{- define "slipway.endpoint" -}}
port: http
interval: {{ .Values.monitoring.interval }}
authorization:
  type: Bearer
  credentials:
    name: {{ .Values.secretName }}
    key: metrics-token
{{- end }}
