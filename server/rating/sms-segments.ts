/**
 * How many segments a text message is sent, and billed, as.
 *
 * Alphabet: 3GPP TS 23.038, 6.2.1 (GSM 7 bit default alphabet), 6.2.1.1 (extension table, reached by
 * an escape, so each of its characters takes two septets) and 6.2.3 (UCS2). Lengths: 3GPP TS 23.040,
 * 9.2.3.24.1: a message holds 140 octets (160 septets or 70 UCS-2 units); a concatenated one loses
 * six of them to its header, which leaves 153 septets or 67 units. One character that the default
 * alphabet lacks turns the whole message into UCS-2.
 */

const basicCharacters = new Set(
  '@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !"#¤%&\'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà',
);
const extensionCharacters = new Set('\f^{}\\[~]|€');

/** The concatenation header counts parts in one octet: 3GPP TS 23.040, 9.2.3.24.1. */
export const maxSmsSegments = 255;

/** More UTF-16 units than this never fit `maxSmsSegments`, whatever they are. */
export const maxSmsBodyLength = maxSmsSegments * 153;

export type SmsEncoding = 'gsm7' | 'ucs2';

export interface SmsSegments {
  readonly encoding: SmsEncoding;
  /** At least 1: a message without text is sent all the same. */
  readonly segments: number;
  /** Septets (gsm7) or UTF-16 code units (ucs2) of the text. */
  readonly length: number;
}

/** The encoding and the number of segments of a message text. */
export function smsSegments(body: string): SmsSegments {
  const septets = septetsOf(body);
  if (septets !== undefined) {
    return { encoding: 'gsm7', ...split(septets, 160, 153) };
  }
  const units = Array.from(body, (character) => character.length);
  return { encoding: 'ucs2', ...split(units, 70, 67) };
}

/** The septets that each character takes, or nothing when the alphabet lacks one of them. */
function septetsOf(body: string): number[] | undefined {
  const septets: number[] = [];
  for (const character of body) {
    if (basicCharacters.has(character)) {
      septets.push(1);
    } else if (extensionCharacters.has(character)) {
      septets.push(2);
    } else {
      return undefined;
    }
  }
  return septets;
}

/**
 * Fills segments character by character. A character of two (an escaped one, or a surrogate pair)
 * is never cut: when only one place is left it starts the next segment and that place stays empty.
 */
function split(
  sizes: readonly number[],
  singleCapacity: number,
  partCapacity: number,
): { segments: number; length: number } {
  const length = sizes.reduce((sum, size) => sum + size, 0);
  if (length <= singleCapacity) {
    return { segments: 1, length };
  }
  let segments = 1;
  let used = 0;
  for (const size of sizes) {
    if (used + size > partCapacity) {
      segments += 1;
      used = 0;
    }
    used += size;
  }
  return { segments, length };
}
