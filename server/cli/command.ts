/** What every command shares: its arguments, its database, how it fails, and how it is started. */
import { pathToFileURL } from 'node:url';
import { type ParseArgsConfig, parseArgs } from 'node:util';
import { describeProblems, type EnvSource, type ReadEnv } from '../env.ts';
import { type ConnectOptions, connect, type Sql } from '../store/sql.ts';
import { describeDatabaseFailure } from './database-failure.ts';
import { commandEnv } from './environment.ts';
import { type Output, standardOutput } from './output.ts';

/** What the command line asked for makes no sense; the message says why. */
export class UsageError extends Error {}

/** The words of a command line that name no command, or more than one. */
export function notUnderstood(words: readonly string[]): UsageError {
  const why = words.length === 0 ? 'A command is missing.' : `Not understood: ${words.join(' ')}`;
  return new UsageError(why);
}

/** @throws UsageError when an option is given that the command does not have */
export function refuseForeignOptions(command: string, given: object, own: readonly string[]): void {
  const foreign = Object.keys(given).find((option) => !own.includes(option));
  if (foreign !== undefined) throw new UsageError(`--${foreign} does not belong to ${command}.`);
}

/** The options that a command has, by their names. */
type OptionsConfig = NonNullable<ParseArgsConfig['options']>;

/** What a command line gives: the options by their names, and the words beside them. */
export type Given<Options extends OptionsConfig> = ReturnType<typeof parse<Options>>;

function parse<Options extends OptionsConfig>(argv: readonly string[], options: Options) {
  const help = { type: 'boolean', short: 'h' } as const;
  try {
    return parseArgs({
      args: [...argv],
      allowPositionals: true,
      options: { ...options, help },
    });
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}

/**
 * Runs a command with its arguments, or shows its help. What `run` throws is said after the help
 * when the command was misused, so that the reason is the last thing on the terminal. Returns the
 * exit code: that of `run`, else 1 failed, 2 misused.
 */
export async function runCommand<const Options extends OptionsConfig>(
  command: {
    readonly argv: readonly string[];
    readonly options: Options;
    readonly help: string;
    readonly output: Output;
  },
  run: (given: Given<Options>) => Promise<number>,
): Promise<number> {
  const { argv, options, help, output } = command;
  try {
    const given = parse(argv, options);
    if ('help' in given.values) {
      await output.out(help);
      return 0;
    }
    return await run(given);
  } catch (error) {
    if (error instanceof UsageError) {
      await output.err(`${help}\n${error.message}\n`);
      return 2;
    }
    await output.err(`${describeDatabaseFailure(error)}\n`);
    return 1;
  }
}

/**
 * The part of the environment that a command needs.
 *
 * @throws Error that names each variable which is missing or malformed
 */
export function needed<Env>(read: ReadEnv<Env>): Env {
  if (!read.ok) throw new Error(describeProblems(read.problems));
  return read.env;
}

/** Connects for as long as `use` takes. */
export async function withDatabase<Result>(
  url: string,
  options: ConnectOptions,
  use: (sql: Sql) => Promise<Result>,
): Promise<Result> {
  const sql = connect(url, options);
  try {
    return await use(sql);
  } finally {
    await sql.end({ timeout: 1 });
  }
}

/** Runs a command when its file is the program, and not imported by another. */
export async function runAsProgram(
  fileUrl: string,
  run: (argv: readonly string[], source: EnvSource, output: Output) => Promise<number>,
): Promise<void> {
  if (fileUrl === pathToFileURL(process.argv[1] ?? '').href) {
    process.exitCode = await run(process.argv.slice(2), commandEnv(), standardOutput());
  }
}
