import { useEffect, useLayoutEffect, useMemo, useRef } from 'preact/hooks';
import { seconds } from '../../../common/text/durations.ts';
import type { BuildLogLine, LogPart } from '../state/build-log.ts';
import { type LogEntry, patternOf, tookMs } from '../state/log-entries.ts';
import { logHref } from './module-link.ts';
import { Link } from './place.tsx';
import { StageMark } from './stage-mark.tsx';
import { useNow } from './use-now.ts';

/** Nearer to the end than this counts as being there. */
const END_PX = 24;

interface LinesProps {
  readonly entries: readonly LogEntry[];
  /** Is marked in the lines. */
  readonly search: string;
  /** Lines of one machine need not name it. */
  readonly isOfOne: boolean;
  readonly follows: boolean;
  onFollow(follows: boolean): void;
}

/** Lines and headings of a log in a box of its own, which stays at its end while it follows. */
export function LogLines({ entries, search, isOfOne, follows, onFollow }: LinesProps) {
  const box = useRef<HTMLDivElement>(null);
  const toEnd = () => {
    if (follows && box.current) box.current.scrollTop = box.current.scrollHeight;
  };
  useLayoutEffect(toEnd, [entries, follows]);
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
  // The page is drawn again every second; thousands of lines only when they have changed.
  const drawn = useMemo(() => {
    const pattern = search === '' ? null : new RegExp(`(${patternOf(search)})`, 'i');
    return entries.map((entry) =>
      entry.kind === 'line' ? (
        <Line key={entry.line.id} line={entry.line} pattern={pattern} isOfOne={isOfOne} />
      ) : (
        <Heading key={entry.key} machine={entry.machine} id={entry.id} part={entry.part} isOfOne={isOfOne} />
      ),
    );
  }, [entries, search, isOfOne]);
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by keys
    <div class="lines" ref={box} onScroll={onScroll} role="log" aria-live="off" aria-label="Lines" tabIndex={0}>
      {entries.length === 0 && <p class="quiet">{search === '' ? 'No lines yet.' : 'No line matches.'}</p>}
      {drawn}
    </div>
  );
}

interface LineProps {
  readonly line: BuildLogLine;
  readonly pattern: RegExp | null;
  readonly isOfOne: boolean;
}

function Line({ line: { machine, at, text }, pattern, isOfOne }: LineProps) {
  return (
    <div>
      <time title={new Date(at).toLocaleString()}>{new Date(at).toTimeString().slice(0, 8)}</time>
      {!isOfOne && <span class="who">{machine}</span>}
      <span class="text">{pattern === null ? text : marked(text, pattern)}</span>
    </div>
  );
}

/** Every second piece between the others is a hit. */
function marked(text: string, pattern: RegExp) {
  return text.split(pattern).map((piece, index) => (index % 2 === 0 ? piece : <mark key={index}>{piece}</mark>));
}

interface HeadingProps {
  readonly machine: string;
  readonly id: string;
  readonly part: LogPart | undefined;
  readonly isOfOne: boolean;
}

function Heading({ machine, id, part, isOfOne }: HeadingProps) {
  const now = useNow(part?.finishedAt === null);
  return (
    <h3>
      <Link href={logHref(machine, id)}>
        {!isOfOne && `${machine} `}
        {part?.title ?? id}
      </Link>
      {part && (
        <>
          <StageMark stage={part.outcome === 'requeue' ? 'waiting' : (part.outcome ?? 'running')} />
          <span class="quiet">{seconds(tookMs(part, now))}</span>
        </>
      )}
    </h3>
  );
}
