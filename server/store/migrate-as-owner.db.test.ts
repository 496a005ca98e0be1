/** An owner that is no superuser, as on a managed server, in a cluster of its own. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { EmbeddedPostgres } from '../dev/postgres.ts';
import { startTemporaryPostgres } from '../dev/temporary-postgres.ts';
import { migrate } from './migrate.ts';
import { APP_ROLE, connect } from './sql.ts';
import { walletWith } from './wallets.fixtures.ts';

let server: EmbeddedPostgres;
let url: string;
beforeAll(async () => {
  server = await startTemporaryPostgres();
  const sql = connect(server.ownerUrl(), { max: 1 });
  await sql`create role shop login createrole password 'shop'`;
  await sql`create database shop owner shop`;
  await sql.end();
  url = `postgres://shop:shop@127.0.0.1:${server.port}/shop`;
});
afterAll(() => server?.stop());

it('migrates, and then acts as the application', async () => {
  await migrate({ url });
  const app = connect(url, { role: APP_ROLE, max: 1 });
  const walletId = await walletWith(app, 5n);
  const [row] = await app`
    select current_user::text as role, balance_micros as micros from wallets where id = ${walletId}`;
  await app.end();
  expect(row).toEqual({ role: APP_ROLE, micros: 5n });
});
