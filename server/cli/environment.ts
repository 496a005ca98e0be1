/** The variables that commands run with. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseEnv } from 'node:util';
import { type EnvSource, loadEnv } from '../env.ts';

export const DEFAULT_DATA_DIR = '.data';

/** Where a development server leaves its variables for commands in other terminals. */
export function devEnvPath(dataDir: string): string {
  return join(dataDir, 'dev.env');
}

/** The variables that a development server left in its DATA_DIR; none when there was never one. */
export function readDevEnv(dataDir: string): EnvSource {
  try {
    return parseEnv(readFileSync(devEnvPath(dataDir), 'utf8'));
  } catch {
    return {};
  }
}

/**
 * The process's variables with those of `.env.local` and `.env`. Where neither names a database,
 * nor production, those of this folder's development server stand behind them, so that a command
 * in another terminal finds it with nothing configured.
 */
export function commandEnv(): EnvSource {
  const given = loadEnv(process.cwd());
  if (given.DATABASE_URL !== undefined || given.NODE_ENV === 'production') {
    return given;
  }
  return { ...readDevEnv(given.DATA_DIR ?? DEFAULT_DATA_DIR), ...given };
}
