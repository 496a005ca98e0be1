/** The router over HTTP, and the typed client as its caller. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { getRequestListener } from '@hono/node-server';
import { createApiKeys, type Scope } from '../billing/accounts/api-keys.ts';
import { type BillingClient, createBillingClient } from '../client/client.ts';
import { createTestDatabase, type TestDatabase } from '../dev/test-database.ts';
import { trpc } from '../http/trpc.ts';
import { createLogger } from '../log.ts';
import type { RouterServices } from './context.ts';
import { testServices } from './services.fixtures.ts';

const logger = createLogger('silent');

export interface RouterWorld {
  readonly database: TestDatabase;
  readonly url: string;
  /** A client whose key may do everything. */
  readonly client: BillingClient;
  /** What procedures call; a test may replace them for a while. */
  services: RouterServices;
  /** The addresses of all requests so far. */
  readonly addresses: readonly string[];
  clientWith(...scopes: Scope[]): Promise<BillingClient>;
  /** The id of a new user with an empty wallet. */
  newUser(): Promise<string>;
  /** Grants a user credit, under one key for each user. */
  fund(userId: string, amountMicros: string): Promise<unknown>;
  close(): Promise<void>;
}

export async function createRouterWorld(): Promise<RouterWorld> {
  const database = await createTestDatabase();
  const apiKeys = createApiKeys({ sql: database.app, logger });
  const addresses: string[] = [];
  const server = createServer(
    getRequestListener((request) => {
      addresses.push(request.url);
      return trpc(request, 'request-1', { services: world.services, apiKeys, logger });
    }),
  );
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  let users = 0;

  async function clientWith(...scopes: Scope[]): Promise<BillingClient> {
    const key = await apiKeys.create({ name: 'test', scopes, createdBy: 'cli:test' });
    return createBillingClient({ url, apiKey: key.secret });
  }

  const client = await clientWith('all');
  const world: RouterWorld = {
    database,
    url,
    client,
    services: testServices(database.app),
    addresses,
    clientWith,
    async newUser() {
      users += 1;
      const userId = `user-${users}`;
      await client.wallets.open.mutate({ userId });
      return userId;
    },
    fund: (userId, amountMicros) =>
      client.wallets.grant.mutate({ userId, amountMicros, key: 'fund', reason: 'test' }),
    async close() {
      server.close();
      await database.close();
    },
  };
  return world;
}
