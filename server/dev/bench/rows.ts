/** The rows of the table: what is measured, how, and beside which floor. */
import { randomUUID } from 'node:crypto';
import { closedLoop, fixedRate, type LoadResult, type LoadTarget } from './http-load.ts';

export interface BenchWallets {
  /** User ids of wallets with plenty of funds; the first one is the hot wallet. */
  readonly users: readonly string[];
  /** A user whose wallet is empty. */
  readonly empty: string;
}

export interface Row {
  readonly name: string;
  readonly hot: boolean;
  /** Charges in one request. */
  readonly chargesPerRequest: number;
  readonly measure: (context: RowContext) => Promise<LoadResult>;
}

export interface RowContext {
  readonly target: (path: string) => LoadTarget;
  readonly wallets: BenchWallets;
  readonly seconds: number;
}

interface Mix {
  /** Shares of charges that repeat a key, and that an empty wallet refuses. */
  readonly repeated: number;
  readonly refused: number;
}

const PLAIN: Mix = { repeated: 0, refused: 0 };
const MIXED: Mix = { repeated: 0.01, refused: 0.01 };

/** Makes charges of one SMS each, and knows which answers they may have. */
function charges(wallets: BenchWallets, hot: boolean, mix: Mix) {
  let last = { userId: wallets.users[0] ?? '', referenceId: 'first' };
  return () => {
    const dice = Math.random();
    if (dice < mix.repeated) {
      return input(last.userId, last.referenceId);
    }
    const userId =
      dice < mix.repeated + mix.refused
        ? wallets.empty
        : (wallets.users[hot ? 0 : Math.floor(Math.random() * wallets.users.length)] ?? '');
    last = { userId, referenceId: randomUUID() };
    return input(userId, last.referenceId);
  };
}

function input(userId: string, referenceId: string): string {
  return `{"userId":"${userId}","referenceId":"${referenceId}","usage":{"type":"sms","to":"+14155550132"}}`;
}

/** A benchmark that counts failures as work measures nothing. */
function checker(mix: Mix) {
  return (body: string) => {
    if (body.includes('"error"') || (mix === PLAIN && body.includes('"ok":false'))) {
      throw new Error(`a charge was not accepted: ${body.slice(0, 300)}`);
    }
  };
}

function single(connections: number, hot: boolean, mix: Mix = PLAIN): Row {
  const what = mix === PLAIN ? '' : ', 1 % refused, 1 % repeated';
  return {
    name: `single charges, ${connections} callers${what}`,
    hot,
    chargesPerRequest: 1,
    measure: ({ target, wallets, seconds }) =>
      closedLoop({
        target: target('/trpc/usage.charge'),
        connections,
        seconds,
        nextBody: charges(wallets, hot, mix),
        check: checker(mix),
      }),
  };
}

function httpBatch(size: number, connections: number, hot: boolean): Row {
  const names = Array.from({ length: size }, () => 'usage.charge').join(',');
  return {
    name: `HTTP batches of ${size}, ${connections} callers`,
    hot,
    chargesPerRequest: size,
    measure: ({ target, wallets, seconds }) => {
      const next = charges(wallets, hot, PLAIN);
      return closedLoop({
        target: target(`/trpc/${names}?batch=1`),
        connections,
        seconds,
        nextBody: () =>
          `{${Array.from({ length: size }, (_, index) => `"${index}":${next()}`).join(',')}}`,
        check: checker(PLAIN),
      });
    },
  };
}

function chargeBatch(size: number, connections: number, hot: boolean): Row {
  return {
    name: `chargeBatch of ${size}, ${connections} callers`,
    hot,
    chargesPerRequest: size,
    measure: ({ target, wallets, seconds }) => {
      const next = charges(wallets, hot, PLAIN);
      return closedLoop({
        target: target('/trpc/usage.chargeBatch'),
        connections,
        seconds,
        nextBody: () => `{"items":[${Array.from({ length: size }, next).join(',')}]}`,
        check: checker(PLAIN),
      });
    },
  };
}

function arrivals(perSecond: number, hot: boolean): Row {
  return {
    name: `single charges arriving at ${perSecond}/s`,
    hot,
    chargesPerRequest: 1,
    measure: ({ target, wallets, seconds }) =>
      fixedRate({
        target: target('/trpc/usage.charge'),
        connections: 256,
        perSecond,
        seconds,
        nextBody: charges(wallets, hot, PLAIN),
        check: checker(PLAIN),
      }),
  };
}

export const ROWS: readonly Row[] = [false, true].flatMap((hot) => [
  single(1, hot),
  single(64, hot),
  single(256, hot),
  single(64, hot, MIXED),
  httpBatch(50, 32, hot),
  chargeBatch(100, 16, hot),
  arrivals(3_000, hot),
]);
