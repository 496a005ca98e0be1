/**
 * What the load asked for and what it was answered: every write stands in a file before it is sent,
 * so that afterwards the ledger can be held against it. The caller's half of the truth.
 */
import { closeSync, openSync, readFileSync, writeSync } from 'node:fs';
import { ledgerKey } from '../../ledger/key.ts';

export type WriteKind = 'charge' | 'grant' | 'top_up' | 'authorize' | 'extend' | 'capture' | 'void';

/** One thing that must happen once or not at all. */
export interface Write {
  /** Its place in the journal. */
  readonly id: number;
  readonly kind: WriteKind;
  readonly userId: string;
  /** The caller's own name of it; of what is done to a hold, the key of that hold. */
  readonly reference: string;
  /** The key that the ledger stores; null for a heartbeat, whose key is its usage. */
  readonly key: string | null;
  /** What it must move when it is accepted, as the price list says. */
  readonly amountMicros: string;
}

export type Answer =
  | { readonly ok: true; readonly seq?: string; readonly amountMicros?: string }
  | { readonly ok: false; readonly code: string };

/** A write with what became of it, as far as its caller knows. */
export interface JournalEntry {
  readonly write: Write;
  /** The last answer; absent when there never was one. */
  readonly answer?: Answer;
  /** How often it was sent and no answer came, by what came instead. */
  readonly unanswered: Readonly<Record<string, number>>;
}

type Line =
  | { readonly write: Write }
  | { readonly id: number; readonly answer: Answer }
  | { readonly id: number; readonly unanswered: string };

export interface Journal {
  readonly path: string;
  /** Writes down what is about to be sent. */
  begin(write: Omit<Write, 'id'>): Write;
  answered(write: Write, answer: Answer): void;
  /** `why` is an error's code. */
  unanswered(write: Write, why: string): void;
  close(): void;
}

export function openJournal(path: string): Journal {
  const file = openSync(path, 'w');
  let writes = 0;
  const append = (line: Line) => writeSync(file, `${JSON.stringify(line)}\n`);
  return {
    path,
    begin(asked) {
      writes += 1;
      const write = { id: writes, ...asked };
      append({ write });
      return write;
    },
    answered: ({ id }, answer) => append({ id, answer }),
    unanswered: ({ id }, why) => append({ id, unanswered: why }),
    close: () => closeSync(file),
  };
}

/** Reads a journal back, in the order in which its writes were begun. */
export function readJournal(path: string): JournalEntry[] {
  const entries = new Map<number, JournalEntry>();
  for (const text of readFileSync(path, 'utf8').trimEnd().split('\n')) {
    if (text === '') {
      continue;
    }
    const line = JSON.parse(text) as Line;
    if ('write' in line) {
      entries.set(line.write.id, { write: line.write, unanswered: {} });
      continue;
    }
    const entry = entries.get(line.id);
    if (entry === undefined) {
      throw new Error(`the journal answers write ${line.id} before it was begun`);
    }
    if ('answer' in line) {
      entries.set(line.id, { ...entry, answer: line.answer });
    } else {
      const count = (entry.unanswered[line.unanswered] ?? 0) + 1;
      entries.set(line.id, {
        ...entry,
        unanswered: { ...entry.unanswered, [line.unanswered]: count },
      });
    }
  }
  return [...entries.values()];
}

/** The key under which the ledger keeps a write of the API. */
export function keyOfWrite(
  kind: Exclude<WriteKind, 'authorize' | 'extend' | 'charge'>,
  name: string,
): string {
  const kinds = {
    grant: 'grant',
    top_up: 'top_up',
    capture: 'hold_capture',
    void: 'hold_void',
  } as const;
  return ledgerKey(kinds[kind], name);
}
