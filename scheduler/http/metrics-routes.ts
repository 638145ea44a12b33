import { type RequestHandler, type Response, Router } from 'express';
import type { FarmMetrics } from '../../common/metrics/farm-metrics.ts';
import { isBearerOf } from '../../common/metrics/serve-metrics.ts';
import type { HttpLimits } from './limits.ts';
import { limitPerMinute } from './refusal-limit.ts';

/** Dependencies of the metrics routes. */
export interface MetricsOptions {
  readonly metrics: FarmMetrics;
  /** `metrics.tokenFile`: grants access to the metrics only. */
  readonly metricsToken: string | undefined;
  readonly limits: HttpLimits;
  /** Brings gauges up to date. */
  measure(): Promise<void>;
}

/** `/metrics` for those who have its token; other requests continue to the authentication of the API. */
export function scrapedMetrics(options: MetricsOptions): Router {
  const router = Router();
  const { metricsToken, limits } = options;
  if (metricsToken === undefined) return router;
  const limit = limitPerMinute(
    { limit: limits.requestsPerMinute, keyGenerator: () => 'metrics' },
    'The token of the metrics has sent too many requests.',
  );
  const goOnWithout: RequestHandler = ({ headers }, _response, next) =>
    next(isBearerOf(headers.authorization, metricsToken) ? undefined : 'route');
  router.get('/metrics', goOnWithout, limit, (_request, response) => sendMetrics(options, response));
  return router;
}

/** Answers with the metrics as they are now. */
export async function sendMetrics(
  { metrics, measure }: Pick<MetricsOptions, 'metrics' | 'measure'>,
  response: Response,
): Promise<void> {
  await measure();
  response.set('content-type', metrics.registry.contentType).send(await metrics.registry.metrics());
}
