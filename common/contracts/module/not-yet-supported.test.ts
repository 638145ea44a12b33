import { describe, expect, it } from 'vitest';
import { compileText } from '../../../test/harness/compile-text.ts';
import { NOT_YET_SUPPORTED, notYetSupported } from './not-yet-supported.ts';

describe('what cannot be executed yet', () => {
  const everything = `
name: m
vms:
  - name: a
    source: { blank: true }
    efiFirmware: { tpm: true, secureBoot: true }
    disks: [{ name: d, size: 1Gi }, { name: e, size: 1Gi, bus: usb }]
    communicator: { shell: powershell }
    provisioners:
      - { type: handbuild, handbuild: { instructions: x } }
      - { type: windows-update }
  - name: b
    source: { containerDisk: quay.io/x/y }
    efiFirmware: { secureBoot: false }
`;

  it('is named with its path and place, every row of the table', () => {
    const module = compileText(everything);
    expect(module.notYetSupported.map(({ path, line }) => `${path} in line ${line}`).sort()).toEqual([
      'vms[0].communicator.shell in line 8',
      'vms[0].provisioners[1].type in line 11',
    ]);
    expect(module.notYetSupported.length).toBe(NOT_YET_SUPPORTED.length);
    expect(notYetSupported(module)[0]).toMatchObject({ severity: 'warning', code: 'NotYetSupported' });
  });
});
