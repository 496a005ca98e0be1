/** The real service on a real port, that tests of the client take away and bring back. */
import {
  createServer,
  type IncomingMessage,
  request,
  type Server,
  type ServerResponse,
} from 'node:http';
import type { AddressInfo } from 'node:net';
import { type Application, createApplication } from '../application.ts';
import { type ApiKeys, createApiKeys } from '../billing/accounts/api-keys.ts';
import { createTestDatabase, type TestDatabase } from '../dev/test-database.ts';
import { describeProblems, readEnv } from '../env.ts';
import { createLogger } from '../log.ts';
import { type BillingClient, createBillingClient } from './client.ts';

const HOST = '127.0.0.1';
const logger = createLogger('silent');

/** What the proxy in front of the service does with a request. */
export type Mishap =
  /** Lets the service do it, then cuts the connection. */
  | 'lose-reply'
  /** The same, but not before this has happened. */
  | { readonly loseReplyAfter: Promise<unknown> }
  /** Cuts the connection before the service sees it. */
  | 'lose-request'
  /** Lets it through, and never answers. */
  | 'hang'
  /** Answers as a balancer does whose servers are away. */
  | { readonly status: number; readonly headers?: Readonly<Record<string, string>> };

export interface TestService {
  /** Goes through the proxy. */
  readonly url: string;
  readonly apiKeys: ApiKeys;
  /** A key that may do everything. */
  readonly apiKey: string;
  /** A client with that key. */
  readonly client: BillingClient;
  readonly database: TestDatabase;
  /** Paths and request ids of what came, in order. */
  readonly seen: { path: string; requestId: string }[];
  /** What befalls the next requests, one each. */
  readonly mishaps: Mishap[];
  /** Takes the service away: nothing listens. */
  down(): Promise<void>;
  /** Brings it back at the same address. */
  up(): Promise<void>;
  /** A wallet with so much in it. */
  fundedUser(userId: string, amountMicros?: bigint): Promise<void>;
  /** The references of what was charged to the user, oldest first, and their sum. */
  charged(userId: string): Promise<{ references: string[]; sumMicros: bigint }>;
  close(): Promise<void>;
}

export async function startTestService(): Promise<TestService> {
  const database = await createTestDatabase();
  const application = applicationOn(database);
  const apiKeys = createApiKeys({ sql: database.app, logger });
  const key = { name: 'test', scopes: ['all'] as const, createdBy: 'cli:test' };
  const { secret: apiKey } = await apiKeys.create(key);
  const service = createServer(application.listener);
  const servicePort = await listen(service, 0);
  const seen: TestService['seen'] = [];
  const mishaps: Mishap[] = [];
  const onRequest = (incoming: IncomingMessage, outgoing: ServerResponse) => {
    seen.push({
      path: incoming.url ?? '',
      requestId: String(incoming.headers['x-request-id']),
    });
    passOn(incoming, outgoing, servicePort, mishaps.shift());
  };
  let proxy = createServer(onRequest);
  const port = await listen(proxy, 0);

  async function post(path: string, input: unknown): Promise<unknown> {
    const response = await fetch(`http://${HOST}:${servicePort}/trpc/${path}`, {
      method: 'POST',
      headers: { authorization: `Bearer ${apiKey}`, 'content-type': 'application/json' },
      body: JSON.stringify(input),
    });
    const { result } = (await response.json()) as { result: { data: unknown } };
    return result.data;
  }

  const url = `http://${HOST}:${port}`;
  return {
    url,
    apiKeys,
    apiKey,
    client: createBillingClient({ url, apiKey }),
    database,
    seen,
    mishaps,
    async down() {
      await shut(proxy);
    },
    async up() {
      proxy = createServer(onRequest);
      await listen(proxy, port);
    },
    async fundedUser(userId, amountMicros = 1_000_000n) {
      await post('wallets.open', { userId });
      const grant = { userId, amountMicros: String(amountMicros), key: userId, reason: 'test' };
      await post('wallets.grant', grant);
    },
    async charged(userId) {
      const events = await database.app<{ reference: string; micros: bigint }[]>`
        select detail ->> 'referenceId' as reference,
          arrears_delta_micros - balance_delta_micros as micros
        from wallet_events join wallets on wallets.id = wallet_events.wallet_id
        where user_id = ${userId} and type = 'charge' order by wallet_events.seq`;
      return {
        references: events.map(({ reference }) => reference),
        sumMicros: events.reduce((sum, { micros }) => sum + BigInt(micros), 0n),
      };
    },
    async close() {
      await Promise.all([shut(proxy), shut(service)]);
      await application.stop();
      await database.close();
    },
  };
}

function applicationOn(database: TestDatabase): Application {
  const read = readEnv(
    {
      DATABASE_URL: database.ownerUrl,
      SESSION_SECRET: 'test'.repeat(8),
      STRIPE_SECRET_KEY: 'sk_test_x',
      STRIPE_PUBLISHABLE_KEY: 'pk_test_x',
      STRIPE_WEBHOOK_SECRET: 'whsec_x',
      INNGEST_DEV: '1',
    },
    { production: false },
  );
  if (!read.ok) {
    throw new Error(describeProblems(read.problems));
  }
  return createApplication({
    env: read.env,
    logger,
    pages: { asset: async () => null, handle: async () => new Response(null, { status: 404 }) },
  });
}

function passOn(
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  port: number,
  mishap: Mishap | undefined,
): void {
  if (mishap === 'lose-request') {
    incoming.socket.destroy();
    return;
  }
  if (typeof mishap === 'object' && 'status' in mishap) {
    incoming.resume();
    outgoing.writeHead(mishap.status, { 'content-type': 'text/html', ...mishap.headers });
    outgoing.end('<html>not now</html>');
    return;
  }
  const { method, url, headers } = incoming;
  const through = request(
    { host: HOST, port, method, path: url, headers: { ...headers, connection: 'close' } },
    (answer) => {
      if (mishap === 'hang') {
        answer.resume();
      } else if (mishap !== undefined) {
        const lost = mishap === 'lose-reply' ? undefined : mishap.loseReplyAfter;
        answer.resume();
        answer.once('end', () => Promise.resolve(lost).then(() => outgoing.destroy()));
      } else {
        outgoing.writeHead(answer.statusCode ?? 500, answer.headers);
        answer.pipe(outgoing);
      }
    },
  );
  through.once('error', () => outgoing.destroy());
  incoming.pipe(through);
}

async function listen(server: Server, port: number): Promise<number> {
  await new Promise<void>((done, fail) => {
    server.once('error', fail);
    server.listen(port, HOST, done);
  });
  return (server.address() as AddressInfo).port;
}

async function shut(server: Server): Promise<void> {
  if (server.listening) {
    await new Promise((done) => {
      server.close(done);
      server.closeAllConnections();
    });
  }
}
