import { describe, expect, it } from 'vitest';
import { startScript } from './start-script.ts';

describe('startScript', () => {
  it('reads what npm start runs', () => {
    const { options, file } = startScript();
    expect(file).toBe('dist/server/main.js');
    expect(options).toEqual([expect.stringMatching(/^--max-semi-space-size=\d+$/)]);
  });

  it('takes no options and many', () => {
    expect(startScript('node main.js')).toEqual({ options: [], file: 'main.js' });
    expect(startScript('A=1 node --a --b=2 main.js')).toEqual({
      options: ['--a', '--b=2'],
      file: 'main.js',
    });
  });

  it('refuses a script that starts something else', () => {
    expect(() => startScript('tsx server/main.ts')).toThrow('npm start does not run node');
  });
});
