import { Form, Link } from '@remix-run/react';
import type { SessionUser } from '../../server/views/accounts.ts';
import { TextLink } from './text-link.tsx';

interface SiteHeaderProps {
  appName: string;
  user: SessionUser | null;
}

export function SiteHeader({ appName, user }: SiteHeaderProps) {
  return (
    <header className="border-b border-line bg-surface print:hidden">
      <div className="mx-auto flex max-w-5xl flex-wrap items-center justify-between gap-x-6 gap-y-2 px-4 py-3 sm:px-6">
        <Link to="/" className="flex min-h-11 items-center gap-2.5 text-lg font-semibold">
          <BrandMark />
          {appName || 'Home'}
        </Link>
        {user === null ? <VisitorLinks /> : <UserMenu user={user} />}
      </div>
    </header>
  );
}

function VisitorLinks() {
  return (
    <nav aria-label="Sign-in" className="flex items-center gap-5">
      <TextLink to="/login">Sign in</TextLink>
      <TextLink to="/signup">Create account</TextLink>
    </nav>
  );
}

function UserMenu({ user }: { user: SessionUser }) {
  return (
    <div className="flex min-w-0 flex-wrap items-center gap-x-4 gap-y-1 text-sm">
      <span className="max-w-56 truncate text-ink-soft">{user.email}</span>
      {user.role === 'support' && <TextLink to="/admin">Admin</TextLink>}
      <Form method="post" action="/logout">
        <button
          type="submit"
          className="min-h-11 font-medium text-accent underline underline-offset-2 hover:text-accent-strong"
        >
          Sign out
        </button>
      </Form>
    </div>
  );
}

function BrandMark() {
  return (
    <svg aria-hidden="true" viewBox="0 0 32 32" className="size-8">
      <rect width="32" height="32" rx="8" className="fill-accent" />
      <path
        d="M8 12.5A2.5 2.5 0 0 1 10.5 10H22v3h2v9H10.5A2.5 2.5 0 0 1 8 19.5z"
        className="fill-none stroke-white stroke-2"
        strokeLinejoin="round"
      />
      <circle cx="19.5" cy="17.5" r="1.6" className="fill-white" />
    </svg>
  );
}
