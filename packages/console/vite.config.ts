/**
 * Builds the console to static files that the server serves under a strict Content-Security-Policy: no inline script or
 * style, no data: URI, nothing from another host.
 */
import { fileURLToPath } from 'node:url';
import tailwind from '@tailwindcss/vite';
import react from '@vitejs/plugin-react';
import type { Plugin, UserConfig } from 'vite';

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
/** `npm run dev` proxies to a server that runs already: the demo's, or `node dev/server.ts`. */
const devServer = 'http://localhost:9440';

/**
 * uPlot formats numbers in the browser's language when it is loaded, and throws where that is no language tag (Chromium
 * under a POSIX locale says `en-US@posix`). The console speaks one language: its chart does too.
 */
function chartLanguage(): Plugin {
  return {
    name: 'chart-language',
    transform(code, id) {
      if (!id.endsWith('/uPlot.esm.js')) return null;
      const spoken = code.replaceAll('nav.language', "'en-GB'");
      if (spoken === code)
        throw new Error('expected uPlot to read nav.language; look whether chartLanguage is still needed');
      return { code: spoken, map: null };
    },
  };
}

const config: UserConfig = {
  base: '/',
  root: here('.'),
  plugins: [react(), tailwind(), chartLanguage()],
  resolve: {
    alias: {
      // Radix locks scrolling through a library that writes a <style> element, which the policy refuses.
      'react-remove-scroll': here('./src/ui/scroll-lock.tsx'),
    },
  },
  build: {
    outDir: 'dist',
    emptyOutDir: true,
    target: 'es2023',
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: true,
    chunkSizeWarningLimit: 1200,
  },
  server: { port: 9450, proxy: { '/v1': devServer, '/auth': devServer, '/log': devServer } },
};

export default config;
