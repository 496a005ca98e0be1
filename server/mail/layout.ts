/** One letter in its two forms: HTML and plain text, saying the same. */
import { ACCENT, CANVAS, INK, INK_SOFT, SURFACE } from '../colors.ts';
import type { Letter } from './letter.ts';

export interface Sender {
  readonly appName: string;
  /** The origin that links lead to. */
  readonly appUrl: string;
}

export interface Form {
  readonly subject: string;
  readonly text: string;
  readonly html: string;
}

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

function escapeHtml(text: string): string {
  return text.replaceAll(/[&<>"']/g, (sign) => ENTITIES[sign] ?? sign);
}

/** Lays the letter out. It loads nothing from anywhere: no pictures, no fonts, no tracking. */
export function layOut(letter: Letter, sender: Sender): Form {
  return { subject: letter.subject, text: asText(letter, sender), html: asHtml(letter, sender) };
}

function asText({ paragraphs, facts, action, settingsPath }: Letter, sender: Sender): string {
  const parts = [
    ...paragraphs,
    facts.map(([label, value]) => `${label}: ${value}`).join('\n'),
    `${action.label}: ${sender.appUrl}${action.path}`,
    ...(settingsPath === null
      ? []
      : [`Change or stop these mails: ${sender.appUrl}${settingsPath}`]),
    `-- \n${sender.appName}`,
  ];
  return `${parts.join('\n\n')}\n`;
}

function asHtml({ subject, paragraphs, facts, action, settingsPath }: Letter, sender: Sender) {
  const link = (path: string) => escapeHtml(`${sender.appUrl}${path}`);
  const small = `font-size:14px;color:${INK_SOFT}`;
  const rows = facts.map(
    ([label, value]) =>
      `<tr><td style="padding:2px 24px 2px 0;${small}">${escapeHtml(label)}</td><td style="padding:2px 0;font-size:14px">${escapeHtml(value)}</td></tr>`,
  );
  const settings =
    settingsPath === null
      ? ''
      : ` · <a href="${link(settingsPath)}" style="color:${INK_SOFT}">Change or stop these mails</a>`;
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>${escapeHtml(subject)}</title></head>
<body style="margin:0;padding:24px;background:${CANVAS};color:${INK};font:16px/1.5 system-ui,sans-serif">
<div style="max-width:560px;margin:0 auto;padding:24px;background:${SURFACE};border-radius:8px">
${paragraphs.map((text) => `<p style="margin:0 0 16px">${escapeHtml(text)}</p>`).join('\n')}
<table role="presentation" style="border-collapse:collapse;margin:0 0 24px">${rows.join('')}</table>
<p style="margin:0 0 24px"><a href="${link(action.path)}" style="display:inline-block;padding:10px 18px;background:${ACCENT};color:${SURFACE};border-radius:8px;text-decoration:none">${escapeHtml(action.label)}</a></p>
<p style="margin:0;${small}">${escapeHtml(sender.appName)}${settings}</p>
</div></body></html>
`;
}
