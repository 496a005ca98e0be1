/** The pages that belong to one user. */
export const ACCOUNT_PAGES = [
  '/account',
  '/account/top-up',
  '/account/auto-top-up',
  '/account/activity',
  '/account/statements',
  '/account/prices',
  '/account/payment-methods',
  '/account/settings',
] as const;
