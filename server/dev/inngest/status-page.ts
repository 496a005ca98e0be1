import { html } from 'hono/html';
import type { FunctionConfig } from './registration.ts';
import type { RunSummary } from './run.ts';

/** Runs shown; the newest. */
const RUNS_SHOWN = 100;

/** A page for developers: the functions, a button for each cron, and the newest runs. */
export function statusPage(functions: readonly FunctionConfig[], runs: readonly RunSummary[]) {
  return html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width" />
        <title>Inngest runner</title>
        <style>
          body { font: 15px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem; color: #1d2733; }
          table { border-collapse: collapse; width: 100%; margin-bottom: 2rem; }
          th, td { text-align: left; vertical-align: top; padding: .4rem .8rem .4rem 0; border-bottom: 1px solid #d8dee6; }
          .failed { color: #b3261e; }
          .completed { color: #1b6e3c; }
        </style>
      </head>
      <body>
        <h1>Inngest runner</h1>
        <p>For development. Nothing here is kept when it stops.</p>
        <h2>Functions</h2>
        <table>
          <thead><tr><th>Function</th><th>Triggers</th><th>Retries</th><th></th></tr></thead>
          <tbody>
            ${functions.map((fn) => functionRow(fn))}
          </tbody>
        </table>
        <h2>Newest runs</h2>
        <table>
          <thead><tr><th>Queued</th><th>Function</th><th>Event</th><th>Status</th><th>Steps</th></tr></thead>
          <tbody>
            ${runs.slice(0, RUNS_SHOWN).map((run) => runRow(run))}
          </tbody>
        </table>
      </body>
    </html>`;
}

function functionRow(fn: FunctionConfig) {
  const triggers = fn.triggers.map((each) => (each.kind === 'cron' ? each.expression : each.name));
  const hasCron = fn.triggers.some((each) => each.kind === 'cron');
  const button = html`<form method="post" action="/invoke">
    <button name="functionId" value="${fn.id}">Run as its cron now</button>
  </form>`;
  return html`<tr>
    <td>${fn.id}</td>
    <td>${triggers.join(', ')}</td>
    <td>${fn.retries}</td>
    <td>${hasCron ? button : ''}</td>
  </tr>`;
}

function runRow(run: RunSummary) {
  const steps = run.steps.map((step) => `${step.name} (${step.status})`).join(', ');
  const error = run.error ? html`<br />${run.error.name}: ${run.error.message}` : '';
  return html`<tr>
    <td>${new Date(run.queuedAtMs).toISOString()}</td>
    <td>${run.functionId}</td>
    <td>${run.event.name}</td>
    <td class="${run.status}">${run.status}${error}</td>
    <td>${steps}</td>
  </tr>`;
}
