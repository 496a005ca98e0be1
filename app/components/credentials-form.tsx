import { useNavigation } from '@remix-run/react';
import type { ReactNode } from 'react';
import type { RefusedForm } from '../form-errors.ts';
import { Button } from './button.tsx';
import { Card } from './card.tsx';
import { CheckedForm } from './checked-form.tsx';
import { Field } from './field.tsx';

interface CredentialsFormProps {
  title: string;
  submitLabel: string;
  passwordAutoComplete: 'current-password' | 'new-password';
  passwordHint?: string;
  refused: RefusedForm | undefined;
  /** Stands above the form. */
  children?: ReactNode;
  /** Stands under the form: the way to the other form. */
  footer: ReactNode;
}

/** The form that signing in and signing up share. */
export function CredentialsForm(props: CredentialsFormProps) {
  const { title, submitLabel, refused, passwordAutoComplete, passwordHint } = props;
  const busy = useNavigation().state !== 'idle';
  return (
    <div className="mx-auto grid max-w-md gap-6 py-4 sm:py-10">
      <h1 className="text-3xl font-semibold tracking-tight">{title}</h1>
      {props.children}
      <Card>
        <CheckedForm refused={refused} className="grid gap-5">
          <Field name="email" label="Email" type="email" autoComplete="username" required />
          <Field
            name="password"
            label="Password"
            type="password"
            autoComplete={passwordAutoComplete}
            required
            hint={passwordHint}
          />
          <Button busy={busy}>{submitLabel}</Button>
        </CheckedForm>
      </Card>
      <p className="text-ink-soft">{props.footer}</p>
    </div>
  );
}
