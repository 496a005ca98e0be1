/** Rate cards in memory: a published card never changes, so its rules are read once. */
import {
  type CompiledRateCard,
  compileRateCard,
  type RateCardHead,
  type RateRule,
  rateRuleSchema,
} from '../../rating/rate-card.ts';
import { streamRateRules } from '../../store/rate-cards.ts';
import type { Sql } from '../../store/sql.ts';

/** About 230 MB; the longest unused card goes when there are more. */
const MAX_RULES_KEPT = 1_000_000;

export interface KeptCards {
  /** The card with its rules, read when they are not there yet. */
  get(card: CardToKeep): Promise<CompiledRateCard>;
}

interface CardToKeep {
  readonly head: RateCardHead;
  readonly ruleCount: number;
}

export function createKeptCards(sql: Sql, maxRules = MAX_RULES_KEPT): KeptCards {
  /** The longest unused first. */
  const kept = new Map<string, { card: Promise<CompiledRateCard>; ruleCount: number }>();
  let rulesKept = 0;

  function keep({ head, ruleCount }: CardToKeep): Promise<CompiledRateCard> {
    const card = compiledCard(sql, head);
    kept.set(head.id, { card, ruleCount });
    rulesKept += ruleCount;
    card.catch(() => drop(head.id));
    for (const id of kept.keys()) {
      if (rulesKept <= maxRules || id === head.id) break;
      drop(id);
    }
    return card;
  }

  function drop(id: string): void {
    rulesKept -= kept.get(id)?.ruleCount ?? 0;
    kept.delete(id);
  }

  return {
    get(card) {
      const { id } = card.head;
      const found = kept.get(id);
      if (found === undefined) {
        return keep(card);
      }
      kept.delete(id);
      kept.set(id, found);
      return found.card;
    },
  };
}

/** Reads the rules of a card, a thousand at a time between which other work goes on. */
export async function compiledCard(sql: Sql, head: RateCardHead): Promise<CompiledRateCard> {
  const rules: RateRule[] = [];
  for await (const rows of streamRateRules(sql, head.id)) {
    for (const { rule } of rows) {
      rules.push(rateRuleSchema.parse(rule));
    }
  }
  return compileRateCard({ ...head, rules });
}
