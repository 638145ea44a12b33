import { useEffect, useLayoutEffect, useMemo, useRef, useState } from 'preact/hooks';
import { type BuildModel, type LogLine, vmKey } from '../state/build-model.ts';
import { logHref } from './module-link.ts';
import { goTo } from './place.tsx';

/** As many lines as a page bears. */
const MAX_SHOWN = 2_000;
/** Nearer to the end than this counts as being there. */
const END_PX = 24;

interface LogProps {
  readonly model: BuildModel;
  /** `<module>/<vm>`; null: all machines. */
  readonly filter: string | null;
}

/** What the machines say, live. */
export function LogView({ model, filter }: LogProps) {
  const [follows, setFollows] = useState(true);
  const { view, lines, droppedLines } = model;
  const wanted = useMemo(
    () => (filter === null ? lines : lines.filter(({ module, vm }) => vmKey(module, vm) === filter)),
    [lines, filter],
  );
  const machines = view.modules.flatMap(({ name, vms }) => vms.map(({ vm }) => vmKey(name, vm)));
  const earlier = droppedLines + Math.max(0, wanted.length - MAX_SHOWN);
  return (
    <section class="card log" aria-labelledby="log">
      <div class="card-title">
        <h2 id="log">Log</h2>
        <select
          aria-label="Machine"
          value={filter ?? ''}
          onChange={({ currentTarget }) => goTo(logHref(currentTarget.value || null))}
        >
          <option value="">all machines</option>
          {machines.map((machine) => (
            <option key={machine} value={machine}>
              {machine}
            </option>
          ))}
        </select>
        <label class="check">
          <input
            type="checkbox"
            checked={follows}
            onChange={({ currentTarget }) => setFollows(currentTarget.checked)}
          />
          Follow
        </label>
      </div>
      {earlier > 0 && (
        <p class="quiet">
          Earlier lines are not shown; <code>slipway logs {view.buildId}</code> has them.
        </p>
      )}
      <Lines lines={wanted.slice(-MAX_SHOWN)} isOfOne={filter !== null} follows={follows} onFollow={setFollows} />
    </section>
  );
}

interface LinesProps {
  readonly lines: readonly LogLine[];
  /** Lines of one machine need not name it. */
  readonly isOfOne: boolean;
  readonly follows: boolean;
  onFollow(follows: boolean): void;
}

function Lines({ lines, isOfOne, follows, onFollow }: LinesProps) {
  const box = useRef<HTMLDivElement>(null);
  const toEnd = () => {
    if (follows && box.current) box.current.scrollTop = box.current.scrollHeight;
  };
  useLayoutEffect(toEnd, [lines.at(-1)?.id, follows]);
  useEffect(() => {
    const observer = new ResizeObserver(toEnd);
    if (box.current) observer.observe(box.current);
    return () => observer.disconnect();
  });
  const onScroll = () => {
    const { scrollTop = 0, scrollHeight = 0, clientHeight = 0 } = box.current ?? {};
    const isAtEnd = scrollHeight - scrollTop - clientHeight < END_PX;
    if (isAtEnd !== follows) onFollow(isAtEnd);
  };
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by keys
    <div class="lines" ref={box} onScroll={onScroll} role="log" aria-live="off" aria-label="Lines" tabIndex={0}>
      {lines.length === 0 && <p class="quiet">No line yet.</p>}
      {lines.map(({ id, module, vm, at, text }) => (
        <div key={id}>
          <time title={new Date(at).toLocaleString()}>{new Date(at).toTimeString().slice(0, 8)}</time>
          {!isOfOne && <span class="who">{vmKey(module, vm)}</span>}
          <span class="text">{text}</span>
        </div>
      ))}
    </div>
  );
}
