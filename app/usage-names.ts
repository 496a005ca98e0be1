/** The types of usage and their quantities, as people call them. */
import { formatDuration, formatQuantity, humanize } from './format.ts';

const usageNames: Readonly<Record<string, { one: string; many: string; unit: string }>> = {
  call: { one: 'Call', many: 'Calls', unit: 'second' },
  sms: { one: 'SMS', many: 'SMS', unit: 'segment' },
  email: { one: 'Email', many: 'Emails', unit: 'recipient' },
  fax: { one: 'Fax', many: 'Faxes', unit: 'page' },
  file_transfer: { one: 'File transfer', many: 'File transfers', unit: 'transfer' },
};

/** `Call`, `File transfer`: the name of one usage of a type. */
export function usageName(type: string): string {
  return usageNames[type]?.one ?? humanize(type);
}

/** `Calls`, `File transfers`: the name of a type of usage over many of them. */
export function usageTypeName(type: string): string {
  return usageNames[type]?.many ?? humanize(type);
}

/** The types to choose from, each with its name. */
export const usageTypeOptions = Object.entries(usageNames).map(
  ([type, { many }]) => [type, many] as const,
);

/** `5 min 30 s` of calls, `3 pages` of a fax. */
export function formatUnits(type: string, units: number): string {
  return type === 'call' ? formatDuration(units) : formatQuantity(units, unitName(type));
}

/** What a type of usage is counted in; `unit` for a type that is not known. */
export function unitName(type: string): string {
  return usageNames[type]?.unit ?? 'unit';
}
