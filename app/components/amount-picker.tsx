import { formatMoney } from '../format.ts';
import { Field } from './field.tsx';

interface AmountPickerProps {
  currency: string;
  /** The suggested amounts: micros, and the text that choosing one puts into the field. */
  presets: { micros: string; amount: string }[];
  hint: string;
  value: string;
  error: string | undefined;
  disabled: boolean;
  onChange(amount: string): void;
}

/** Suggested amounts as buttons, and a field for any other. */
export function AmountPicker(props: AmountPickerProps) {
  const { currency, presets, hint, value, error, disabled, onChange } = props;
  return (
    <div className="grid gap-4">
      <div className="grid grid-cols-2 gap-2 sm:grid-cols-4">
        {presets.map(({ micros, amount }) => (
          <button
            key={micros}
            type="button"
            disabled={disabled}
            aria-pressed={amount === value}
            onClick={() => onChange(amount)}
            className="min-h-12 rounded-lg border border-line-strong bg-surface px-3 font-semibold tabular-nums hover:bg-accent-soft disabled:opacity-60 aria-pressed:border-accent aria-pressed:bg-accent aria-pressed:text-white"
          >
            {formatMoney(micros, currency, { short: true })}
          </button>
        ))}
      </div>
      <Field
        name="amount"
        label="Amount"
        inputMode="decimal"
        autoComplete="off"
        value={value}
        disabled={disabled}
        error={error}
        hint={hint}
        onChange={(event) => onChange(event.currentTarget.value)}
        className="tabular-nums"
      />
    </div>
  );
}
