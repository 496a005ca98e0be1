/** Random histories of wallets: what services, support staff and time do to them. */
import fc from 'fast-check';
import type { Command } from './decide.ts';
import type { WalletMode } from './events.ts';
import { ledgerKey, requestHash, usageKey } from './key.ts';
import type { SpendingLimit } from './limit-list.ts';
import { unitsThisMonth } from './monthly-units.ts';
import { findOriginal } from './originals.ts';
import type { RerateUsage } from './rerating.ts';
import type { OpenWallet, Report, WalletState, WalletStatus } from './state.ts';

const keyCount = 8;
const holdCount = 6;
export const actor = 'service:model test';

/** What happens to a wallet: a command, once more the same, a change by support staff, or time. */
export type Step = { readonly wallet: number } & (
  | { readonly type: 'wait'; readonly seconds: number }
  | { readonly type: 'again' }
  | {
      readonly type: 'command';
      readonly command: Command;
      /** When a grant expires, from the moment on which it is granted. */
      readonly expiresInSeconds?: number;
      /** When a subscription starts and ends, likewise. */
      readonly runsInSeconds?: { readonly startsAtMs?: number; readonly endsAtMs?: number };
    }
  | { readonly type: 'close_months' }
  | { readonly type: 'set_overdraft'; readonly limitMicros: bigint }
);

const smallAmount = fc.oneof(
  fc.constantFrom(0n, 1n, 375_000n, 1_000_000n),
  fc.bigInt({ min: -1n, max: 5_000_000n }),
);
const hugeAmount = fc.constantFrom(2n ** 53n + 1n, 10n ** 18n, 10n ** 18n + 1n, 2n ** 63n - 1n);
const amount = fc.oneof(
  { weight: 4, arbitrary: smallAmount },
  { weight: 2, arbitrary: hugeAmount },
);

/** The command of a step that is taken now. */
export function commandOf(
  { command: planned, expiresInSeconds, runsInSeconds }: Extract<Step, { type: 'command' }>,
  nowMs: number,
  state: WalletState,
): Command {
  const command = state.opened ? plannedNow(planned, { ...state, atMs: nowMs }) : planned;
  if (runsInSeconds !== undefined) {
    const runs = Object.entries(runsInSeconds).map(([name, s]) => [name, nowMs + s * 1_000]);
    return { ...command, ...Object.fromEntries(runs) };
  }
  return command.type === 'grant_credit' && expiresInSeconds !== undefined
    ? { ...command, expiresAtMs: nowMs + expiresInSeconds * 1_000 }
    : command;
}

/** Stands for the units that the wallet has used when the step is taken. */
const unitsNow = -1;

/** The breakdown of usage whose price depends on the month. */
const monthly = (counter: string, billedUnits: number, unitsBefore = unitsNow) => ({
  price: { billedUnits, monthly: { counter, unitsBefore } },
});

function plannedNow(command: Command, wallet: OpenWallet): Command {
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
const usage = fc.constantFrom(
  { type: 'call', to: '+14155550132' },
  { type: 'call', to: 'sip:+1900-555-0101@pbx.example' },
  { type: 'sms', to: '0019005550101' },
  { type: 'sms', to: '+4930123456' },
  { type: 'email' },
);

/** The breakdown of what nobody pays. */
const goodwill = { goodwillMicros: '375000' };

const openCommand: fc.Arbitrary<Command> = fc.record({
  type: fc.constant('open_wallet'),
  userId: fc.constant('user'),
  currency: fc.constant('USD'),
  timezone: fc.constantFrom('UTC', 'Europe/Berlin', 'America/Havana'),
  mode: fc.constantFrom<WalletMode>('live', 'deferred'),
  actor: fc.constant(actor),
});

const chargeCommand = (id = identified): fc.Arbitrary<Command> =>
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

const creditCommand: fc.Arbitrary<Command> = fc
  .record({
    id: identified,
    type: fc.constantFrom<'grant_credit' | 'credit_top_up'>('grant_credit', 'credit_top_up'),
    amountMicros: amount,
  })
  .map(({ id, ...request }) => ({ ...identity(id, request), ...request }));

/** Mostly small, so that usage burns several; 60 seconds is also how long holds last. */
const grantCommand: fc.Arbitrary<
  Pick<Extract<Step, { type: 'command' }>, 'command' | 'expiresInSeconds'>
> = fc
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
const sharedCount = 2;
const referenceOf = (number: number) => `${number < sharedCount ? 'ref' : 'hold'}-${number}`;
/** The last ones do not say at once what type of usage they are for. */
const typedCount = holdCount - 2;

const authorizeCommand = (number: number): fc.Arbitrary<Command> =>
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

const extendCommand = (number: number): fc.Arbitrary<Command> =>
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

const captureCommand = (number: number): fc.Arbitrary<Command> =>
  fc
    .record({ priced, overrun: fc.constantFrom<'refuse' | 'arrears'>('refuse', 'arrears') })
    .map(({ priced, overrun }) => ({
      type: 'capture_hold',
      ...holdIdentity('capture', number, priced),
      ...priced,
      overrun,
    }));

const voidCommand = (number: number): fc.Arbitrary<Command> =>
  fc.constant({ type: 'void_hold', ...holdIdentity('void', number, {}) });

/** Of a charge or a hold of this number, which may be there or not, in full or in part. */
const refundCommand = (number: number): fc.Arbitrary<Command> =>
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
const rerateCommand = (number: number): fc.Arbitrary<Command> =>
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
const limit: fc.Arbitrary<SpendingLimit> = fc.record({
  period: fc.constantFrom('day', 'month'),
  amountMicros: fc.oneof(
    { weight: 30, arbitrary: limitAmount },
    { weight: 1, arbitrary: fc.constantFrom(-1n, 10n ** 18n + 1n) },
  ),
  type: fc.constantFrom(null, null, 'call', 'sms'),
  prefix: fc.constantFrom(null, null, '1', '1900'),
});
const limitsCommand: fc.Arbitrary<Command> = fc
  .array(limit, { maxLength: 3 })
  .map((limits) => ({ type: 'set_limits', limits, actor }));

const statusCommand = (...statuses: WalletStatus[]): fc.Arbitrary<Command> =>
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

const reserveCommand = (number: number): fc.Arbitrary<Command> =>
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
const moneyBackCommand = (number: number, isOurs: boolean): fc.Arbitrary<Command> => {
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

const disputeCommand = (number: number): fc.Arbitrary<Command> =>
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

const command = fc.oneof(
  { weight: 2, arbitrary: statusCommand('open', 'open', 'frozen', 'closed') },
  { weight: 3, arbitrary: fc.nat(keyCount - 1).chain(refundCommand) },
  { weight: 1, arbitrary: fc.nat(keyCount - 1).chain(rerateCommand) },
  { weight: 1, arbitrary: openCommand },
  { weight: 6, arbitrary: chargeCommand() },
  { weight: 4, arbitrary: creditCommand },
  { weight: 2, arbitrary: limitsCommand },
);

const wallet = fc.constantFrom(0, 0, 0, 1, 1, 1, 2);

const stepOf = (wallet: number, command: Command): Step => ({ type: 'command', wallet, command });
const wait: fc.Arbitrary<Step> = fc.record({
  type: fc.constant('wait'),
  wallet,
  // Now and then the day ends, or the month.
  seconds: fc.constantFrom(5, 5, 30, 30, 60, 60, 45_000, 1_700_000),
});

/** What befalls one hold, in any order. */
const holdSteps: fc.Arbitrary<Step[]> = fc
  .tuple(wallet, fc.nat(holdCount - 1))
  .chain(([wallet, number]) => {
    const onHold = fc.oneof(
      { weight: 5, arbitrary: extendCommand(number) },
      { weight: 3, arbitrary: captureCommand(number) },
      { weight: 1, arbitrary: voidCommand(number) },
      { weight: 2, arbitrary: refundCommand(number) },
      { weight: 1, arbitrary: rerateCommand(number) },
    );
    return fc.tuple(
      authorizeCommand(number).map((command) => stepOf(wallet, command)),
      fc.array(
        fc.oneof(
          { weight: 4, arbitrary: onHold.map((command) => stepOf(wallet, command)) },
          { weight: 1, arbitrary: limitsCommand.map((command) => stepOf(wallet, command)) },
          { weight: 3, arbitrary: wait },
          { weight: 3, arbitrary: again(wallet) },
        ),
        {
          maxLength: 8,
        },
      ),
    );
  })
  .map(([authorize, steps]) => [authorize, ...steps]);

/**
 * A charge, or a hold that runs out after a heartbeat, with its refunds and re-ratings; late records
 * come too.
 */
const refundSteps: fc.Arbitrary<Step[]> = fc
  .tuple(wallet, fc.nat(holdCount - 1), fc.boolean())
  .chain(([wallet, number, isHold]) => {
    const original = isHold
      ? [authorizeCommand(number), extendCommand(number)]
      : [chargeCommand(fc.record({ reference: fc.constant(number), plain: fc.boolean() }))];
    const late = fc.oneof(
      { weight: 3, arbitrary: refundCommand(number) },
      { weight: 3, arbitrary: rerateCommand(number) },
      ...(isHold ? [captureCommand(number), voidCommand(number)] : []),
    );
    const first = fc.oneof(refundCommand(number), rerateCommand(number));
    return fc
      .tuple(fc.tuple(...original), first, fc.array(late, { maxLength: 5 }))
      .map(([before, first, after]): Step[] => [
        ...before.map((command) => stepOf(wallet, command)),
        ...(isHold ? [{ type: 'wait', wallet, seconds: 60 } as const] : []),
        ...[first, ...after].map((command) => stepOf(wallet, command)),
      ]);
  });

/** A hold that ran out after a heartbeat and was charged more by a re-rating, and what comes then. */
const reratedHoldSteps: fc.Arbitrary<Step[]> = fc
  .tuple(wallet, fc.nat(typedCount - 1))
  .chain(([wallet, number]) => {
    const heartbeat: Command = {
      type: 'extend_hold',
      holdId: `${number}`,
      report: { usage: { type: 'call', to: '+14155550132' }, units: 61, breakdown: {} },
      amountMicros: 200_000n,
      addMicros: null,
      ttlSeconds: null,
      actor,
    };
    const placed = { amountMicros: 375_000n, pricing: { at: 'then' }, ttlSeconds: 60, detail: {} };
    const debit = { reratingId: '0', ...reratings[0], billedMicros: 0n, priceMicros: 375_001n };
    const later = fc.oneof(
      refundCommand(number),
      captureCommand(number),
      voidCommand(number),
      rerateCommand(number),
    );
    return fc
      .tuple(authorizeCommand(number), rerateCommand(number), fc.array(later, { maxLength: 4 }))
      .map(([authorize, rerate, after]): Step[] => [
        stepOf(wallet, { ...authorize, ...placed } as Command),
        stepOf(wallet, heartbeat),
        { type: 'wait', wallet, seconds: 60 },
        // This one comes too late, and finds that the hold ran out.
        stepOf(wallet, heartbeat),
        stepOf(wallet, { ...rerate, ...debit } as Command),
        ...after.map((command) => stepOf(wallet, command)),
      ]);
  });

/** The charge of what a heartbeat or a capture may have said, of which there is not much else. */
const recordedCommand = (number: number): fc.Arbitrary<Command> =>
  fc.constantFrom('+14155550132', '+19005550101').map((to) => {
    const asked = { amountMicros: 20_000n, overrun: 'arrears' as const };
    const { detail, ...id } = identity({ reference: number, plain: true }, { to });
    const usage = { type: 'call', to, from: '+4930123456' };
    return { type: 'charge_wallet', ...id, ...asked, detail: { ...detail, usage } };
  });

/** Usage that is authorized and charged, in any order: what billed it first bills it. */
const twoDoorsSteps: fc.Arbitrary<Step[]> = fc
  .tuple(wallet, fc.nat(sharedCount - 1))
  .chain(([wallet, number]) => {
    const id = fc.record({ reference: fc.constant(number), plain: fc.boolean() });
    const charge = fc.oneof(
      { weight: 3, arbitrary: recordedCommand(number) },
      { weight: 1, arbitrary: chargeCommand(id) },
    );
    const next = fc.oneof(
      { weight: 3, arbitrary: charge },
      { weight: 1, arbitrary: authorizeCommand(number) },
      { weight: 1, arbitrary: extendCommand(number) },
      { weight: 2, arbitrary: captureCommand(number) },
      { weight: 2, arbitrary: voidCommand(number) },
      { weight: 1, arbitrary: refundCommand(number) },
    );
    const step = fc.oneof(
      { weight: 8, arbitrary: next.map((command) => stepOf(wallet, command)) },
      { weight: 1, arbitrary: fc.constant<Step>({ type: 'wait', wallet, seconds: 60 }) },
      { weight: 2, arbitrary: again(wallet) },
    );
    const first = fc.oneof({ weight: 3, arbitrary: authorizeCommand(number) }, charge);
    return fc.tuple(
      first.map((command) => stepOf(wallet, command)),
      fc.array(step, { minLength: 2, maxLength: 8 }),
    );
  })
  .map(([first, steps]) => [first, ...steps]);

/** The third wallet, opened and closed while nothing is in it, or only a hold of nothing. */
const closingSteps: fc.Arbitrary<Step[]> = fc
  .tuple(openCommand, fc.boolean(), authorizeCommand(0), statusCommand('closed'))
  .map(([open, withHold, authorize, close]) => {
    const placed = { ...authorize, amountMicros: 0n } as Command;
    return [open, ...(withHold ? [placed] : []), close, close].map((step) => stepOf(2, step));
  });

/** Credit that expires around a hold which began to spend it, and what the hold's end brings back. */
const creditSteps: fc.Arbitrary<Step[]> = fc
  .tuple(wallet, fc.nat(holdCount - 1))
  .chain(([wallet, number]) => {
    const granted = grantCommand.map((grant): Step => ({ type: 'command', wallet, ...grant }));
    const waited = fc.constantFrom<Step>(
      { type: 'wait', wallet, seconds: 30 },
      { type: 'wait', wallet, seconds: 60 },
    );
    const between = fc.oneof(
      { weight: 3, arbitrary: granted },
      { weight: 1, arbitrary: waited },
      { weight: 1, arbitrary: chargeCommand().map((command) => stepOf(wallet, command)) },
    );
    const ended = fc.oneof(captureCommand(number), voidCommand(number));
    return fc.tuple(
      granted,
      between,
      authorizeCommand(number).map((command) => stepOf(wallet, command)),
      extendCommand(number).map((command) => stepOf(wallet, command)),
      between,
      waited,
      ended.map((command) => stepOf(wallet, command)),
      waited,
    );
  });

/** A hold under a limit, which heartbeats and the final record may go beyond. */
const limitedSteps: fc.Arbitrary<Step[]> = fc
  .tuple(wallet, fc.nat(holdCount - 1))
  .chain(([wallet, number]) =>
    fc
      .tuple(
        limitsCommand,
        authorizeCommand(number),
        fc.oneof(extendCommand(number), chargeCommand()),
        fc.oneof({ weight: 2, arbitrary: captureCommand(number) }, voidCommand(number)),
      )
      .map((commands) => commands.map((command) => stepOf(wallet, command))),
  );

/** What comes back of payments: refunds of both kinds, disputes, and people who freeze meanwhile. */
const moneyBackSteps: fc.Arbitrary<Step[]> = wallet.chain((wallet) =>
  fc
    .array(
      fc.oneof(
        { weight: 3, arbitrary: fc.nat(2).chain(reserveCommand) },
        {
          weight: 4,
          arbitrary: fc
            .tuple(fc.nat(2), fc.boolean())
            .chain(([number, isOurs]) => moneyBackCommand(number, isOurs)),
        },
        { weight: 5, arbitrary: fc.nat(2).chain(disputeCommand) },
        { weight: 1, arbitrary: statusCommand('open', 'frozen') },
        { weight: 1, arbitrary: chargeCommand() },
        { weight: 1, arbitrary: creditCommand },
      ),
      { minLength: 2, maxLength: 8 },
    )
    .map((commands) => commands.map((command) => stepOf(wallet, command))),
);

const addSubscriptionStep = (wallet: number, number: number): fc.Arbitrary<Step> =>
  fc
    .record({
      kind: fc.constantFrom('plan', 'number'),
      monthlyMicros: fc.oneof(
        { weight: 9, arbitrary: fc.constantFrom(1n, 999_999n, 4_000_000n) },
        { weight: 1, arbitrary: fc.constantFrom(0n, 10n ** 15n, 10n ** 15n + 1n) },
      ),
      startsAtMs: fc.constantFrom(null, 0, 45_000, 1_700_000, -5_000_000),
      endsAtMs: fc.constantFrom(null, null, 1_700_000, -45_000),
    })
    .map(({ startsAtMs, endsAtMs, ...request }) => ({
      type: 'command',
      wallet,
      command: {
        type: 'add_subscription',
        key: ledgerKey('subscription', `${number}`),
        requestHash: requestHash({ ...request, startsAtMs }).toString('hex'),
        subscriptionId: `${number}`,
        ...request,
        description: 'zwölf "numbers"',
        startsAtMs: null,
        endsAtMs: null,
        actor,
      } as Command,
      runsInSeconds: {
        ...(startsAtMs !== null && { startsAtMs }),
        ...(endsAtMs !== null && { endsAtMs }),
      },
    }));

const endSubscriptionStep = (wallet: number, number: number): fc.Arbitrary<Step> =>
  fc.constantFrom(null, 0, 1_700_000, -45_000, -5_000_000).map((endsAtMs) => ({
    type: 'command',
    wallet,
    command: { type: 'end_subscription', subscriptionId: `${number}`, endsAtMs: null, actor },
    ...(endsAtMs !== null && { runsInSeconds: { endsAtMs } }),
  }));

/** Recurring fees over months that pass, and are closed in time, late or twice. */
const subscriptionSteps: fc.Arbitrary<Step[]> = fc
  .tuple(wallet, fc.nat(2))
  .chain(([wallet, number]) =>
    fc
      .tuple(
        addSubscriptionStep(wallet, number),
        fc.array(
          fc.oneof(
            {
              weight: 2,
              arbitrary: fc.constant<Step>({ type: 'wait', wallet, seconds: 1_700_000 }),
            },
            { weight: 3, arbitrary: fc.constant<Step>({ type: 'close_months', wallet }) },
            { weight: 2, arbitrary: fc.nat(3).chain((n) => endSubscriptionStep(wallet, n)) },
            { weight: 1, arbitrary: fc.nat(3).chain((n) => addSubscriptionStep(wallet, n)) },
            { weight: 1, arbitrary: chargeCommand().map((command) => stepOf(wallet, command)) },
            { weight: 1, arbitrary: creditCommand.map((command) => stepOf(wallet, command)) },
          ),
          { minLength: 2, maxLength: 8 },
        ),
      )
      .map(([add, later]) => [add, ...later]),
  );

/** What is owed when a month is closed, and is paid in time, late, in part or not at all. */
const arrearsSteps: fc.Arbitrary<Step[]> = wallet.chain((wallet) => {
  const past: Step = { type: 'wait', wallet, seconds: 1_700_000 };
  const closing: Step = { type: 'close_months', wallet };
  const owed = fc.constantFrom(375_000n, 9_000_000n).map((amountMicros): Step => {
    const id = identity({ reference: 7, plain: true }, { owed: amountMicros });
    return stepOf(wallet, { type: 'charge_wallet', ...id, amountMicros, overrun: 'arrears' });
  });
  const later = fc.oneof(
    { weight: 3, arbitrary: creditCommand.map((command) => stepOf(wallet, command)) },
    { weight: 2, arbitrary: fc.constant(past) },
    { weight: 1, arbitrary: statusCommand('open', 'frozen').map((next) => stepOf(wallet, next)) },
    { weight: 1, arbitrary: disputeCommand(0).map((command) => stepOf(wallet, command)) },
    { weight: 1, arbitrary: fc.constant(closing) },
  );
  return fc
    .tuple(owed, fc.array(later, { minLength: 1, maxLength: 6 }))
    .map(([charge, steps]) => [charge, past, past, closing, past, ...steps]);
});

/** The wallet's last command once more, as after a lost reply. */
function again(wallet: number): fc.Arbitrary<Step> {
  return fc.constant({ type: 'again', wallet });
}

export const steps: fc.Arbitrary<Step[]> = fc.oneof(
  { weight: 4, arbitrary: holdSteps },
  { weight: 3, arbitrary: refundSteps },
  { weight: 2, arbitrary: reratedHoldSteps },
  { weight: 3, arbitrary: twoDoorsSteps },
  { weight: 3, arbitrary: creditSteps },
  { weight: 4, arbitrary: limitedSteps },
  { weight: 3, arbitrary: moneyBackSteps },
  { weight: 2, arbitrary: subscriptionSteps },
  { weight: 2, arbitrary: arrearsSteps },
  {
    weight: 12,
    arbitrary: fc.tuple(fc.record({ type: fc.constant('command'), wallet, command })),
  },
  {
    weight: 6,
    arbitrary: fc.tuple(
      fc
        .tuple(wallet, grantCommand)
        .map(([wallet, grant]): Step => ({ type: 'command', wallet, ...grant })),
    ),
  },
  { weight: 2, arbitrary: fc.tuple(wait) },
  { weight: 2, arbitrary: fc.tuple(wallet.chain(again)) },
  { weight: 1, arbitrary: closingSteps },
  {
    weight: 1,
    arbitrary: fc.tuple(
      fc.record({
        type: fc.constant('set_overdraft'),
        wallet,
        limitMicros: fc.constantFrom(0n, 1_000_000n, 10n ** 18n),
      }),
    ),
  },
);

/** Two wallets are open and funded from the beginning, one of each mode; the third must be opened. */
export const openings: Step[] = (['live', 'deferred'] as const).flatMap((mode, index) => [
  stepOf(index, {
    type: 'open_wallet',
    userId: 'user',
    currency: 'USD',
    timezone: mode === 'live' ? 'America/New_York' : 'UTC',
    mode,
    actor,
  }),
  stepOf(index, {
    type: 'credit_top_up',
    key: ledgerKey('top_up', 'opening'),
    requestHash: requestHash({}).toString('hex'),
    amountMicros: 2_000_000n,
    actor,
    detail: {},
  }),
  stepOf(index, {
    type: 'grant_credit',
    key: ledgerKey('grant', 'opening'),
    requestHash: requestHash({}).toString('hex'),
    amountMicros: 500_000n,
    actor,
    detail: {},
  }),
]);
