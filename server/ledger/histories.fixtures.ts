/** Random histories of wallets: what services, support staff and time do to them. */
import fc from 'fast-check';
import {
  actor,
  authorizeCommand,
  captureCommand,
  chargeCommand,
  command,
  creditCommand,
  disputeCommand,
  extendCommand,
  grantCommand,
  holdCount,
  identity,
  limitsCommand,
  moneyBackCommand,
  openCommand,
  plannedNow,
  refundCommand,
  rerateCommand,
  reratings,
  reserveCommand,
  sharedCount,
  statusCommand,
  typedCount,
  voidCommand,
} from './commands.fixtures.ts';
import type { Command } from './decide.ts';
import { ledgerKey, requestHash } from './key.ts';
import type { WalletState } from './state.ts';

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
