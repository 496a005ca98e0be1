/** Random commands on a wallet, as services, support staff and Stripe send them. */
import fc from 'fast-check';
import type { Command } from './decide.ts';
import type { WalletMode } from './events.ts';
import { ledgerKey, requestHash, usageKey } from './key.ts';
import type { SpendingLimit } from './limit-list.ts';
import { unitsThisMonth } from './monthly-units.ts';
import { findOriginal } from './originals.ts';
import type { RerateUsage } from './rerating.ts';
import type { OpenWallet, Report, WalletStatus } from './state.ts';

const keyCount = 8;
export const holdCount = 6;
export const actor = 'service:model test';

const smallAmount = fc.oneof(
  fc.constantFrom(0n, 1n, 375_000n, 1_000_000n),
  fc.bigInt({ min: -1n, max: 5_000_000n }),
);
const hugeAmount = fc.constantFrom(2n ** 53n + 1n, 10n ** 18n, 10n ** 18n + 1n, 2n ** 63n - 1n);
const amount = fc.oneof(
  { weight: 4, arbitrary: smallAmount },
  { weight: 2, arbitrary: hugeAmount },
);

/** Stands for the units that the wallet has used when the step is taken. */
const unitsNow = -1;

/** The breakdown of usage whose price depends on the month. */
const monthly = (counter: string, billedUnits: number, unitsBefore = unitsNow) => ({
  price: { billedUnits, monthly: { counter, unitsBefore } },
});

/** The command as it is sent now: only now are the wallet's units and the original's bill known. */
export function plannedNow(command: Command, wallet: OpenWallet): Command {
  return command.type === 'rerate_usage' ? readNow(command, wallet) : pricedNow(command, wallet);
}

/** The original by its number as a charge, or else as a hold, and what it has billed now. */
function readNow(command: RerateUsage, wallet: OpenWallet): Command {
  const number = Number(command.originalSeq);
  const [original] = [referenceOf(number), `ref-${number}`].flatMap((reference) => {
    const chargeKey = usageKey('call', reference);
    const holdKey = ledgerKey('hold', `${number}`);
    return findOriginal(wallet, { chargeKey, holdKey, usageType: 'call' }) ?? [];
  });
  // Without one its opening, which billed nothing: the newest event may be another in another mode.
  const { seq, billedMicros } = original ?? { seq: 1n, billedMicros: 0n };
  return { ...command, originalSeq: seq, billedMicros: billedMicros + command.billedMicros };
}

function pricedNow(command: Command, wallet: OpenWallet): Command {
  if (command.type !== 'charge_wallet' && command.type !== 'authorize_hold') {
    return command;
  }
  const { breakdown } = command.detail as { breakdown?: Partial<ReturnType<typeof monthly>> };
  if (breakdown?.price?.monthly.unitsBefore !== unitsNow) {
    return command;
  }
  const { billedUnits, monthly: counted } = breakdown.price;
  const unitsBefore = unitsThisMonth(wallet)[counted.counter] ?? 0;
  const priced = monthly(counted.counter, billedUnits, unitsBefore);
  return { ...command, detail: { ...command.detail, breakdown: priced } };
}

const counter = fc.constantFrom('call/a', 'call/a', 'sms/b');
const monthlyBreakdown = fc
  .record({ counter, billedUnits: fc.constantFrom(1, 60), unitsBefore: fc.constantFrom(-1, -1, 0) })
  .map(({ counter, billedUnits, unitsBefore }) => monthly(counter, billedUnits, unitsBefore));

/** With few keys the same one comes with the same request often, and with another often enough. */
const identified = fc.record({ reference: fc.nat(keyCount - 1), plain: fc.boolean() });

export function identity(
  { reference, plain }: { reference: number; plain: boolean },
  request: object,
) {
  return {
    key: usageKey('call', `ref-${reference}`),
    requestHash: requestHash(request).toString('hex'),
    actor,
    detail: { reference, ...(plain ? {} : { zwölf: ['a\n"b"', 1.5, null], a: { b: true } }) },
  };
}

/** What limits ask of usage, in the forms that callers write it in. */
export const usage = fc.constantFrom(
  { type: 'call', to: '+14155550132' },
  { type: 'call', to: 'sip:+1900-555-0101@pbx.example' },
  { type: 'sms', to: '0019005550101' },
  { type: 'sms', to: '+4930123456' },
  { type: 'email' },
);

/** The breakdown of what nobody pays. */
const goodwill = { goodwillMicros: '375000' };

export const openCommand: fc.Arbitrary<Command> = fc.record({
  type: fc.constant('open_wallet'),
  userId: fc.constant('user'),
  currency: fc.constant('USD'),
  timezone: fc.constantFrom('UTC', 'Europe/Berlin', 'America/Havana'),
  mode: fc.constantFrom<WalletMode>('live', 'deferred'),
  actor: fc.constant(actor),
});

export const chargeCommand = (id = identified): fc.Arbitrary<Command> =>
  fc
    .record({
      id,
      amountMicros: fc.option(amount, { freq: 12 }),
      overrun: fc.constantFrom<'refuse' | 'arrears'>('refuse', 'arrears'),
      usage: fc.option(usage, { freq: 6 }),
      isGoodwill: fc.nat(9).map((number) => number === 0),
      breakdown: fc.option(monthlyBreakdown, { freq: 2 }),
    })
    .map(({ id, usage, isGoodwill, breakdown, ...rest }) => {
      const request = isGoodwill ? { ...rest, amountMicros: 0n } : rest;
      const { detail, ...asked } = identity(id, { ...request, usage, isGoodwill });
      const told = {
        ...detail,
        ...(usage !== null && { usage }),
        ...(breakdown !== null && { breakdown }),
        ...(isGoodwill && { breakdown: goodwill }),
      };
      return { type: 'charge_wallet', ...asked, detail: told, ...request };
    });

export const creditCommand: fc.Arbitrary<Command> = fc
  .record({
    id: identified,
    type: fc.constantFrom<'grant_credit' | 'credit_top_up'>('grant_credit', 'credit_top_up'),
    amountMicros: amount,
  })
  .map(({ id, ...request }) => ({ ...identity(id, request), ...request }));

/** Mostly small, so that usage burns several; 60 seconds is also how long holds last. */
export const grantCommand: fc.Arbitrary<{ command: Command; expiresInSeconds: number }> = fc
  .record({
    number: fc.nat(2 * keyCount),
    amountMicros: fc.constantFrom(1n, 20_000n, 375_000n, 1_000_000n),
    expiresInSeconds: fc.constantFrom(...[5, 30, 35, 60, 60, 90, 120], 0, -30),
  })
  .map(({ number, amountMicros, expiresInSeconds }) => ({
    expiresInSeconds,
    command: {
      type: 'grant_credit',
      key: ledgerKey('grant', `${number}`),
      requestHash: requestHash({ amountMicros, expiresInSeconds }).toString('hex'),
      amountMicros,
      actor,
      detail: { reason: 'a "reason"' },
    },
  }));

const report: fc.Arbitrary<Report> = fc.record({
  usage: fc.oneof(
    {
      weight: 9,
      arbitrary: fc.record({
        type: fc.constant('call'),
        to: fc.constantFrom('+14155550132', '+14155550132', '+19005550101'),
      }),
    },
    { weight: 1, arbitrary: fc.constant({ type: 'sms' }) },
  ),
  units: fc.constantFrom(0, 1, 60, 61, 120),
  breakdown: fc.oneof(
    fc.constantFrom<object[]>({}, { price: '1' }, goodwill),
    fc.tuple(counter, fc.constantFrom(60, 61, 120)).map(([name, units]) => monthly(name, units, 0)),
  ),
});
const priced = fc.oneof(
  {
    weight: 6,
    arbitrary: report.map((report) => ({
      report,
      amountMicros: report.breakdown === goodwill ? 0n : BigInt(report.units) * 20_000n,
    })),
  },
  { weight: 2, arbitrary: fc.record({ report, amountMicros: fc.option(amount, { freq: 9 }) }) },
  { weight: 2, arbitrary: fc.constant({ report: null, amountMicros: null }) },
);
const ttlSeconds = fc.constantFrom(...Array<number>(19).fill(60), 86_401);

function holdIdentity(kind: string, number: number, request: object) {
  return {
    key: ledgerKey(kind, `${number}`),
    requestHash: requestHash(request).toString('hex'),
    // Made the wallet's own when the step is taken.
    holdId: `${number}`,
    actor,
  };
}

/** The first holds share their references with charges. */
export const sharedCount = 2;
const referenceOf = (number: number) => `${number < sharedCount ? 'ref' : 'hold'}-${number}`;
/** The last ones do not say at once what type of usage they are for. */
export const typedCount = holdCount - 2;

export const authorizeCommand = (number: number): fc.Arbitrary<Command> =>
  fc
    .record({
      amountMicros: fc.option(
        fc.oneof(
          { weight: 8, arbitrary: fc.constantFrom(0n, 375_000n, 1_000_000n) },
          { weight: 2, arbitrary: amount },
        ),
        { freq: 20 },
      ),
      known:
        number < typedCount
          ? fc.constantFrom(
              { usageType: 'call', destination: '+14155550132' },
              { usageType: 'call', destination: null },
            )
          : fc.constant({ usageType: null, destination: null }),
      ttlSeconds,
      pricing: fc.constantFrom({ at: 'then' }, { unitsThisMonth: {} }, { goodwill: true }),
      breakdown: fc.option(monthlyBreakdown, { freq: 2 }),
    })
    .map(({ known, amountMicros, breakdown, ...rest }) => ({
      ...known,
      ...rest,
      detail: { estimate: [1.5, null], ...(breakdown !== null && { breakdown }) },
      amountMicros: 'goodwill' in rest.pricing ? 0n : amountMicros,
    }))
    .map((request) => ({
      type: 'authorize_hold',
      ...holdIdentity('hold', number, request),
      ...request,
      referenceId: referenceOf(number),
      rateCardId: '7d1f0a52-4b8e-4c5a-9c63-2f0e8d5b6a10',
    }));

export const extendCommand = (number: number): fc.Arbitrary<Command> =>
  fc
    .record({
      priced,
      addMicros: fc.option(amount, { freq: 2 }),
      ttlSeconds: fc.option(ttlSeconds, { freq: 2 }),
    })
    .map(({ priced, ...request }) => ({
      type: 'extend_hold',
      holdId: `${number}`,
      actor,
      ...priced,
      ...request,
    }));

export const captureCommand = (number: number): fc.Arbitrary<Command> =>
  fc
    .record({ priced, overrun: fc.constantFrom<'refuse' | 'arrears'>('refuse', 'arrears') })
    .map(({ priced, overrun }) => ({
      type: 'capture_hold',
      ...holdIdentity('capture', number, priced),
      ...priced,
      overrun,
    }));

export const voidCommand = (number: number): fc.Arbitrary<Command> =>
  fc.constant({ type: 'void_hold', ...holdIdentity('void', number, {}) });

/** Of a charge or a hold of this number, which may be there or not, in full or in part. */
export const refundCommand = (number: number): fc.Arbitrary<Command> =>
  fc
    .record({
      usageType: fc.constantFrom(...Array<string>(9).fill('call'), 'sms'),
      amountMicros: fc.option(
        fc.oneof(
          { weight: 3, arbitrary: fc.constantFrom(1n, 375_000n, 1_000_000n) },
          { weight: 1, arbitrary: amount },
        ),
        { freq: 2 },
      ),
      refund: fc.nat(keyCount - 1),
      reference: fc.constantFrom(referenceOf(number), `ref-${number}`),
    })
    .map(({ refund, reference, ...request }) => ({
      type: 'refund_usage',
      key: ledgerKey('refund', `${refund}`),
      requestHash: requestHash({ ...request, reference }).toString('hex'),
      chargeKey: usageKey('call', reference),
      holdKey: ledgerKey('hold', `${number}`),
      ...request,
      actor,
      detail: { reason: 'zwölf', number },
    }));

/** The re-ratings of a wallet: one charges what had cost too little, the others only give back. */
export const reratings = [0, 1, 2].map((number) => ({
  debits: number < 2,
  reason: `wrong price ${number}`,
}));

/** Of a charge or a hold of this number, which may be there or not. */
export const rerateCommand = (number: number): fc.Arbitrary<Command> =>
  fc
    .record({
      rerating: fc.nat(reratings.length - 1),
      priceMicros: fc.oneof(
        { weight: 5, arbitrary: fc.constantFrom(0n, 1n, 200_000n, 375_001n, 2_000_000n) },
        { weight: 1, arbitrary: amount },
      ),
      /** Often what it had billed, at times another number. */
      isCurrent: fc.nat(9).map((random) => random > 0),
    })
    .map(({ rerating, priceMicros, isCurrent }) => ({
      type: 'rerate_usage',
      // Made the wallet's own when the step is taken.
      reratingId: `${rerating}`,
      cardId: '7d1f0a52-4b8e-4c5a-9c63-2f0e8d5b6a10',
      ...(reratings[rerating] ?? { debits: false, reason: '' }),
      // Found when the step is taken, as what it billed is.
      originalSeq: BigInt(number),
      billedMicros: isCurrent ? 0n : 1n,
      priceMicros,
      breakdown: { price: 'zwölf' },
      actor,
    }));

const limitAmount = fc.constantFrom(0n, 375_000n, 1_000_000n, 2_400_000n, 5_000_000n, 10n ** 18n);
export const limit: fc.Arbitrary<SpendingLimit> = fc.record({
  period: fc.constantFrom('day', 'month'),
  amountMicros: fc.oneof(
    { weight: 30, arbitrary: limitAmount },
    { weight: 1, arbitrary: fc.constantFrom(-1n, 10n ** 18n + 1n) },
  ),
  type: fc.constantFrom(null, null, 'call', 'sms'),
  prefix: fc.constantFrom(null, null, '1', '1900'),
});
export const limitsCommand: fc.Arbitrary<Command> = fc
  .array(limit, { maxLength: 3 })
  .map((limits) => ({ type: 'set_limits', limits, actor }));

export const statusCommand = (...statuses: WalletStatus[]): fc.Arbitrary<Command> =>
  fc.record({
    type: fc.constant('change_wallet_status'),
    status: fc.constantFrom(...statuses),
    actor: fc.constant(actor),
    detail: fc.constantFrom({ reason: 'zwölf' }, { reason: 'asked for' }),
  });

/** The opening's payment, and those that random credits may have made. */
export const paymentKeys = [
  ledgerKey('top_up', 'opening'),
  ...Array.from({ length: keyCount }, (_, reference) => usageKey('call', `ref-${reference}`)),
];
const paymentKey = fc.constantFrom(
  ...paymentKeys.slice(0, 4),
  ...paymentKeys.slice(0, 1),
  paymentKeys[0] ?? '',
);
/** Exact in the cents that Stripe counts in. */
const cents = fc.constantFrom(10_000n, 500_000n, 1_000_000n, 2_000_000n, 3_000_000n);

export const reserveCommand = (number: number): fc.Arbitrary<Command> =>
  fc
    .record({
      paymentKey: fc.option(paymentKey, { freq: 2 }),
      amountMicros: fc.option(fc.oneof(cents, amount), { freq: 2 }),
      whileFrozen: fc.boolean(),
    })
    .map((request) => ({
      type: 'reserve_payment_refund',
      key: ledgerKey('payment_refund', `${number}`),
      requestHash: requestHash(request).toString('hex'),
      ...request,
      unitMicros: 10_000n,
      actor,
      detail: { reason: 'zwölf' },
    }));

/** Of the last or the first part of the reservation, or of a refund that was made at Stripe. */
export const moneyBackCommand = (number: number, isOurs: boolean): fc.Arbitrary<Command> => {
  const reservation = ledgerKey('payment_refund', `${number}`);
  const ours = fc.constantFrom(reservation, ledgerKey('payment_refund_part', `${reservation} 1`));
  return fc
    .record({
      refundId: isOurs ? ours : fc.constant(`re_${number}`),
      paymentKey,
      amountMicros: cents,
      failed: fc.boolean(),
    })
    .map((request) => ({
      type: 'apply_payment_refund',
      ...request,
      actor,
      detail: { refundId: `re_${number}` },
    }));
};

export const disputeCommand = (number: number): fc.Arbitrary<Command> =>
  fc
    .record({
      paymentKey: fc.constant(paymentKeys[number % 2] ?? ''),
      state: fc.constantFrom('inquiry', 'inquiry_closed', 'open', 'open', 'lost', 'won'),
      withdrawnMicros: fc.constantFrom(0n, 1_000_000n, 1_000_000n, 2_000_000n),
      reinstatedMicros: fc.constantFrom(0n, 0n, 1_000_000n),
    })
    .map(({ withdrawnMicros, reinstatedMicros, ...request }) => {
      const isInquiry = request.state.startsWith('inquiry');
      return {
        type: 'apply_dispute',
        disputeId: `du_${number}`,
        amountMicros: 2_000_000n,
        ...request,
        withdrawnMicros: isInquiry ? 0n : withdrawnMicros,
        reinstatedMicros: isInquiry ? 0n : reinstatedMicros,
        actor,
        detail: { reason: 'fraudulent' },
      };
    });

export const command = fc.oneof(
  { weight: 2, arbitrary: statusCommand('open', 'open', 'frozen', 'closed') },
  { weight: 3, arbitrary: fc.nat(keyCount - 1).chain(refundCommand) },
  { weight: 1, arbitrary: fc.nat(keyCount - 1).chain(rerateCommand) },
  { weight: 1, arbitrary: openCommand },
  { weight: 6, arbitrary: chargeCommand() },
  { weight: 4, arbitrary: creditCommand },
  { weight: 2, arbitrary: limitsCommand },
);
