import { describe, expect, it } from 'vitest';
import { describeRun } from './subscriptions.ts';

describe('a recurring fee', () => {
  it('names its first and its last day in the time zone of the wallet', () => {
    const startsAt = '2026-08-31T22:00:00.000Z';
    expect(describeRun({ kind: 'number', startsAt, endsAt: null }, 'Europe/Berlin')).toBe(
      'Rented number from 1 Sept 2026',
    );
    const endsAt = '2026-11-30T23:00:00.000Z';
    expect(describeRun({ kind: 'plan', startsAt, endsAt }, 'Europe/Berlin')).toBe(
      'Plan from 1 Sept 2026 to 30 Nov 2026',
    );
  });
});
