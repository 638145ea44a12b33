import { useEffect, useState } from 'preact/hooks';
import { farmNow } from '../api/client.ts';

/** The farm's time, once a second while something runs. */
export function useNow(isRunning: boolean): number {
  const [now, setNow] = useState(farmNow());
  useEffect(() => {
    setNow(farmNow());
    if (!isRunning) return;
    const timer = setInterval(() => setNow(farmNow()), 1_000);
    return () => clearInterval(timer);
  }, [isRunning]);
  return now;
}
