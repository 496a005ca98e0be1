/** The PostgreSQL that is hurt: a real one, with its processes at hand. Linux only (`/proc`). */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { processIdentity } from '../../process-lock.ts';
import type { EmbeddedPostgres } from '../postgres.ts';
import { readPostmasterFile } from '../postgres-cluster.ts';

const READY_TIMEOUT_MS = 60_000;
const GRACE_MS = 1_000;

export interface HurtDatabase {
  /** Kills the postmaster and all its processes with -9; resolves when a new one is ready. */
  killAndAwaitRestart(): Promise<void>;
  /** Stops every process where it stands (SIGSTOP). */
  freeze(): Promise<void>;
  /** Lets them run again; nothing when they do. */
  thaw(): Promise<void>;
  /** Starts it again where its launcher has given up; resolves when it is ready. */
  revive(): Promise<void>;
  /** Ends it for good. */
  stop(): Promise<void>;
}

/**
 * The processes of `postgres`, whose launcher starts it again when it dies. `start` starts it on the
 * same data and port after that launcher has been stopped.
 */
export function hurtDatabase(
  postgres: EmbeddedPostgres,
  start?: (port: number) => Promise<EmbeddedPostgres>,
): HurtDatabase {
  const data = join(postgres.homeDirectory, 'data');
  let launcher = postgres;
  let frozen: number[] = [];

  const isReady = async () => {
    const file = await readPostmasterFile(data);
    return file?.status === 'ready' && processIdentity(file.pid) !== undefined;
  };

  const postmaster = async () => {
    const file = await readPostmasterFile(data);
    if (file === undefined) {
      throw new Error('PostgreSQL does not run');
    }
    return file;
  };

  return {
    async killAndAwaitRestart() {
      const { pid } = await postmaster();
      // Stopped, it starts no process that the list would miss and that, left alive, would keep the
      // shared memory from the next postmaster.
      signal(pid, 'SIGSTOP');
      // The postmaster first: it would take its processes' deaths for a crash and start new ones.
      for (const process of [pid, ...(await childrenOf(pid))]) {
        signal(process, 'SIGKILL');
      }
      const deadlineMs = performance.now() + READY_TIMEOUT_MS;
      for (;;) {
        const file = await readPostmasterFile(data);
        if (file !== undefined && file.pid !== pid && file.status === 'ready') {
          return;
        }
        if (performance.now() > deadlineMs) {
          throw new Error(`PostgreSQL was not ready ${READY_TIMEOUT_MS / 1000} s after its death`);
        }
        await sleep(10);
      }
    },

    async freeze() {
      const { pid } = await postmaster();
      signal(pid, 'SIGSTOP');
      frozen = [pid, ...(await childrenOf(pid))];
      for (const process of frozen) {
        signal(process, 'SIGSTOP');
      }
    },

    async thaw() {
      for (const process of frozen.splice(0)) {
        signal(process, 'SIGCONT');
      }
    },

    async revive() {
      if (!(await isReady())) {
        // A server that has just died is perhaps being started.
        await sleep(GRACE_MS);
      }
      if (!(await isReady()) && start !== undefined) {
        await launcher.stop();
        launcher = await start(postgres.port);
      }
    },

    stop: () => launcher.stop(),
  };
}

async function childrenOf(parent: number): Promise<number[]> {
  const children: number[] = [];
  for (const entry of await readdir('/proc')) {
    if (/^\d+$/.test(entry)) {
      const stat = await readFile(`/proc/${entry}/stat`, 'utf8').catch(() => '');
      // proc(5): after "pid (name)" come the state and the parent; the name may hold brackets.
      const [, ppid] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
      if (Number(ppid) === parent) {
        children.push(Number(entry));
      }
    }
  }
  return children;
}

/** A process that has ended meanwhile is as dead as it should be. */
function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) {
      throw error;
    }
  }
}
