/** What is wrong with an input, in words for whoever sent it. */
import { type ZodError, z } from 'zod';

// Zod's own words for a field that is not there are those of a programmer.
z.config({
  customError: ({ code, input }) =>
    input === undefined && code !== 'custom' ? 'is missing' : undefined,
});

const MAX_PROBLEMS = 10;

/** Which fields are wrong and how, without their values: numbers and texts are private. */
export function describeInputProblems(error: ZodError): string {
  return error.issues
    .slice(0, MAX_PROBLEMS)
    .map(({ path, message }) => {
      const field = path.join('.');
      if (field === '') return message === 'is missing' ? 'The input is missing' : message;
      return message === 'is missing' ? `${field} is missing` : `${field}: ${message}`;
    })
    .join('; ');
}
