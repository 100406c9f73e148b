/**
 * Builds the page of a bundle (docs/bundle.md) into one HTML file without evidence: script and style inline, each allowed by its hash and nothing else. The server
 * puts the evidence in.
 */
import { createHash } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import type { Plugin, UserConfig } from 'vite';

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

/** Replaces the bundle by the one page. */
function onePage(): Plugin {
  return {
    name: 'one-page',
    enforce: 'post',
    generateBundle(_options, bundle) {
      let script = '';
      let style = '';
      for (const [name, part] of Object.entries(bundle)) {
        if (part.type === 'chunk') script += part.code;
        else if (name.endsWith('.css')) style += String(part.source);
        else throw new Error(`expected a script and a style, got ${name}: the page must be one file`);
        delete bundle[name];
      }
      this.emitFile({ type: 'asset', fileName: 'page.html', source: pageOf(script.trim(), style.trim()) });
    },
  };
}

function pageOf(script: string, style: string): string {
  for (const inline of [script, style])
    if (/<\/(script|style)|<!--/i.test(inline)) throw new Error('expected no markup within script and style');
  const policy = [
    "default-src 'none'",
    `script-src ${hashOf(script)}`,
    `style-src ${hashOf(style)}`,
    "base-uri 'none'",
    "form-action 'none'",
    "require-trusted-types-for 'script'",
    "trusted-types 'none'",
  ].join('; ');
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<title>Evidence · checking</title>
<style>${style}</style>
</head>
<body>
<div id="root"><main><h1>Checking the evidence</h1></main></div>
<noscript>The evidence in this file is checked by a script, which is switched off here. <b>watchglass verify FILE</b> checks it too.</noscript>
<script type="application/json" id="evidence"></script>
<script>${script}</script>
</body>
</html>
`;
}

function hashOf(text: string): string {
  return `'sha256-${createHash('sha256').update(text).digest('base64')}'`;
}

const config: UserConfig = {
  root: here('.'),
  publicDir: false,
  plugins: [onePage()],
  build: {
    outDir: 'dist/evidence',
    emptyOutDir: true,
    target: 'es2023',
    assetsInlineLimit: 0,
    cssCodeSplit: false,
    modulePreload: false,
    reportCompressedSize: false,
    rolldownOptions: { input: here('./src/evidence/main.ts'), output: { format: 'iife' } },
  },
};

export default config;
