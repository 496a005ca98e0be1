import type { Browser } from './browser.ts';

/** What the global setup started, for the tests. */
export interface Wallet {
  readonly url: string;
  /** The Stripe stand-in, with its controls. */
  readonly stripeUrl: string;
  /** `dev.env` of the server: its secrets, the demo API key, its database. */
  readonly variables: Readonly<Record<string, string | undefined>>;
  /** All that the server wrote, at the level `info`. */
  readonly logPath: string;
}

interface Setup {
  readonly wallet: Wallet;
  readonly browser: Browser;
}

/** The only way from the global setup to the processes that run the tests is the environment. */
const VARIABLE = 'WALLET_BROWSER_TESTS';

export function handOver(setup: Setup): void {
  process.env[VARIABLE] = JSON.stringify(setup);
}

/** What was started; null before the global setup has run, where only the settings are read. */
export function setupOrNull(): Setup | null {
  const text = process.env[VARIABLE];
  return text === undefined ? null : (JSON.parse(text) as Setup);
}

/** The server under test. */
export function startedWallet(): Wallet {
  const setup = setupOrNull();
  if (setup === null) {
    throw new Error('no server was started: run the tests through playwright test');
  }
  return setup.wallet;
}

/** One of the server's variables, which must be set. */
export function variable(name: string): string {
  const value = startedWallet().variables[name];
  if (!value) {
    throw new Error(`the server under test has no ${name}`);
  }
  return value;
}
