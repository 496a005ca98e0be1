import { readFileSync } from 'node:fs';
import type { ApiAnswer } from './api.ts';
import { answerChallenge } from './authentication.ts';
import { automaticCall, type World } from './call.ts';
import { ApiError } from './errors.ts';

const SCRIPT = 'text/javascript; charset=utf-8';

/** Files that the browser loads, by name under `/endive/`. */
const FILES = new Map([
  ['payment-element.html', 'text/html; charset=utf-8'],
  ['payment-element.js', SCRIPT],
  ['card-form.js', SCRIPT],
  ['card-input.js', SCRIPT],
  ['countries.js', SCRIPT],
  ['element.css', 'text/css; charset=utf-8'],
  ['three-d-secure.html', 'text/html; charset=utf-8'],
  ['three-d-secure.js', SCRIPT],
]);

/** Modules of the browser script, each after those that it imports. */
const SCRIPT_MODULES = ['base', 'request', 'challenge', 'payment-element', 'elements', 'stripe'];

/**
 * The browser script. Stripe.js is one plain script that works as soon as it has run, which no
 * module is: so its modules are joined into one function and their imports and exports dropped.
 */
function browserScript(): string {
  const parts = SCRIPT_MODULES.map((name) =>
    readFileSync(new URL(`./browser/stripe-js/${name}.js`, import.meta.url), 'utf8')
      .replaceAll(/^import [^;]*;\n/gm, '')
      .replaceAll(/^export /gm, ''),
  );
  return `(() => {\n'use strict';\n${parts.join('\n')}})();\n`;
}

/** The frames load nothing but the stand-in's own files; any page may embed them, as Stripe's. */
const FRAME_POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'self'";

function file(name: string): ApiAnswer {
  const type = name === 'stripe.js' ? SCRIPT : FILES.get(name);
  if (type === undefined) throw notFound();
  return {
    status: 200,
    headers: {
      'content-security-policy': FRAME_POLICY,
      'content-type': type,
      'cross-origin-resource-policy': 'cross-origin',
      'referrer-policy': 'no-referrer',
      'x-content-type-options': 'nosniff',
    },
    body:
      name === 'stripe.js'
        ? browserScript()
        : readFileSync(new URL(`./browser/${name}`, import.meta.url), 'utf8'),
  };
}

function notFound(): ApiError {
  return new ApiError(404, 'invalid_request_error', 'There is no such page.');
}

/** Serves the browser's side: the script, the frames, and the answer to a 3-D Secure challenge. */
export function browserAnswer(world: World, method: string, url: URL, body: string): ApiAnswer {
  const name = url.pathname.slice('/endive/'.length);
  if (method === 'GET') return file(name === 'three-d-secure' ? 'three-d-secure.html' : name);
  if (method !== 'POST' || name !== 'three-d-secure') throw notFound();
  const form = new URLSearchParams(body);
  const intent = answerChallenge(
    automaticCall(world),
    form.get('intent') ?? '',
    form.get('client_secret') ?? '',
    form.get('outcome') === 'complete',
  );
  return {
    status: 200,
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ id: intent.id, object: intent.object, status: intent.status }),
  };
}
