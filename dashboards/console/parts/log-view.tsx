import { useEffect, useMemo, useState } from 'preact/hooks';
import type { BuildView } from '../../../common/contracts/builds.ts';
import { fileName } from '../../../common/text/file-name.ts';
import { farmNow } from '../api/client.ts';
import { saveText } from '../api/save-text.ts';
import type { BuildLog } from '../state/build-log.ts';
import { entriesOf, hitsOf, linesOf, logText, partsOf } from '../state/log-entries.ts';
import { vmKey } from '../state/vm-key.ts';
import { LogLines } from './log-lines.tsx';
import { logHref } from './module-link.ts';
import { goTo } from './place.tsx';

/** As many lines as a page draws at once; a button draws as many earlier ones. */
const DRAWN = 2_000;

interface LogProps {
  readonly view: BuildView;
  readonly log: BuildLog;
  /** `<module>/<vm>`; null: all machines. */
  readonly machine: string | null;
  /** A phase with its steps, or a step, of that machine; null: all of them. */
  readonly part: string | null;
}

/** Live output of the machines, under a heading for each phase and step. */
export function LogView({ view, log, machine, part }: LogProps) {
  const [follows, setFollows] = useState(true);
  const [search, setSearch] = useState('');
  const [drawn, setDrawn] = useState(DRAWN);
  useEffect(() => {
    setFollows(true);
    setDrawn(DRAWN);
  }, [machine, part]);
  const wish = useMemo(() => ({ machine, part, search }), [machine, part, search]);
  const lines = useMemo(() => linesOf(log, wish), [log, machine, part]);
  const hits = useMemo(() => hitsOf(lines, search), [lines, search]);
  const undrawn = Math.max(0, hits.length - drawn);
  const entries = useMemo(
    () => entriesOf(log, wish, { lines: hits.slice(undrawn), isCut: undrawn + log.droppedLines > 0 }),
    [log, wish, hits, undrawn],
  );
  const save = () => {
    const isCut = log.droppedLines > 0;
    const names = [view.buildId, ...(machine === null ? [] : [machine]), ...(part === null ? [] : [part])];
    saveText(
      `${fileName(names.join('-'))}.log`,
      logText(entriesOf(log, wish, { lines: hits, isCut }), { machine, now: farmNow() }),
    );
  };
  const showMore = () => {
    setFollows(false);
    setDrawn(drawn + DRAWN);
  };
  return (
    <section class="card log" aria-labelledby="log">
      <div class="card-title">
        <h2 id="log">Log</h2>
        <Choosers view={view} log={log} machine={machine} part={part} />
        <label class="check">
          <input
            type="checkbox"
            checked={follows}
            onChange={({ currentTarget }) => setFollows(currentTarget.checked)}
          />
          Follow
        </label>
      </div>
      <LogSearch search={search} hits={hits.length} lines={lines.length} onSearch={setSearch} onSave={save} />
      {log.droppedLines > 0 && (
        <p class="quiet">
          The page keeps the last {log.lines.length} lines of the build; <code>slipway logs {view.buildId}</code> has
          them all.
        </p>
      )}
      {undrawn > 0 && <EarlierLines count={undrawn} onShow={showMore} />}
      <LogLines entries={entries} search={search} isOfOne={machine !== null} follows={follows} onFollow={setFollows} />
    </section>
  );
}

interface LogSearchProps {
  readonly search: string;
  readonly hits: number;
  readonly lines: number;
  onSearch(text: string): void;
  onSave(): void;
}

function LogSearch({ search, hits, lines, onSearch, onSave }: LogSearchProps) {
  return (
    <div class="log-search">
      <input
        type="search"
        aria-label="Search the log"
        placeholder="Search"
        value={search}
        onInput={({ currentTarget }) => onSearch(currentTarget.value)}
      />
      <span role="status" class="quiet">
        {search !== '' && `${hits} of ${lines} ${lines === 1 ? 'line' : 'lines'}`}
      </span>
      <button type="button" onClick={onSave}>
        Download log
      </button>
    </div>
  );
}

function EarlierLines({ count, onShow }: { readonly count: number; onShow(): void }) {
  return (
    <p class="quiet">
      {count} earlier lines are not shown.{' '}
      <button type="button" onClick={onShow}>
        Show {Math.min(DRAWN, count)} more
      </button>
    </p>
  );
}

/** Asks whose lines are shown; the address keeps it. */
function Choosers({ view, log, machine, part }: LogProps) {
  const machines = view.modules.flatMap(({ name, vms }) => vms.map(({ vm }) => vmKey(name, vm)));
  const parts = machine === null ? [] : partsOf(log, machine);
  const isKnown = part === null || parts.some(({ id }) => id === part);
  return (
    <>
      <select
        aria-label="Machine"
        value={machine ?? ''}
        onChange={({ currentTarget }) => goTo(logHref(currentTarget.value || null))}
      >
        <option value="">all machines</option>
        {machines.map((each) => (
          <option key={each} value={each}>
            {each}
          </option>
        ))}
      </select>
      {machine !== null && (
        <select
          aria-label="Phase or step"
          value={part ?? ''}
          onChange={({ currentTarget }) => goTo(logHref(machine, currentTarget.value || null))}
        >
          <option value="">all phases and steps</option>
          {!isKnown && <option value={part ?? ''}>{part}</option>}
          {parts.map(({ id, title }) => (
            <option key={id} value={id}>
              {title}
            </option>
          ))}
        </select>
      )}
    </>
  );
}
