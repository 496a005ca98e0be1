/** Stripe's webhook through the whole application: what is badly signed writes nothing at all. */
import { createHmac } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Application, createApplication } from '../application.ts';
import { createTestDatabase, type TestDatabase } from '../dev/test-database.ts';
import { describeProblems, readEnv } from '../env.ts';
import { createLogger } from '../log.ts';

const OLD_SECRET = 'whsec_old_secret';
const NEW_SECRET = 'whsec_new_secret';

let database: TestDatabase;
let both: Served;
let newOnly: Served;

interface Served {
  url: string;
  stop(): Promise<void>;
}

beforeAll(async () => {
  database = await createTestDatabase();
  both = await serve(`${NEW_SECRET},${OLD_SECRET}`);
  newOnly = await serve(NEW_SECRET);
});
afterAll(async () => {
  await Promise.all([both?.stop(), newOnly?.stop()]);
  await database?.close();
});

async function serve(webhookSecret: string): Promise<Served> {
  const read = readEnv(
    {
      DATABASE_URL: database.ownerUrl,
      SESSION_SECRET: 'test'.repeat(8),
      STRIPE_SECRET_KEY: 'sk_test_x',
      STRIPE_PUBLISHABLE_KEY: 'pk_test_x',
      STRIPE_WEBHOOK_SECRET: webhookSecret,
      INNGEST_DEV: 'http://127.0.0.1:1',
    },
    { production: false },
  );
  if (!read.ok) throw new Error(describeProblems(read.problems));
  const application: Application = createApplication({
    env: read.env,
    logger: createLogger('silent'),
    pages: { asset: async () => null, handle: async () => new Response(null, { status: 404 }) },
  });
  const server: Server = createServer(application.listener);
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/api/stripe/webhook`,
    async stop() {
      server.closeAllConnections();
      await new Promise((done) => server.close(done));
      await application.stop();
    },
  };
}

/** A digest of every row of every table. */
async function wholeDatabase(): Promise<string> {
  const tables = await database.owner<{ name: string }[]>`
    select tablename as name from pg_tables where schemaname = 'public' order by 1`;
  expect(tables.map(({ name }) => name)).toContain('stripe_inbox');
  const digests: string[] = [];
  for (const { name } of tables) {
    const [row] = await database.owner<{ digest: string | null }[]>`
      select md5(string_agg(t::text, E'\n' order by t::text)) as digest
      from ${database.owner(name)} t`;
    digests.push(`${name} ${row?.digest}`);
  }
  return digests.join('\n');
}

let events = 0;

/** An event as Stripe writes it: indented JSON. */
function newEvent(): { id: string; body: string } {
  events += 1;
  const id = `evt_signed_${events}`;
  const event = {
    id,
    object: 'event',
    api_version: '2026-10-28.endive',
    data: { object: { id: `pi_signed_${events}`, object: 'payment_intent', amount: 2_500 } },
    livemode: false,
    type: 'payment_intent.succeeded',
  };
  return { id, body: JSON.stringify(event, null, 2) };
}

const now = () => Math.floor(Date.now() / 1_000);

function mac(body: string, secret: string, at: number | string): string {
  return createHmac('sha256', secret).update(`${at}.${body}`).digest('hex');
}

function sign(body: string, secret = NEW_SECRET, at = now(), scheme = 'v1'): string {
  return `t=${at},${scheme}=${mac(body, secret, at)}`;
}

async function deliver(
  body: string,
  signature: string | null,
  to: Served = newOnly,
): Promise<{ status: number; answer: unknown }> {
  const response = await fetch(to.url, {
    method: 'POST',
    body,
    headers: {
      'content-type': 'application/json; charset=utf-8',
      ...(signature !== null && { 'stripe-signature': signature }),
    },
  });
  return { status: response.status, answer: await response.json() };
}

async function stored(id: string): Promise<number> {
  return (await database.owner`select from stripe_inbox where event_id = ${id}`).length;
}

/** How a good delivery is spoiled: what is sent, and its signature. */
const SPOILED: readonly (readonly [
  name: string,
  spoil: (body: string) => readonly [body: string, signature: string | null],
])[] = [
  ['no signature', (body) => [body, null]],
  ['an empty signature', (body) => [body, '']],
  ['a signature of nonsense', (body) => [body, 'hello']],
  ['a tampered amount', (body) => [body.replace('2500', '250000'), sign(body)]],
  ['a blank more at its end', (body) => [`${body} `, sign(body)]],
  [
    'a body that was parsed and written again',
    (body) => [JSON.stringify(JSON.parse(body)), sign(body)],
  ],
  ['line breaks of another kind', (body) => [body.replaceAll('\n', '\r\n'), sign(body)]],
  ['an empty body', (body) => ['', sign(body)]],
  ['an empty body that is signed', () => ['', sign('')]],
  ['301 seconds of age', (body) => [body, sign(body, NEW_SECRET, now() - 301)]],
  ['a year of age', (body) => [body, sign(body, NEW_SECRET, now() - 31_536_000)]],
  ['a time 310 seconds ahead', (body) => [body, sign(body, NEW_SECRET, now() + 310)]],
  [
    'another time than was signed',
    (body) => [body, `t=${now()},v1=${mac(body, NEW_SECRET, now() - 9)}`],
  ],
  ['no time', (body) => [body, `v1=${mac(body, NEW_SECRET, now())}`]],
  ['a time that is no number', (body) => [body, `t=now,v1=${mac(body, NEW_SECRET, 'now')}`]],
  ['a time of zero', (body) => [body, sign(body, NEW_SECRET, 0)]],
  ['a foreign secret', (body) => [body, sign(body, 'whsec_foreign')]],
  ['a blank secret', (body) => [body, sign(body, ' ')]],
  ['an empty secret', (body) => [body, sign(body, '')]],
  ['the secret without its prefix', (body) => [body, sign(body, NEW_SECRET.replace('whsec_', ''))]],
  ['the old secret, which was taken away', (body) => [body, sign(body, OLD_SECRET)]],
  ['the old scheme v0', (body) => [body, sign(body, NEW_SECRET, now(), 'v0')]],
  ['an unknown scheme v2', (body) => [body, sign(body, NEW_SECRET, now(), 'v2')]],
  ['half a signature', (body) => [body, sign(body).slice(0, -32)]],
  ['a signature of nought', (body) => [body, `t=${now()},v1=`]],
  ['a signature in capitals', (body) => [body, sign(body).toUpperCase()]],
  [
    'a plain digest, which needs no secret',
    (body) => [body, `t=${now()},v1=${mac(body, 'x', now()).replace(/./g, '0')}`],
  ],
];

describe('a webhook', () => {
  it.each(SPOILED)('with %s is refused with 400 and writes nothing', async (_name, spoil) => {
    const { id, body } = newEvent();
    const before = await wholeDatabase();
    const [sent, signature] = spoil(body);
    expect(await deliver(sent, signature)).toMatchObject({
      status: 400,
      answer: { error: { code: 'BAD_SIGNATURE' } },
    });
    expect(await wholeDatabase()).toBe(before);
    expect(await stored(id)).toBe(0);
    // The same event, well signed, is taken: nothing was remembered of the refused one.
    expect(await deliver(body, sign(body))).toMatchObject({ status: 200 });
    expect(await stored(id)).toBe(1);
  });

  it('tells a stranger nothing of why it is refused', async () => {
    const { body } = newEvent();
    const answers = await Promise.all(
      [null, 'hello', sign(body, 'whsec_foreign'), sign(body, NEW_SECRET, now() - 301)].map(
        async (signature) => (await deliver(body, signature)).answer,
      ),
    );
    const messages = answers.map(
      (answer) => (answer as { error: { message: string } }).error.message,
    );
    expect(new Set(messages).size).toBe(1);
  });

  it('is taken with either secret while one is being replaced, and then with the new one alone', async () => {
    for (const [to, secret, status] of [
      [both, OLD_SECRET, 200],
      [both, NEW_SECRET, 200],
      [newOnly, NEW_SECRET, 200],
      [newOnly, OLD_SECRET, 400],
    ] as const) {
      const { id, body } = newEvent();
      expect(await deliver(body, sign(body, secret), to)).toMatchObject({ status });
      expect(await stored(id)).toBe(status === 200 ? 1 : 0);
    }
  });

  it('signed with both secrets at once, as Stripe does during a rotation, is taken by each', async () => {
    for (const to of [both, newOnly]) {
      const { id, body } = newEvent();
      const at = now();
      const signature = `t=${at},v1=${mac(body, OLD_SECRET, at)},v1=${mac(body, NEW_SECRET, at)}`;
      expect(await deliver(body, signature, to)).toMatchObject({ status: 200 });
      expect(await stored(id)).toBe(1);
    }
  });

  it('is taken at 299 seconds of age, and stored once when it is delivered again', async () => {
    const { id, body } = newEvent();
    for (const at of [now() - 299, now(), now()]) {
      expect(await deliver(body, sign(body, NEW_SECRET, at))).toMatchObject({ status: 200 });
    }
    expect(await stored(id)).toBe(1);
  });
});
