import { type Command, Option } from 'commander';
import { TOKEN_ROLES, type TokenRole } from '../../common/contracts/tokens.ts';
import { type ConnectionFlags, requireFarm } from '../client/connection.ts';
import { FarmClient } from '../client/farm-client.ts';
import { printJson, printLine, printNote } from '../output/print.ts';
import { printTable } from '../output/table.ts';
import { addConnectionFlags } from './shared-flags.ts';

interface TokenFlags extends ConnectionFlags {
  readonly json?: boolean;
}

interface CreateFlags extends TokenFlags {
  readonly role: TokenRole;
  readonly name?: string;
  readonly expires?: string;
}

export function register(program: Command): void {
  const command = program.command('token').description('create, list and revoke tokens of the farm; needs an admin');
  const create = command
    .command('create')
    .description('create a token and print it, once only')
    .addOption(new Option('--role <role>', 'what it may do').choices(TOKEN_ROLES).makeOptionMandatory())
    .option('--name <name>', 'its name in lists and in the audit log (default: generated)')
    .option('--expires <duration>', 'how long it is valid, e.g. 30d or 12h (default: until it is revoked)')
    .option('--json', 'print one JSON object');
  addConnectionFlags(create).action(createToken);
  const list = command.command('list').description('list the valid tokens').option('--json', 'print one JSON object');
  addConnectionFlags(list).action(listTokens);
  const revoke = command.command('revoke').description('revoke a token').argument('<name>', 'its name');
  addConnectionFlags(revoke).action(async (name: string, flags: ConnectionFlags) => {
    await new FarmClient(requireFarm(flags)).revokeToken(name);
    printLine(`The token ${name} is revoked.`);
  });
}

/** The token alone goes to standard output, so that it can be piped into where it is kept. */
async function createToken({ role, name, expires, json, ...flags }: CreateFlags): Promise<void> {
  const order = { role, ...(name === undefined ? {} : { name }), ...(expires === undefined ? {} : { expires }) };
  const created = await new FarmClient(requireFarm(flags)).createToken(order);
  if (json) return printJson(created);
  printNote(`The token ${created.name} (${role}${until(created.expiresAt)}); it is not shown again:`);
  printLine(created.token);
}

async function listTokens({ json, ...flags }: TokenFlags): Promise<void> {
  const tokens = await new FarmClient(requireFarm(flags)).tokens();
  if (json) return printJson({ tokens });
  printTable(
    ['name', 'role', 'created', 'by', 'expires', 'last used'],
    tokens.map(({ name, role, createdAt, createdBy, expiresAt, lastUsedAt }) => [
      name,
      role,
      timeText(createdAt),
      createdBy,
      expiresAt === null ? 'never' : timeText(expiresAt),
      lastUsedAt === null ? 'never' : timeText(lastUsedAt),
    ]),
  );
}

function until(expiresAt: number | null): string {
  return expiresAt === null ? '' : `, until ${timeText(expiresAt)}`;
}

function timeText(ms: number): string {
  return new Date(ms).toISOString();
}
