import { useEffect, useState } from 'preact/hooks';
import { addPiece, NOTHING_SAID, type SerialText } from '../state/serial-text.ts';
import { readEvent } from './client.ts';

/** Live serial output of a machine; `path` of its stream in the API. */
export function useSerial(path: string): SerialText {
  const [text, setText] = useState(NOTHING_SAID);
  useEffect(() => {
    setText(NOTHING_SAID);
    // The browser takes a cut stream up where it was.
    const source = new EventSource(path);
    source.onmessage = ({ data }) => {
      const piece = readEvent('streamSerial', data);
      setText((former) => addPiece(former, piece));
      if (piece.ended) source.close();
    };
    return () => source.close();
  }, [path]);
  return text;
}
