/** The typed client against the real service, with a proxy between them that loses things. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type BillingClient, BillingError, createBillingClient, makeKey } from './client.ts';
import { startTestService, type TestService } from './service.fixtures.ts';

let service: TestService;
let client: BillingClient;
let users = 0;
let userId: string;

const usage = { type: 'email' } as const;
const EMAIL_MICROS = 10_000n;

beforeAll(async () => {
  service = await startTestService();
  client = service.client;
});
afterAll(() => service?.close());

beforeEach(async () => {
  userId = `user-${++users}`;
  service.mishaps.length = 0;
  await service.fundedUser(userId);
  service.seen.length = 0;
});

const charge = (referenceId: string, options = {}) =>
  client.usage.charge.mutate({ userId, usage, referenceId }, options);

async function failureOf(call: Promise<unknown>): Promise<BillingError> {
  const error = await call.then(
    () => null,
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof BillingError)) {
    throw new Error(`expected a BillingError, got ${error}`);
  }
  return error;
}

describe('a call that is not answered', () => {
  it.each([
    ['the request is lost', 'lose-request', false],
    ['the reply is lost', 'lose-reply', true],
    ['a balancer answers 502', { status: 502 }, false],
    ['a balancer answers 503', { status: 503 }, false],
    ['a balancer answers 504', { status: 504 }, false],
    ['a balancer answers 429', { status: 429 }, false],
  ] as const)(
    'is sent again with the same key when %s, and charges once',
    async (_name, mishap, replayed) => {
      service.mishaps.push(mishap, mishap);
      expect(await charge('once')).toMatchObject({ ok: true, replayed });
      expect(service.seen).toHaveLength(3);
      expect(await service.charged(userId)).toEqual({
        references: ['once'],
        sumMicros: EMAIL_MICROS,
      });
    },
  );

  it('waits as long as Retry-After says', async () => {
    service.mishaps.push({ status: 503, headers: { 'retry-after': '1' } });
    const startedAtMs = performance.now();
    expect(await charge('patient')).toMatchObject({ ok: true });
    expect(performance.now() - startedAtMs).toBeGreaterThanOrEqual(1_000);
  });

  it('is given up at once when Retry-After lies behind its end', async () => {
    service.mishaps.push({ status: 429, headers: { 'retry-after': '3600' } });
    expect(await failureOf(charge('later'))).toMatchObject({
      code: 'TOO_MANY_REQUESTS',
      retryable: true,
      outcomeUnknown: false,
      retryAfterMs: 3_600_000,
    });
    expect(service.seen).toHaveLength(1);
  });

  it('is tried no more often than it may be', async () => {
    service.mishaps.push('lose-request', 'lose-request', 'lose-request');
    expect(await failureOf(charge('a', { maxTries: 2 }))).toMatchObject({
      code: 'UNREACHABLE',
      retryable: true,
      outcomeUnknown: true,
    });
    expect(service.seen).toHaveLength(2);
  });

  it('ends at its deadline, tries and pauses together, and says that the outcome is unknown', async () => {
    service.mishaps.push('lose-reply', 'hang', 'hang', 'hang');
    const startedAtMs = performance.now();
    const error = await failureOf(charge('slow', { timeoutMs: 700 }));
    expect(performance.now() - startedAtMs).toBeLessThan(1_500);
    expect(error).toMatchObject({ code: 'TIMEOUT', retryable: true, outcomeUnknown: true });
    expect(service.seen.map(({ requestId }) => requestId)).toContain(error.requestId);
    expect((await service.charged(userId)).references).toEqual(['slow']);
  });

  it('says that nothing was done where nothing can have been sent', async () => {
    await service.down();
    try {
      expect(await failureOf(charge('down', { maxTries: 2 }))).toMatchObject({
        code: 'UNREACHABLE',
        message: `The billing service at ${service.url} could not be reached (ECONNREFUSED).`,
        requestId: expect.stringMatching(/^[0-9a-f-]{36}$/),
        retryable: true,
        outcomeUnknown: false,
      });
    } finally {
      await service.up();
    }
  });

  it('keeps the doubt of an earlier try when a later one is refused', async () => {
    const key = { name: 'short', scopes: ['all'] as const, createdBy: 'cli:test' };
    const { id, secret } = await service.apiKeys.create(key);
    let tries = 0;
    const short = createBillingClient({
      url: service.url,
      apiKey: secret,
      fetch: async (input, init) => {
        tries += 1;
        if (tries === 2) {
          await service.apiKeys.revoke(id);
        }
        return fetch(input, init);
      },
    });
    service.mishaps.push('lose-reply');
    const call = short.usage.charge.mutate({ userId, usage, referenceId: 'doubt' });
    expect(await failureOf(call)).toMatchObject({
      code: 'UNAUTHORIZED',
      retryable: false,
      outcomeUnknown: true,
    });
    expect((await service.charged(userId)).references).toEqual(['doubt']);
  });

  it('is not repeated where a second time is not the same as once', async () => {
    service.mishaps.push('lose-request');
    const error = await failureOf(
      client.rateCards.publish.mutate({
        id: 'x',
        name: 'x',
        rounding: 'up',
        currency: 'USD',
        version: 2,
        effectiveFrom: '2020-01-01T00:00:00Z',
        rules: [],
      }),
    );
    expect(error).toMatchObject({ code: 'UNREACHABLE', retryable: false, outcomeUnknown: true });
    expect(service.seen).toHaveLength(1);
  });
});

describe('an answer that would come again', () => {
  it.each([
    ['BAD_REQUEST', () => client.usage.charge.mutate({ userId, usage, referenceId: '' })],
    [
      'UNAUTHORIZED',
      () =>
        createBillingClient({ url: service.url, apiKey: 'sk_wrong' }).wallets.get.query({ userId }),
    ],
    ['NOT_FOUND', () => client.wallets.get.query({ userId: 'nobody' })],
  ] as const)('is not asked for twice: %s', async (code, call) => {
    expect(await failureOf(call())).toMatchObject({
      code,
      retryable: false,
      outcomeUnknown: false,
      requestId: service.seen[0]?.requestId,
    });
    expect(service.seen).toHaveLength(1);
  });

  it('is an error of its own when it is not the service that answers', async () => {
    service.mishaps.push({ status: 404 });
    expect(await failureOf(charge('a'))).toMatchObject({
      code: 'UNEXPECTED_ANSWER',
      retryable: false,
      outcomeUnknown: false,
    });
    service.mishaps.push({ status: 200 });
    expect(await failureOf(charge('b'))).toMatchObject({
      code: 'UNEXPECTED_ANSWER',
      outcomeUnknown: true,
    });
    expect(service.seen).toHaveLength(2);
  });

  it.each([500, 521])('is asked for again when a proxy answers %i', async (status) => {
    service.mishaps.push({ status });
    expect(await charge(`behind-${status}`)).toMatchObject({ ok: true, replayed: false });
    expect(service.seen).toHaveLength(2);
  });

  it('is read where it comes from in front of the router', async () => {
    const items = [
      { userId, usage: { type: 'sms', to: '1', body: 'x'.repeat(3e6) }, referenceId: 'a' },
    ];
    const error = await failureOf(client.usage.chargeBatch.mutate({ items } as never));
    // The connection may be gone before the answer is read; then it is tried again.
    expect(['PAYLOAD_TOO_LARGE', 'UNREACHABLE']).toContain(error.code);
  });
});

describe('calls of one tick', () => {
  it('share one request for as many as the service takes', async () => {
    const answers = await Promise.all(
      Array.from({ length: 250 }, (_, index) => charge(`n-${index}`)),
    );
    expect(answers.filter(({ ok }) => ok)).toHaveLength(100);
    expect(
      answers.filter((answer) => !answer.ok && answer.code === 'INSUFFICIENT_FUNDS'),
    ).toHaveLength(150);
    expect(service.seen).toHaveLength(2);
  });

  it('end one by one: a call that is aborted takes no other with it', async () => {
    const controller = new AbortController();
    const aborted = failureOf(charge('aborted', { signal: controller.signal }));
    const others = Promise.all([charge('other-1'), charge('other-2')]);
    service.mishaps.push({ loseReplyAfter: aborted });
    await expect.poll(() => service.seen.length).toBe(1);
    controller.abort();
    expect(await aborted).toMatchObject({ code: 'ABORTED', outcomeUnknown: true });
    expect(await others).toMatchObject([
      { ok: true, replayed: true },
      { ok: true, replayed: true },
    ]);
  });

  it('end one by one: a call whose time is over takes no other with it', async () => {
    service.mishaps.push({ status: 503, headers: { 'retry-after': '1' } });
    const late = failureOf(charge('late', { timeoutMs: 300 }));
    const other = charge('patient');
    expect(await late).toMatchObject({ code: 'SERVICE_UNAVAILABLE' });
    expect(await other).toMatchObject({ ok: true, replayed: false });
  });

  it('are not sent at all when they were aborted before', async () => {
    const error = await failureOf(charge('never', { signal: AbortSignal.abort() }));
    expect(error).toMatchObject({ code: 'ABORTED', outcomeUnknown: false });
    expect(service.seen).toHaveLength(0);
  });

  it('are ended by their signal between two tries, too', async () => {
    service.mishaps.push({ status: 503, headers: { 'retry-after': '20' } });
    const call = failureOf(charge('waits', { signal: AbortSignal.timeout(300) }));
    expect(await call).toMatchObject({ code: 'ABORTED', outcomeUnknown: true });
  });
});

describe('secrets', () => {
  it('never stand in an error, whatever goes wrong', async () => {
    const errors = [];
    for (const mishap of ['lose-request', { status: 200 }, { status: 500 }, 'hang'] as const) {
      service.mishaps.push(mishap);
      errors.push(await failureOf(charge('secret-of-mine', { maxTries: 1, timeoutMs: 300 })));
    }
    errors.push(await failureOf(client.usage.charge.mutate({ userId, usage, referenceId: '' })));
    for (const error of errors) {
      const { stack, cause } = error;
      const all = JSON.stringify({ ...error, message: error.message, stack, cause });
      expect(all).not.toContain(service.apiKey.slice(3));
      expect(all).not.toContain('secret-of-mine');
    }
  });

  it.each([
    { url: 'http://me:hunter2@localhost:3000', apiKey: 'sk_x' },
    { url: 'http://localhost:3000', apiKey: 'sk_hunter2\n' },
    { url: 'ftp://hunter2', apiKey: 'sk_x' },
    { url: 'hunter2', apiKey: 'sk_x' },
    { url: 'http://localhost:3000', apiKey: 'hunter2' },
  ])('never stand in what is said of settings that cannot be', (settings) => {
    expect(() => createBillingClient(settings)).toThrow(TypeError);
    try {
      createBillingClient(settings);
    } catch (error) {
      expect(String(error)).not.toContain('hunter2');
    }
  });
});

describe('processCommunicationBilling', () => {
  it('says when it may have charged although no answer came', async () => {
    const referenceId = makeKey();
    service.mishaps.push('lose-reply');
    const send = (maxTries: number) =>
      client.processCommunicationBilling(userId, 'email', { referenceId }, { maxTries });
    expect(await send(1)).toMatchObject({
      success: false,
      code: 'UNREACHABLE',
      outcomeUnknown: true,
    });
    expect(await send(1)).toMatchObject({ success: true, replayed: true });
  });

  it('refuses a detail that does not exist, which a misspelt one is', async () => {
    const details = { segment: 5, to: '+14155550132' } as { to: string };
    expect(await client.processCommunicationBilling(userId, 'sms', details)).toMatchObject({
      success: false,
      code: 'BAD_REQUEST',
      error: 'segment: there is no such field',
    });
    expect((await service.charged(userId)).references).toEqual([]);
  });
});
