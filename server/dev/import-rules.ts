/**
 * Which part of the project may import which, and what the parts must not do. `check-imports.ts`
 * applies these rules to the files; a rule that cannot be told from syntax is not here.
 *
 *     main → http → {trpc, stripe, inngest} → billing → {ledger, rating, store, mail}
 *
 * `server/views` has no code: only the shapes of what pages show, which the parts on the way import
 * as types.
 */
import { posix } from 'node:path';
import { type ImportFact, readSource, type SourceFacts } from './source-facts.ts';

export interface Violation {
  readonly path: string;
  readonly line: number;
  readonly problem: string;
}

/** What a zone may import besides itself; `types` come on top of `values`. */
interface Allowed {
  readonly values: readonly string[];
  readonly types: readonly string[];
}

const ALLOWED: Readonly<Record<string, Allowed>> = {
  /** Limits look destinations up among prefixes as rates do. */
  ledger: { values: ['rating'], types: [] },
  rating: { values: [], types: [] },
  /** `server/*.ts`: environment, faults, log. */
  base: { values: [], types: [] },
  /** The shapes that pages, use cases and the store agree on; types alone. */
  views: { values: [], types: [] },
  store: { values: [], types: ['ledger', 'rating', 'views'] },
  stripe: { values: ['ledger', 'base'], types: ['views'] },
  mail: { values: ['ledger', 'base'], types: [] },
  billing: { values: ['ledger', 'rating', 'store', 'mail', 'base'], types: ['stripe', 'views'] },
  trpc: { values: ['billing', 'ledger', 'rating', 'base'], types: ['store', 'views'] },
  inngest: { values: ['base'], types: ['billing'] },
  http: { values: ['trpc', 'stripe', 'inngest', 'billing', 'base'], types: ['store', 'views'] },
  client: { values: ['ledger', 'rating', 'base'], types: ['trpc'] },
  cli: {
    values: ['billing', 'client', 'store', 'stripe', 'ledger', 'rating', 'base'],
    types: ['trpc', 'views'],
  },
  /** `MAIN_FILES`: they put the parts together. */
  main: {
    values: ['http', 'trpc', 'stripe', 'inngest', 'billing', 'mail', 'store', 'base'],
    types: ['ledger', 'rating', 'views'],
  },
  app: {
    values: [],
    types: ['http', 'trpc', 'billing', 'ledger', 'rating', 'store', 'base', 'views'],
  },
  /** The tools' settings at the top level. */
  config: { values: ['e2e'], types: [] },
};

/** Stand-ins, tools and tests: they may use every part of the server. */
const FREE_ZONES = new Set(['dev', 'e2e', 'test']);
const MAIN_FILES = new Set([
  'server/main.ts',
  'server/application.ts',
  'server/use-cases.ts',
  'server/backgrounds.ts',
]);
/** Commands that exist for development alone and so may use `server/dev`. */
const DEVELOPMENT_COMMANDS = new Set(['server/cli/db-seed.ts', 'server/cli/db-schema.ts']);

const PURE_ZONES = new Set(['ledger', 'rating']);
const PURE_PACKAGES = new Set(['zod', 'libphonenumber-js/min']);
const SQL_ZONES = new Set(['store', 'dev', 'e2e', 'test']);
const FREE_TRANSACTION_ZONES = new Set(['dev', 'e2e', 'test']);

/** Source files that are parsed; of the others only the existence counts, and their text. */
const PARSED = /\.(?:[cm]?ts|tsx|[cm]?js|jsx)$/;

export function zoneOf(path: string): string {
  const [top, folder, rest] = path.split('/');
  if (/\.(?:test|fixtures)\.tsx?$/.test(path)) return 'test';
  if (top === 'app' || top === 'e2e') return top;
  if (top !== 'server') return 'config';
  if (MAIN_FILES.has(path)) return 'main';
  return rest === undefined ? 'base' : (folder ?? 'base');
}

/**
 * Applies every rule to the project's files, given as repository path → text. Violations come in
 * the order of path and line; none means that the rules hold.
 */
export function violationsIn(files: ReadonlyMap<string, string>): Violation[] {
  const violations: Violation[] = [];
  const values = new Map<string, string[]>();
  for (const [path, text] of files) {
    const report = (line: number, problem: string) => violations.push({ path, line, problem });
    checkOutsidePaths(path, text, report);
    if (!PARSED.test(path)) {
      continue;
    }
    const facts = readSource(path, text);
    checkFile(path, facts, report);
    const targets: string[] = [];
    for (const imported of facts.imports) {
      const target = checkImport(path, imported, files, report);
      if (target !== null && !imported.typeOnly) {
        targets.push(target);
      }
    }
    values.set(path, targets);
  }
  for (const cycle of cyclesIn(values)) {
    violations.push({
      path: cycle[0] ?? '',
      line: 1,
      problem: `imports itself in a circle: ${[...cycle, cycle[0]].join(' → ')}`,
    });
  }
  return violations.sort((a, b) =>
    a.path === b.path ? a.line - b.line : a.path < b.path ? -1 : 1,
  );
}

type Report = (line: number, problem: string) => void;

function checkFile(path: string, facts: SourceFacts, report: Report): void {
  const zone = zoneOf(path);
  if (/(?:^|\/)index\.[cm]?[jt]sx?$/.test(path)) {
    report(1, 'a file named index hides what it holds: name it after that');
  }
  if (facts.barrel) {
    report(1, 'a file that only re-exports: import from the files themselves');
  }
  if (PURE_ZONES.has(zone)) {
    for (const { line, what } of facts.impurities) {
      report(line, `server/${zone} is pure, and ${what} is not: take it as an argument`);
    }
  }
  if (!SQL_ZONES.has(zone)) {
    for (const { line, what } of facts.sql) {
      report(line, `${what}: SQL stands in db/ and server/store`);
    }
  }
  if (!FREE_TRANSACTION_ZONES.has(zone)) {
    for (const { line, what } of facts.transactions) {
      report(
        line,
        `${what}: a transaction driven from here can be half applied; call one function`,
      );
    }
  }
}

/** Checks one import; returns the project's file that it names. */
function checkImport(
  path: string,
  imported: ImportFact,
  files: ReadonlyMap<string, string>,
  report: Report,
): string | null {
  const { specifier, line } = imported;
  if (!/^\.{0,2}\//.test(specifier)) {
    checkPackage(zoneOf(path), imported, report);
    return null;
  }
  const target = posix.join(posix.dirname(path), specifier.replace(/\?.*$/, ''));
  if (!files.has(target)) {
    report(line, `'${specifier}' names no file of the project: write its path with the extension`);
    return null;
  }
  checkDirection(path, target, imported, report);
  return target;
}

function checkPackage(zone: string, { specifier, line, names }: ImportFact, report: Report): void {
  if (specifier === 'postgres' && !SQL_ZONES.has(zone)) {
    report(line, "'postgres' is imported by server/store alone");
  }
  if (!PURE_ZONES.has(zone) || PURE_PACKAGES.has(specifier)) {
    return;
  }
  const onlyHashes =
    zone === 'ledger' &&
    specifier === 'node:crypto' &&
    names?.every((name) => name === 'createHash' || name === 'hash');
  if (!onlyHashes) {
    report(line, `server/${zone} is pure and must not import '${specifier}'`);
  }
}

function checkDirection(path: string, target: string, imported: ImportFact, report: Report): void {
  const { line, typeOnly } = imported;
  const from = zoneOf(path);
  const to = zoneOf(target);
  if (from === 'test') {
    return;
  }
  if (to === 'test') {
    report(line, `${target} belongs to the tests`);
  } else if (FREE_ZONES.has(from)) {
    if (to === 'app') {
      report(line, `${from} must not import app/`);
    }
  } else if (to === 'dev' && DEVELOPMENT_COMMANDS.has(path)) {
    return;
  } else if (from !== to) {
    const allowed = ALLOWED[from];
    if (allowed === undefined) {
      report(line, `server/${from} has no import rule yet: give it one in import-rules.ts`);
    } else if (!allowed.values.includes(to)) {
      const asType = allowed.types.includes(to);
      if (!asType || !typeOnly) {
        report(line, `${from} must not import ${to}${asType ? ', except by `import type`' : ''}`);
      }
    }
  }
}

/** Relative paths that climb out of the repository, and directories of one machine alone. */
function checkOutsidePaths(path: string, text: string, report: Report): void {
  const lines = text.split('\n');
  for (const [index, line] of lines.entries()) {
    for (const [found] of line.matchAll(/(?<![\w./])(?:\.\.\/)+[\w.-]*/g)) {
      if (posix.join(posix.dirname(path), found).startsWith('..')) {
        report(index + 1, `${found} is outside the repository`);
      }
    }
    for (const [found] of line.matchAll(
      /(?<![\w./:*}-])\/(?:home|root|Users|work|workspace)\/[\w.-]+/g,
    )) {
      report(index + 1, `${found} is a directory of one machine`);
    }
  }
}

/** One circle for each group of files that reach each other by value imports (Tarjan, 1972). */
function cyclesIn(graph: ReadonlyMap<string, readonly string[]>): string[][] {
  const cycles: string[][] = [];
  const indexes = new Map<string, number>();
  const lows = new Map<string, number>();
  const stack: string[] = [];
  function connect(node: string): number {
    const index = indexes.size;
    let low = index;
    indexes.set(node, index);
    stack.push(node);
    for (const next of graph.get(node) ?? []) {
      if (!indexes.has(next)) {
        low = Math.min(low, connect(next));
      } else if (stack.includes(next)) {
        low = Math.min(low, indexes.get(next) ?? low);
      }
    }
    lows.set(node, low);
    if (low === index) {
      const group = stack.splice(stack.indexOf(node));
      if (group.length > 1 || graph.get(node)?.includes(node)) {
        const first = group.reduce((a, b) => (a < b ? a : b));
        cycles.push(circleWithin(new Set(group), first, graph));
      }
    }
    return low;
  }
  for (const node of graph.keys()) {
    if (!indexes.has(node)) {
      connect(node);
    }
  }
  return cycles;
}

/** A shortest way from `start` back to itself that stays within the group. */
function circleWithin(
  group: ReadonlySet<string>,
  start: string,
  graph: ReadonlyMap<string, readonly string[]>,
): string[] {
  const ways: string[][] = [[start]];
  const seen = new Set<string>();
  for (const way of ways) {
    for (const next of graph.get(way.at(-1) ?? start) ?? []) {
      if (next === start) {
        return way;
      }
      if (group.has(next) && !seen.has(next)) {
        seen.add(next);
        ways.push([...way, next]);
      }
    }
  }
  return [start];
}
