import { once } from 'node:events';
import { connect, createServer, type Server } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ReleaseStack } from '../../common/lifecycle/release-stack.ts';
import { startFarm, type TestFarm } from '../harness/farm.ts';
import { serveFile } from '../harness/file-server.ts';
import { guestImages } from '../harness/guest-images.ts';
import { type OutsideNetwork, openOutsideNetwork } from '../harness/outside-network.ts';
import { tinyMachine } from '../harness/tiny-machine.ts';

/*
 * The attacker has root in a guest whose module asks for internet. The prizes are what the host reaches and the guest must not,
 * and the terminal of who reads along. One machine tries all of it.
 */
const BUILD_MS = 600_000;
/** Where the clouds keep the keys of a machine; here it leads nowhere, as it must. */
const CLOUD_METADATA = '169.254.169.254:80';

const resources = new ReleaseStack();
let farm: TestFarm;
let outside: OutsideNetwork;
let image: Awaited<ReturnType<typeof serveFile>>;
let hostService: Server;

beforeAll(async () => {
  image = await serveFile((await guestImages()).cloudImage);
  resources.defer('image', () => image.stop());
  outside = openOutsideNetwork();
  resources.defer('outside', async () => outside.close());
  hostService = createServer((client) => client.on('error', () => {}).end()).listen(0, '0.0.0.0');
  resources.defer('service of the host', async () => void hostService.close());
  await once(hostService, 'listening');
  farm = await startFarm({ flags: ['--vms', '1', '--guest-network', `${outside.allowed}/32`] });
  resources.defer('farm', () => farm.purge());
}, 240_000);

afterAll(() => resources.close(), 120_000);

const NOISE = `printf '\\033]0;owned\\007\\033[2J\\033[31mred\\r\\n'; printf '\\377\\376 no text\\n'`;
/** 8 MB without an end of line. */
const FLOOD = 'head -c 8000000 /dev/zero | tr "\\0" x; echo; echo the end';

const module = (targets: Readonly<Record<string, string>>) => `
name: attacker
network:
  vpcs: [{ name: lab, internet: true }]
  subnets: [{ name: net, vpc: lab, cidr: 10.66.0.0/24 }]
vms:
${tinyMachine(image)}
      - type: shell
        shell:
          inline: |
            gateway=$(ip route | awk '/^default/ { print $3 }')
            relay=$(awk '/^nameserver/ { print $2; exit }' /etc/resolv.conf)
            try() {
              if nc -w 3 "$2" "$3" </dev/null >/dev/null 2>&1; then echo "$1 reached"; else echo "$1 closed"; fi
            }
${Object.entries(targets)
  .map(([name, address]) => `            try ${name} ${address.replace(':', ' ')}\n`)
  .join('')}      - { type: shell, shell: { inline: ${JSON.stringify(NOISE)} } }
      - { type: shell, shell: { inline: ${JSON.stringify(FLOOD)} } }
`;

const portOf = (url: string) => Number(new URL(url).port);

test('a guest with internet reaches the internet and the allowed networks, and nothing else', {
  timeout: BUILD_MS,
}, async ({ annotate }) => {
  const host = hostService.address();
  const hostPort = typeof host === 'object' && host ? host.port : 0;
  const api = portOf(farm.connection.url);
  const targets = {
    internet: `${outside.address}:${outside.port}`,
    named: `${outside.allowed}:${outside.port}`,
    neighbour: `${outside.neighbour}:${outside.port}`,
    'link-local': `${outside.metadata}:${outside.port}`,
    metadata: CLOUD_METADATA,
    'service-of-the-host': `${outside.host}:${hostPort}`,
    'service-behind-the-gateway': `$gateway:${hostPort}`,
    'service-on-the-relay': `$relay:${hostPort}`,
    'farm-api': `${outside.host}:${api}`,
    'farm-api-behind-the-gateway': `$gateway:${api}`,
    'farm-api-on-the-relay': `$relay:${api}`,
  };
  // The host itself reaches all of these: what stops the guest are the rules.
  for (const address of [outside.neighbour, outside.metadata]) {
    await once(connect(outside.port, address).resume(), 'connect');
  }
  await once(connect(hostPort, outside.host).resume(), 'connect');
  const { buildId } = await farm.client.submit({ files: [{ path: 'm.yaml', text: module(targets) }], variables: {} });
  const lines: string[] = [];
  let outcome: string | undefined;
  for await (const event of farm.client.events(buildId)) {
    if (event.event === 'log' && event.source === 'step') lines.push(event.line);
    if (event.event === 'build-finished') outcome = event.outcome;
  }
  expect(outcome, lines.slice(0, 40).join('\n')).toBe('succeeded');
  const reached = (name: string) => (name === 'internet' || name === 'named' ? 'reached' : 'closed');
  const tried = Object.keys(targets);
  expect(lines.slice(0, tried.length)).toEqual(tried.map((name) => `${name} ${reached(name)}`));
  await annotate(lines.slice(0, tried.length).join(', '));
});

test('a line without an end is cut, and control sequences of a guest reach no terminal', async ({ annotate }) => {
  const [build] = await farm.client.builds();
  const { stdout } = await farm.slipway('logs', build?.buildId ?? '');
  expect(stdout).toContain('red');
  expect(stdout).toContain('the end');
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for.
  expect(stdout.match(/[\u0000-\u0009\u000b-\u001f\u007f\u009b]/g)).toBeNull();
  const longest = Math.max(...stdout.split('\n').map(({ length }) => length));
  expect(longest).toBeLessThan(20_000);
  await annotate(`${stdout.length} characters in lines of at most ${longest}, none of control`);
});
