import { describe, expect, it } from 'vitest';
import { compileText } from '../../../test/harness/compile-text.ts';
import { fillSecrets, secretNames } from './secret-text.ts';

describe('a secret', () => {
  const everywhere = `
name: m
files: [{ name: f, inline: "\${secret.file}" }]
vms:
  - name: a
    source: { blank: true }
    bootCommand: ["root<enter>", "\${secret.typed}<enter>"]
    cloudInit: { userData: "\${secret.user}", networkData: "\${secret.net}" }
    communicator: { sshPassword: "\${secret.login}" }
    shutdownCommand: "off \${secret.off}"
    provisioners:
      - type: shell
        shell:
          inline: |
            cd /
            echo "\${secret.first} $\${secret.literal} \${secret.second}" \${HOME}
          env: { TOKEN: "\${secret.token}" }
          executeCommand: "echo \${secret.sudo} | sudo -S {{ .Command }}"
      - { type: shell, shell: { inline: [pwd, "echo \${secret.line}"] } }
      - { type: reboot, reboot: { command: "again \${secret.again}" } }
`;

  it('can be referred to where only the guest sees it, and is known with its path and place', () => {
    const module = compileText(everywhere);
    expect(module.secrets.map(({ name, path }) => `${name} at ${path}`)).toEqual([
      'file at files[0].inline',
      'typed at vms[0].bootCommand[1]',
      'user at vms[0].cloudInit.userData',
      'net at vms[0].cloudInit.networkData',
      'login at vms[0].communicator.sshPassword',
      'off at vms[0].shutdownCommand',
      'first at vms[0].provisioners[0].shell.inline',
      'second at vms[0].provisioners[0].shell.inline',
      'token at vms[0].provisioners[0].shell.env.TOKEN',
      'sudo at vms[0].provisioners[0].shell.executeCommand',
      'line at vms[0].provisioners[1].shell.inline[1]',
      'again at vms[0].provisioners[2].reboot.command',
    ]);
    for (const { name, line, column } of module.secrets) {
      expect(everywhere.split('\n')[line - 1]?.slice(column - 1)).toMatch(new RegExp(`^\\$\\{secret.${name}\\}`));
    }
    expect(module.notYetSupported).toEqual([]);
    const [step] = module.vms[0]?.steps ?? [];
    const script = step?.type === 'shell' ? step.script : '';
    expect(secretNames(script)).toEqual(['first', 'second']);
    expect(fillSecrets(script, (name) => `<${name}>`)).toBe(
      `cd /\necho "<first> \${secret.literal} <second>" \${HOME}\n`,
    );
  });

  it('is in no text that a variable gives, and is made by none', () => {
    const text = `
name: m
variables: { a: "", b: "$" }
vms: [{ name: a, source: { blank: true }, shutdownCommand: "\${var.a} \${var.b}{secret.x} \${var.b}\${secret.y}" }]
`;
    const module = compileText(text, { a: `\${secret.z}` });
    expect(module.secrets.map(({ name }) => name)).toEqual(['y']);
    expect(fillSecrets(module.vms[0]?.shutdownCommand ?? '', () => 'Y')).toBe(`\${secret.z} \${secret.x} $Y`);
  });
});
