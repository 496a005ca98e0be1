/** Charging through outages against the real service: nothing lost, nothing charged twice. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync, mkdtempSync, readFileSync, rmSync, statSync, truncateSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import {
  type BillingClient,
  type ChargeSpool,
  type ChargeSpoolOptions,
  createBillingClient,
  createChargeSpool,
  type Rejected,
} from './client.ts';
import { startTestService, type TestService } from './service.fixtures.ts';
import type { ChildOptions } from './spool-child.fixtures.ts';

const CHILD = fileURLToPath(new URL('./spool-child.fixtures.ts', import.meta.url));
const EMAIL_MICROS = 10_000n;
const usage = { type: 'email' } as const;

let service: TestService;
let client: BillingClient;
let users = 0;
let userId: string;
let directory: string;
let file: string;
let opened: ChargeSpool[] = [];
let rejected: Rejected[] = [];
let isDown = false;

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
  directory = mkdtempSync(join(tmpdir(), 'prepaid-wallet-spool-'));
  file = join(directory, 'charges');
  rejected = [];
});
afterEach(async () => {
  await Promise.all(opened.map((spool) => spool.close()));
  opened = [];
  rmSync(directory, { recursive: true });
  if (isDown) {
    await up();
  }
});

async function down(): Promise<void> {
  await service.down();
  isDown = true;
}

async function up(): Promise<void> {
  await service.up();
  isDown = false;
}

async function open(options: Partial<ChargeSpoolOptions> = {}): Promise<ChargeSpool> {
  const spool = await createChargeSpool(client, {
    file,
    timeoutMs: 1_000,
    maxPauseMs: 300,
    onRejected: (one) => rejected.push(one),
    ...options,
  });
  opened.push(spool);
  return spool;
}

const item = (referenceId: string) => ({
  userId,
  usage,
  referenceId,
  occurredAt: new Date().toISOString(),
});
const names = (count: number, prefix = 'n') =>
  Array.from({ length: count }, (_, index) => `${prefix}-${index}`);

/** Ends when the child does; the references it printed, by what it was told of them. */
async function runChild(
  options: Pick<ChildOptions, 'charges' | 'die'>,
  maxFileKib?: number,
): Promise<{ signal: string | null; said: Map<string, string[]>; errors: string }> {
  const { url, apiKey } = service;
  const settings: ChildOptions = { url, apiKey, file, userId, ...options };
  const limit = maxFileKib === undefined ? '' : `ulimit -f ${maxFileKib}; `;
  const child = spawn(
    'bash',
    ['-c', `${limit}exec "$0" "$@"`, process.execPath, '--import', 'tsx', CHILD],
    { env: { ...process.env, SPOOL_CHILD: JSON.stringify(settings) } },
  );
  let [output, errors] = ['', ''];
  child.stdout.on('data', (chunk) => {
    output += chunk;
  });
  child.stderr.on('data', (chunk) => {
    errors += chunk;
  });
  const [, signal] = await once(child, 'close');
  const said = new Map<string, string[]>();
  for (const [referenceId = '', how = ''] of output.split('\n').map((row) => row.split(' '))) {
    if (how !== '') {
      said.set(how, [...(said.get(how) ?? []), referenceId]);
    }
  }
  return { signal, said, errors };
}

describe('a charge while the service is away', () => {
  it('is spooled, and charged once, in order, when the service is back', async () => {
    const spool = await open();
    expect(await spool.charge(item('before'))).toMatchObject({ ok: true, spooled: false });
    await down();
    for (const name of names(5)) {
      expect(await spool.charge(item(name))).toEqual({ ok: true, spooled: true });
    }
    expect(spool.waiting).toBe(5);
    await up();
    await spool.drained();
    expect(await spool.charge(item('after'))).toMatchObject({ ok: true, spooled: false });
    expect(await service.charged(userId)).toEqual({
      references: ['before', ...names(5), 'after'],
      sumMicros: 7n * EMAIL_MICROS,
    });
    expect(statSync(file).size).toBe(0);
    expect(rejected).toEqual([]);
  });

  it('makes only the first caller wait; hundreds are sent together afterwards', async () => {
    const spool = await open();
    service.mishaps.push('hang');
    await spool.charge(item('first'), { timeoutMs: 200 });
    await down();
    const startedAtMs = performance.now();
    await Promise.all(names(250).map((name) => spool.charge(item(name))));
    expect(performance.now() - startedAtMs).toBeLessThan(1_000);
    await up();
    service.seen.length = 0;
    await spool.drained();
    expect(new Set(service.seen.map(({ path }) => path))).toEqual(
      new Set(['/trpc/usage.chargeBatch']),
    );
    const { references } = await service.charged(userId);
    expect(references.toSorted()).toEqual(['first', ...names(250)].toSorted());
  });

  it('is in a file that only its owner reads, with its key, so that people can see what waits', async () => {
    await down();
    const spool = await open();
    await spool.charge(item('seen'));
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(JSON.parse(readFileSync(file, 'utf8'))).toMatchObject({
      kind: 'charge',
      input: { userId, referenceId: 'seen', overrun: 'arrears' },
    });
  });

  it.each([200, 404, 500, 521])(
    'and a proxy answers %i in its place is spooled',
    async (status) => {
      const spool = await open({ timeoutMs: 200 });
      service.mishaps.push(...Array.from({ length: 20 }, () => ({ status })));
      expect(await spool.charge(item('behind'))).toEqual({ ok: true, spooled: true });
      service.mishaps.length = 0;
      await spool.drained();
      expect(rejected).toEqual([]);
      expect((await service.charged(userId)).references).toEqual(['behind']);
    },
  );

  it('needs to know when the usage was', async () => {
    const spool = await open();
    const { occurredAt: _, ...undated } = item('undated');
    await expect(spool.charge(undated as never)).rejects.toThrow('occurredAt is required');
  });

  it('is priced and dated by its own time, and the same call again is the same charge', async () => {
    const occurredAt = new Date(Date.now() - 3_600_000).toISOString();
    await down();
    const spool = await open();
    await spool.charge({ ...item('dated'), occurredAt });
    await up();
    await spool.drained();
    expect(await spool.charge({ ...item('dated'), occurredAt })).toMatchObject({
      ok: true,
      replayed: true,
    });
    const { events } = await client.wallets.events.query({ userId, types: ['charge'] });
    expect(events).toMatchObject([{ occurredAt }]);
  });
});

describe('a reply that is lost after the commit', () => {
  it('of a direct charge leaves one charge', async () => {
    const spool = await open();
    service.mishaps.push('lose-reply');
    expect(await spool.charge(item('a'), { maxTries: 1 })).toEqual({ ok: true, spooled: true });
    await spool.drained();
    expect((await service.charged(userId)).references).toEqual(['a']);
  });

  it('of what was spooled leaves one charge each', async () => {
    await down();
    const spool = await open();
    await Promise.all(names(30).map((name) => spool.charge(item(name))));
    service.mishaps.push('lose-reply', 'lose-reply', 'lose-request', { status: 503 });
    await up();
    await spool.drained();
    expect((await service.charged(userId)).references).toHaveLength(30);
    expect(rejected).toEqual([]);
  });
});

describe('a process that is killed with -9', () => {
  it('after a charge was spooled loses none: the next process sends them', async () => {
    await down();
    const { signal, said } = await runChild({ charges: 5, die: 'after-charges' });
    expect(signal).toBe('SIGKILL');
    const spooled = said.get('spooled') ?? [];
    expect(spooled).toHaveLength(5);
    await up();
    await (await open()).drained();
    expect(await service.charged(userId)).toEqual({
      references: spooled,
      sumMicros: 5n * EMAIL_MICROS,
    });
  });

  it.each([
    ['before it sent', 'before-replay', 0],
    ['after the service had charged, before that was marked', 'after-replay', 5],
  ] as const)('%s loses none and doubles none', async (_name, die, chargedBefore) => {
    await down();
    const { said } = await runChild({ charges: 5, die: 'after-charges' });
    await up();
    const killed = await runChild({ charges: 0, die });
    expect(killed.signal).toBe('SIGKILL');
    expect((await service.charged(userId)).references).toHaveLength(chargedBefore);
    const spool = await open();
    expect(spool.waiting).toBe(5);
    await spool.drained();
    expect(await service.charged(userId)).toEqual({
      references: said.get('spooled'),
      sumMicros: 5n * EMAIL_MICROS,
    });
    expect(rejected).toEqual([]);
  });

  it('while another is under way leaves the spool to the other', async () => {
    const spool = await open();
    const second = await runChild({ charges: 1, die: 'never' });
    expect(second.errors).toContain(
      `The spool cannot be used: the process ${process.pid} uses it.`,
    );
    await spool.close();
    expect((await runChild({ charges: 1, die: 'never' })).said.get('charged')).toHaveLength(1);
  });
});

describe('a disk that is full', () => {
  it('is an error to the caller; what was acknowledged before is charged, and nothing else', async () => {
    await down();
    // The shell's limit of a file's size cuts a write in its middle, as a full disk does.
    const { said } = await runChild({ charges: 40, die: 'never' }, 4);
    const spooled = said.get('spooled') ?? [];
    expect(spooled.length).toBeGreaterThan(5);
    expect(said.get('SPOOL_FAILED')).toHaveLength(40 - spooled.length);
    await up();
    await (await open()).drained();
    expect((await service.charged(userId)).references).toEqual(spooled);
  });
});

describe('what the service refuses when it is back', () => {
  it('is written down and told, and holds up nothing else', async () => {
    await down();
    const spool = await open();
    await spool.charge(item('good-1'));
    await spool.charge({ ...item('nobody'), userId: 'nobody' });
    await spool.charge({ ...item('bad'), usage: { type: 'fax', pages: 1.5, to: '1' } });
    await spool.charge({
      ...item('too-dear'),
      usage: { type: 'email', recipients: 1_000 },
      overrun: 'refuse',
    });
    await spool.charge(item('good-2'));
    await spool.close();
    // A line that a failing disk has damaged.
    appendFileSync(file, '{"kind":"charge","in\0\0\n');
    await up();
    const again = await open();
    await again.charge(item('good-3'));
    await again.drained();

    expect((await service.charged(userId)).references.toSorted()).toEqual([
      'good-1',
      'good-2',
      'good-3',
    ]);
    expect(rejected).toMatchObject([
      { code: 'WALLET_NOT_FOUND', entry: { input: { referenceId: 'nobody' } } },
      { code: 'BAD_REQUEST', message: expect.stringContaining('usage.pages') },
      { code: 'INSUFFICIENT_FUNDS', message: expect.stringContaining('missing') },
      { code: 'UNREADABLE_LINE', entry: null },
    ]);
    const kept = readFileSync(`${file}.rejected`, 'utf8').trim().split('\n');
    expect(kept.map((row) => JSON.parse(row))).toMatchObject(rejected);
    expect(statSync(`${file}.rejected`).mode & 0o777).toBe(0o600);
  });

  it('does not include delivered usage without funds: that becomes arrears', async () => {
    await down();
    const spool = await open();
    await spool.charge({ ...item('beyond'), usage: { type: 'email', recipients: 150 } });
    await up();
    await spool.drained();
    expect(rejected).toEqual([]);
    expect(await client.wallets.get.query({ userId })).toMatchObject({
      balanceMicros: '0',
      arrearsMicros: '500000',
    });
  });

  it('nor where a caller leaves overrun undefined', async () => {
    await down();
    const spool = await open();
    const beyond = { ...item('beyond'), usage: { type: 'email', recipients: 150 } } as const;
    await spool.charge({ ...beyond, overrun: undefined });
    await up();
    await spool.drained();
    expect(rejected).toEqual([]);
    expect((await service.charged(userId)).references).toEqual(['beyond']);
  });

  it('is a single line, when only the lines together are too large', async () => {
    await down();
    const spool = await open();
    const long = { type: 'sms', to: '+14155550132', body: 'x'.repeat(39_000) } as const;
    for (const name of names(40)) {
      await spool.charge({ ...item(name), usage: long });
    }
    await spool.charge({ ...item('huge'), usage: { ...long, body: 'x'.repeat(1_100_000) } });
    await up();
    await spool.drained();
    expect(rejected.map(({ code, entry }) => [code, entry?.input])).toEqual([
      [
        expect.stringMatching(/PAYLOAD_TOO_LARGE|BAD_REQUEST/),
        expect.objectContaining({ referenceId: 'huge' }),
      ],
    ]);
    expect((await service.charged(userId)).references.toSorted()).toEqual(names(40).toSorted());
  });

  it('stays where it is the key that is refused, and is sent with the next one', async () => {
    await down();
    await (await open()).charge(item('patient'));
    await opened[0]?.close();
    await up();
    const reasons: Error[] = [];
    const wrong = createBillingClient({ url: service.url, apiKey: 'sk_wrong' });
    const spool = await createChargeSpool(wrong, {
      file,
      maxPauseMs: 50,
      onWaiting: (error) => reasons.push(error),
    });
    await expect.poll(() => reasons.length).toBeGreaterThan(1);
    expect(reasons[0]).toMatchObject({ code: 'UNAUTHORIZED' });
    expect(spool.waiting).toBe(1);
    await spool.close();
    await (await open()).drained();
    expect((await service.charged(userId)).references).toEqual(['patient']);
  });

  it('is put aside when the service fails on it and on no other', async () => {
    await service.database.owner`
      alter table wallet_events add constraint poison
        check (detail ->> 'referenceId' is distinct from 'poison') not valid`;
    try {
      await down();
      const spool = await open({ maxPauseMs: 20 });
      for (const name of ['a', 'poison', 'b']) {
        await spool.charge(item(name));
      }
      await up();
      await spool.drained();
      expect((await service.charged(userId)).references.toSorted()).toEqual(['a', 'b']);
      expect(rejected).toMatchObject([
        { code: 'INTERNAL_SERVER_ERROR', entry: { input: { referenceId: 'poison' } } },
      ]);
    } finally {
      await service.database.owner`alter table wallet_events drop constraint poison`;
    }
  });
});

describe('the wait for the spool to drain', () => {
  it('ends with its signal, and with the spool', async () => {
    await down();
    const spool = await open();
    await spool.charge(item('patient'));
    await expect(spool.drained(AbortSignal.timeout(20))).rejects.toMatchObject({
      name: 'TimeoutError',
    });
    const drained = spool.drained();
    await Promise.all([expect(drained).rejects.toThrow('the spool is closed'), spool.close()]);
    expect(spool.waiting).toBe(1);
  });

  it('says so when something else has emptied the file', async () => {
    await down();
    const reasons: Error[] = [];
    const spool = await open({ onWaiting: (error) => reasons.push(error) });
    await spool.charge(item('gone'));
    truncateSync(file);
    await up();
    await expect.poll(() => reasons.at(-1)?.message).toContain('shorter than what was written');
    expect(service.seen.length).toBeLessThan(5);
  });
});

describe('a hold whose end comes in an outage', () => {
  it('is captured, or released, when the service is back', async () => {
    const authorize = (key: string) =>
      client.holds.authorize.mutate({
        userId,
        key,
        usage: { type: 'call', durationSeconds: 60, to: '+14155550132' },
      });
    const [talked, failed] = [await authorize('talked'), await authorize('failed')];
    if (!talked.ok || !failed.ok) {
      throw new Error('not authorized');
    }
    await down();
    const spool = await open();
    const final = { type: 'call', durationSeconds: 120, to: '+14155550132' } as const;
    expect(await spool.capture({ holdId: talked.holdId, usage: final })).toMatchObject({
      spooled: true,
    });
    expect(await spool.void({ holdId: failed.holdId })).toMatchObject({ spooled: true });
    await up();
    await spool.drained();
    expect(await client.wallets.get.query({ userId })).toMatchObject({
      heldMicros: '0',
      balanceMicros: String(1_000_000 - 200_000),
    });
    expect(await spool.capture({ holdId: talked.holdId, usage: final })).toMatchObject({
      ok: true,
      spooled: false,
      replayed: true,
    });
  });
});
