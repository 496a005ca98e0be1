/** How `npm start` runs the server, for what runs it as in production beside the script. */
import packageJson from '../../package.json' with { type: 'json' };

export interface StartScript {
  /** Options of Node. */
  readonly options: readonly string[];
  /** The bundle, relative to the repository. */
  readonly file: string;
}

/** Reads `npm start` of package.json. Throws when it is not `node`, its options and a file. */
export function startScript(script: string = packageJson.scripts.start): StartScript {
  const [, list = '', file] = /(?:^| )node((?: --\S+)*) (\S+)$/.exec(script) ?? [];
  if (file === undefined) {
    throw new Error('npm start does not run node on a file');
  }
  return { options: list.split(' ').filter((option) => option !== ''), file };
}
