import { useLayoutEffect, useRef } from 'preact/hooks';
import { useSerial } from '../api/use-serial.ts';

/** Nearer to the end than this counts as being there. */
const END_PX = 24;

interface SerialProps {
  /** Of the stream in the API. */
  readonly path: string;
}

/** The serial port of a machine, live. It follows the end unless the reader has scrolled away from it. */
export function SerialView({ path }: SerialProps) {
  const { lines, hasEnded } = useSerial(path);
  const box = useRef<HTMLPreElement>(null);
  const isAtEnd = useRef(true);
  useLayoutEffect(() => {
    if (isAtEnd.current && box.current) box.current.scrollTop = box.current.scrollHeight;
  }, [lines]);
  const onScroll = () => {
    const { scrollTop = 0, scrollHeight = 0, clientHeight = 0 } = box.current ?? {};
    isAtEnd.current = scrollHeight - scrollTop - clientHeight < END_PX;
  };
  const nothing = hasEnded ? 'The machine wrote no output.' : 'No output yet.';
  return (
    <section class="serial" aria-label="Serial port">
      <h3>Serial port</h3>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by keys */}
      <pre ref={box} onScroll={onScroll} role="log" aria-live="off" aria-label="Serial port" tabIndex={0}>
        {lines.length === 0 ? <span class="quiet">{nothing}</span> : lines.join('\n')}
      </pre>
    </section>
  );
}
