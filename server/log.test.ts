import { describe, expect, it } from 'vitest';
import { createLogger } from './log.ts';

function capture() {
  const lines: string[] = [];
  const logger = createLogger('info', { write: (line: string) => void lines.push(line) });
  return { logger, lines };
}

const PRIVATE = [
  '4242424242424242',
  'ann@example.org',
  '+15551234567',
  'sk_live_abcdefgh',
  'whsec_abcdefgh',
  'hunter2',
];
const SENTENCE =
  'card 4242424242424242 of ann@example.org, +15551234567, sk_live_abcdefgh, whsec_abcdefgh, ' +
  'Bearer hunter2hunter2, postgres://me:hunter2@db/x';

function expectNothingPrivate(lines: string[]): void {
  const text = lines.join('');
  expect(lines.length).toBeGreaterThan(0);
  for (const line of lines) expect(() => JSON.parse(line)).not.toThrow();
  for (const secret of PRIVATE) expect(text).not.toContain(secret);
}

describe('createLogger', () => {
  it('keeps private data out of messages and their arguments', () => {
    const { logger, lines } = capture();
    logger.info(SENTENCE);
    logger.info('seen: %s and %o', SENTENCE, { SENTENCE });
    expectNothingPrivate(lines);
  });

  it('keeps private data out of fields at any depth and out of child loggers', () => {
    const { logger, lines } = capture();
    logger.child({ about: SENTENCE }).warn({ deep: [{ er: { text: SENTENCE } }] }, 'x');
    logger.info({ req: { headers: { authorization: 'hunter2', cookie: 'session=hunter2' } } });
    expectNothingPrivate(lines);
  });

  it('keeps private data out of errors: message, stack, cause and further properties', () => {
    const { logger, lines } = capture();
    const error = Object.assign(new Error(SENTENCE, { cause: new Error(SENTENCE) }), {
      detail: SENTENCE,
    });
    logger.error(error);
    logger.error({ err: error }, 'failed');
    logger.error({ error }, 'failed');
    expectNothingPrivate(lines);
  });

  it('still says what happened, when and with which error', () => {
    const { logger, lines } = capture();
    logger.error({ requestId: 'r-12345678', err: new RangeError('too far') }, 'charge failed');
    expect(JSON.parse(lines[0] ?? '')).toMatchObject({
      level: 'error',
      time: expect.stringMatching(/^\d{4}-\d\d-\d\dT/),
      requestId: 'r-12345678',
      err: { type: 'RangeError', message: 'too far' },
      msg: 'charge failed',
    });
  });

  it('writes nothing below its level', () => {
    const { logger, lines } = capture();
    logger.debug('quiet');
    expect(lines).toEqual([]);
  });
});
