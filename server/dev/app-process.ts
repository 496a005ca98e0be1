/** The application as a child process, started again when a file of the server changes. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { watch } from 'node:fs';
import { fileURLToPath } from 'node:url';

const SERVER_DIRECTORY = fileURLToPath(new URL('..', import.meta.url));
const STOP_TIMEOUT_MS = 8_000;
/** Editors write a file in several steps. */
const SETTLE_MS = 150;

export interface AppProcess {
  stop(): Promise<void>;
}

/**
 * Starts `server/dev/app.ts`. The child ends when this process does, even by `kill -9`: the channel
 * between the two closes then. `onExit` hears of an end that nobody asked for.
 */
export function startAppProcess(options: {
  readonly env: NodeJS.ProcessEnv;
  readonly args: readonly string[];
  readonly reload: boolean;
  readonly onExit: (how: string) => void;
}): AppProcess {
  const entry = fileURLToPath(new URL('./app.ts', import.meta.url));
  const tsx = import.meta.resolve('tsx');
  const ending = new WeakSet<ChildProcess>();
  let child = launch();
  let turn: Promise<void> = Promise.resolve();
  let stopped = false;

  function launch(): ChildProcess {
    const launched = spawn(process.execPath, ['--import', tsx, entry, ...options.args], {
      env: options.env,
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
      // Ctrl-C reaches this process alone, which then stops the parts in their order.
      detached: true,
    });
    launched.once('exit', (code, signal) => {
      if (!ending.has(launched)) {
        options.onExit(signal ?? `exit code ${code}`);
      }
    });
    return launched;
  }

  async function end(running: ChildProcess): Promise<void> {
    ending.add(running);
    if (running.exitCode !== null || running.signalCode !== null) {
      return;
    }
    const timer = setTimeout(() => running.kill('SIGKILL'), STOP_TIMEOUT_MS);
    running.kill('SIGTERM');
    await once(running, 'exit');
    clearTimeout(timer);
  }

  function restart(): void {
    turn = turn.then(async () => {
      if (stopped) {
        return;
      }
      await end(child);
      child = launch();
    });
  }

  let settling: NodeJS.Timeout | undefined;
  const watcher = options.reload
    ? watch(SERVER_DIRECTORY, { recursive: true }, (_event, file) => {
        if (file?.endsWith('.ts') && !file.endsWith('.test.ts')) {
          clearTimeout(settling);
          settling = setTimeout(restart, SETTLE_MS);
        }
      })
    : null;

  return {
    async stop() {
      stopped = true;
      watcher?.close();
      clearTimeout(settling);
      await turn;
      await end(child);
    },
  };
}
