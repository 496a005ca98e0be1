/** What a PDF of ours says, read out of its bytes. */

/** WinAnsi from 0x80 to 0x9f, where it is not Latin-1; Node's own decoder takes it for that. */
const WIN_ANSI = '€\u0081‚ƒ„…†‡ˆ‰Š‹Œ\u008dŽ\u008f\u0090‘’“”•–—˜™š›œ\u009džŸ';

/** The texts of a PDF whose streams are not packed, in the order in which they are drawn. */
export function pdfTexts(bytes: Uint8Array): string[] {
  const source = Buffer.from(bytes).toString('latin1');
  return [...source.matchAll(/\[([^\]]*)\] TJ/g)].map(([, parts = '']) => {
    const hex = [...parts.matchAll(/<([0-9a-f]*)>/g)].map(([, digits = '']) => digits).join('');
    const codes = [...Buffer.from(hex, 'hex')];
    return codes
      .map((code) =>
        code >= 0x80 && code <= 0x9f ? WIN_ANSI[code - 0x80] : String.fromCharCode(code),
      )
      .join('');
  });
}
