import type { MetaFunction } from '@remix-run/react';

/** Names a page in the browser's title: `Activity · Prepaid Wallet`. */
export function pageTitle(title: string): MetaFunction {
  return ({ matches }) => {
    const root = matches.find(({ id }) => id === 'root');
    const appName = appNameOf(root?.data);
    return [{ title: appName === null ? title : `${title} · ${appName}` }];
  };
}

function appNameOf(data: unknown): string | null {
  return data !== null && typeof data === 'object' && 'appName' in data
    ? String(data.appName)
    : null;
}
