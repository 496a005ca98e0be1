/** What a hostile or dying client writes into the socket charges once or not at all. */
import { createServer, type Server } from 'node:http';
import { type AddressInfo, connect as connectSocket } from 'node:net';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createApiKeys } from '../billing/accounts/api-keys.ts';
import { createTestDatabase, type TestDatabase } from '../dev/test-database.ts';
import { createLogger } from '../log.ts';
import type { RouterServices } from '../trpc/context.ts';
import { testServices } from '../trpc/services.fixtures.ts';
import { createCallerCache } from './caller-cache.ts';
import { chargeListener } from './charge-listener.ts';

let database: TestDatabase;
let services: RouterServices;
let server: Server;
let secret: string;
let port: number;
let users = 0;

beforeAll(async () => {
  database = await createTestDatabase();
  const sql = database.app;
  const logger = createLogger('silent');
  const apiKeys = createApiKeys({ sql, logger });
  services = testServices(sql);
  const callers = createCallerCache(apiKeys, Date.now);
  const metrics = { observe: () => {}, text: async () => '' };
  server = createServer(
    chargeListener({ services, apiKeys, callers, metrics, logger }, (_, response) => {
      response.writeHead(404).end();
    }),
  );
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  port = (server.address() as AddressInfo).port;
  secret = (await apiKeys.create({ name: 'test', scopes: ['all'], createdBy: 'cli:test' })).secret;
});

afterAll(async () => {
  server.close();
  server.closeAllConnections();
  await database?.close();
});

async function fundedUser(): Promise<string> {
  users += 1;
  const userId = `user-${users}`;
  await services.wallets.open({ userId }, 'test:open');
  const request = { wallet: { userId }, amountMicros: 1_000_000n, key: 'funds', reason: 'test' };
  await services.grants.grant(request, 'test:grant');
  return userId;
}

const spentBy = async (userId: string) =>
  1_000_000n - (await services.wallets.get({ userId })).balanceMicros;
const SMS_MICROS = 20_000n;

function bodyOf(userId: string, referenceId = 'a'): string {
  return JSON.stringify({ userId, usage: { type: 'sms', to: '+14155550132' }, referenceId });
}

function head(...lines: string[]): string {
  return [
    'POST /trpc/usage.charge HTTP/1.1',
    'host: test',
    `authorization: Bearer ${secret}`,
    'content-type: application/json',
    ...lines,
    '',
    '',
  ].join('\r\n');
}

/** Writes the pieces as they are; goes when so many answers came, or when none are to be waited for. */
function exchange(pieces: readonly string[], answers: number): Promise<string> {
  return new Promise((resolve) => {
    let heard = '';
    const socket = connectSocket(port, '127.0.0.1', () => {
      for (const piece of pieces) {
        socket.write(piece);
      }
      if (answers === 0) {
        setTimeout(() => socket.resetAndDestroy(), 50);
      }
    });
    socket.on('data', (chunk) => {
      heard += chunk.toString('utf8');
      if (statusesOf(heard).length >= answers) {
        socket.destroy();
      }
    });
    socket.on('error', () => {});
    socket.on('close', () => resolve(heard));
  });
}

const statusesOf = (heard: string) =>
  [...heard.matchAll(/HTTP\/1\.1 (\d{3})/g)].map(([, status]) => Number(status));

it.each<[string, (body: string) => string[], number[]]>([
  ['whole', (body) => [head(`content-length: ${body.length}`), body], [200]],
  [
    'in chunks',
    (body) => [
      head('transfer-encoding: chunked'),
      `5\r\n${body.slice(0, 5)}\r\n${(body.length - 5).toString(16)}\r\n${body.slice(5)}\r\n0\r\n\r\n`,
    ],
    [200],
  ],
  [
    'twice in one breath, with one key',
    (body) => Array<string>(2).fill(head(`content-length: ${body.length}`) + body),
    [200, 200],
  ],
])('a charge that comes %s is made once', async (_name, pieces, statuses) => {
  const userId = await fundedUser();
  expect(statusesOf(await exchange(pieces(bodyOf(userId)), statuses.length))).toEqual(statuses);
  expect(await spentBy(userId)).toBe(SMS_MICROS);
});

it.each<[string, (body: string) => string[], number[]]>([
  ['that ends before its length', (body) => [head(`content-length: ${body.length + 1}`), body], []],
  [
    'whose last chunk never comes',
    (body) => [head('transfer-encoding: chunked'), `${body.length.toString(16)}\r\n${body}\r\n`],
    [],
  ],
  [
    'of two lengths',
    (body) => [head(`content-length: ${body.length}`, 'content-length: 2'), body],
    [400],
  ],
  [
    'of a length and chunks',
    (body) => [
      head(`content-length: ${body.length}`, 'transfer-encoding: chunked'),
      `${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`,
    ],
    [400],
  ],
  [
    'with a broken chunk',
    (body) => [head('transfer-encoding: chunked'), `zz\r\n${body}\r\n0\r\n\r\n`],
    [400],
  ],
  [
    'with huge headers',
    (body) => [head(`x-filler: ${'x'.repeat(100_000)}`, `content-length: ${body.length}`), body],
    [431],
  ],
])('a request %s charges nothing, and the next one is served', async (_name, pieces, statuses) => {
  const userId = await fundedUser();
  const body = bodyOf(userId);
  const heard = statusesOf(await exchange(pieces(body), statuses.length));
  expect(statuses.length === 0 ? heard.filter((status) => status < 400) : heard).toEqual(statuses);
  expect(await spentBy(userId)).toBe(0n);
  const whole = [head(`content-length: ${body.length}`), body];
  expect(statusesOf(await exchange(whole, 1))).toEqual([200]);
  expect(await spentBy(userId)).toBe(SMS_MICROS);
});

it.each<[string, string]>([
  ['a NUL in the reference', '{"referenceId":"a\\u0000"}'],
  ['letters beyond ASCII in the reference', '{"referenceId":"é"}'],
  ['a half surrogate as the party', '{"usage":{"type":"sms","to":"\\ud800"}}'],
  ['a NUL as the party', '{"usage":{"type":"sms","to":"a\\u0000"}}'],
  ['a very long reference', `{"referenceId":"${'a'.repeat(201)}"}`],
  ['a fraction of a segment', '{"usage":{"type":"sms","to":"1","segments":1.5}}'],
  ['segments below zero', '{"usage":{"type":"sms","to":"1","segments":-1}}'],
  ['more segments than numbers', '{"usage":{"type":"sms","to":"1","segments":1e400}}'],
  ['segments as text', '{"usage":{"type":"sms","to":"1","segments":"1e3"}}'],
  ['no number of seconds', '{"usage":{"type":"call","to":"1","durationSeconds":NaN}}'],
  ['too many seconds', '{"usage":{"type":"call","to":"1","durationSeconds":9007199254740993}}'],
  ['too many bytes', '{"usage":{"type":"file_transfer","bytes":9223372036854775808}}'],
  ['an overrun that is none', '{"overrun":"free"}'],
  ['an unknown type', '{"usage":{"type":"__proto__","to":"1"}}'],
  ['a wallet and a user', '{"walletId":"7d1f0a52-4b8e-4c5a-9c63-2f0e8d5b6a10"}'],
  ['a day that is none', '{"occurredAt":"2026-02-30T00:00:00Z"}'],
  ['a year that is none', '{"occurredAt":"275760-01-01T00:00:00Z"}'],
  ['a future', '{"occurredAt":"2999-01-01T00:00:00Z"}'],
  ['an amount of its own', '{"amountMicros":"0"}'],
])('%s is a malformed request and charges nothing', async (_name, change) => {
  const userId = await fundedUser();
  const changed = `${bodyOf(userId).slice(0, -1)},${change.slice(1)}`;
  const pieces = [head(`content-length: ${Buffer.byteLength(changed)}`), changed];
  const heard = await exchange(pieces, 1);
  expect(statusesOf(heard), heard).toEqual([400]);
  expect(await spentBy(userId)).toBe(0n);
});
