/** The month, as a cron closes it and asks how it stands. */
import { expect } from '@playwright/test';
import { startedWallet, variable } from './wallet.ts';

export interface Run {
  readonly runId: string;
  readonly period: string;
}

export interface RunStatus {
  readonly period: string;
  readonly status: string;
  readonly wallets: { readonly total: number; readonly billed: number; readonly failed: number };
}

export const MONTHLY = '/api/billing/monthly';

/** Starts the month that is due, or finds it started. */
export async function closeMonth(): Promise<Run> {
  const response = await fetch(`${startedWallet().url}${MONTHLY}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${variable('BILLING_CRON_TOKEN')}` },
  });
  expect(response.status).toBe(202);
  return (await response.json()) as Run;
}

export async function monthStatus(): Promise<RunStatus> {
  const response = await fetch(`${startedWallet().url}${MONTHLY}`, {
    headers: { authorization: `Bearer ${variable('BILLING_CRON_TOKEN')}` },
  });
  return (await response.json()) as RunStatus;
}

/** Starts it, and waits until every wallet is closed. */
export async function closedMonth(): Promise<Run> {
  const run = await closeMonth();
  await expect.poll(async () => (await monthStatus()).status).toBe('finished');
  return run;
}
