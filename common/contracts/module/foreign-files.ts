/** So far a file is looked at. */
const HEAD = 4_096;
const PACKER = 'docs/from-packer.md shows how to convert it';

/** Beginnings (after comments) of files of other tools that users submit, with the remedy. */
const FOREIGN: readonly (readonly [RegExp, string])[] = [
  [/^(packer|source|build|variable|locals|data)\b[ \t"\w.-]*\{[ \t]*$/m, `this is HCL, not a module: ${PACKER}`],
  [/^(resource|provider|terraform|module|output)\b[ \t"\w.-]*\{[ \t]*$/m, 'this is of Terraform, not a module'],
  [/^FROM\s+\S+/, 'this is a Dockerfile, not a module'],
  [/^(version:.*\n)?services:\s*$/m, 'this is of Docker Compose, not a module'],
  [
    /^(---\s*\n)?- (hosts|name):.*\n(\s+hosts:|[\s\S]*^\s+tasks:)/m,
    'this is a playbook of Ansible, not a module: a step of type shell can run it in the guest',
  ],
  [/^<[?!a-z]/i, 'this is XML or HTML, not a module'],
  [/^\{[\s\S]*"builders"\s*:/, `this is a Packer template, not a module: ${PACKER}`],
  [/^Vagrant\.configure\b/, 'this is a Vagrantfile, not a module'],
];

/** Complaint about a file of another tool; undefined for all others. */
export function foreignFile(text: string): string | undefined {
  const head = text.slice(0, HEAD);
  if (head.startsWith('#cloud-config') && !/^(vms|spec|kind):/m.test(head)) {
    return 'this is user data of cloud-init, not a module: write it in a module under vms[].cloudInit.userData';
  }
  const begun = head.replace(/^([ \t]*((#|\/\/).*)?\n)*/, '').trimStart();
  return FOREIGN.find(([pattern]) => begun.search(pattern) === 0)?.[1];
}
