/** `npm run rate-cards`: the life of rate cards by hand. */
import { randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { userInfo } from 'node:os';
import { createRateCards, type RateCards } from '../billing/rate-cards/rate-cards.ts';
import { createRehearsing, type Rehearsing } from '../billing/rate-cards/rehearsing.ts';
import { createRerating, type Rerating } from '../billing/rate-cards/rerating.ts';
import { type EnvSource, readDatabaseEnv } from '../env.ts';
import { APP_ROLE, type Sql } from '../store/sql.ts';
import { isUuid } from '../uuid.ts';
import type { CustomerChange, Span, Totals } from '../views/repricing.ts';
import {
  type Given,
  needed,
  notUnderstood,
  runAsProgram,
  runCommand,
  UsageError,
  withDatabase,
} from './command.ts';
import type { Output } from './output.ts';
import { changeLine, progressLines, totalsLines } from './repricing-report.ts';

const HELP = `Rate cards: their drafts, their prices as CSV, and publishing them.

  npm run rate-cards -- list [--json]                       cards and drafts
  npm run rate-cards -- draft CARD                          begin a draft of a published card; prints its id
  npm run rate-cards -- export CARD > FILE                  the rules of a card or draft as CSV
  npm run rate-cards -- import --draft DRAFT [--merge] FILE make the file's rules the draft's only ones,
                                                            or with --merge leave its others
  npm run rate-cards -- publish DRAFT --effective INSTANT   such as 2026-12-01T00:00:00Z
  npm run rate-cards -- discard DRAFT
  npm run rate-cards -- rehearse CARD --from INSTANT --to INSTANT [--customers] [--json]
                                                            what each customer would have paid by a
                                                            card or draft; writes nothing
  npm run rate-cards -- rerate CARD --from INSTANT --to INSTANT --reason TEXT [--debits] [--id ID]
                                                            price the usage of those instants again by
                                                            a published card and post the differences
  npm run rate-cards -- rerate CARD … --dry-run [--customers]

A re-rating gives back what was too dear, and with --debits charges what was too cheap. It prints the
id under which it goes on when it was stopped: a difference is posted once for each id. --to is the
first instant that is not in it. --customers lists every customer, and not only those who gain and
lose most.

An import that finds a bad line names every one (the first hundred) and changes nothing.

Exit code 0: done; 1: refused, or it failed; 2: misused.

The database is the one of DATABASE_URL (environment, .env.local or .env), else the one that
npm run dev keeps in this folder.
`;

const OPTIONS = {
  draft: { type: 'string' },
  effective: { type: 'string' },
  merge: { type: 'boolean' },
  from: { type: 'string' },
  to: { type: 'string' },
  id: { type: 'string' },
  reason: { type: 'string' },
  debits: { type: 'boolean' },
  'dry-run': { type: 'boolean' },
  customers: { type: 'boolean' },
  json: { type: 'boolean' },
} as const;

/** Runs the command; returns the exit code. */
export function runRateCards(
  argv: readonly string[],
  source: EnvSource,
  output: Output,
): Promise<number> {
  return runCommand({ argv, options: OPTIONS, help: HELP, output }, ({ values, positionals }) => {
    const [name = '', ...operands] = positionals;
    const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
    if (command === undefined) throw notUnderstood(positionals.slice(0, 1));
    return withDatabase(
      needed(readDatabaseEnv(source)).databaseUrl,
      {
        role: APP_ROLE,
        max: 2,
        applicationName: 'prepaid-wallet rate-cards',
        // A large card may take its time; somebody is watching it.
        statementTimeoutMs: 0,
      },
      (sql) => command({ ...toolsOf(sql), values, operands, output }),
    );
  });
}

interface Tools {
  readonly rateCards: RateCards;
  readonly rehearsing: Rehearsing;
  readonly rerating: Rerating;
  /** Who acts, for the log of a card. */
  readonly actor: string;
}

interface Call extends Tools {
  readonly values: Given<typeof OPTIONS>['values'];
  /** What stands behind the command's name. */
  readonly operands: readonly string[];
  readonly output: Output;
}

function toolsOf(sql: Sql): Tools {
  const rateCards = createRateCards({ sql, nowMs: Date.now });
  return {
    rateCards,
    rehearsing: createRehearsing({ sql, rateCards }),
    rerating: createRerating({ sql, rateCards }),
    actor: `cli:${userInfo().username}`,
  };
}

const COMMANDS: Readonly<Record<string, (call: Call) => Promise<number>>> = {
  async list({ rateCards, values, output }) {
    const published = (await rateCards.list()).map(({ head, ...rest }) => ({ ...head, ...rest }));
    const drafts = await rateCards.drafts.list();
    if (values.json) {
      await output.out(`${JSON.stringify({ published, drafts })}\n`);
      return 0;
    }
    for (const { id, currency, version, name, ruleCount, effectiveFrom } of published) {
      const what = `${currency} version ${version}  ${name}  ${ruleCount} rules`;
      await output.out(`${id}  ${what}  from ${effectiveFrom.toISOString()}\n`);
    }
    for (const { id, card, ruleCount, revision } of drafts) {
      const what = `${card.currency} draft  ${card.name}  ${ruleCount} rules`;
      await output.out(`${id}  ${what}  revision ${revision}\n`);
    }
    return 0;
  },

  async draft({ rateCards, actor, operands, output }) {
    const id = randomUUID();
    const basedOn = cardId(operands, 'Name the card to base the draft on.');
    const answer = await rateCards.drafts.create({ id, basedOn }, actor);
    return answer.ok ? said(output, id) : refused(output, answer);
  },

  async export({ rateCards, operands, output }) {
    const id = cardId(operands, 'Name one card or draft.');
    const currency = await currencyOf(rateCards, id);
    if (currency === null) {
      return refused(output, { message: 'there is no such card' });
    }
    for await (const lines of rateCards.rules.csv(id, currency)) {
      await output.out(lines);
    }
    return 0;
  },

  async import({ rateCards, actor, values, operands, output }) {
    const file = operand(operands, 'Name one file.');
    if (values.draft === undefined) throw new UsageError('--draft is missing.');
    const csv = await readFile(file, 'utf8');
    const mode = values.merge ? 'merge' : 'replace';
    const answer = await rateCards.drafts.importCsv(values.draft, { csv, mode }, actor);
    if (answer.ok) {
      const { added, changed, removed } = answer;
      return said(output, `${added} rules added, ${changed} changed, ${removed} removed`);
    }
    if ('problems' in answer) {
      for (const { line, message } of answer.problems) {
        await output.err(`line ${line}: ${message}\n`);
      }
    }
    return refused(output, answer);
  },

  async publish({ rateCards, actor, values, operands, output }) {
    const id = cardId(operands, 'Name one draft.');
    const effectiveFrom = instant('--effective', values.effective);
    const revision = (await rateCards.drafts.get(id))?.revision ?? 0;
    const answer = await rateCards.drafts.publish({ id, revision, effectiveFrom }, actor);
    return answer.ok ? said(output, `version ${answer.version}`) : refused(output, answer);
  },

  async discard({ rateCards, actor, operands, output }) {
    const found = await rateCards.drafts.discard(cardId(operands, 'Name one draft.'), actor);
    return found
      ? said(output, 'discarded')
      : refused(output, { message: 'there is no such card' });
  },

  async rehearse(call) {
    const id = cardId(call.operands, 'Name one card or draft.');
    const span = spanOf(call.values);
    const currency = (await currencyOf(call.rateCards, id)) ?? '';
    return shown(call, currency, (onCustomer) =>
      call.rehearsing.rehearse({ cardId: id, ...span }, onCustomer),
    );
  },

  async rerate(call) {
    const { rateCards, rerating, actor, values, output } = call;
    const terms = {
      cardId: cardId(call.operands, 'Name one card.'),
      ...spanOf(values),
      debits: values.debits ?? false,
    };
    const currency = (await currencyOf(rateCards, terms.cardId)) ?? '';
    if (values['dry-run']) {
      return shown(call, currency, (onCustomer) => rerating.preview(terms, onCustomer));
    }
    const { id = randomUUID(), reason } = values;
    if (!reason) throw new UsageError('--reason is missing.');
    await output.err(`re-rating ${id}\n`);
    const answer = await rerating.run({ ...terms, id, reason }, actor, async ({ usages }) => {
      await output.err(`${usages} usages\n`);
      return true;
    });
    if (!answer.ok) {
      return refused(output, answer);
    }
    const { progress } = answer;
    await output.out(
      values.json ? `${jsonText({ id, ...progress })}\n` : progressLines(progress, currency),
    );
    return Object.keys(progress.refused).length === 0 ? 0 : 1;
  },
};

/** Writes customers as they come, when they are asked for, and then the totals. */
async function shown(
  { values, output }: Call,
  currency: string,
  calculate: (onCustomer: (change: CustomerChange) => Promise<boolean>) => Promise<Totals | null>,
): Promise<number> {
  const totals = await calculate(async (change) => {
    if (values.customers) {
      await output.out(values.json ? `${jsonText(change)}\n` : changeLine(change, currency));
    }
    return true;
  });
  if (totals === null) {
    return refused(output, { message: 'there is no such card' });
  }
  await output.out(values.json ? `${jsonText(totals)}\n` : totalsLines(totals, currency));
  return 0;
}

/** Micros as decimal strings. */
function jsonText(value: unknown): string {
  return JSON.stringify(value, (_key, item: unknown) =>
    typeof item === 'bigint' ? item.toString() : item,
  );
}

function spanOf({ from, to }: Call['values']): Span {
  const span = { from: instant('--from', from), to: instant('--to', to) };
  if (span.from >= span.to) throw new UsageError('--from must come before --to.');
  return span;
}

function instant(option: string, text = ''): Date {
  const at = new Date(text);
  if (Number.isNaN(at.getTime()) || !/(?:Z|[+-]\d\d:\d\d)$/.test(text)) {
    throw new UsageError(`${option} needs an instant such as 2026-12-01T00:00:00Z.`);
  }
  return at;
}

function operand(operands: readonly string[], otherwise: string): string {
  const [first, ...rest] = operands;
  if (first === undefined || rest.length > 0) throw new UsageError(otherwise);
  return first;
}

function cardId(operands: readonly string[], otherwise: string): string {
  const id = operand(operands, otherwise);
  if (!isUuid(id.toLowerCase())) throw new UsageError('The id of a card is a UUID.');
  return id;
}

async function currencyOf(rateCards: RateCards, id: string): Promise<string | null> {
  const published = (await rateCards.list()).find(({ head }) => head.id === id);
  return published?.head.currency ?? (await rateCards.drafts.get(id))?.card.currency ?? null;
}

async function said(output: Output, text: string): Promise<number> {
  await output.out(`${text}\n`);
  return 0;
}

async function refused(output: Output, { message }: { message: string }): Promise<number> {
  await output.err(`Refused: ${message}\n`);
  return 1;
}

await runAsProgram(import.meta.url, runRateCards);
