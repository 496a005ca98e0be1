/** What support staff see and do of rate cards on the pages. */
import { randomUUID } from 'node:crypto';
import { type UsageType, usageTypes } from '../../rating/usage.ts';
import type { RateCardLogEntry, RuleTarget } from '../../store/rate-cards.ts';
import type { Sql } from '../../store/sql.ts';
import { isUuid } from '../../uuid.ts';
import type { RateCardDesk, RateCardView } from '../../views/rate-cards.ts';
import { onlyWallet } from '../wallets/wallet-by-name.ts';
import type { Draft } from './rate-card-drafts.ts';
import { customerOf, type PublishedRateCard, type RateCards } from './rate-cards.ts';
import { fieldsOfRule, readRuleFields } from './rate-rule-fields.ts';

const MAX_NAME_LENGTH = 100;

export function createRateCardDesk(options: {
  sql: Sql;
  rateCards: RateCards;
  now: () => Date;
}): RateCardDesk {
  const { sql, rateCards, now } = options;
  const { drafts, rules } = rateCards;

  async function publishedViews(): Promise<RateCardView[]> {
    const published = await rateCards.list();
    const current = published.filter(({ head }) => head.effectiveFrom <= now());
    const inEffect = new Map(current.map((card) => [customerOf(card), card.head.id]));
    return published.map((card) => viewOfPublished(card, now(), inEffect)).reverse();
  }

  async function get(cardId: string): Promise<RateCardView | null> {
    const draft = await drafts.get(cardId);
    return draft === null
      ? ((await publishedViews()).find(({ id }) => id === cardId) ?? null)
      : viewOfDraft(draft);
  }

  async function findRule(cardId: string, type: string, prefix: string) {
    const known = usageTypeOf(type);
    const page =
      known === undefined
        ? { rules: [] }
        : await rules.page(cardId, { type: known, prefix }, { limit: 1 });
    // Of all prefixes that begin with it, the prefix itself comes first.
    return page.rules.find((rule) => rule.prefix === prefix);
  }

  const list = async () => [...(await drafts.list()).map(viewOfDraft), ...(await publishedViews())];

  async function ownCards(walletId: string) {
    const wallet = isUuid(walletId) ? await onlyWallet(sql, { walletId }) : null;
    if (wallet === null) {
      return null;
    }
    const { userId, currency } = wallet;
    const cards = (await list()).filter(
      (card) => card.userId === userId && card.currency === currency,
    );
    return { walletId, userId, currency, cards };
  }

  return {
    list,
    get,
    ownCards,

    async rules(cardId, { type, prefix, number }, cursor) {
      const known = usageTypeOf(type);
      if (number !== undefined && number !== '') {
        const found = await rules.forNumber(cardId, number);
        const ofType = found.filter((rule) => known === undefined || rule.type === known);
        return { rules: ofType.map(fieldsOfRule), nextCursor: null };
      }
      const page = await rules.page(cardId, { type: known, prefix }, { cursor });
      return { ...page, rules: page.rules.map(fieldsOfRule) };
    },

    async rule(cardId, type, prefix) {
      const rule = await findRule(cardId, type, prefix);
      return rule === undefined ? null : fieldsOfRule(rule);
    },

    log: async (cardId) =>
      (await rules.log(cardId)).map((entry) => ({ ...entry, what: inWords(entry) })),

    csv: ({ id, currency }) => rules.csv(id, currency),

    async draft(cardId, actor) {
      const id = randomUUID();
      const answer = await drafts.create({ id, basedOn: cardId }, actor);
      return answer.ok ? { ok: true, id } : answer;
    },

    async draftOwn(walletId, actor) {
      const own = await ownCards(walletId);
      if (own === null) {
        return { ok: false, message: 'there is no such wallet' };
      }
      const { userId, currency, cards } = own;
      if (cards.length > 0) {
        return { ok: false, message: 'this customer has a card of their own already' };
      }
      const general = (await rateCards.list()).findLast(
        (card) => customerOf(card) === currency && card.head.effectiveFrom <= now(),
      );
      const id = randomUUID();
      const name = `Prices of ${userId}`.slice(0, MAX_NAME_LENGTH);
      const card = { name, userId, currency, rounding: general?.head.rounding ?? 'half_up' };
      const answer = await drafts.create({ id, card }, actor);
      return answer.ok ? { ok: true, id } : answer;
    },

    async rename(cardId, name, actor) {
      const draft = await drafts.get(cardId);
      return draft === null
        ? { ok: false, message: 'there is no such card' }
        : drafts.describe(cardId, { ...draft.card, name }, actor);
    },

    async putRule(cardId, fields, replaces, actor) {
      const read = readRuleFields(fields);
      if (!read.ok) {
        const problems = Object.fromEntries(
          read.problems.toReversed().map(({ field, message }) => [field, message]),
        );
        return { ok: false, message: 'nothing was changed', problems };
      }
      const { rule } = read;
      const old = replaces === null ? null : targetOf(replaces);
      const moves = old?.type !== rule.type || old.prefix !== rule.prefix;
      if (moves && (await findRule(cardId, rule.type, rule.prefix)) !== undefined) {
        const message = 'another rule has this type and prefix';
        return { ok: false, message, problems: { prefix: message } };
      }
      const remove = old !== null && moves ? [old] : [];
      const answer = await drafts.changeRules(cardId, { put: [rule], remove }, actor);
      return answer.ok ? answer : { ...answer, problems: {} };
    },

    async removeRule(cardId, rule, actor) {
      const target = targetOf(rule);
      const remove = target === null ? [] : [target];
      const answer = await drafts.changeRules(cardId, { put: [], remove }, actor);
      return answer.ok ? answer : { ...answer, problems: {} };
    },

    importCsv: (cardId, file, actor) => drafts.importCsv(cardId, file, actor),
    publish: (draft, actor) => drafts.publish(draft, actor),
    discard: (cardId, actor) => drafts.discard(cardId, actor),
  };
}

function viewOfDraft({ card, updatedAt, updatedBy, ...draft }: Draft): RateCardView {
  const { id, ruleCount, revision } = draft;
  return {
    ...card,
    id,
    ruleCount,
    userId: card.userId ?? null,
    state: 'draft',
    version: null,
    effectiveFrom: null,
    revision,
    at: updatedAt,
    by: updatedBy,
  };
}

function viewOfPublished(
  card: PublishedRateCard,
  now: Date,
  inEffect: ReadonlyMap<string, string>,
): RateCardView {
  const { head, ruleCount, publishedAt, publishedBy } = card;
  const past = inEffect.get(customerOf(card)) === head.id ? 'in_effect' : 'past';
  return {
    ...head,
    ruleCount,
    userId: head.userId ?? null,
    state: head.effectiveFrom > now ? 'upcoming' : past,
    revision: null,
    at: publishedAt,
    by: publishedBy,
  };
}

function usageTypeOf(type: string | undefined): UsageType | undefined {
  return usageTypes.find((known) => known === type);
}

function targetOf({ type, prefix }: { type: string; prefix: string }): RuleTarget | null {
  const known = usageTypeOf(type);
  return known === undefined ? null : { type: known, prefix };
}

function inWords({ action, detail }: RateCardLogEntry): string {
  switch (action) {
    case 'drafted':
      return detail.basedOn === null ? 'Begun empty' : 'Begun from a published card';
    case 'described':
      return 'Named or rounded otherwise';
    case 'rules_changed':
      return `Rules: ${detail.added} added, ${detail.changed} changed, ${detail.removed} removed`;
    case 'published':
      return `Published as version ${detail.version}`;
    case 'discarded':
      return 'Discarded';
    default: {
      const unknown: never = action;
      throw new TypeError(`unknown action ${unknown}`);
    }
  }
}
