/**
 * Charging through an outage. While the service cannot be reached, what was used is written to a
 * local file, and sent with its own keys when the service is back: nothing is lost and nothing is
 * charged twice, also when this process is killed at any moment.
 */
import { setMaxListeners } from 'node:events';
import type { CallOptions } from './calls.ts';
import { BillingError } from './errors.ts';
import type {
  CaptureAnswer,
  CaptureInput,
  ChargeAnswer,
  ChargeInput,
  VoidAnswer,
  VoidInput,
} from './procedures.ts';
import { openSpoolFile } from './spool-file.ts';
import type { WaitingLine } from './spool-lines.ts';
import {
  type Rejected,
  type SpoolEntry,
  sendEntry,
  sendLines,
  type Verdict,
  type Writes,
} from './spool-replay.ts';

/** Stored for later, and not charged yet. */
export interface Spooled {
  readonly ok: true;
  readonly spooled: true;
}

/** The service's own answer, told apart from `Spooled`. */
export type Direct<Answer> = Answer & { readonly spooled: false };

export interface ChargeSpoolOptions {
  /**
   * The spool's file; beside it stand `….done`, `….rejected` and `….lock`. On a disk of this
   * machine: whether the lock's holder is alive can be told nowhere else.
   */
  readonly file: string;
  /** How long a write waits for the service before it is spooled; default 5 s. */
  readonly timeoutMs?: number;
  /** The longest pause between two tries to send what was spooled; default 5 s. */
  readonly maxPauseMs?: number;
  /**
   * Hears of each spooled write that the service refused, after it was added to the file
   * `….rejected`; by default a process warning that names the code. After a crash it may hear of one
   * twice.
   */
  readonly onRejected?: (rejected: Rejected) => void;
  /** Hears why what was spooled still waits, at each try; by default nobody does. */
  readonly onWaiting?: (error: Error, waiting: number) => void;
}

export interface ChargeSpool {
  /**
   * Charges usage that was delivered, or spools it. Its `occurredAt` must be given: the charge may
   * arrive hours later, and is priced and dated by it. `overrun` is by default `arrears`, since
   * what was delivered cannot be refused any more: without funds it would only be lost.
   *
   * Throws `BillingError` for what a later try would not better (`BAD_REQUEST`, `UNAUTHORIZED`, …),
   * and `SPOOL_FAILED` when the disk does not take it: then it is neither charged nor stored.
   */
  charge(
    input: ChargeInput & { readonly occurredAt: string },
    options?: CallOptions,
  ): Promise<Direct<ChargeAnswer> | Spooled>;
  /** Posts a hold's final usage, or spools that; `overrun` as for a charge. */
  capture(input: CaptureInput, options?: CallOptions): Promise<Direct<CaptureAnswer> | Spooled>;
  /** Releases a hold, or spools that. */
  void(input: VoidInput, options?: CallOptions): Promise<Direct<VoidAnswer> | Spooled>;
  /** How many writes wait for the service. */
  readonly waiting: number;
  /** Resolves when nothing waits; rejects with the signal's reason, and when the spool is closed. */
  drained(signal?: AbortSignal): Promise<void>;
  /** Ends the sending and gives the file free. What waits is sent when it is opened again. */
  close(): Promise<void>;
}

const MAX_LINES = 100;
const FIRST_PAUSE_MS = 250;
/** So often is a line sent that the service fails on, and on no other, before it is put aside. */
const MAX_SERVER_ERRORS = 5;

/**
 * Opens a spool, and begins to send what waits in it. One process at a time may have one.
 * @param client a client whose key has the scopes `usage:charge` and, for holds, `holds:write`
 * @throws BillingError `SPOOL_FAILED` when another process has it, or the disk fails
 */
export async function createChargeSpool(
  client: Writes,
  options: ChargeSpoolOptions,
): Promise<ChargeSpool> {
  const { timeoutMs = 5_000, maxPauseMs = 5_000, onRejected = warn, onWaiting } = options;
  const file = await openSpoolFile(options.file);
  const closing = new AbortController();
  /** What comes while this is true goes to the file at once, or each caller waited out `timeoutMs`. */
  let outage = false;
  let failedRounds = 0;
  let serverErrors = 0;
  let round: Promise<void> | null = null;
  let timer: NodeJS.Timeout | undefined;
  const drainWaiters = new Set<{ resolve(): void; reject(reason: unknown): void }>();
  // Each line of a round that is sent singly listens to it.
  setMaxListeners(0, closing.signal);

  async function write<Answer extends { ok: boolean }>(
    entry: SpoolEntry,
    given: CallOptions | undefined,
  ): Promise<(Answer & { spooled: false }) | Spooled> {
    if (closing.signal.aborted) {
      throw closed();
    }
    let unreached = true;
    let outcomeUnknown = false;
    if (!outage) {
      try {
        const answer = await sendEntry(client, entry, { timeoutMs, ...given });
        return { ...(answer as unknown as Answer), spooled: false };
      } catch (error) {
        if (!(error instanceof BillingError) || !isWorthSpooling(error)) {
          throw error;
        }
        unreached = error.retryable;
        outcomeUnknown = error.outcomeUnknown;
      }
    }
    try {
      await file.append(JSON.stringify({ at: new Date().toISOString(), ...entry }));
    } catch (error) {
      throw error instanceof BillingError
        ? new BillingError({ ...error, message: error.message, outcomeUnknown }, { cause: error })
        : error;
    }
    // Unless it was sent meanwhile, which ended the outage.
    outage ||= unreached && file.waiting > 0;
    schedule(FIRST_PAUSE_MS);
    return { ok: true, spooled: true };
  }

  function schedule(ms: number): void {
    if (timer === undefined && round === null && !closing.signal.aborted) {
      timer = setTimeout(() => {
        timer = undefined;
        round = sendRound().finally(() => {
          round = null;
          if (file.waiting > 0) {
            schedule(nextPauseMs);
          } else {
            for (const waiter of drainWaiters) {
              waiter.resolve();
            }
          }
        });
      }, ms);
      keepAliveWhileAwaited();
    }
  }

  /** What waits is on the disk, and need not keep a process alive unless it is waited for. */
  function keepAliveWhileAwaited(): void {
    if (drainWaiters.size === 0) {
      timer?.unref();
    } else {
      timer?.ref();
    }
  }

  let nextPauseMs = 0;

  /** Sends what waits until nothing does, or something has to wait longer. */
  async function sendRound(): Promise<void> {
    try {
      while (file.waiting > 0 && !closing.signal.aborted) {
        const lines = await file.read(MAX_LINES);
        const verdicts = await sendLines(
          client,
          lines.map(({ text }) => text),
          { signal: closing.signal, maxTries: 1 },
        );
        const error = await settle(lines, verdicts);
        if (error !== null) {
          throw error;
        }
      }
      failedRounds = 0;
      nextPauseMs = 0;
    } catch (error) {
      if (closing.signal.aborted) {
        return;
      }
      const failure = error instanceof Error ? error : new Error(String(error));
      failedRounds += 1;
      const longestMs = Math.min(maxPauseMs, FIRST_PAUSE_MS * 2 ** (failedRounds - 1));
      const askedMs = failure instanceof BillingError ? (failure.retryAfterMs ?? 0) : 0;
      nextPauseMs = askedMs + longestMs * (0.5 + Math.random() / 2);
      tell(() => onWaiting?.(failure, file.waiting));
    }
  }

  /** Records what became of the lines. Returns why the first that is not settled has to wait. */
  async function settle(
    lines: readonly WaitingLine[],
    verdicts: readonly Verdict[],
  ): Promise<Error | null> {
    let waitsFor: BillingError | null = null;
    let settled = 0;
    for (const verdict of verdicts) {
      let { rejected } = verdict.settled ? verdict : { rejected: null };
      if (!verdict.settled) {
        waitsFor = verdict.error;
        // Only the oldest line counts its tries; a later one becomes the oldest in its turn.
        rejected = settled === 0 ? rejectedByFailures(lines[0], verdict) : null;
        if (rejected === null) {
          break;
        }
        waitsFor = null;
      }
      if (rejected !== null) {
        await file.reject(JSON.stringify({ rejectedAt: new Date().toISOString(), ...rejected }));
        const told = rejected;
        tell(() => onRejected(told));
      }
      settled += 1;
    }
    if (settled > 0) {
      await file.settle(lines.slice(0, settled));
      outage = false;
      failedRounds = 0;
      serverErrors = 0;
    }
    return waitsFor;
  }

  function rejectedByFailures(
    line: WaitingLine | undefined,
    { error, othersSettled }: Extract<Verdict, { settled: false }>,
  ): Rejected | null {
    if (line === undefined || error.code !== 'INTERNAL_SERVER_ERROR' || !othersSettled) {
      return null;
    }
    serverErrors += 1;
    return serverErrors < MAX_SERVER_ERRORS
      ? null
      : { entry: JSON.parse(line.text), code: error.code, message: error.message };
  }

  schedule(0);
  return {
    async charge(input, given) {
      // A caller without types; sent later, it would be charged at the price of another time.
      if (typeof input.occurredAt !== 'string') {
        throw new TypeError('occurredAt is required where a charge may be spooled');
      }
      return write<ChargeAnswer>(
        { kind: 'charge', input: { ...input, overrun: input.overrun ?? 'arrears' } },
        given,
      );
    },
    capture: (input, given) =>
      write<CaptureAnswer>(
        { kind: 'capture', input: { ...input, overrun: input.overrun ?? 'arrears' } },
        given,
      ),
    void: (input, given) => write<VoidAnswer>({ kind: 'void', input }, given),
    get waiting() {
      return file.waiting;
    },
    drained: (signal) =>
      new Promise((resolve, reject) => {
        if (file.waiting === 0) {
          resolve();
          return;
        }
        if (closing.signal.aborted || signal?.aborted) {
          reject(signal?.aborted ? signal.reason : closed());
          return;
        }
        const end = () => {
          signal?.removeEventListener('abort', onAbort);
          drainWaiters.delete(waiter);
          keepAliveWhileAwaited();
        };
        const onAbort = () => waiter.reject(signal?.reason);
        const waiter = {
          resolve() {
            end();
            resolve();
          },
          reject(reason: unknown) {
            end();
            reject(reason);
          },
        };
        signal?.addEventListener('abort', onAbort, { once: true });
        drainWaiters.add(waiter);
        keepAliveWhileAwaited();
      }),
    async close() {
      closing.abort();
      clearTimeout(timer);
      await round;
      for (const waiter of drainWaiters) {
        waiter.reject(closed());
      }
      await file.close();
    },
  };
}

function closed(): TypeError {
  return new TypeError('the spool is closed');
}

/** Not what the caller ended, nor what the service itself would refuse again. */
function isWorthSpooling({ code, retryable }: BillingError): boolean {
  return (
    code !== 'ABORTED' &&
    (retryable || code === 'INTERNAL_SERVER_ERROR' || code === 'UNEXPECTED_ANSWER')
  );
}

/** A listener that throws must not stop the sending. */
function tell(listener: () => void): void {
  try {
    listener();
  } catch (error) {
    process.emitWarning(error instanceof Error ? error : String(error));
  }
}

function warn({ code }: Rejected): void {
  process.emitWarning(
    `a spooled write was refused (${code}): see the spool's file of rejected ones`,
  );
}
