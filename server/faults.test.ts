import postgres from 'postgres';
import { describe, expect, it } from 'vitest';
import { asFault, Fault } from './faults.ts';

function withCode(code: string): Error {
  return Object.assign(new Error('connect failed at 10.0.0.7:5432'), { code });
}

describe('asFault', () => {
  it('leaves a fault as it is', () => {
    const fault = new Fault('KEY_REUSED');
    expect(asFault(fault)).toBe(fault);
  });

  it.each([
    'ECONNREFUSED',
    'ECONNRESET',
    'ENOTFOUND',
    'CONNECTION_CLOSED',
    'CONNECTION_ENDED',
    'CONNECT_TIMEOUT',
  ])('says that the database is unavailable, and when to retry, on %s', (code) => {
    const fault = asFault(withCode(code));
    expect(fault).toMatchObject({ code: 'DATABASE_UNAVAILABLE', status: 503 });
    expect(fault.retryAfterSeconds).toBeGreaterThan(0);
  });

  it.each(['57P01', '57P03', '53100', '53300', '58030', '08006'])(
    'says that the database is unavailable on its SQLSTATE %s',
    (code) => {
      const error = Object.assign(Object.create(postgres.PostgresError.prototype), {
        name: 'PostgresError',
        code,
      });
      expect(asFault(error).code).toBe('DATABASE_UNAVAILABLE');
    },
  );

  it.each(['40001', '40P01', '55P03', '57014'])(
    'says that the call may be made again when the database undid it (SQLSTATE %s)',
    (code) => {
      const error = Object.assign(Object.create(postgres.PostgresError.prototype), {
        name: 'PostgresError',
        code,
      });
      const fault = asFault(error);
      expect(fault).toMatchObject({ code: 'OVERLOADED', status: 503 });
      expect(fault.retryAfterSeconds).toBeGreaterThan(0);
    },
  );

  it.each([
    new Error('select secret from t'),
    withCode('23505'),
    new TypeError('x is undefined'),
    'text',
    null,
  ])('answers 500 without a word of the cause to anything else (%s)', (error) => {
    const fault = asFault(error);
    expect(fault).toMatchObject({
      code: 'INTERNAL',
      status: 500,
      publicMessage: 'Something went wrong on our side.',
    });
    expect(fault.cause).toBe(error);
  });

  it('keeps the internal message apart from the public one', () => {
    const fault = new Fault('BAD_REQUEST', { message: 'column x', publicMessage: 'amount: bad' });
    expect(fault.message).toBe('column x');
    expect(fault.publicMessage).toBe('amount: bad');
  });
});
