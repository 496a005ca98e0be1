import { type DestinationStream, type Logger, pino, stdSerializers, stdTimeFunctions } from 'pino';
import { scrubJson } from './scrub.ts';

export const LOG_LEVELS = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/**
 * The program's logger: one JSON object a line, on standard output unless told otherwise.
 *
 * Secrets, card numbers, phone numbers and email addresses are taken out of the finished line, so
 * that nothing can bypass it: fields at any depth, child bindings, messages, errors, stacks.
 */
export function createLogger(level: LogLevel, destination?: DestinationStream): Logger {
  const options = {
    level,
    timestamp: stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
    serializers: { err: stdSerializers.err, error: stdSerializers.err },
    hooks: { streamWrite: scrubJson },
  };
  return destination ? pino(options, destination) : pino(options);
}
