import { Duplex } from 'node:stream';

/** Two ends of a connection: what is written to one is read from the other, and the end of one is the end of both. */
export function joinedStreams(): [Duplex, Duplex] {
  const ends: Duplex[] = [];
  const end = (other: number): Duplex =>
    new Duplex({
      read: () => {},
      write: (chunk, _encoding, done) => {
        ends[other]?.push(chunk);
        done();
      },
      destroy: (error, done) => {
        ends[other]?.push(null);
        done(error);
      },
    });
  const [near, far] = [end(1), end(0)];
  ends.push(near, far);
  return [near, far];
}
