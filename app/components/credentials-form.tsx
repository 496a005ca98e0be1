import { Form, useNavigation } from '@remix-run/react';
import type { ReactNode } from 'react';
import { type FormErrors, useFocusFirstError } from '../form-errors.ts';
import { Button } from './button.tsx';
import { Card } from './card.tsx';
import { Field } from './field.tsx';
import { Notice } from './notice.tsx';

interface CredentialsFormProps {
  title: string;
  submitLabel: string;
  passwordAutoComplete: 'current-password' | 'new-password';
  passwordHint?: string;
  email?: string | undefined;
  errors?: FormErrors | undefined;
  /** Stands above the form. */
  children?: ReactNode;
  /** Stands under the form: the way to the other form. */
  footer: ReactNode;
}

/** The form that signing in and signing up share. */
export function CredentialsForm(props: CredentialsFormProps) {
  const { title, submitLabel, errors, email, passwordAutoComplete, passwordHint } = props;
  const busy = useNavigation().state !== 'idle';
  const formRef = useFocusFirstError(errors);
  return (
    <div className="mx-auto grid max-w-md gap-6 py-4 sm:py-10">
      <h1 className="text-3xl font-semibold tracking-tight">{title}</h1>
      {props.children}
      <Card>
        <Form method="post" ref={formRef} noValidate className="grid gap-5">
          {errors?.form && (
            <Notice tone="danger" alert>
              {errors.form}
            </Notice>
          )}
          <Field
            name="email"
            label="Email"
            type="email"
            autoComplete="username"
            required
            defaultValue={email}
            error={errors?.fields.email}
          />
          <Field
            name="password"
            label="Password"
            type="password"
            autoComplete={passwordAutoComplete}
            required
            hint={passwordHint}
            error={errors?.fields.password}
          />
          <Button busy={busy}>{submitLabel}</Button>
        </Form>
      </Card>
      <p className="text-ink-soft">{props.footer}</p>
    </div>
  );
}
