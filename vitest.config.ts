import { defineConfig } from 'vitest/config';

// The workspace packages are tested from their sources: no build step stands between an edit and a test.
// Without `module`: Node resolves dependencies with these too, and some keep files there that only bundlers can read.
const conditions = ['source', 'node', 'development|production'];

export default defineConfig({
  resolve: { conditions },
  ssr: { resolve: { conditions } },
  test: {
    include: ['packages/*/test/**/*.test.ts', 'examples/test/**/*.test.ts', 'tools/test/**/*.test.ts'],
    pool: 'forks',
    maxWorkers: 2,
    testTimeout: 20_000,
    hookTimeout: 30_000,
  },
});
