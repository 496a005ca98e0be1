/** The rows of the table: what is measured, how, and what it should reach. */
import { randomUUID } from 'node:crypto';
import { createTRPCClient, httpLink } from '@trpc/client';
import { createBillingClient } from '../../client/client.ts';
import type { AppRouter } from '../../trpc/router.ts';
import { type HttpConnection, type HttpTarget, openConnection } from './http-connection.ts';
import { type Caller, closedLoop, fixedRate, type LoadResult } from './load.ts';
import type { ChargeSample } from './sample.ts';
import { BATCH, chargeBatches } from './sql-batch.ts';
import { type Charge, createTraffic, MIXED, type Mix, PLAIN, type Tally } from './traffic.ts';
import type { BenchWallets } from './wallets.ts';

export interface RowContext {
  readonly target: HttpTarget;
  readonly databaseUrl: string;
  readonly wallets: BenchWallets;
  readonly sample: ChargeSample;
  readonly tally: Tally;
  readonly seconds: number;
}

export interface Goal {
  /** Charges a second, as a multiple of the floor. */
  readonly ratio?: number;
  readonly p99Ms?: number;
}

export interface Row {
  readonly name: string;
  readonly hot: boolean;
  /** What a second is counted in. */
  readonly unit: 'charge' | 'pair';
  /** How many of them one call makes. */
  readonly perCall: number;
  /** The rate is given, so it says nothing; the latencies do. */
  readonly rateIsGiven: boolean;
  /** Whether the server is in it: else its CPU time means nothing. */
  readonly throughServer: boolean;
  /** Stands in the README, too. */
  readonly headline: boolean;
  readonly goal: Goal;
  readonly measure: (context: RowContext) => Promise<LoadResult>;
}

const DEFAULTS = {
  unit: 'charge',
  perCall: 1,
  rateIsGiven: false,
  throughServer: true,
  headline: false,
  goal: {},
} as const;

function sqlBatch(connections: number, hot: boolean): Row {
  return {
    ...DEFAULTS,
    name: `SQL batch function alone, ${BATCH} charges, ${connections} ${connections === 1 ? 'connection' : 'connections'}`,
    hot,
    perCall: BATCH,
    throughServer: false,
    async measure({ databaseUrl, sample, wallets, seconds, tally }) {
      const load = await chargeBatches({
        url: databaseUrl,
        sample,
        walletIds: hot ? [wallets.hot.walletId] : wallets.walletIds,
        connections,
        seconds,
      });
      tally.accepted += load.calls * BATCH;
      return load;
    },
  };
}

function callersText(callers: number): string {
  return callers === 1 ? '1 caller' : `${callers} callers`;
}

/** A caller over an HTTP connection of its own. */
async function overHttp(
  target: HttpTarget,
  call: (connection: HttpConnection) => Promise<void>,
): Promise<Caller> {
  const connection = await openConnection(target);
  return {
    async call() {
      await call(connection);
      return 'called';
    },
    close: () => connection.close(),
  };
}

/** What single charges are besides plain ones. */
interface SingleOptions extends Partial<Omit<Row, 'name'>> {
  /** In what they differ from plain ones. */
  readonly variant?: string;
  readonly mix?: Mix;
  /** Whose wallet pays, in place of the first one. */
  readonly hotUser?: (wallets: BenchWallets) => string;
}

function single(callers: number, hot: boolean, options: SingleOptions = {}): Row {
  const { variant, mix = PLAIN, hotUser, ...row } = options;
  return {
    ...DEFAULTS,
    name: `single charges, ${callersText(callers)}${variant === undefined ? '' : `, ${variant}`}`,
    hot,
    ...row,
    measure: ({ target, wallets, seconds, tally }) => {
      const payer = hotUser && { hotUser: hotUser(wallets) };
      const traffic = createTraffic({ wallets, hot, ...payer, mix, tally });
      return closedLoop({
        callers,
        seconds,
        open: () => singleCharges(target, traffic),
      });
    },
  };
}

function singleCharges(
  target: HttpTarget,
  traffic: ReturnType<typeof createTraffic>,
): Promise<Caller> {
  return overHttp(target, async (connection) => {
    const charge = traffic.next();
    traffic.check(
      charge,
      await connection.post('/trpc/usage.charge', JSON.stringify(charge.input)),
    );
  });
}

/** Singles through a client of tRPC that shares this process with all its callers. */
function throughClient(
  name: string,
  callers: number,
  hot: boolean,
  open: (target: HttpTarget) => (charge: Charge) => Promise<unknown>,
): Row {
  return {
    ...DEFAULTS,
    name: `single charges, ${name}, ${callersText(callers)}`,
    hot,
    measure: ({ target, wallets, seconds, tally }) => {
      const traffic = createTraffic({ wallets, hot, mix: PLAIN, tally });
      const charge = open(target);
      const caller: Caller = {
        async call() {
          const input = traffic.plain();
          traffic.check({ input, expected: 'accepted' }, JSON.stringify(await charge(input)));
          return 'called';
        },
        close: () => undefined,
      };
      return closedLoop({ callers, seconds, open: async () => caller });
    },
  };
}

function typedClient(callers: number, hot: boolean): Row {
  return throughClient('typed client', callers, hot, ({ host, port, apiKey }) => {
    const client = createBillingClient({ url: `http://${host}:${port}`, apiKey });
    return (charge) => client.usage.charge.mutate(charge);
  });
}

function stockLink(callers: number, hot: boolean): Row {
  return throughClient("tRPC's httpLink", callers, hot, ({ host, port, apiKey }) => {
    const client = createTRPCClient<AppRouter>({
      links: [
        httpLink({
          url: `http://${host}:${port}/trpc`,
          headers: { authorization: `Bearer ${apiKey}` },
        }),
      ],
    });
    return (charge) => client.usage.charge.mutate(charge);
  });
}

function httpBatch(size: number, callers: number, hot: boolean, goal: Goal): Row {
  const path = `/trpc/${Array.from({ length: size }, () => 'usage.charge').join(',')}?batch=1`;
  return {
    ...DEFAULTS,
    name: `HTTP batches of ${size}, ${callers} callers`,
    hot,
    perCall: size,
    headline: true,
    goal,
    measure: ({ target, wallets, seconds, tally }) => {
      const traffic = createTraffic({ wallets, hot, mix: PLAIN, tally });
      return closedLoop({
        callers,
        seconds,
        open: () =>
          overHttp(target, async (connection) => {
            const inputs = Array.from({ length: size }, traffic.plain);
            const body = JSON.stringify(Object.fromEntries(inputs.entries()));
            traffic.checkAll(size, await connection.post(path, body));
          }),
      });
    },
  };
}

function chargeBatch(size: number, callers: number, hot: boolean): Row {
  return {
    ...DEFAULTS,
    name: `chargeBatch of ${size}, ${callers} callers`,
    hot,
    perCall: size,
    headline: true,
    measure: ({ target, wallets, seconds, tally }) => {
      const traffic = createTraffic({ wallets, hot, mix: PLAIN, tally });
      return closedLoop({
        callers,
        seconds,
        open: () =>
          overHttp(target, async (connection) => {
            const body = JSON.stringify({ items: Array.from({ length: size }, traffic.plain) });
            traffic.checkAll(size, await connection.post('/trpc/usage.chargeBatch', body));
          }),
      });
    },
  };
}

/** A call that is authorized for a minute and captured with its final seconds. */
function pairs(callers: number, hot: boolean): Row {
  return {
    ...DEFAULTS,
    name: `authorize and capture, ${callers} callers`,
    hot,
    unit: 'pair',
    headline: true,
    measure: ({ target, wallets, seconds, tally }) => {
      const traffic = createTraffic({ wallets, hot, mix: PLAIN, tally });
      return closedLoop({
        callers,
        seconds,
        open: () =>
          overHttp(target, async (connection) => {
            const { userId, usage } = traffic.plain();
            const call = (durationSeconds: number) => ({
              type: 'call',
              to: usage.to,
              durationSeconds,
            });
            const held = await connection.post(
              '/trpc/holds.authorize',
              JSON.stringify({ userId, key: randomUUID(), usage: call(60) }),
            );
            const holdId = /"holdId":"([^"]+)"/.exec(held)?.[1];
            if (holdId === undefined) {
              throw new Error(`a hold was refused: ${held.slice(0, 300)}`);
            }
            const body = JSON.stringify({ holdId, usage: call(43) });
            traffic.checkAll(1, await connection.post('/trpc/holds.capture', body));
          }),
      });
    },
  };
}

function arrivals(perSecond: number, hot: boolean): Row {
  return {
    ...DEFAULTS,
    name: `single charges arriving at ${perSecond}/s`,
    hot,
    rateIsGiven: true,
    headline: true,
    goal: { p99Ms: 25 },
    measure: ({ target, wallets, seconds, tally }) => {
      const traffic = createTraffic({ wallets, hot, mix: PLAIN, tally });
      return fixedRate({
        callers: 256,
        perSecond,
        seconds,
        open: () => singleCharges(target, traffic),
      });
    },
  };
}

const COMPILING: Row = single(64, false);

/**
 * The server as it is after a while: its code compiled, and every wallet's name looked up once, which
 * a server does for as long as it runs.
 */
export async function warmUp(context: RowContext): Promise<void> {
  await COMPILING.measure({ ...context, seconds: 2 });
  const { target, tally, wallets } = context;
  const connection = await openConnection(target);
  const { checkAll } = createTraffic({ wallets, hot: false, mix: PLAIN, tally });
  for (let from = 0; from < wallets.users.length; from += BATCH) {
    const items = wallets.users.slice(from, from + BATCH).map((userId) => ({
      userId,
      referenceId: randomUUID(),
      usage: { type: 'sms', to: '+14155550132' },
    }));
    checkAll(
      items.length,
      await connection.post('/trpc/usage.chargeBatch', JSON.stringify({ items })),
    );
  }
  connection.close();
}

export const ROWS: readonly Row[] = [false, true].flatMap((hot) => [
  sqlBatch(1, hot),
  // Two of them on one wallet would only wait for each other.
  ...(hot ? [] : [sqlBatch(2, hot)]),
  single(1, hot),
  single(64, hot, { headline: true, goal: { ratio: hot ? 5 : 1.2, p99Ms: 40 } }),
  single(256, hot, { headline: true }),
  single(64, hot, { variant: '1 % refused, 1 % repeated', mix: MIXED }),
  ...(hot
    ? [
        single(64, hot, { variant: 'promotional credit', hotUser: ({ credited }) => credited }),
        single(64, hot, { variant: 'deferred mode', hotUser: ({ deferred }) => deferred }),
      ]
    : []),
  typedClient(1, hot),
  typedClient(64, hot),
  typedClient(256, hot),
  stockLink(64, hot),
  httpBatch(50, 32, hot, { ratio: hot ? 25 : 4 }),
  chargeBatch(100, 16, hot),
  pairs(64, hot),
  arrivals(3_000, hot),
]);
