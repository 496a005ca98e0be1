/** A file system of its own for PostgreSQL, which can be made full and be given room again. */
import { execFile, spawnSync } from 'node:child_process';
import { chmod, mkdtemp, rmdir, statfs } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);
const ROOM_BYTES = 2 ** 30;

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
    async shrink(roomBytes) {
      const { blocks, bfree, bsize } = await statfs(directory);
      await resize((blocks - bfree) * bsize + roomBytes);
    },
    async grow() {
      await resize(ROOM_BYTES);
    },
    async unmount() {
      process.off('exit', onProcessExit);
      await run('umount', [directory]);
      await rmdir(directory);
    },
  };
}
