/** The error of a configuration that can't be used, whichever it is: server, witness, or a file that one of them names. */
import { ServerError } from '../errors.ts';

/** A configuration that can't be used. `problems` has a line each: place, what is wrong, what to do. */
export class ConfigError extends ServerError {
  override readonly name: string = 'ConfigError';
  readonly problems: readonly string[];

  constructor(file: string, problems: readonly string[], cause?: unknown) {
    super('config-invalid', `${file}: ${problems.join(`\n${file}: `)}`, cause === undefined ? {} : { cause });
    this.problems = problems;
  }
}
