/** Usage in plain words, as documents and mails write it. */
import { type UsageType, unitOfType, usageTypes } from '../../rating/usage.ts';

const names: Readonly<Record<UsageType, string>> = {
  call: 'Calls',
  sms: 'SMS',
  email: 'Emails',
  fax: 'Faxes',
  file_transfer: 'File transfers',
};

/** What a type is called, and so many of its units: `Calls`, `26 min 30 s`. */
export function usageWords(type: string, units: number): { name: string; used: string } {
  const known = usageTypes.find((each) => each === type);
  if (known === undefined) {
    return { name: 'Other', used: units === 0 ? '' : units.toLocaleString('en-US') };
  }
  const unit = unitOfType[known];
  const used =
    unit === 'second'
      ? duration(units)
      : `${units.toLocaleString('en-US')} ${unit}${units === 1 ? '' : 's'}`;
  return { name: names[known], used };
}

/** `26 min 30 s`, `2 h 5 min`, `0 s`. */
function duration(seconds: number): string {
  const parts = [
    [Math.floor(seconds / 3600), 'h'],
    [Math.floor((seconds % 3600) / 60), 'min'],
    [seconds % 60, 's'],
  ] as const;
  const shown = parts.filter(([count]) => count > 0);
  return (
    shown.map(([count, unit]) => `${count.toLocaleString('en-US')} ${unit}`).join(' ') || '0 s'
  );
}
