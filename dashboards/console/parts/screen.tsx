import { useEffect, useRef, useState } from 'preact/hooks';
import { getPicture } from '../api/client.ts';

const REFRESH_MS = 2_000;

interface ScreenProps {
  /** Of the machine. */
  readonly name: string;
  /** Of its picture in the API. */
  readonly path: string;
  /** Whether the machine runs: its screen is read again and again while it can be seen. */
  readonly isLive: boolean;
}

/** The screen of a machine: as it is now, or as it was kept. */
export function Screen({ name, path, isLive }: ScreenProps) {
  const frame = useRef<HTMLElement>(null);
  const picture = usePicture(frame, path, isLive);
  return (
    <figure ref={frame} class="screen">
      {picture !== undefined && <img src={picture} alt={`The screen of ${name}`} />}
      <figcaption class="quiet">
        {isLive ? 'Screen, live' : 'Screen, as it was kept'}
        {picture === undefined && ': no picture yet'}
      </figcaption>
    </figure>
  );
}

function usePicture(frame: { readonly current: Element | null }, path: string, isLive: boolean): string | undefined {
  const [picture, setPicture] = useState<string>();
  useEffect(() => {
    let hasLeft = false;
    let isInView = false;
    let isReading = false;
    const read = async () => {
      if (isReading || !isInView || document.visibilityState !== 'visible') return;
      isReading = true;
      const blob = await getPicture(path).catch(() => null);
      isReading = false;
      if (blob && !hasLeft) setPicture(URL.createObjectURL(blob));
    };
    const observer = new IntersectionObserver((entries) => {
      isInView = entries.at(-1)?.isIntersecting ?? false;
      void read();
    });
    if (frame.current) observer.observe(frame.current);
    const timer = isLive ? setInterval(read, REFRESH_MS) : undefined;
    return () => {
      hasLeft = true;
      observer.disconnect();
      clearInterval(timer);
    };
  }, [frame, path, isLive]);
  // A picture that another one has replaced is let go.
  useEffect(() => () => void (picture !== undefined && URL.revokeObjectURL(picture)), [picture]);
  return picture;
}
