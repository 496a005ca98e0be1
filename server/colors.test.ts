import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { ACCENT, CANVAS, INK, INK_SOFT, LINE, SURFACE } from './colors.ts';

test('mails, documents and the card form have the colours of the pages', () => {
  const text = (path: string) => readFileSync(new URL(`../app/${path}`, import.meta.url), 'utf8');
  const styles = text('styles.css');
  const ofPages = (name: string) => new RegExp(`--color-${name}: (#\\w{6});`).exec(styles)?.[1];
  expect({ ACCENT, CANVAS, INK, INK_SOFT, LINE, SURFACE }).toEqual({
    ACCENT: ofPages('accent'),
    CANVAS: ofPages('canvas'),
    INK: ofPages('ink'),
    INK_SOFT: ofPages('ink-soft'),
    LINE: ofPages('line'),
    SURFACE: ofPages('surface'),
  });
  expect(text('stripe-script.ts')).toContain(`colorPrimary: '${ACCENT}'`);
});
