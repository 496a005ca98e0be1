/** What every command does when it cannot do what it was asked. */
import { describeDatabaseFailure } from './database-failure.ts';
import type { Output } from './output.ts';

/** What the command line asked for makes no sense; the message says why. */
export class UsageError extends Error {}

/**
 * Says why it was not done, after the help when the command was misused, so that the reason is the
 * last thing on the terminal. Returns the exit code: 1 failed, 2 misused.
 */
export async function reportFailure(error: unknown, help: string, output: Output): Promise<1 | 2> {
  if (error instanceof UsageError) {
    await output.err(`${help}\n${error.message}\n`);
    return 2;
  }
  await output.err(`${describeDatabaseFailure(error)}\n`);
  return 1;
}
