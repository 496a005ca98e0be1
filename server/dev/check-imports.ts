/** `npm run check:imports`: applies the rules of `import-rules.ts` to every file of the project. */
import { readdir, readFile } from 'node:fs/promises';
import { join, relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { violationsIn } from './import-rules.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
/** What installs, builds and runs leave behind; nobody writes it. */
const NOT_SOURCE = new Set([
  '.data',
  '.git',
  'build',
  'dist',
  'node_modules',
  'package-lock.json',
  'playwright-report',
  'test-results',
]);
const TEXT =
  /\.(?:[cm]?[jt]sx?|json|sql|md|css|html|svg|ya?ml|sh)$|\/[^/.]+$|\/\.(?!env(?:\.local)?$)[^/]*$/;

async function projectFiles(): Promise<Map<string, string>> {
  const files = new Map<string, string>();
  async function read(directory: string): Promise<void> {
    for (const entry of await readdir(directory, { withFileTypes: true })) {
      const path = join(directory, entry.name);
      if (NOT_SOURCE.has(entry.name)) {
        continue;
      }
      if (entry.isDirectory()) {
        await read(path);
      } else if (entry.isFile() && TEXT.test(path)) {
        files.set(relative(ROOT, path).split(sep).join('/'), await readFile(path, 'utf8'));
      }
    }
  }
  await read(ROOT);
  return files;
}

const files = await projectFiles();
const violations = violationsIn(files);
for (const { path, line, problem } of violations) {
  console.error(`${path}:${line}: ${problem}`);
}
if (violations.length > 0) {
  console.error(`\n${violations.length} import rules broken in ${files.size} files`);
  process.exitCode = 1;
} else {
  console.log(`The import rules hold in ${files.size} files`);
}
