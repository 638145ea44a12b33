import { type DestinationStream, type Logger, type LoggerOptions, pino } from 'pino';
import { type Mask, maskTexts } from './mask.ts';

export type { Logger } from 'pino';

/** Fields whose values never reach a log line, in any object. */
const SECRET_FIELDS = ['token', 'password', 'sshPassword', 'privateKey', 'authorization', 'secret', 'farmKey'];

/** Levels of a log line, least important first. */
export const LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const;

/** How a process logs. */
export interface LoggingOptions {
  /** Which process speaks, e.g. `scheduler` or `worker.import`. */
  readonly name: string;
  /** @defaultValue `info` */
  readonly level?: (typeof LEVELS)[number];
  /** @defaultValue standard output, one JSON object per line */
  readonly destination?: DestinationStream;
}

/**
 * The root logger of a process. Functions receive a logger (usually a `child` with the identity of the phase); none is
 * global. Messages are constant sentences, variables are fields, and known secret fields are cut out.
 */
export function createLogger({ name, level = 'info', destination }: LoggingOptions): Logger {
  const options: LoggerOptions = {
    name,
    level,
    base: { pid: process.pid },
    timestamp: pino.stdTimeFunctions.isoTime,
    redact: { paths: SECRET_FIELDS.flatMap((field) => [field, `*.${field}`, `*.*.${field}`]), censor: '[secret]' },
  };
  return destination ? pino(options, destination) : pino(options);
}

/** A logger that masks every text it is given but the constant sentences, those of errors too. */
export function maskedLogger(logger: Logger, mask: Mask): Logger {
  return logger.child(
    {},
    {
      formatters: {
        log: (fields) => {
          // The error is its serializer's.
          const { err, ...others } = fields as Record<string, unknown>;
          return { ...maskTexts(others, mask), ...(err === undefined ? {} : { err }) };
        },
      },
      serializers: { err: (error) => maskTexts<unknown>(pino.stdSerializers.err(error), mask) },
    },
  );
}
