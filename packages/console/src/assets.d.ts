/** Files that Vite bundles and TypeScript doesn't read. */
declare module '*.css';
declare module '@fontsource-variable/inter';
declare module '@fontsource-variable/jetbrains-mono';
