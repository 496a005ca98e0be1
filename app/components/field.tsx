import type { InputHTMLAttributes, ReactNode } from 'react';
import { useRefusedField } from './checked-form.tsx';

interface FieldProps extends InputHTMLAttributes<HTMLInputElement> {
  /** Also the input's id, unless that is given. */
  name: string;
  label: string;
  hint?: ReactNode;
  /** For what the page finds by itself; the form around it knows what the server refused. */
  error?: string | undefined;
}

const inputClass =
  'min-h-11 w-full rounded-lg border border-line-strong bg-surface px-3 py-2 text-base ' +
  'aria-invalid:border-danger aria-invalid:bg-danger-soft';

/** An input with its label, hint and error bound to it. */
export function Field(props: FieldProps) {
  const refused = useRefusedField(props.name);
  const { name, id = name, label, hint, className = '', defaultValue, ...rest } = props;
  const { error = refused.error, ...input } = rest;
  const describedBy = [error && `${id}-error`, hint && `${id}-hint`].filter(Boolean).join(' ');
  return (
    <div className="grid content-start gap-1.5">
      <label htmlFor={id} className="font-medium">
        {label}
      </label>
      <input
        {...input}
        {...(input.value === undefined && { defaultValue: refused.typed ?? defaultValue })}
        id={id}
        name={name}
        aria-invalid={error ? true : undefined}
        aria-describedby={describedBy || undefined}
        className={`${inputClass} ${className}`}
      />
      <FieldError id={id} error={error} isToldAbove={refused.isToldAbove} />
      {hint && (
        <p id={`${id}-hint`} className="text-sm text-ink-soft">
          {hint}
        </p>
      )}
    </div>
  );
}

interface FieldErrorProps {
  /** The field's. */
  id: string;
  error: string | undefined;
  isToldAbove: boolean;
}

/** What is wrong with a field, under it; the field is described by `<id>-error`. */
export function FieldError({ id, error, isToldAbove }: FieldErrorProps) {
  return error === undefined ? null : (
    <p
      id={`${id}-error`}
      role={isToldAbove ? undefined : 'alert'}
      className="text-sm font-medium text-danger"
    >
      {error}
    </p>
  );
}

interface ChoiceProps {
  name: string;
  label: string;
  options: readonly (readonly [value: string, text: string])[];
  defaultValue?: string | undefined;
}

/** A choice of one, with its label and error bound to it. */
export function SelectField({ name, label, options, defaultValue }: ChoiceProps) {
  const { error, typed, isToldAbove } = useRefusedField(name);
  return (
    <div className="grid min-w-0 content-start gap-1.5">
      <label htmlFor={name} className="font-medium">
        {label}
      </label>
      <select
        id={name}
        name={name}
        defaultValue={typed ?? defaultValue}
        aria-invalid={error ? true : undefined}
        aria-describedby={error && `${name}-error`}
        className={inputClass}
      >
        {options.map(([value, text]) => (
          <option key={value} value={value}>
            {text}
          </option>
        ))}
      </select>
      <FieldError id={name} error={error} isToldAbove={isToldAbove} />
    </div>
  );
}

/** A choice of one with all options in sight. */
export function RadioField({ name, label, options, defaultValue }: ChoiceProps) {
  const { error, typed = defaultValue, isToldAbove } = useRefusedField(name);
  return (
    <fieldset
      id={name}
      tabIndex={error ? -1 : undefined}
      aria-invalid={error ? true : undefined}
      aria-describedby={error && `${name}-error`}
      className="grid gap-1"
    >
      <legend className="mb-1 font-medium">{label}</legend>
      {options.map(([value, text]) => (
        <label key={value} className="flex min-h-11 items-center gap-3">
          <input
            type="radio"
            name={name}
            value={value}
            defaultChecked={value === typed}
            className="size-5 shrink-0 accent-accent"
          />
          {text}
        </label>
      ))}
      <FieldError id={name} error={error} isToldAbove={isToldAbove} />
    </fieldset>
  );
}
