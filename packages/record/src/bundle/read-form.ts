/** Members of a parsed JSON value, each asked for with its type: what isn't as expected is the caller's error, without any value in it. */

export interface Form {
  readonly has: (name: string) => boolean;
  readonly text: (name: string) => string;
  readonly texts: (name: string) => string[];
  /** A whole number from 0 to `max`. */
  readonly whole: (name: string, max: number) => number;
  readonly member: (name: string) => Form;
  readonly list: (name: string) => Form[];
  /** The form itself as a list of texts. */
  readonly ownTexts: () => string[];
}

/** @param error makes what is thrown from words */
export function formSource(value: unknown, error: (message: string) => Error, place = 'the evidence'): Form {
  const members = (): Record<string, unknown> => {
    if (typeof value !== 'object' || value === null || Array.isArray(value))
      throw error(`expected ${place} to be an object`);
    return value as Record<string, unknown>;
  };
  const textsOf = (given: unknown, what: string): string[] => {
    if (!Array.isArray(given) || !given.every((one): one is string => typeof one === 'string'))
      throw error(`expected ${what} to be a list of texts`);
    return given;
  };
  return {
    has: (name) => Object.hasOwn(members(), name),
    text: (name) => {
      const given = members()[name];
      if (typeof given !== 'string') throw error(`expected ${name} of ${place} to be a text`);
      return given;
    },
    texts: (name) => textsOf(members()[name], `${name} of ${place}`),
    whole: (name, max) => {
      const given = members()[name];
      if (typeof given !== 'number' || !Number.isSafeInteger(given) || given < 0 || given > max)
        throw error(`expected ${name} of ${place} to be a whole number from 0 to ${max}`);
      return given;
    },
    member: (name) => formSource(members()[name], error, name),
    list: (name) => {
      const given = members()[name];
      if (!Array.isArray(given)) throw error(`expected ${name} of ${place} to be a list`);
      return given.map((one) => formSource(one, error, `an item of ${name}`));
    },
    ownTexts: () => textsOf(value, place),
  };
}
