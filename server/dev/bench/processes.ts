/** What a PostgreSQL server's processes have used, as Linux's /proc tells it. */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { readPostmasterFile } from '../postgres-cluster.ts';

/** A tick of /proc/PID/stat: USER_HZ is 100 on every Linux that Node runs on. */
const MICROS_PER_TICK = 10_000;

export interface PostgresUsage {
  /** CPU time since the server started, of the processes that have ended too. */
  readonly cpuMicros: number;
  /** Memory of all processes; what they share counts once where the kernel tells (PSS). */
  readonly memoryBytes: number;
  readonly memoryIs: 'PSS' | 'RSS';
}

/** Usage of the server in a home directory; null where there is no /proc. */
export async function postgresUsage(homeDirectory: string): Promise<PostgresUsage | null> {
  const postmaster = await readPostmasterFile(join(homeDirectory, 'data'));
  if (postmaster === undefined || process.platform !== 'linux') {
    return null;
  }
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const stats = await Promise.all(pids.map(processStat));
  const own = stats.filter((stat) => stat !== null && belongsTo(stat, postmaster.pid));
  let cpuTicks = 0;
  let memoryBytes = 0;
  let memoryIs: PostgresUsage['memoryIs'] = 'PSS';
  for (const stat of own) {
    if (stat === null) {
      continue;
    }
    cpuTicks += stat.ticks + (stat.pid === postmaster.pid ? stat.endedChildrenTicks : 0);
    const pssBytes = await kilobytes(stat.pid, 'smaps_rollup', 'Pss');
    if (pssBytes === null) {
      memoryIs = 'RSS';
    }
    memoryBytes += pssBytes ?? (await kilobytes(stat.pid, 'status', 'VmRSS')) ?? 0;
  }
  return { cpuMicros: cpuTicks * MICROS_PER_TICK, memoryBytes, memoryIs };
}

interface ProcessStat {
  readonly pid: number;
  readonly parent: number;
  readonly ticks: number;
  readonly endedChildrenTicks: number;
}

function belongsTo(stat: ProcessStat, postmasterPid: number): boolean {
  return stat.pid === postmasterPid || stat.parent === postmasterPid;
}

/** Null for a process that has ended meanwhile. See proc(5). */
async function processStat(pid: string): Promise<ProcessStat | null> {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => null);
  if (text === null) {
    return null;
  }
  // The name may hold spaces and brackets, so fields count from its end: state, ppid, …
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  const field = (index: number) => Number(fields[index]);
  return {
    pid: Number(pid),
    parent: field(1),
    ticks: field(11) + field(12),
    endedChildrenTicks: field(13) + field(14),
  };
}

async function kilobytes(pid: number, file: string, name: string): Promise<number | null> {
  const text = await readFile(`/proc/${pid}/${file}`, 'utf8').catch(() => '');
  const value = new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(text)?.[1];
  return value === undefined ? null : Number(value) * 1024;
}
