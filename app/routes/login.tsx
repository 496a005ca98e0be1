import { type ActionFunctionArgs, json, type LoaderFunctionArgs, redirect } from '@remix-run/node';
import { useActionData, useLoaderData } from '@remix-run/react';
import { CredentialsForm } from '../components/credentials-form.tsx';
import { Notice } from '../components/notice.tsx';
import { TextLink } from '../components/text-link.tsx';
import { submitCredentials } from '../credentials.server.ts';
import { pageTitle } from '../page-meta.ts';

export const meta = pageTitle('Sign in');

export function loader({ context }: LoaderFunctionArgs) {
  if (context.user !== null) throw redirect('/account');
  return json({ demoSignIn: context.config.demoSignIn });
}

export function action({ request, context }: ActionFunctionArgs) {
  return submitCredentials(request, ({ email, password }) =>
    context.services.accounts.signIn({ email, password, ip: context.ip }),
  );
}

export default function LoginPage() {
  const { demoSignIn } = useLoaderData<typeof loader>();
  const answer = useActionData<typeof action>();
  return (
    <CredentialsForm
      title="Sign in"
      submitLabel="Sign in"
      passwordAutoComplete="current-password"
      refused={answer?.refused}
      footer={
        <>
          No account yet? <TextLink to="/signup">Create one</TextLink>
        </>
      }
    >
      {demoSignIn && (
        <Notice title="Demo account">
          <p className="break-words">
            <code>{demoSignIn.email}</code> with{' '}
            <code className="whitespace-nowrap">{demoSignIn.password}</code>
          </p>
        </Notice>
      )}
    </CredentialsForm>
  );
}
