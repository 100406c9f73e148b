/**
 * What follows from a text alone, remembered: few different values of `Accept`, `Connection` and `Content-Type` make up nearly all traffic. Bounded in number and length, and
 * starts over when full, so that whoever invents new ones costs what judging them costs, and no more.
 */
const rememberedMax = 64;
const charsMax = 256;

export function remembering<T>(judge: (text: string) => T): (text: string) => T {
  const remembered = new Map<string, T>();
  return (text) => {
    const known = remembered.get(text);
    if (known !== undefined) return known;
    const judged = judge(text);
    if (text.length > charsMax) return judged;
    if (remembered.size >= rememberedMax) remembered.clear();
    remembered.set(text, judged);
    return judged;
  };
}
