/** The mails that were received, one file each. */
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** Older ones are deleted at the next start. */
const KEPT = 200;

export class MailFolder {
  readonly #directory: string | undefined;
  #count = 0;

  /** Without a directory nothing is kept. */
  constructor(directory?: string) {
    this.#directory = directory;
    if (directory !== undefined) {
      mkdirSync(directory, { recursive: true, mode: 0o700 });
    }
  }

  /** What earlier runs kept, oldest first. */
  kept(): { name: string; source: Buffer }[] {
    const directory = this.#directory;
    if (directory === undefined) {
      return [];
    }
    // The names begin with the time.
    const files = readdirSync(directory)
      .filter((file) => file.endsWith('.eml'))
      .sort();
    for (const file of files.slice(0, -KEPT)) {
      rmSync(join(directory, file));
    }
    return files.slice(-KEPT).map((file) => ({
      name: file.slice(0, -'.eml'.length),
      source: readFileSync(join(directory, file)),
    }));
  }

  /** Keeps a mail and names it. */
  keep(source: Buffer): string {
    this.#count += 1;
    const time = new Date().toISOString().replaceAll(/[^\dT]/g, '');
    const name = `${time}-${String(this.#count).padStart(5, '0')}`;
    if (this.#directory !== undefined) {
      writeFileSync(join(this.#directory, `${name}.eml`), source, { mode: 0o600 });
    }
    return name;
  }
}
