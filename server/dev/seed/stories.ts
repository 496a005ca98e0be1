/** What three customers did: one pays at once, one on the 1st, and one too late. */
import { randomUUID } from 'node:crypto';
import { defaultRateCard } from '../../rating/default-rate-card.ts';
import type { Usage } from '../../rating/usage.ts';
import { DAY_MS, type Past } from './past.ts';
import { DRAFT_RULES, FIRST_RULES, ownCard, SECOND_RULES, THIRD_RULES } from './prices.ts';

const USA = '+14155550132';
const USA_TOO = '+14155550198';
const BRITAIN = '+442079460321';
const BRITISH_FAX = '+442079460018';
const GERMANY = '+4930901820';

const call = (to: string, durationSeconds: number): Usage => ({
  type: 'call',
  to,
  durationSeconds,
});
const sms = (to: string, segments: number): Usage => ({ type: 'sms', to, segments });
const fax = (pages: number): Usage => ({ type: 'fax', to: BRITISH_FAX, pages });
const email = (recipients: number): Usage => ({ type: 'email', recipients });
const files = (transfers: number, bytes: number): Usage => ({
  type: 'file_transfer',
  transfers,
  bytes,
});

/** What somebody does on a working day, counted from 0. */
function usageOfDay(day: number): Usage[] {
  return [
    call(USA, 60 + ((day * 137) % 540)),
    ...(day % 2 === 1 ? [sms(USA, 1 + (day % 3))] : []),
    ...(day % 3 === 0 ? [email(5 + day)] : []),
    ...(day % 5 === 0 ? [fax(1 + (day % 4))] : []),
    ...(day % 7 === 3 ? [files(2, 5_000_000)] : []),
  ];
}

/**
 * The demo user: prices of their own, of which one was wrong and is corrected; a plan that began in
 * the middle of a month and a number; late usage, a refund, an emergency call; and promotional credit,
 * some of which expires.
 */
export async function tellOfDemoUser(past: Past): Promise<void> {
  const { now, before, monthStart } = past;
  const story = past.customer('demo');
  const used = async (days: number, usage: Usage, hour?: number) => {
    await story.at(before(days, hour));
    return story.charge(usage);
  };

  await story.at(before(87));
  await story.publish(ownCard(1, { effectiveFrom: before(86), rules: FIRST_RULES }));
  await story.at(before(86));
  await story.open({ timezone: 'UTC', mode: 'live' });
  await story.grant(15_000_000n, 'Welcome credit');
  await story.subscribe({
    kind: 'plan',
    description: 'Business plan',
    monthlyMicros: 4_000_000n,
    startsAt: new Date((monthStart(3).getTime() + monthStart(2).getTime()) / 2),
  });
  await story.subscribe({
    kind: 'number',
    description: USA_TOO,
    monthlyMicros: 1_500_000n,
    startsAt: monthStart(2),
  });
  await used(84, call(USA, 420));
  await used(80, sms(USA, 3));
  await used(77, fax(2));
  await used(70, email(40));
  await used(66, files(3, 9_000_000));

  await used(55, call(BRITAIN, 900));
  await used(50, sms(GERMANY, 4));
  await used(45, fax(1));
  await used(40, email(12));
  await used(36, call(USA_TOO, 240));
  await story.at(before(35));
  const second = ownCard(2, { effectiveFrom: monthStart(1), rules: SECOND_RULES });
  await story.publish(second);

  await story.at(before(27));
  await story.rerate(second.id, 2, 'A minute to Britain was too dear');
  await story.charge(email(30), { occurredAt: before(33) });
  await used(24, call(USA, 330));
  await used(22, sms(USA, 2));
  await used(20, {
    type: 'sms',
    to: GERMANY,
    // Cyrillic leaves 67 characters for each segment.
    body: 'Ваш заказ отправлен. '.repeat(38),
  });
  const faxed = await used(17, fax(4));
  await story.refund({
    type: 'fax',
    referenceId: faxed,
    amountMicros: 150_000n,
    reason: 'One page could not be read',
  });
  await used(12, email(25));
  await story.at(before(9));
  await story.grant(30_000_000n, 'Thanks for testing the beta');
  await used(9, call(BRITAIN, 600));
  await used(9, call(BRITAIN, 1_260), 21);
  await used(6, call('112', 95));
  await used(3, files(6, 48_000_000));

  // On the first day of a month its own history is minutes old, never in the future.
  const minute = (minutes: number) =>
    new Date(Math.min(monthStart(0).getTime() + minutes * 60_000, now.getTime()));
  await story.at(minute(1));
  await story.charge(sms(GERMANY, 1), { occurredAt: before(2) });
  await story.at(minute(2));
  await story.charge(call(USA_TOO, 95));
  await story.at(minute(3));
  await story.charge(call('112', 40));
  for (let day = 0; before(-day, 9) < now; day += 1) {
    await story.at(before(-day, 9));
    for (const usage of usageOfDay(day)) {
      await story.charge(usage);
    }
  }
  await story.at(now);
  const inDays = (days: number) => new Date(now.getTime() + days * DAY_MS);
  await story.grant(2_500_000n, 'Autumn promotion', inDays(21));
  await story.publish(ownCard(3, { effectiveFrom: inDays(14), rules: THIRD_RULES }));
  await draftOfDefaultPrices(story.drafts);
}

/** A draft that is not published, to try it on the past. */
async function draftOfDefaultPrices(drafts: ReturnType<Past['customer']>['drafts']) {
  const actor = 'support:support';
  const id = randomUUID();
  await drafts.create({ id, basedOn: defaultRateCard.id }, actor);
  await drafts.changeRules(id, { put: DRAFT_RULES, remove: [] }, actor);
}

/** A customer in New York, whose usage is reserved at once and deducted on the 1st. */
export async function tellOfDeferredCustomer(past: Past): Promise<void> {
  const { now, before, monthStart } = past;
  const story = past.customer('acme');
  await story.at(before(57));
  await story.open({ timezone: 'America/New_York', mode: 'deferred' });
  await story.grant(60_000_000n, 'Opening credit');
  await story.subscribe({
    kind: 'plan',
    description: 'Team plan',
    monthlyMicros: 12_000_000n,
    startsAt: new Date((monthStart(2).getTime() + monthStart(1).getTime()) / 2),
  });
  for (let day = 0; before(56 - 2 * day, 15) < now; day += 1) {
    await story.at(before(56 - 2 * day, 15));
    for (const usage of usageOfDay(day)) {
      await story.charge(usage);
    }
  }
}

/** A customer in Berlin who owes: once suspended and open again since, now in the days of grace. */
export async function tellOfCustomerInArrears(past: Past): Promise<void> {
  const { now, before, monthStart } = past;
  const story = past.customer('late');
  await story.at(before(50));
  await story.open({ timezone: 'Europe/Berlin', mode: 'live' });
  await story.grant(5_000_000n, 'Welcome credit');
  await story.subscribe({
    kind: 'plan',
    description: 'Starter plan',
    monthlyMicros: 9_000_000n,
  });
  await story.at(before(45));
  await story.charge(fax(20));
  const daysIntoLastMonth = (days: number) =>
    new Date(monthStart(1).getTime() + days * DAY_MS + DAY_MS / 2);
  for (const day of [5, 7]) {
    await story.at(daysIntoLastMonth(day));
    await story.settle();
  }
  await story.at(daysIntoLastMonth(9));
  await story.grant(12_000_000n, 'Bank transfer of the customer');
  await story.at(before(10));
  await story.charge(sms(GERMANY, 30));
  await story.charge(call(BRITAIN, 12_000), { overrun: 'arrears' });
  // Late enough that its days of grace go on.
  await story.at(new Date(Math.max(monthStart(0).getTime(), now.getTime() - 3 * DAY_MS)));
  await story.closeMonth(1);
}
