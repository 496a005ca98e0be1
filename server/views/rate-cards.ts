/** What support staff see and do of rate cards. */

/** A rule as texts: amounts are decimal, and what the rule does not have is empty. */
export interface RuleFields {
  type: string;
  prefix: string;
  id: string;
  connectionFee: string;
  /** Of a minute for calls, of one segment, recipient, page or transfer otherwise. */
  price: string;
  initialSeconds: string;
  nextSeconds: string;
  minimum: string;
  maximum: string;
  rounding: string;
  /** What else it says, as JSON. */
  more: string;
}

export interface RateCardView {
  id: string;
  name: string;
  currency: string;
  /** Whose own card it is; null for the general one. */
  userId: string | null;
  rounding: string;
  ruleCount: number;
  state: 'draft' | 'upcoming' | 'in_effect' | 'past';
  /** Of a published card. */
  version: number | null;
  effectiveFrom: Date | null;
  /** Of a draft: grows with each change. */
  revision: number | null;
  /** When it was published, or a draft last changed, and by whom. */
  at: Date;
  by: string;
}

export interface RateCardLogView {
  seq: bigint;
  at: Date;
  actor: string;
  action: string;
  /** What was done, in words. */
  what: string;
}

interface Refused {
  ok: false;
  message: string;
}

export type ChangeRule =
  | { ok: true }
  | (Refused & { problems: Partial<Record<keyof RuleFields, string>> });

export type ImportRates =
  | { ok: true; added: number; changed: number; removed: number }
  | (Refused & {
      /** How many lines are wrong; `problems` has the first of them. */
      found?: number;
      problems?: { line: number; message: string }[];
    });

export interface RateCardDesk {
  /** Drafts first, then published cards, the newest first. */
  list(): Promise<RateCardView[]>;
  get(cardId: string): Promise<RateCardView | null>;
  /** Rules of a type, whose prefix begins with digits or which price a number; all without either. */
  rules(
    cardId: string,
    filter: { type?: string | undefined; prefix?: string | undefined; number?: string | undefined },
    cursor?: string,
  ): Promise<{ rules: RuleFields[]; nextCursor: string | null }>;
  rule(cardId: string, type: string, prefix: string): Promise<RuleFields | null>;
  log(cardId: string): Promise<RateCardLogView[]>;
  /** The rules as CSV, in pieces of whole lines. */
  csv(card: RateCardView): AsyncGenerator<string>;
  /** Begins a draft of a published card. */
  draft(cardId: string, actor: string): Promise<{ ok: true; id: string } | Refused>;
  /** The own cards and drafts of a wallet's customer, in its currency; null without such a wallet. */
  ownCards(
    walletId: string,
  ): Promise<{ walletId: string; userId: string; currency: string; cards: RateCardView[] } | null>;
  /** Begins the first own card of a wallet's customer, as a draft without rules. */
  draftOwn(walletId: string, actor: string): Promise<{ ok: true; id: string } | Refused>;
  rename(cardId: string, name: string, actor: string): Promise<{ ok: true } | Refused>;
  /** Puts a rule into a draft, in the place of the one that is named. `problems` are by field. */
  putRule(
    cardId: string,
    fields: Partial<RuleFields>,
    replaces: { type: string; prefix: string } | null,
    actor: string,
  ): Promise<ChangeRule>;
  removeRule(
    cardId: string,
    rule: { type: string; prefix: string },
    actor: string,
  ): Promise<ChangeRule>;
  importCsv(
    cardId: string,
    file: { csv: string; mode: 'replace' | 'merge' },
    actor: string,
  ): Promise<ImportRates>;
  publish(
    draft: { id: string; revision: number; effectiveFrom: Date },
    actor: string,
  ): Promise<{ ok: true } | Refused>;
  discard(cardId: string, actor: string): Promise<boolean>;
}
