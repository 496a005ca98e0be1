/** The prices that apply to a user. */

export interface PriceView {
  type: string;
  /** Digits that a number begins with; empty for anywhere. */
  prefix: string;
  /** Of a minute for calls, of one segment, recipient, page or transfer otherwise. */
  priceMicros: bigint;
  connectionFeeMicros: bigint;
  /** Calls: the first seconds are billed whole, then every further block. */
  initialSeconds: number | null;
  nextSeconds: number | null;
  minimumMicros: bigint | null;
  maximumMicros: bigint | null;
  sizeTiers: { upToBytes: number | null; priceMicros: bigint }[];
  /** Prices of the units beyond so many of the month: of a minute for calls. */
  monthlyTiers: { aboveUnits: number; priceMicros: bigint }[];
  /** Other prices at some times of the week, in the wallet's time zone. */
  windows: {
    days: string[] | null;
    from: string;
    to: string;
    priceMicros: bigint | null;
    connectionFeeMicros: bigint | null;
  }[];
  /** Agreed with this customer alone. */
  isOwn: boolean;
}

/** What was looked up: the prices to it, and those of longer prefixes. */
export interface LookedUpPrices {
  /** The country, or the number in the form that is priced. */
  what: string;
  prices: PriceView[];
  longer: PriceView[];
  /** Whether there are longer prefixes beyond these. */
  more: boolean;
  /** The prices to it and to longer prefixes after the next change, where they differ. */
  upcoming: PriceView[];
  /** Whether there may be changes beyond these. */
  moreUpcoming: boolean;
}

export interface PricesView {
  currency: string;
  timezone: string;
  /** Where no longer prefix says otherwise, one of each type. */
  anywhere: PriceView[];
  /** The next change that is published: when, and which of the prices to anywhere it brings. */
  upcoming: { from: Date; anywhere: PriceView[] } | null;
  lookedUp: LookedUpPrices | null;
  /** Countries to choose from, by name. */
  countries: { code: string; name: string }[];
}

export interface PriceServices {
  /** The prices of the user's wallet; with what a number, a prefix or a country is priced. */
  ofUser(
    userId: string,
    lookUp: { number?: string | undefined; country?: string | undefined },
  ): Promise<PricesView>;
}
