/** A file system of its own for PostgreSQL, which can be made full and be given room again. */
import { execFile, spawnSync } from 'node:child_process';
import { chmod, mkdtemp, rmdir, statfs } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';

const run = promisify(execFile);
const ROOM_BYTES = 2 ** 30;
const TRIES = 20;
const PAUSE_MS = 100;

export interface SmallDisk {
  readonly directory: string;
  /** Leaves so much room and no more. */
  shrink(roomBytes: number): Promise<void>;
  /** Gives plenty of room. */
  grow(): Promise<void>;
  unmount(): Promise<void>;
}

/** Mounts a tmpfs; null where this process may not mount, which takes root. */
export async function mountSmallDisk(): Promise<SmallDisk | null> {
  const directory = await mkdtemp(join(tmpdir(), 'prepaid-wallet-disk-'));
  const resize = (bytes: number) =>
    run('mount', ['-o', `remount,size=${Math.ceil(bytes)}`, directory]);
  try {
    await run('mount', ['-t', 'tmpfs', '-o', `size=${ROOM_BYTES},mode=711`, 'tmpfs', directory]);
  } catch {
    await rmdir(directory);
    return null;
  }
  await chmod(directory, 0o711);
  // A last resort for a process that exits early: the mount must not stay behind.
  const onProcessExit = () => spawnSync('umount', ['-l', directory]);
  process.once('exit', onProcessExit);
  return {
    directory,
    shrink: (roomBytes) =>
      // Refused when PostgreSQL has meanwhile begun another file that is larger than the room.
      untilDone(async () => {
        const { blocks, bfree, bsize } = await statfs(directory);
        await resize((blocks - bfree) * bsize + roomBytes);
      }),
    async grow() {
      await resize(ROOM_BYTES);
    },
    async unmount() {
      // Refused as long as a process of PostgreSQL, whose server has ended, is about to end.
      await untilDone(() => run('umount', [directory]));
      process.off('exit', onProcessExit);
      await rmdir(directory);
    },
  };
}

/** Tries again what is refused for a moment. */
async function untilDone(action: () => Promise<unknown>): Promise<void> {
  for (let tries = 1; ; tries += 1) {
    try {
      await action();
      return;
    } catch (error) {
      if (tries === TRIES) {
        throw error;
      }
      await sleep(PAUSE_MS);
    }
  }
}
