/** What the compiler must know of answers: each `switch` here ends in `never`, or tsc fails. */
import { describe, expect, expectTypeOf, it } from 'vitest';
import {
  type AuthorizeAnswer,
  type BillingClient,
  type CaptureAnswer,
  type ChargeAnswer,
  type ChargeSpool,
  createBillingClient,
  describeRefusal,
  type ExtendAnswer,
  type GrantAnswer,
  type QuoteAnswer,
  type RefundAnswer,
  type Refusal,
  type VoidAnswer,
} from './client.ts';

function nextStepAfterCharge(answer: ChargeAnswer): string {
  if (answer.ok) {
    return `charged ${answer.amountMicros}`;
  }
  switch (answer.code) {
    case 'INSUFFICIENT_FUNDS':
      return `top up ${answer.shortfallMicros}`;
    case 'NO_RATE':
      return answer.message;
    case 'KEY_REUSED':
      return `was event ${answer.seq}`;
    case 'WALLET_NOT_FOUND':
    case 'WALLET_FROZEN':
    case 'WALLET_CLOSED':
    case 'LIMIT_EXCEEDED':
      return answer.code;
    default: {
      const nothingElse: never = answer;
      return nothingElse;
    }
  }
}

function nextStepOfCall(
  answer: AuthorizeAnswer | ExtendAnswer | CaptureAnswer | VoidAnswer,
): string {
  if (answer.ok) {
    return answer.holdId;
  }
  switch (answer.code) {
    case 'INSUFFICIENT_FUNDS':
      return `top up ${answer.shortfallMicros}`;
    case 'NO_RATE':
      return answer.message;
    case 'KEY_REUSED':
    case 'WALLET_NOT_FOUND':
    case 'WALLET_FROZEN':
    case 'WALLET_CLOSED':
    case 'LIMIT_EXCEEDED':
    case 'HOLD_NOT_FOUND':
    case 'HOLD_NOT_OPEN':
      return answer.code;
    default: {
      const nothingElse: never = answer;
      return nothingElse;
    }
  }
}

function leftAfterRefund(answer: RefundAnswer): string {
  if (answer.ok) {
    return answer.balanceMicros;
  }
  switch (answer.code) {
    case 'NOT_REFUNDABLE':
      return answer.refundableMicros;
    case 'KEY_REUSED':
    case 'WALLET_NOT_FOUND':
    case 'WALLET_CLOSED':
    case 'LIMIT_EXCEEDED':
      return answer.code;
    default: {
      const nothingElse: never = answer;
      return nothingElse;
    }
  }
}

function answeredBySpool(answer: Awaited<ReturnType<ChargeSpool['charge']>>): string {
  if (!answer.ok) {
    return answer.code;
  }
  return answer.spooled ? 'later' : answer.amountMicros;
}

describe('the types of answers', () => {
  it('know every refusal, so that a switch over them can be complete', () => {
    expect(nextStepAfterCharge({ ok: false, code: 'WALLET_FROZEN' })).toBe('WALLET_FROZEN');
    expect(nextStepOfCall({ ok: false, code: 'HOLD_NOT_OPEN' })).toBe('HOLD_NOT_OPEN');
    expect(leftAfterRefund({ ok: false, code: 'NOT_REFUNDABLE', refundableMicros: '7' })).toBe('7');
    expectTypeOf<Extract<QuoteAnswer, { ok: false }>['code']>().toEqualTypeOf<
      'WALLET_NOT_FOUND' | 'NO_RATE'
    >();
    expectTypeOf<Extract<GrantAnswer, { ok: false }>['code']>().toExtend<Refusal['code']>();
  });

  it('tell what is spooled from what is charged', () => {
    expect(answeredBySpool({ ok: true, spooled: true })).toBe('later');
    expectTypeOf<Awaited<ReturnType<ChargeSpool['charge']>>>().toExtend<{ ok: boolean }>();
  });

  it('are words where people read them', () => {
    expect(describeRefusal({ ok: false, code: 'HOLD_NOT_OPEN' })).toBe(
      'The hold is no longer open.',
    );
  });
});

describe('the options of every procedure', () => {
  it('are a signal, a time and a number of tries, also where the input may be left out', () => {
    type Last<Call extends (...args: never) => unknown> = Exclude<
      Parameters<Call>[1 & keyof Parameters<Call>],
      undefined
    >;
    expectTypeOf<Last<BillingClient['usage']['charge']['mutate']>>().toExtend<{
      signal?: AbortSignal | undefined;
      timeoutMs?: number | undefined;
    }>();
    const client = createBillingClient({ url: 'http://127.0.0.1:1', apiKey: 'sk_x' });
    const callable = () => [
      client.billing.status.query(),
      client.rateCards.list.query(undefined, { timeoutMs: 5 }),
      client.wallets.list.query({}, { signal: AbortSignal.abort() }),
      // @ts-expect-error a time without its unit
      client.wallets.list.query({}, { timeout: 5 }),
    ];
    expect(callable).toBeTypeOf('function');
  });
});
