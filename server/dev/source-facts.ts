/**
 * What the import rules need to know of one source file, read from its syntax tree: imports and
 * where it touches the world or writes SQL. Nothing is resolved and no other file is read.
 */
import ts from 'typescript';

export interface ImportFact {
  readonly specifier: string;
  readonly line: number;
  /** Erased by the compiler: `import type`, `export type` or `import('…')` as a type. */
  readonly typeOnly: boolean;
  /** The imported names; null for everything (`* as x`, `import()`, side effects, defaults). */
  readonly names: readonly string[] | null;
}

export interface Finding {
  readonly line: number;
  readonly what: string;
}

export interface SourceFacts {
  readonly imports: readonly ImportFact[];
  /** Uses of the clock, of randomness or of anything else outside the arguments. */
  readonly impurities: readonly Finding[];
  readonly sql: readonly Finding[];
  /** Transactions that the program drives in several statements (`sql.begin`). */
  readonly transactions: readonly Finding[];
  /** The file does nothing but hand on what other files export. */
  readonly barrel: boolean;
}

/** Globals that reach the outside, the clock or randomness. `Date` and `Math` are looked at closer. */
const IMPURE_GLOBALS = new Set([
  'console',
  'crypto',
  'fetch',
  'global',
  'globalThis',
  'performance',
  'process',
  'queueMicrotask',
  'require',
  'setImmediate',
  'setInterval',
  'setTimeout',
]);

const PURE_DATE_MEMBERS = new Set(['UTC', 'parse', 'prototype']);

const SQL_STATEMENT =
  /^\s*(?:select\s+[\w.]+\s*\(|select\s[\s\S]+\sfrom\s|insert\s+into\s|update\s+\S+\s+set\s|delete\s+from\s|truncate\s+\w|with\s+\w+\s+as\s*\()/i;
const SQL_DEFINITION =
  /^\s*(?:create|alter|drop)\s+(?:table|view|function|index|role|database|schema|type)\s/i;
const SQL_TAGS = new Set(['sql', 'tx', 'transaction']);

/** Reads `text` as the file `path`, whose ending says which language it is. */
export function readSource(path: string, text: string): SourceFacts {
  const source = ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true);
  const imports: ImportFact[] = [];
  const impurities: Finding[] = [];
  const sql: Finding[] = [];
  const transactions: Finding[] = [];
  const lineOf = (node: ts.Node) =>
    source.getLineAndCharacterOfPosition(node.getStart(source)).line + 1;

  function visit(node: ts.Node): void {
    const imported = readImport(node);
    if (imported !== null) {
      imports.push({ ...imported, line: lineOf(node) });
    }
    const impurity = readImpurity(node);
    if (impurity !== null) {
      impurities.push({ line: lineOf(node), what: impurity });
    }
    const query = readSql(node);
    if (query !== null) {
      sql.push({ line: lineOf(node), what: query });
    }
    if (isTransaction(node)) {
      transactions.push({ line: lineOf(node), what: node.getText(source).split('(')[0] ?? '' });
    }
    ts.forEachChild(node, visit);
  }
  visit(source);
  return { imports, impurities, sql, transactions, barrel: isBarrel(source) };
}

function readImport(node: ts.Node): Omit<ImportFact, 'line'> | null {
  if (ts.isImportDeclaration(node) && ts.isStringLiteral(node.moduleSpecifier)) {
    const clause = node.importClause;
    return {
      specifier: node.moduleSpecifier.text,
      // `import { type X }` keeps its module at run time; `import type { X }` does not.
      typeOnly: clause?.phaseModifier === ts.SyntaxKind.TypeKeyword,
      names: namesOf(clause),
    };
  }
  if (ts.isExportDeclaration(node) && node.moduleSpecifier !== undefined) {
    const { moduleSpecifier, isTypeOnly } = node;
    return ts.isStringLiteral(moduleSpecifier)
      ? { specifier: moduleSpecifier.text, typeOnly: isTypeOnly, names: null }
      : null;
  }
  if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)) {
    const { literal } = node.argument;
    return ts.isStringLiteral(literal)
      ? { specifier: literal.text, typeOnly: true, names: null }
      : null;
  }
  if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) {
    const [argument] = node.arguments;
    return argument !== undefined && ts.isStringLiteralLike(argument)
      ? { specifier: argument.text, typeOnly: false, names: null }
      : null;
  }
  return null;
}

function namesOf(clause: ts.ImportClause | undefined): string[] | null {
  const bindings = clause?.namedBindings;
  if (clause?.name !== undefined || bindings === undefined || ts.isNamespaceImport(bindings)) {
    return null;
  }
  return bindings.elements.map(({ name, propertyName }) => (propertyName ?? name).text);
}

function readImpurity(node: ts.Node): string | null {
  if (!ts.isIdentifier(node) || !isExpression(node)) {
    return null;
  }
  if (IMPURE_GLOBALS.has(node.text)) {
    return node.text;
  }
  const { parent } = node;
  const member =
    ts.isPropertyAccessExpression(parent) && parent.expression === node ? parent.name.text : null;
  if (node.text === 'Math') {
    return member === null || member === 'random' ? `Math.${member ?? '…'}` : null;
  }
  if (node.text === 'Date') {
    const fromArguments =
      ts.isNewExpression(parent) && parent.expression === node && parent.arguments?.length;
    const comparesClass = ts.isBinaryExpression(parent) && parent.right === node;
    const pureMember = member !== null && PURE_DATE_MEMBERS.has(member);
    return fromArguments || comparesClass || pureMember
      ? null
      : `Date${member ? `.${member}` : ''}`;
  }
  return null;
}

/** An identifier that is read as a value: no type, no property's name, no declaration's. */
function isExpression(node: ts.Identifier): boolean {
  const { parent } = node;
  if (ts.isPropertyAccessExpression(parent)) {
    return parent.expression === node;
  }
  if (ts.isShorthandPropertyAssignment(parent)) {
    return true;
  }
  const named = parent as { name?: ts.Node; propertyName?: ts.Node };
  return (
    named.name !== node &&
    named.propertyName !== node &&
    !ts.isTypeReferenceNode(parent) &&
    !ts.isQualifiedName(parent) &&
    !ts.isTypeQueryNode(parent)
  );
}

function readSql(node: ts.Node): string | null {
  if (ts.isTaggedTemplateExpression(node)) {
    const tag = node.tag.getText();
    return SQL_TAGS.has(tag) ? `the template ${tag}\`…\`` : null;
  }
  if (ts.isStringLiteralLike(node) || ts.isTemplateHead(node)) {
    const isTagged = ts.isTaggedTemplateExpression(node.parent);
    return !isTagged && isSql(node.text) ? 'an SQL statement in a string' : null;
  }
  return null;
}

/** Whether a text starts as a statement does: in one case throughout, as no sentence does. */
function isSql(text: string): boolean {
  const inOneCase = /^\s*(?:[a-z]+|[A-Z]+)\s/.test(text);
  return inOneCase && (SQL_STATEMENT.test(text) || SQL_DEFINITION.test(text));
}

function isTransaction(node: ts.Node): boolean {
  return (
    ts.isCallExpression(node) &&
    ts.isPropertyAccessExpression(node.expression) &&
    node.expression.name.text === 'begin'
  );
}

function isBarrel(source: ts.SourceFile): boolean {
  const { statements } = source;
  return (
    statements.length > 0 &&
    statements.every((one) => ts.isExportDeclaration(one) && one.moduleSpecifier !== undefined)
  );
}
