/** The load: services that charge, reserve and credit at once, all of it in the journal. */
import { usageKey } from '../../ledger/key.ts';
import type { Sql } from '../../store/sql.ts';
import { type Caller, createCaller } from './caller.ts';
import { type Cast, topUp, topUpWrite } from './cast.ts';
import { type Journal, keyOfWrite, readJournal, type Write } from './journal.ts';

const SMS_MICROS = 20_000n;
const CALL_MICROS = 100_000n;
const MINUTE_MICROS = 50_000n;
const WORKERS = 12;
/** A call's hold outlives every fault but the longest; a lost switch's ends as soon as it may. */
const TTL_SECONDS = 60;
const LOST_TTL_SECONDS = 10;
const WIND_DOWN_MS = 60_000;

export interface Load {
  /** Ends the load: what is under way is asked until it is answered, for a minute at most. */
  stop(): Promise<void>;
  /** When the holds that lost switches left open have run out, by `performance.now()`. */
  holdsAreOverAtMs(): number;
}

export interface LoadOptions {
  readonly urls: readonly string[];
  readonly apiKey: string;
  readonly journal: Journal;
  readonly cast: Cast;
  /** The owner's connection, by which top-ups come. */
  readonly sql: Sql;
  readonly random: () => number;
  /** How many calls lose their switch at the beginning; their holds run out later. */
  readonly lostCalls: number;
}

interface Worker {
  readonly name: string;
  readonly caller: Caller;
  readonly options: LoadOptions;
  readonly count: () => number;
}

/** Starts the load; every worker sends its next write when it knows of the last. */
export function startLoad(options: LoadOptions): Load {
  let stopping = false;
  let deadlineMs = Number.POSITIVE_INFINITY;
  let lastLostAtMs = 0;
  const workers = Array.from({ length: WORKERS }, async (_, index) => {
    let count = 0;
    const caller = createCaller({ ...options, deadlineMs: () => deadlineMs });
    const worker: Worker = {
      name: `w${index}`,
      caller,
      options,
      count: () => {
        count += 1;
        return count;
      },
    };
    if (index < options.lostCalls) {
      await lostCall(worker);
      lastLostAtMs = performance.now();
    }
    while (!stopping) {
      await nextStep(worker);
    }
  });
  return {
    holdsAreOverAtMs: () => lastLostAtMs + LOST_TTL_SECONDS * 1000,
    async stop() {
      stopping = true;
      deadlineMs = performance.now() + WIND_DOWN_MS;
      await Promise.all(workers);
    },
  };
}

/** One step of a service's work, drawn at random. */
async function nextStep(worker: Worker): Promise<void> {
  const { random } = worker.options;
  const draw = random();
  if (draw < 0.5) {
    await oneCharge(worker);
  } else if (draw < 0.65) {
    await batch(worker);
  } else if (draw < 0.9) {
    await call(worker);
  } else if (draw < 0.95) {
    await grant(worker);
  } else {
    await credit(worker);
  }
}

function pickWallet({ options: { cast, random } }: Worker): string {
  const draw = random();
  if (draw < 0.4) {
    return cast.hot;
  }
  if (draw < 0.6) {
    return cast.poor;
  }
  if (draw < 0.7) {
    return cast.granted;
  }
  return cast.others[Math.floor(random() * cast.others.length)] ?? cast.hot;
}

function referenceOf({ name, count }: Worker): string {
  return `${name}-${count()}`;
}

/** An SMS of one to three segments. `owing` pays for what was delivered, whatever it has. */
function smsOf(worker: Worker) {
  const { cast, random } = worker.options;
  const owes = random() < 0.05;
  const userId = owes ? cast.owing : pickWallet(worker);
  const referenceId = referenceOf(worker);
  const segments = 1 + Math.floor(random() * 3);
  return {
    write: {
      kind: 'charge' as const,
      userId,
      reference: referenceId,
      key: usageKey('sms', referenceId),
      amountMicros: String(SMS_MICROS * BigInt(segments)),
    },
    input: {
      userId,
      referenceId,
      usage: { type: 'sms' as const, to: '+14155550100', segments },
      overrun: owes ? ('arrears' as const) : ('refuse' as const),
    },
  };
}

async function oneCharge(worker: Worker): Promise<void> {
  const { write, input } = smsOf(worker);
  await worker.caller.perform([write], async ({ usage }) => [await usage.charge.mutate(input)]);
}

async function batch(worker: Worker): Promise<void> {
  const size = 2 + Math.floor(worker.options.random() * 19);
  const charges = Array.from({ length: size }, () => smsOf(worker));
  await worker.caller.perform(
    charges.map(({ write }) => write),
    ({ usage }) => usage.chargeBatch.mutate({ items: charges.map(({ input }) => input) }),
  );
}

async function grant(worker: Worker): Promise<void> {
  const { cast, random } = worker.options;
  const key = referenceOf(worker);
  const amountMicros = String(SMS_MICROS * BigInt(1 + Math.floor(random() * 20)));
  const input = { userId: cast.granted, amountMicros, key, reason: 'Chaos' };
  await worker.caller.perform(
    [
      {
        kind: 'grant',
        userId: cast.granted,
        reference: key,
        key: keyOfWrite('grant', key),
        amountMicros,
      },
    ],
    async ({ wallets }) => [await wallets.grant.mutate(input)],
  );
}

/** Money that was paid: it reaches the ledger beside the API, on a connection of its own. */
async function credit(worker: Worker): Promise<void> {
  const { cast, random, sql } = worker.options;
  const userId = random() < 0.5 ? cast.owing : cast.hot;
  const reference = referenceOf(worker);
  await worker.caller.perform([topUpWrite(userId, reference, SMS_MICROS)], async () => [
    { ok: true, ...(await topUp(sql, userId, reference, SMS_MICROS)) },
  ]);
}

function priceOfCall(minutes: number): string {
  return String(CALL_MICROS + MINUTE_MICROS * BigInt(minutes));
}

function callOf(minutes: number) {
  return { type: 'call' as const, to: '+14155550100', durationSeconds: minutes * 60 };
}

interface RunningCall {
  readonly holdId: string;
  readonly userId: string;
  readonly reference: string;
}

async function authorize(
  worker: Worker,
  userId: string,
  ttlSeconds: number,
): Promise<RunningCall | null> {
  const reference = referenceOf(worker);
  const replies = await worker.caller.perform(
    [
      {
        kind: 'authorize',
        userId,
        reference,
        key: usageKey('call', reference),
        amountMicros: priceOfCall(1),
      },
    ],
    async ({ holds }) => [
      await holds.authorize.mutate({ userId, key: reference, usage: callOf(1), ttlSeconds }),
    ],
  );
  const [reply] = replies ?? [];
  return reply?.ok ? { holdId: reply.holdId, userId, reference } : null;
}

/** Whether the call may go on. */
async function heartbeat(
  { caller }: Worker,
  { holdId, userId, reference }: RunningCall,
  minutes: number,
): Promise<boolean> {
  const replies = await caller.perform(
    [{ kind: 'extend', userId, reference, key: null, amountMicros: priceOfCall(minutes) }],
    async ({ holds }) => [await holds.extend.mutate({ holdId, usageSoFar: callOf(minutes) })],
  );
  return replies?.[0]?.ok ?? false;
}

/** The final record: what was talked is billed, also beyond what the wallet has. */
async function hangUp(worker: Worker, call: RunningCall, minutes: number): Promise<void> {
  const { holdId, userId, reference } = call;
  await worker.caller.perform(
    [
      {
        kind: 'capture',
        userId,
        reference,
        key: keyOfWrite('capture', holdId),
        amountMicros: priceOfCall(minutes),
      },
    ],
    async ({ holds }) => [
      await holds.capture.mutate({ holdId, usage: callOf(minutes), overrun: 'arrears' }),
    ],
  );
}

async function release({ caller }: Worker, { holdId, userId, reference }: RunningCall) {
  await caller.perform(
    [{ kind: 'void', userId, reference, key: keyOfWrite('void', holdId), amountMicros: '0' }],
    async ({ holds }) => {
      const { ok, ...reply } = await holds.void.mutate({ holdId });
      return [{ ok, ...('code' in reply ? { code: reply.code } : { seq: reply.seq }) }];
    },
  );
}

/** A call from its authorization to its final record; some are never answered, and voided. */
async function call(worker: Worker): Promise<void> {
  const { random } = worker.options;
  const running = await authorize(worker, pickWallet(worker), TTL_SECONDS);
  if (running === null) {
    return;
  }
  if (random() < 0.2) {
    await release(worker, running);
    return;
  }
  const planned = 1 + Math.floor(random() * 3);
  let minutes = 1;
  while (minutes < planned && (await heartbeat(worker, running, minutes))) {
    minutes += 1;
  }
  await hangUp(worker, running, minutes);
}

/** A call whose switch dies after a heartbeat: the hold runs out, and bills that heartbeat. */
async function lostCall(worker: Worker): Promise<void> {
  const running = await authorize(worker, worker.options.cast.hot, LOST_TTL_SECONDS);
  if (running !== null && !(await heartbeat(worker, running, 2))) {
    await hangUp(worker, running, 2);
  }
}

/**
 * Asks once more for what was refused after a try that nobody heard of. While tries are under way
 * a refusal is not the last word: the unheard one may still come to be. The repeated one is.
 */
export async function settleRefused(options: Omit<LoadOptions, 'lostCalls'>): Promise<void> {
  const deadlineMs = performance.now() + WIND_DOWN_MS;
  const caller = createCaller({ ...options, deadlineMs: () => deadlineMs });
  const worker: Worker = {
    name: 'settle',
    caller,
    options: { ...options, lostCalls: 0 },
    count: () => 0,
  };
  for (const { write, answer, unanswered } of readJournal(options.journal.path)) {
    const isUnsure = answer?.ok === false && Object.keys(unanswered).length > 0;
    if (isUnsure && write.kind === 'charge') {
      await repeatCharge(worker, write);
    } else if (isUnsure && write.kind === 'authorize') {
      await repeatAuthorize(worker, write);
    }
  }
}

async function repeatCharge({ caller, options }: Worker, write: Write): Promise<void> {
  const { userId, reference: referenceId, amountMicros } = write;
  const segments = Number(BigInt(amountMicros) / SMS_MICROS);
  const overrun = userId === options.cast.owing ? ('arrears' as const) : ('refuse' as const);
  const usage = { type: 'sms' as const, to: '+14155550100', segments };
  await caller.repeat([write], async (client) => [
    await client.usage.charge.mutate({ userId, referenceId, usage, overrun }),
  ]);
}

async function repeatAuthorize(worker: Worker, write: Write): Promise<void> {
  const { userId, reference } = write;
  const replies = await worker.caller.repeat([write], async ({ holds }) => [
    await holds.authorize.mutate({
      userId,
      key: reference,
      usage: callOf(1),
      ttlSeconds: TTL_SECONDS,
    }),
  ]);
  const [reply] = replies ?? [];
  if (reply?.ok) {
    await release(worker, { holdId: reply.holdId, userId, reference });
  }
}
