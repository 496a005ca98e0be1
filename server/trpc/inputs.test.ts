import { expect, test } from 'vitest';
import { noteSchema, referenceSchema } from './inputs.ts';

test.each(['', ' ', '   ', '\t', 'naïve', 'a\nb', 'x'.repeat(201)])(
  'a reference that names nothing, or that a log would garble, is refused: %j',
  (text) => {
    expect(referenceSchema.safeParse(text).success).toBe(false);
  },
);

test.each(['7', ' 7', 'call:2026-11-24 09:15', '~'.repeat(200)])(
  'a reference stays as the caller wrote it: %j',
  (text) => {
    expect(referenceSchema.parse(text)).toBe(text);
  },
);

test.each([
  '',
  '  ',
  '\u200b',
  ' \u2060\ufeff ',
  '\u00ad',
  'two\nlines',
  '\ud800',
  'x'.repeat(501),
])('a note that nobody can read is refused: %j', (text) => {
  expect(noteSchema.safeParse(text).success).toBe(false);
});

test.each([' goodwill after the outage ', '謝罪', '👍', '-'])(
  'a note keeps its words, without the space around them: %j',
  (text) => {
    expect(noteSchema.parse(text)).toBe(text.trim());
  },
);
