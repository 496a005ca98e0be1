import { execFileSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { link, readFile, rm, writeFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';

/**
 * What tells one process from a later one with the same pid: its start time, as the system writes
 * it. Undefined when there is no such process, or only a zombie of it.
 */
export function processIdentity(pid: number): string | undefined {
  if (process.platform === 'linux') {
    try {
      // proc(5): after "pid (name)" come the state, and the start time 19 fields later. The name
      // may hold spaces and brackets, so count from the last one.
      const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
      const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
      return fields[0] === 'Z' || fields[0] === 'X' ? undefined : fields[19];
    } catch {
      return undefined;
    }
  }
  const line = ps(pid, 'state=,lstart=');
  return line === undefined || line.startsWith('Z') ? undefined : line.replace(/^\S+\s+/, '');
}

/** The command line of a process; undefined when there is no such process. */
export function processCommand(pid: number): string | undefined {
  if (process.platform !== 'linux') return ps(pid, 'args=');
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim() || undefined;
  } catch {
    return undefined;
  }
}

function ps(pid: number, columns: string): string | undefined {
  try {
    const stdio: ['ignore', 'pipe', 'ignore'] = ['ignore', 'pipe', 'ignore'];
    const output = execFileSync('ps', ['-o', columns, '-p', String(pid)], {
      encoding: 'utf8',
      stdio,
    });
    return output.trim() || undefined;
  } catch {
    return undefined;
  }
}

/** Waits until a process is gone; false when it is still there after the time given. */
export async function waitForEnd(pid: number, timeoutMs: number): Promise<boolean> {
  const identity = processIdentity(pid);
  const deadline = performance.now() + timeoutMs;
  while (identity !== undefined && processIdentity(pid) === identity) {
    if (performance.now() > deadline) return false;
    await sleep(20);
  }
  return true;
}

export type LockResult =
  | { readonly acquired: true; release(): Promise<void> }
  | { readonly acquired: false; readonly holderPid: number };

/**
 * Takes the lock file at `path` for this process. The lock of a process that has died counts for
 * nothing, also when its pid has been given to another since.
 */
export async function acquireLock(path: string): Promise<LockResult> {
  const content = `${process.pid} ${processIdentity(process.pid)}\n`;
  // Two callers within this process must not share it.
  const own = `${path}.${process.pid}.${randomUUID()}`;
  await writeFile(own, content);
  try {
    for (;;) {
      try {
        // A link appears with its whole content, or not at all.
        await link(own, path);
        return { acquired: true, release: () => giveBack(path, content) };
      } catch (error) {
        if (!hasCode(error, 'EEXIST')) throw error;
      }
      const holder = await readIfThere(path);
      if (holder === undefined) continue;
      if (isAlive(holder)) return { acquired: false, holderPid: Number.parseInt(holder, 10) };
      await discard(path, holder, own);
    }
  } finally {
    await rm(own, { force: true });
  }
}

/**
 * Removes a dead lock, unless another process has replaced it with its own meanwhile. Only one
 * process at a time looks and removes: a slower one would remove the lock of the faster.
 */
async function discard(path: string, dead: string, own: string): Promise<void> {
  const guard = `${path}.takeover`;
  try {
    await link(own, guard);
  } catch (error) {
    if (!hasCode(error, 'EEXIST')) throw error;
    const taker = await readIfThere(guard);
    // A process that died within these few lines has left its guard behind.
    if (taker !== undefined && !isAlive(taker)) await rm(guard, { force: true });
    await sleep(5 + 15 * Math.random());
    return;
  }
  try {
    await giveBack(path, dead);
  } finally {
    await rm(guard, { force: true });
  }
}

/** Removes a lock when it still has this content. */
async function giveBack(path: string, content: string): Promise<void> {
  if ((await readIfThere(path)) === content) await rm(path, { force: true });
}

function readIfThere(path: string): Promise<string | undefined> {
  return readFile(path, 'utf8').catch((error: unknown) => {
    if (hasCode(error, 'ENOENT')) return undefined;
    throw error;
  });
}

/** Whether the process that wrote a lock's content still runs. */
function isAlive(content: string): boolean {
  const [pid, identity] = content.trim().split(' ');
  return identity !== undefined && processIdentity(Number(pid)) === identity;
}

/** Whether an error is a system error with this code, such as `ENOENT`. */
export function hasCode(error: unknown, ...codes: string[]): boolean {
  return (
    error instanceof Error &&
    'code' in error &&
    typeof error.code === 'string' &&
    codes.includes(error.code)
  );
}
