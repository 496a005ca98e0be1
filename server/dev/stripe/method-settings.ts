import { z } from 'zod';
import { invalidRequest } from './errors.ts';
import { boolean } from './params.ts';

/** How payment and setup intents say which payment methods they take. */
export const methodSettings = {
  allowed_payment_method_types: z.array(z.literal('card')).optional(),
  automatic_payment_methods: z
    .strictObject({ enabled: boolean, allow_redirects: z.enum(['always', 'never']).optional() })
    .optional(),
};

interface MethodSettings {
  allowed_payment_method_types?: 'card'[] | undefined;
  automatic_payment_methods?:
    | { enabled: boolean; allow_redirects?: 'always' | 'never' | undefined }
    | undefined;
}

/** The settings as an intent shows them: automatic unless a list of types is given, never both. */
export function resolveMethodSettings(params: MethodSettings): {
  allowed_payment_method_types: 'card'[] | null;
  automatic_payment_methods: { allow_redirects: 'always' | 'never'; enabled: boolean } | null;
} {
  const { allowed_payment_method_types: allowed, automatic_payment_methods: automatic } = params;
  if (allowed && automatic) {
    throw invalidRequest(
      'You may only specify one of these parameters: allowed_payment_method_types, automatic_payment_methods.',
    );
  }
  if (allowed) return { allowed_payment_method_types: allowed, automatic_payment_methods: null };
  return {
    allowed_payment_method_types: null,
    automatic_payment_methods: {
      allow_redirects: automatic?.allow_redirects ?? 'always',
      enabled: automatic?.enabled ?? true,
    },
  };
}
