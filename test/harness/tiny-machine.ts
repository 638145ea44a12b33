import type { ServedFile } from './file-server.ts';

/** A machine `vm` of the tiny guest as YAML, in a list of machines, up to its steps. */
export function tinyMachine({ url, sha256 }: Pick<ServedFile, 'url' | 'sha256'>): string {
  return `  - name: vm
    source: { url: "${url}", checksum: "sha256:${sha256}" }
    disks: [{ name: system, size: 1Gi }]
    resources: { cpu: 1, memory: 256Mi }
    cloudInit: {}
    provisioners:`;
}
