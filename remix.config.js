/**
 * The single place for Remix's options; `vite.config.ts` reads them.
 *
 * `v3_singleFetch` and `v3_lazyRouteDiscovery` stay off: the turbo-stream release without
 * CVE-2026-34077 only works with single fetch off.
 *
 * @type {import('@remix-run/dev').VitePluginConfig}
 */
export default {
  appDirectory: 'app',
  serverModuleFormat: 'esm',
  future: {
    unstable_optimizeDeps: true,
    v3_fetcherPersist: true,
    v3_relativeSplatPath: true,
    v3_throwAbortReason: true,
    v3_singleFetch: false,
    v3_lazyRouteDiscovery: false,
  },
};
