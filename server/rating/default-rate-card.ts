import type { RateCardJson } from './rate-card.ts';

/**
 * The prices a new installation starts with, in US dollars: calls $0.10 + $0.05 a minute billed by
 * the second, SMS $0.02 a segment, email $0.01 a recipient, fax $0.15 a page and file transfers
 * $0.05 each, to every destination.
 */
export const defaultRateCard: RateCardJson = {
  id: '7d1f0a52-4b8e-4c5a-9c63-2f0e8d5b6a10',
  name: 'Default prices',
  currency: 'USD',
  version: 1,
  effectiveFrom: '2000-01-01T00:00:00.000Z',
  rounding: 'half_up',
  rules: [
    {
      id: 'call-any',
      type: 'call',
      prefix: '',
      connectionFeeMicros: '100000',
      pricePerMinuteMicros: '50000',
      initialSeconds: 1,
      nextSeconds: 1,
    },
    {
      id: 'sms-any',
      type: 'sms',
      prefix: '',
      connectionFeeMicros: '0',
      pricePerUnitMicros: '20000',
    },
    {
      id: 'email-any',
      type: 'email',
      prefix: '',
      connectionFeeMicros: '0',
      pricePerUnitMicros: '10000',
    },
    {
      id: 'fax-any',
      type: 'fax',
      prefix: '',
      connectionFeeMicros: '0',
      pricePerUnitMicros: '150000',
    },
    {
      id: 'file-transfer-any',
      type: 'file_transfer',
      prefix: '',
      connectionFeeMicros: '0',
      pricePerUnitMicros: '50000',
    },
  ],
};
