/** Drafts of rate cards: begun, edited by the rule or by the file, and published or thrown away. */
import { setImmediate } from 'node:timers/promises';
import { z } from 'zod';
import {
  type CompiledRateCard,
  type DraftCard,
  draftCardSchema,
  type RateRule,
  rateRuleToJson,
} from '../../rating/rate-card.ts';
import {
  changeRateCardRules,
  describeRateCardDraft,
  discardRateCardDraft,
  draftRateCard,
  publishRateCardDraft,
  type StoredDraft,
  storedDrafts,
} from '../../store/rate-card-drafts.ts';
import type { RuleTarget } from '../../store/rate-cards.ts';
import type { Sql } from '../../store/sql.ts';
import { compiledCard } from './kept-cards.ts';
import { type CsvProblem, readRateCardCsv } from './rate-card-csv.ts';
import { type RateCardRefusalCode, rateCardRefusal } from './rate-card-refusals.ts';
import type { PublishedRateCard } from './rate-cards.ts';

/** The most rules that a card may have. */
const MAX_RULES = 300_000;
/** The most bad lines that an import names. */
const MAX_PROBLEMS = 100;
/** Reading so many lines takes some milliseconds, after which other work has its turn. */
const LINES_AT_ONCE = 500;

export interface Draft extends Omit<StoredDraft, 'card'> {
  card: DraftCard;
}

/** An expected refusal, with its reason in words. */
export interface DraftRefusal {
  ok: false;
  code: RateCardRefusalCode;
  message: string;
}

export interface RuleChanges {
  ok: true;
  added: number;
  changed: number;
  removed: number;
}

/** Nothing was imported. `found` also counts the bad lines that `problems` has no room for. */
export interface ImportRefusal {
  ok: false;
  code: 'INVALID_CSV';
  message: string;
  found: number;
  problems: CsvProblem[];
}

export interface RateCardDrafts {
  /** Every draft, the last changed first. */
  list(): Promise<Draft[]>;
  get(id: string): Promise<Draft | null>;
  /** The draft as the next version of nothing yet, to try it; null when there is none. */
  compiled(id: string): Promise<CompiledRateCard | null>;
  /**
   * Begins a draft under an id of the caller's: with the words and rules of a published card, or
   * empty with the words of `card`. The same again is answered alike.
   */
  create(
    draft: { id: string } & ({ basedOn: string } | { card: DraftCard }),
    actor: string,
  ): Promise<{ ok: true } | DraftRefusal>;
  /** Changes name and rounding. */
  describe(id: string, card: DraftCard, actor: string): Promise<{ ok: true } | DraftRefusal>;
  /** Puts rules in the place of those of their type and prefix, and takes others out. */
  changeRules(
    id: string,
    change: { put: readonly RateRule[]; remove: readonly RuleTarget[] },
    actor: string,
  ): Promise<RuleChanges | DraftRefusal>;
  /**
   * Puts the rules of a CSV text into a draft, all of them or none: `replace` makes them its only
   * rules, `merge` leaves the others.
   */
  importCsv(
    id: string,
    file: { csv: string; mode: 'replace' | 'merge' },
    actor: string,
  ): Promise<RuleChanges | DraftRefusal | ImportRefusal>;
  /** Publishes the draft at the revision that was looked at. The same again is answered alike. */
  publish(
    draft: { id: string; revision: number; effectiveFrom: Date },
    actor: string,
  ): Promise<{ ok: true; version: number } | DraftRefusal>;
  /** False when there is no such draft. */
  discard(id: string, actor: string): Promise<boolean>;
}

export function createRateCardDrafts(options: {
  sql: Sql;
  published: () => Promise<PublishedRateCard[]>;
  onPublished: () => void;
}): RateCardDrafts {
  const { sql, published, onPublished } = options;

  async function get(id: string): Promise<Draft | null> {
    const [draft] = z.uuid().safeParse(id).success ? await storedDrafts(sql, id) : [];
    return draft === undefined ? null : withCard(draft);
  }

  async function change(
    draftId: string,
    putJson: string,
    other: { removed: readonly RuleTarget[]; replace: boolean },
    actor: string,
  ): Promise<RuleChanges | DraftRefusal> {
    const answer = await changeRateCardRules(sql, { draftId, putJson, ...other, actor });
    const { code, added, changed, removed, takenId } = answer;
    return code === 'OK' ? { ok: true, added, changed, removed } : refused(code, takenId ?? '');
  }

  return {
    list: async () => (await storedDrafts(sql, null)).map(withCard),
    get,

    async compiled(id) {
      const draft = await get(id);
      return (
        draft &&
        compiledCard(sql, { ...draft.card, id, version: 1, effectiveFrom: draft.updatedAt })
      );
    },

    async create(draft, actor) {
      if ('card' in draft) {
        const { id, card } = draft;
        return answered(await draftRateCard(sql, { id, card, basedOn: null, actor }));
      }
      const { id, basedOn } = draft;
      const base = (await published()).find(({ head }) => head.id === basedOn);
      if (base === undefined) {
        return refused('NOT_FOUND');
      }
      const { id: baseId, version, effectiveFrom, ...card } = base.head;
      return answered(await draftRateCard(sql, { id, card, basedOn: baseId, actor }));
    },

    describe: async (id, card, actor) =>
      answered(await describeRateCardDraft(sql, id, card, actor)),

    changeRules: (id, { put, remove }, actor) =>
      change(
        id,
        `[${put.map(rateRuleToJson).join(',')}]`,
        { removed: remove, replace: false },
        actor,
      ),

    async importCsv(id, { csv, mode }, actor) {
      const draft = await get(id);
      if (draft === null) {
        return refused('NOT_FOUND');
      }
      const read = await readAll(csv, draft.card.currency);
      return 'rules' in read
        ? change(id, read.rules, { removed: [], replace: mode === 'replace' }, actor)
        : read;
    },

    async publish({ id, revision, effectiveFrom }, actor) {
      const { code, version } = await publishRateCardDraft(sql, {
        id,
        revision,
        effectiveFrom,
        actor,
      });
      if (code !== 'OK') {
        return refused(code);
      }
      onPublished();
      return { ok: true, version };
    },

    discard: (id, actor) => discardRateCardDraft(sql, id, actor),
  };
}

function withCard({ card, ...rest }: StoredDraft): Draft {
  return { ...rest, card: draftCardSchema.parse(card) };
}

function answered(code: 'OK' | RateCardRefusalCode): { ok: true } | DraftRefusal {
  return code === 'OK' ? { ok: true } : refused(code);
}

function refused(code: RateCardRefusalCode, about?: string): DraftRefusal {
  return { ok: false, code, message: rateCardRefusal(code, about) };
}

/** The rules of a CSV text as the text of a JSON array, or all that is wrong with it. */
async function readAll(csv: string, currency: string): Promise<{ rules: string } | ImportRefusal> {
  const problems: CsvProblem[] = [];
  const rules: string[] = [];
  let found = 0;
  const report = (problem: CsvProblem) => {
    found += 1;
    if (problems.length < MAX_PROBLEMS) {
      problems.push(problem);
    }
  };
  for (const row of readRateCardCsv(csv, currency)) {
    if (!row.ok) {
      report({ line: row.line, message: row.message });
    } else if (rules.length === MAX_RULES) {
      report({ line: row.line, message: `a card has at most ${MAX_RULES} rules` });
      break;
    } else {
      rules.push(rateRuleToJson(row.rule));
    }
    if ((rules.length + found) % LINES_AT_ONCE === 0) {
      await setImmediate();
    }
  }
  if (found === 0) {
    return { rules: `[${rules.join(',')}]` };
  }
  const message = `nothing was imported: ${found} of the lines ${found === 1 ? 'is' : 'are'} wrong`;
  return { ok: false, code: 'INVALID_CSV', message, found, problems };
}
