/** Where the examples find the service: `npm run dev` prints both, and the key is a demo's. */
export const url = process.env.APP_URL ?? 'http://localhost:3000';
export const apiKey = process.env.WALLET_API_KEY ?? '';
export const userId = process.env.WALLET_USER ?? 'demo';
