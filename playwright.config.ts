import { defineConfig } from '@playwright/test';
import { BROWSER_ARGS } from './e2e/browser.ts';
import { setupOrNull } from './e2e/wallet.ts';

const setup = setupOrNull();

export default defineConfig({
  testDir: 'e2e',
  globalSetup: './e2e/server.ts',
  // One wallet server serves them all, and two cores are enough for it and one browser.
  workers: 1,
  timeout: 60_000,
  expect: { timeout: 15_000 },
  forbidOnly: true,
  use: {
    ...(setup && { baseURL: setup.wallet.url }),
    locale: 'en-US',
    timezoneId: 'UTC',
    // Without a picture every moment, which would slow each test down.
    trace: { mode: 'retain-on-failure', screenshots: false },
    screenshot: 'only-on-failure',
    launchOptions: {
      args: [...BROWSER_ARGS],
      ...(setup && {
        executablePath: setup.browser.executablePath,
        env: { ...process.env, ...setup.browser.env },
      }),
    },
  },
});
