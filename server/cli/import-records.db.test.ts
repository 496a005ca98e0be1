import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { getRequestListener } from '@hono/node-server';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createApiKeys } from '../billing/accounts/api-keys.ts';
import { type BillingClient, createBillingClient } from '../client/client.ts';
import { createTestDatabase, type TestDatabase } from '../dev/test-database.ts';
import { trpc } from '../http/trpc.ts';
import { createLogger } from '../log.ts';
import { testServices } from '../trpc/services.fixtures.ts';
import { parseAsteriskCdr } from './asterisk-cdr.ts';
import { importRecords, type Overrun } from './import-records.ts';

let database: TestDatabase;
let server: Server;
let client: BillingClient;

beforeAll(async () => {
  database = await createTestDatabase();
  const sql = database.app;
  const logger = createLogger('silent');
  const apiKeys = createApiKeys({ sql, logger });
  const services = testServices(sql);
  server = createServer(
    getRequestListener((request) => trpc(request, 'request-1', { services, apiKeys, logger })),
  );
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const { port } = server.address() as AddressInfo;
  const key = await apiKeys.create({ name: 'test', scopes: ['all'], createdBy: 'cli:test' });
  client = createBillingClient({ url: `http://127.0.0.1:${port}`, apiKey: key.secret });
});

afterAll(async () => {
  server?.close();
  await database?.close();
});

function row(number: number, { user = 'demo', year = 2026 } = {}): string {
  const at = `${year}-01-05 10:00:${String(number).padStart(2, '0')}`;
  return [
    ...[user, '1001', '2002', 'default', '', 'SIP/a', 'SIP/b', 'Dial', '', at, at, at],
    ...['60', '60', 'ANSWERED', 'DOCUMENTATION', `call-${number}`, ''],
  ].join(',');
}

it.each([false, true])(
  'a row that the service does not take is counted by its line and stops no other (open: %s)',
  async (open) => {
    await client.wallets.open.mutate({ userId: 'demo' });
    await client.wallets.grant.mutate({
      userId: 'demo',
      amountMicros: '100000000',
      key: 'fund',
      reason: 'test',
    });
    const rows = [
      row(1),
      row(2, { user: 'two words' }),
      row(3),
      row(4, { year: 2999 }),
      ...Array.from({ length: 5 }, (_, index) => row(5 + index)),
    ];
    const summary = await importRecords({
      rows: parseAsteriskCdr([rows.join('\n')], { userField: 'accountcode' }),
      client,
      userOf: (record) => record.user,
      currency: undefined,
      overrun: 'refuse',
      open,
      onProgress: () => {},
    });
    expect(summary.charged + summary.replayed).toBe(7);
    expect(summary).toMatchObject({ rows: 9, wrong: 2, refused: 0 });
    const problems = summary.problems.toSorted((a, b) => a.line - b.line);
    expect(problems).toEqual([
      { line: 2, code: 'WRONG_ROW', message: expect.stringMatching(/^userId: must be/) },
      { line: 4, code: 'WRONG_ROW', message: 'occurredAt: must not be in the future' },
    ]);
    expect(await client.wallets.get.query({ userId: 'demo' })).toMatchObject({
      balanceMicros: String(100_000_000 - 7 * 150_000),
    });
  },
);

it('calls that were authorized while they ran are told apart: billed, billed otherwise, ended now', async () => {
  const wallet = { userId: 'live' };
  await client.wallets.open.mutate(wallet);
  const grant = { ...wallet, amountMicros: '100000000', key: 'fund', reason: 'test' };
  await client.wallets.grant.mutate(grant);
  const usage = { type: 'call', durationSeconds: 60, to: '2002' } as const;
  for (const [key, seconds] of [
    ['call-1', 60],
    ['call-2', 90],
    ['call-3', null],
  ] as const) {
    const placed = await client.holds.authorize.mutate({ ...wallet, key, usage });
    expect.assert(placed.ok);
    if (seconds !== null) {
      const { holdId } = placed;
      await client.holds.capture.mutate({ holdId, usage: { ...usage, durationSeconds: seconds } });
    }
  }
  const importAll = () =>
    importRecords({
      rows: parseAsteriskCdr([[1, 2, 3, 4].map((number) => row(number)).join('\n')], {
        referenceField: 'uniqueid',
      }),
      client,
      userOf: () => 'live',
      currency: undefined,
      overrun: 'refuse',
      open: false,
      onProgress: () => {},
    });
  const problems = [
    { line: 2, code: 'DIFFERENT', message: expect.stringContaining('90 units for 175000 micros') },
  ];
  expect(await importAll()).toMatchObject({
    ...{ rows: 4, billedLive: 1, different: 1, charged: 2, chargedMicros: 300_000n },
    ...{ replayed: 0, refused: 0, wrong: 0, problems },
  });
  expect(await importAll()).toMatchObject({
    ...{ rows: 4, billedLive: 2, different: 1, charged: 0, replayed: 1, problems },
  });
  expect(await client.wallets.get.query(wallet)).toMatchObject({
    balanceMicros: String(100_000_000 - 3 * 150_000 - 175_000),
    heldMicros: '0',
  });
});

it('calls beyond what the wallet has are refused, or arrears when the caller says so', async () => {
  const wallet = { userId: 'poor' };
  await client.wallets.open.mutate(wallet);
  const importAs = (overrun: Overrun) =>
    importRecords({
      rows: parseAsteriskCdr([row(1)], {}),
      client,
      userOf: () => wallet.userId,
      currency: undefined,
      overrun,
      open: false,
      onProgress: () => {},
    });
  expect(await importAs('refuse')).toMatchObject({ charged: 0, refused: 1 });
  expect(await importAs('arrears')).toMatchObject({ charged: 1, refused: 0 });
  expect(await client.wallets.get.query(wallet)).toMatchObject({ arrearsMicros: '150000' });
});
