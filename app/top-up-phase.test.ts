import { describe, expect, it } from 'vitest';
import type { TopUpView } from '../server/views/top-ups.ts';
import { isAwaited, isOver, topUpPhase } from './top-up-phase.ts';

const updatedAt = new Date('2026-11-12T14:00:00Z');
const afterSeconds = (seconds: number) => updatedAt.getTime() + seconds * 1000;

function phase(
  status: TopUpView['status'],
  { creditedSeq = null as bigint | null, isConfirmed = false, seconds = 1 } = {},
) {
  return topUpPhase(
    { status, creditedSeq, updatedAt },
    { isConfirmed, nowMs: afterSeconds(seconds) },
  );
}

describe('topUpPhase', () => {
  it('is received only when the ledger holds the event', () => {
    expect(phase('succeeded')).toBe('processing');
    expect(phase('succeeded', { creditedSeq: 3n })).toBe('received');
  });

  it('waits for the word of Stripe when the page was told that the payment went through', () => {
    expect(phase('created')).toBe('unfinished');
    expect(phase('created', { isConfirmed: true })).toBe('processing');
    expect(phase('requires_action')).toBe('action_needed');
    expect(phase('requires_action', { isConfirmed: true })).toBe('processing');
  });

  it('does not show the failure of an earlier card while the accepted one is on its way', () => {
    expect(phase('failed', { isConfirmed: true, seconds: 30 })).toBe('processing');
    expect(phase('failed', { isConfirmed: true, seconds: 600 })).toBe('failed');
    expect(phase('failed', { seconds: 30 })).toBe('failed');
  });

  it('names the other ends', () => {
    expect(phase('canceled')).toBe('canceled');
    expect(phase('quarantined')).toBe('under_review');
  });

  it('asks again only while something may still change by itself', () => {
    expect(['processing', 'unfinished', 'action_needed'].every((p) => isAwaited(p as never))).toBe(
      true,
    );
    expect(isAwaited('received')).toBe(false);
    expect(isAwaited('failed')).toBe(false);
  });

  it('keeps the attempt of a failed top-up, so that another card pays the same one', () => {
    expect(isOver('failed')).toBe(false);
    expect(isOver('received')).toBe(true);
  });
});
