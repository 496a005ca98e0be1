import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { chromium } from '@playwright/test';

/** A Chromium of this machine, and what its environment needs besides the usual. */
export interface Browser {
  readonly executablePath: string;
  readonly env: Readonly<Record<string, string>>;
}

const SYSTEM_BROWSERS = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable'];
const CACHE = fileURLToPath(new URL('../node_modules/.cache/prepaid-wallet', import.meta.url));

/**
 * For root, closed networks and containers with little shared memory. The pages under test come
 * from this machine alone, so that nothing is lost without the sandbox, which root cannot have.
 */
export const BROWSER_ARGS: readonly string[] = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--disable-dev-shm-usage',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  // A frame in a process of its own is sent clicks by where it stood a moment ago: one that follows
  // a scroll at once is lost.
  '--disable-site-isolation-trials',
];

/**
 * Finds a Chromium: the one of CHROMIUM_PATH, the system's, Playwright's own, else the one that
 * comes as a package, so that no download besides the installation is needed.
 */
export async function findBrowser(): Promise<Browser> {
  const named = process.env.CHROMIUM_PATH;
  if (named) {
    if (!existsSync(named)) {
      throw new Error('CHROMIUM_PATH names no file');
    }
    return { executablePath: named, env: {} };
  }
  const installed = [...systemPaths(), chromium.executablePath()].find(existsSync);
  return installed ? { executablePath: installed, env: {} } : await packagedBrowser();
}

function systemPaths(): string[] {
  const directories = (process.env.PATH ?? '').split(delimiter).filter(Boolean);
  return SYSTEM_BROWSERS.flatMap((name) => directories.map((directory) => join(directory, name)));
}

/** Chromium of `@sparticuz/chromium`, unpacked once for each version into this installation. */
async function packagedBrowser(): Promise<Browser> {
  const entry = createRequire(import.meta.url).resolve('@sparticuz/chromium');
  const manifest = join(dirname(entry), '..', '..', 'package.json');
  const { version }: { version: string } = JSON.parse(await readFile(manifest, 'utf8'));
  const home = join(CACHE, `chromium-${version}`);
  if (!existsSync(home)) {
    await unpack(home);
  }
  const executablePath = join(home, 'chromium');
  const env = { FONTCONFIG_FILE: join(home, 'fonts.conf') };
  if (starts(executablePath, env)) {
    return { executablePath, env };
  }
  // The package brings the few libraries that a bare machine lacks (NSS, NSPR, Expat).
  const withLibraries = { ...env, LD_LIBRARY_PATH: join(home, 'al2023', 'lib') };
  if (starts(executablePath, withLibraries)) {
    return { executablePath, env: withLibraries };
  }
  throw new Error(
    `${executablePath} does not start here: install chromium, or set CHROMIUM_PATH to one`,
  );
}

function starts(executablePath: string, env: Record<string, string>): boolean {
  const { status } = spawnSync(executablePath, ['--no-sandbox', '--version'], {
    env: { ...process.env, ...env },
    stdio: 'ignore',
  });
  return status === 0;
}

/** Unpacks beside `home` and renames, so that what is there is whole, however this ends. */
async function unpack(home: string): Promise<void> {
  await mkdir(CACHE, { recursive: true });
  const unfinished = await mkdtemp(`${home}-`);
  const program =
    "const { default: chromium } = await import('@sparticuz/chromium'); await chromium.executablePath();";
  const { status, stderr } = spawnSync(
    process.execPath,
    ['--input-type=module', '--eval', program],
    {
      cwd: fileURLToPath(new URL('.', import.meta.url)),
      // It unpacks into the temporary directory, and its libraries only for AWS.
      env: { ...process.env, TMPDIR: unfinished, AWS_EXECUTION_ENV: 'AWS_Lambda_nodejs20.x' },
      encoding: 'utf8',
    },
  );
  if (status !== 0) {
    await rm(unfinished, { recursive: true, force: true });
    throw new Error(`Chromium could not be unpacked: ${stderr}`);
  }
  await writeFile(join(unfinished, 'fonts.conf'), fontConfiguration(home));
  await rename(unfinished, home);
}

/** The machine's fonts and those of the package: without any, a page has no text. */
function fontConfiguration(home: string): string {
  return `<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig>
  <include ignore_missing="yes">/etc/fonts/fonts.conf</include>
  <dir>${join(home, 'fonts')}</dir>
  <cachedir>${join(home, 'font-cache')}</cachedir>
</fontconfig>
`;
}
