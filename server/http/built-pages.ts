/** The Remix application as `npm run build` leaves it. */
import { readdir, readFile } from 'node:fs/promises';
import { extname, join, relative } from 'node:path';
import { pathToFileURL } from 'node:url';
import { createRequestHandler, type ServerBuild } from '@remix-run/node';
import type { Pages } from './app.ts';

const CONTENT_TYPES: Readonly<Record<string, string>> = {
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.ico': 'image/x-icon',
  '.woff2': 'font/woff2',
  '.txt': 'text/plain; charset=utf-8',
  '.json': 'application/json',
};

/**
 * Loads the built pages out of `directory`. Throws an error that says so when nothing is built.
 * The few files of the client are listed once: only what was built can be asked for.
 */
export async function builtPages(directory: string): Promise<Pages> {
  const client = join(directory, 'client');
  const files = await listFiles(client).catch(() => null);
  if (files === null) {
    throw new Error(`no built pages in ${directory}: run npm run build first`);
  }
  const build = (await import(
    pathToFileURL(join(directory, 'server', 'index.js')).href
  )) as ServerBuild;
  const handle = createRequestHandler(build, 'production');

  return {
    handle: (request, context) => handle(request, { ...context }),
    async asset(path) {
      if (!files.has(path)) {
        return null;
      }
      return new Response(await readFile(join(client, path)), {
        headers: {
          'content-type': CONTENT_TYPES[extname(path)] ?? 'application/octet-stream',
          // A built file's name holds the hash of its content.
          'cache-control': path.startsWith('/assets/')
            ? 'public, max-age=31536000, immutable'
            : 'public, max-age=3600',
        },
      });
    },
  };
}

async function listFiles(directory: string): Promise<ReadonlySet<string>> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true });
  return new Set(
    entries
      .filter((entry) => entry.isFile())
      .map((entry) => `/${relative(directory, join(entry.parentPath, entry.name))}`),
  );
}
