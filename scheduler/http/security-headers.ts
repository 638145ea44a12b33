import type { RequestHandler } from 'express';
import helmet from 'helmet';

const SELF = ["'self'"];

/** Pages that are drawn with styles inside their elements: bull-board's, and the reference of the API. */
const STYLED_INSIDE = /^\/(queues|api)(?:[/?]|$)/;

/**
 * Headers of every answer. Pages ask this host and no other for anything, run no script of their own text, and are in
 * no frame. HTTPS is not demanded: the farm speaks HTTP, and a proxy that terminates TLS may demand it.
 */
export function securityHeaders(): RequestHandler {
  return helmet({
    contentSecurityPolicy: {
      useDefaults: false,
      directives: {
        defaultSrc: SELF,
        styleSrc: [(request) => (STYLED_INSIDE.test(request.url ?? '') ? "'self' 'unsafe-inline'" : "'self'")],
        imgSrc: ["'self'", 'data:', 'blob:'],
        objectSrc: ["'none'"],
        baseUri: SELF,
        formAction: SELF,
        frameAncestors: ["'none'"],
      },
    },
    frameguard: { action: 'deny' },
    strictTransportSecurity: false,
  });
}
